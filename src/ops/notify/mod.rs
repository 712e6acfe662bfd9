//! Messages for people elsewhere: which channels the settings name, which events each gets, and
//! the bound of time at the end. What a message says is in `observe`; here it is sent, because
//! one of the channels starts a process.

mod channel;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use signal_hook::iterator::Signals;

use super::types::Error;
use super::upkeep::{Health, Status};
use crate::base::clock::{self, Stopwatch};
use crate::base::text::shown;
use crate::base::{Diagnostic, signals};
use crate::config::{Environment, NoticeKinds, Notifications};
use crate::event::{NoticeKind, Observer};
use crate::home;
use crate::observe::notify::{HealthCheck, Notice, Notices, What, Whence};
use channel::Deliver;
use worker::{Patience, Worker};

/// How often it is looked whether a signal ends the waiting.
const BEAT: Duration = Duration::from_millis(20);
/// How long the words of an error are in a message, in characters.
const LONG: usize = 2000;

/// Where messages can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Webhook,
    Slack,
    Discord,
    Email,
    Command,
}

impl Channel {
    pub const ALL: [Self; 5] =
        [Self::Webhook, Self::Slack, Self::Discord, Self::Email, Self::Command];

    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Email => "email",
            Self::Command => "command",
        }
    }

    /// The setting that makes it one.
    fn setting(self) -> &'static str {
        match self {
            Self::Webhook => "notifications.webhook_url",
            Self::Slack => "notifications.slack_webhook",
            Self::Discord => "notifications.discord_webhook",
            Self::Email => "notifications.email_to",
            Self::Command => "notifications.command",
        }
    }

    fn events(self, settings: &Notifications) -> &NoticeKinds {
        match self {
            Self::Webhook => &settings.webhook_events,
            Self::Slack => &settings.slack_events,
            Self::Discord => &settings.discord_events,
            Self::Email => &settings.email_events,
            Self::Command => &settings.command_events,
        }
    }

    /// None: it is not set.
    fn open(
        self,
        settings: &Notifications,
        environment: &Environment,
    ) -> Result<Option<Box<dyn Deliver>>, Error> {
        Ok(match self {
            Self::Webhook => channel::webhook(settings),
            Self::Slack => channel::slack(settings),
            Self::Discord => channel::discord(settings),
            Self::Email => channel::email(settings).map_err(|one| Error::Config(vec![*one]))?,
            Self::Command => channel::command(settings, environment),
        })
    }
}

/// Sends messages beside a run, and holds up nothing but its end, and that not for long.
pub struct Notifier {
    lines: Arc<Lines>,
    whence: Arc<Whence>,
    max_wait: Duration,
}

/// The channels, each with the events that it gets.
struct Lines(Vec<(Worker, Vec<NoticeKind>)>);

impl Lines {
    fn send(&self, notice: Notice) {
        let notice = Arc::new(notice);
        for (worker, wanted) in &self.0 {
            if wanted.contains(&notice.kind) {
                worker.push(&notice);
            }
        }
    }

    fn wanted(&self) -> Vec<NoticeKind> {
        let wants = |kind: &NoticeKind| self.0.iter().any(|(_, wanted)| wanted.contains(kind));
        NoticeKind::ALL.into_iter().filter(wants).collect()
    }
}

/// What a channel gets by its own list and the two settings that are about all.
fn wanted(kinds: &NoticeKinds, settings: &Notifications) -> Vec<NoticeKind> {
    let is_on = |kind: NoticeKind| {
        if kind.is_good() { settings.notify_on_complete } else { settings.notify_on_error }
    };
    NoticeKind::ALL.into_iter().filter(|kind| kinds.has(*kind) && is_on(*kind)).collect()
}

fn whence() -> Arc<Whence> {
    let folder = std::env::current_dir().unwrap_or_default().display().to_string();
    Arc::new(Whence { folder, host: home::host() })
}

