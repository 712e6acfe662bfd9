//! The channels: each delivers a message once, and says what came back. Addresses are told by
//! their origin only.
//!
//! Knows nothing of queues and of trying again.

use std::ffi::OsString;
use std::time::Duration;

use crate::base::http::Fault;
use crate::base::http::hook::{Hook, Line};
use crate::base::net::mail::{Encryption, Postbox};
use crate::base::net::{Reach, Undelivered};
use crate::base::text::shown;
use crate::base::{Diagnostic, Digest, Secret, clock};
use crate::config::{Environment, Notifications, SmtpTls};
use crate::exec::{Ended, EnvRules, Fed, Feed, GiveUp, feed, task_env};
use crate::home;
use crate::observe::notify::{self, Notice};
use crate::observe::words;

/// A command that was given up has so long to be killed.
const KILLING: Duration = Duration::from_secs(2);
/// How much of what a command wrote is told, in characters.
const TOLD: usize = 300;

/// Delivers messages to one place.
pub(super) trait Deliver: Send {
    /// What it is and where, without secrets.
    fn place(&self) -> String;

    /// One try. The answer is what the other side said.
    fn deliver(
        &mut self,
        notice: &Notice,
        limit: Duration,
        give_up: GiveUp<'_>,
    ) -> Result<String, Refusal>;

    /// How long it takes after the end to give up what is under way in an orderly way.
    fn last_words(&self) -> Duration {
        Duration::ZERO
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Net(#[from] Undelivered),
    #[error("{0}")]
    Command(String),
}

impl Refusal {
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Net(reason) => reason.may_pass(),
            // What it has done already would be done twice.
            Self::Command(_) => false,
        }
    }

    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Net(reason) => reason.after(),
            Self::Command(_) => None,
        }
    }

    /// What to do.
    pub(super) fn help(&self) -> &'static str {
        let reason = match self {
            Self::Command(_) => return "see `notifications.command`",
            Self::Net(reason) => reason,
        };
        match reason {
            Undelivered::Private { .. } => {
                "set `notifications.allow_private` if it is meant to be reached"
            }
            Undelivered::Unknown { .. } => "see whether the name is right and can be resolved here",
            Undelivered::Mail { .. } => "see the `smtp_` settings of `[notifications]`",
            Undelivered::Http { fault, .. } => match fault {
                Fault::Transport(_) | Fault::Late(_) => {
                    "see whether the address is right and can be reached from here"
                }
                Fault::Status(401 | 403 | 404 | 410) => {
                    "see whether the address is right, and was not taken back"
                }
                Fault::Status(408 | 429 | 500..) => "the other side is in trouble: see its state",
                Fault::Status(_) => "the other side does not take such messages: see what it wants",
                Fault::Redirect(..) => "name the place itself",
                Fault::Local(_) => "see the log",
            },
        }
    }
}

/// The forms of a message that is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Ours,
    Slack,
    Discord,
}

impl Form {
    /// What a host takes that is given as a webhook of any kind.
    fn of(host: &str) -> Self {
        let is = |name: &str| host == name || host.ends_with(&format!(".{name}"));
        if host == "hooks.slack.com" {
            Self::Slack
        } else if is("discord.com") || is("discordapp.com") {
            Self::Discord
        } else {
            Self::Ours
        }
    }

    fn write(self, notice: &Notice, settings: &Notifications) -> Vec<u8> {
        match self {
            Self::Ours => notify::webhook(notice, settings),
            Self::Slack => notify::slack(notice, settings),
            Self::Discord => notify::discord(notice, settings),
        }
    }
}

/// A webhook of any kind.
struct Posted {
    kind: &'static str,
    hook: Hook,
    /// Connected by the first message; made anew after a connection that failed.
    line: Option<Line>,
    form: Form,
    settings: Notifications,
}

pub(super) fn webhook(settings: &Notifications) -> Option<Box<dyn Deliver>> {
    let url = &settings.webhook_url.as_ref()?.0;
    posted("webhook", url, None, settings)
}