impl Notifier {
    /// None: nobody is to be told. Nothing is connected and no thread is started before there is
    /// a message. The error names settings that do not go together.
    pub fn new(settings: &Notifications, environment: &Environment) -> Result<Option<Self>, Error> {
        if !settings.enabled {
            return Ok(None);
        }
        let patience = Patience {
            timeout: Duration::from_secs(settings.delivery_timeout_seconds),
            retries: settings.delivery_retries,
            first_pause: Duration::from_millis(settings.delivery_delay_ms),
        };
        let mut lines = Vec::new();
        for channel in Channel::ALL {
            let wanted = wanted(channel.events(settings), settings);
            if let Some(deliver) = channel.open(settings, environment)?
                && !wanted.is_empty()
            {
                lines.push((Worker::new(deliver, patience), wanted));
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let max_wait = Duration::from_secs(settings.max_wait_seconds);
        Ok(Some(Self { lines: Arc::new(Lines(lines)), whence: whence(), max_wait }))
    }

    /// Hears the events of a run.
    pub fn listener(&self) -> Box<dyn Observer> {
        let lines = Arc::clone(&self.lines);
        let send = Box::new(move |notice| lines.send(notice));
        Box::new(Notices::new(Arc::clone(&self.whence), self.lines.wanted(), send))
    }

    /// A run could not begin or go on.
    pub fn error(&self, problem: &str) {
        let text = shown(problem.as_bytes()).chars().take(LONG).collect();
        self.tell(NoticeKind::Error, What::Problem { task: None, text });
    }

    /// What a run warns of when its events are over.
    pub fn warning(&self, problem: &str) {
        let text = shown(problem.as_bytes()).chars().take(LONG).collect();
        self.tell(NoticeKind::Warning, What::Problem { task: None, text });
    }

    /// Tells of health where that is critical.
    pub fn health(&self, health: &Health) {
        if health.status == Status::Critical {
            let check = |(name, check): (&'static str, &super::Check)| HealthCheck {
                name,
                status: check.status.name(),
                message: check.message.clone(),
            };
            let checks = health.checks.all().into_iter().map(check).collect();
            self.tell(NoticeKind::HealthFailed, What::Health(checks));
        }
    }

    fn tell(&self, kind: NoticeKind, what: What) {
        self.lines.send(Notice::new(kind, clock::now_ns(), Arc::clone(&self.whence), what));
    }

    /// Waits until all is delivered, or for as long as the settings say, or until a signal asks
    /// to stop. What went wrong, a sentence for each channel.
    pub fn finish(self) -> Vec<String> {
        let workers = || self.lines.0.iter().map(|(worker, _)| worker);
        let close = |deadline: Instant, late: &str| {
            workers().for_each(|worker| worker.close(deadline, late));
        };
        let deadline = clock::instant() + self.max_wait;
        close(
            deadline,
            &format!("it was not done within {} seconds of the end", self.max_wait.as_secs()),
        );
        let mut signals = Signals::new(signals::asking_to_stop()).ok();
        let mut is_asked = || signals.as_mut().is_some_and(|it| it.pending().next().is_some());
        while !workers().all(|worker| worker.is_over_within(BEAT)) {
            if is_asked() {
                close(clock::instant(), "a signal ended the waiting for it");
                break;
            }
            if clock::instant() >= deadline {
                break;
            }
        }
        workers().filter_map(Worker::finish).collect()
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("channels", &self.lines.0.len()).finish_non_exhaustive()
    }
}

/// What came of a test message.
#[derive(Debug, Serialize)]
pub struct Tried {
    pub channel: Channel,
    /// What it is and where, without secrets.
    pub place: String,
    pub delivered: bool,
    /// What the other side said, or what was in the way.
    pub answer: String,
    /// What to do.
    pub help: Option<&'static str>,
    pub elapsed_ms: u64,
}

/// Sends a test message to one channel, or to all that are set, whether or not anybody is to be
/// told of runs.
pub fn try_channels(
    settings: &Notifications,
    environment: &Environment,
    only: Option<Channel>,
) -> Result<Vec<Tried>, Error> {
    let mut tried = Vec::new();
    for channel in Channel::ALL.into_iter().filter(|one| only.is_none_or(|only| only == *one)) {
        if let Some(deliver) = channel.open(settings, environment)? {
            tried.push(try_one(channel, deliver, settings));
        }
    }
    if !tried.is_empty() {
        return Ok(tried);
    }
    Err(Error::Config(vec![match only {
        Some(channel) => Diagnostic::new(format!("the channel `{}` is not set", channel.name()))
            .help(format!("set `{}`", channel.setting())),
        None => Diagnostic::new("no channel is set, so there is nobody to tell").help(
            "set one of `webhook_url`, `slack_webhook`, `discord_webhook`, `email_to` and \
             `command` in `[notifications]`",
        ),
    }]))
}

fn try_one(channel: Channel, mut deliver: Box<dyn Deliver>, settings: &Notifications) -> Tried {
    let notice = Notice::new(NoticeKind::Test, clock::now_ns(), whence(), What::Test);
    let limit = Duration::from_secs(settings.delivery_timeout_seconds);
    let watch = Stopwatch::start();
    let result = deliver.deliver(&notice, limit, &|| false);
    let elapsed_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (delivered, answer, help) = match result {
        Ok(answer) => (true, answer, None),
        Err(refusal) => (false, refusal.to_string(), Some(refusal.help())),
    };
    Tried { channel, place: deliver.place(), delivered, answer, help, elapsed_ms }
}