pub(super) fn slack(settings: &Notifications) -> Option<Box<dyn Deliver>> {
    let url = &settings.slack_webhook.as_ref()?.0;
    posted("slack", url, Some(Form::Slack), settings)
}

pub(super) fn discord(settings: &Notifications) -> Option<Box<dyn Deliver>> {
    let url = &settings.discord_webhook.as_ref()?.0;
    posted("discord", url, Some(Form::Discord), settings)
}

fn posted(
    kind: &'static str,
    url: &Secret,
    form: Option<Form>,
    settings: &Notifications,
) -> Option<Box<dyn Deliver>> {
    // The setting is checked where it is read.
    let hook = Hook::parse(url.expose(), reach(settings)).ok()?;
    let form = form.unwrap_or_else(|| Form::of(hook.host()));
    Some(Box::new(Posted { kind, hook, line: None, form, settings: settings.clone() }))
}

fn reach(settings: &Notifications) -> Reach {
    if settings.allow_private { Reach::Anywhere } else { Reach::Public }
}

impl Posted {
    fn headers(&self, notice: &Notice, body: &[u8]) -> Vec<(&'static str, String)> {
        if self.form != Form::Ours {
            return Vec::new();
        }
        let mut headers = vec![
            ("x-reprovm-event", notice.kind.name().to_owned()),
            ("x-reprovm-delivery", notice.id.clone()),
        ];
        if let Some(key) = &self.settings.webhook_secret {
            headers.push(("x-reprovm-signature", signature(key, clock::now_ns(), body)));
        }
        headers
    }
}

/// `t=1700000000,v1=…`: over the time, a dot and the body.
fn signature(key: &Secret, now_ns: i64, body: &[u8]) -> String {
    let time = now_ns.div_euclid(1_000_000_000).to_string();
    let signed = [time.as_bytes(), b".", body].concat();
    format!("t={time},v1={}", Digest::keyed(key.expose().as_bytes(), &signed).hex())
}

impl Deliver for Posted {
    fn place(&self) -> String {
        format!("{} at `{}`", self.kind, self.hook.origin())
    }

    fn deliver(
        &mut self,
        notice: &Notice,
        limit: Duration,
        _: GiveUp<'_>,
    ) -> Result<String, Refusal> {
        let line = match self.line.take() {
            Some(line) => line,
            None => self.hook.open()?,
        };
        let body = self.form.write(notice, &self.settings);
        let headers = self.headers(notice, &body);
        let answer = line.post(body, &headers, limit)?;
        self.line = Some(line);
        let said =
            if answer.said.is_empty() { String::new() } else { format!(" \"{}\"", answer.said) };
        Ok(format!("{}{said}", answer.status))
    }
}

/// Mail.
struct Mailed {
    postbox: Postbox,
    settings: Notifications,
}

/// The error says which setting is missing.
pub(super) fn email(settings: &Notifications) -> Result<Option<Box<dyn Deliver>>, Box<Diagnostic>> {
    let Some(first) = settings.email_to.0.first() else { return Ok(None) };
    let mistake = |what: &str, help: &str| Box::new(Diagnostic::new(what).help(help));
    if settings.smtp_host.is_empty() {
        return Err(mistake(
            "`notifications.email_to` is set, and `notifications.smtp_host` is not",
            "name the server that takes mail",
        ));
    }
    let login = match (&settings.smtp_user, &settings.smtp_password) {
        (user, Some(password)) if !user.is_empty() => Some((user.clone(), password.clone())),
        (user, None) if user.is_empty() => None,
        _ => {
            return Err(mistake(
                "only one of `notifications.smtp_user` and `notifications.smtp_password` is set",
                "set both, or neither for a server that wants no login",
            ));
        }
    };
    if login.is_some() && settings.smtp_tls == SmtpTls::None {
        return Err(mistake(
            "`notifications.smtp_password` would be sent without encryption",
            "set `notifications.smtp_tls` to `starttls` or `tls`",
        ));
    }
    let (encryption, usual) = match settings.smtp_tls {
        SmtpTls::None => (Encryption::None, 25),
        SmtpTls::StartTls => (Encryption::StartTls, 587),
        SmtpTls::Tls => (Encryption::Tls, 465),
    };
    let port = settings.smtp_port.0.and_then(|port| u16::try_from(port).ok()).unwrap_or(usual);
    let postbox = Postbox {
        host: settings.smtp_host.clone(),
        port,
        encryption,
        login,
        us: our_name(),
        from: settings.email_from.0.first().unwrap_or(first).clone(),
        to: settings.email_to.0.clone(),
        reach: reach(settings),
    };
    Ok(Some(Box::new(Mailed { postbox, settings: settings.clone() })))
}

/// As a mail server takes it.
fn our_name() -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || ['-', '.'].contains(c);
    let name: String = home::host().chars().filter(good).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

impl Deliver for Mailed {
    fn place(&self) -> String {
        format!("email by `{}:{}`", shown(self.postbox.host.as_bytes()), self.postbox.port)
    }

    fn deliver(
        &mut self,
        notice: &Notice,
        limit: Duration,
        _: GiveUp<'_>,
    ) -> Result<String, Refusal> {
        let (subject, text) = notify::mail(notice, &self.settings);
        let answer = self.postbox.send(&notice.id, &subject, text, limit)?;
        Ok(shown(answer.as_bytes()).into_owned())
    }
}

/// A command of the user's.
struct Commanded {
    text: String,
    env: Vec<(OsString, OsString)>,
    settings: Notifications,
}

pub(super) fn command(
    settings: &Notifications,
    environment: &Environment,
) -> Option<Box<dyn Deliver>> {
    if settings.command.trim().is_empty() {
        return None;
    }
    // All but our secrets.
    let rules = EnvRules { set: &Default::default(), pass: &Default::default(), inherit: true };
    let env = task_env(environment, &rules);
    Some(Box::new(Commanded { text: settings.command.clone(), env, settings: settings.clone() }))
}

impl Deliver for Commanded {
    fn place(&self) -> String {
        "command".to_owned()
    }

    fn deliver(
        &mut self,
        notice: &Notice,
        limit: Duration,
        give_up: GiveUp<'_>,
    ) -> Result<String, Refusal> {
        let mut input = notify::webhook(notice, &self.settings);
        input.push(b'\n');
        let mut env = self.env.clone();
        env.push(("REPROVM_EVENT".into(), notice.kind.name().into()));
        let run = Feed { text: &self.text, env, input: &input, timeout: limit };
        let Fed { ended, output } = feed(&run, give_up)
            .map_err(|error| Refusal::Command(format!("it cannot be started: {error}")))?;
        let said = told(&output);
        let how = match ended {
            Ended::Exit(0) => return Ok(format!("exit code 0{said}")),
            Ended::Exit(code) => format!("it ended with exit code {code}"),
            Ended::Signal { signal, .. } => format!("it was killed by {}", words::signal(signal)),
            Ended::TimedOut => format!(
                "it was not done within {} seconds, and was killed",
                limit.as_secs_f32().round()
            ),
            Ended::OutOfMemory(_) => "it was killed for want of memory".to_owned(),
            Ended::Cancelled => "it was not done in time, and was killed".to_owned(),
        };
        Err(Refusal::Command(format!("{how}{said}")))
    }

    fn last_words(&self) -> Duration {
        KILLING
    }
}

/// The end of what a command wrote, in brackets.
fn told(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = line.chars().count().saturating_sub(TOLD);
    let end: String = line.chars().skip(skipped).collect();
    let end = shown(end.trim().as_bytes()).into_owned();
    if end.is_empty() { end } else { format!(" (\"{end}\")") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_over_the_time_and_the_body() {
        let signed = signature(&Secret::new("key"), 1_700_000_000_999_999_999, b"{}");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signed,
            "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
        );
    }

    #[test]
    fn the_end_of_what_a_command_wrote_is_told_on_one_line() {
        assert_eq!(told(b" \n"), "");
        assert_eq!(told(b"a\n  b\x1b[1m\n"), " (\"a b\\u{1b}[1m\")");
        assert!(told(&[b'x'; 4096]).len() < TOLD + 10);
    }
}
