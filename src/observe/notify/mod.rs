//! Messages for people elsewhere: what of a run is worth one, and what it says. Neither holds
//! commands, variables or what tasks write.
//!
//! Knows nothing of how a message is sent.

mod form;
mod words;

use std::fmt;
use std::sync::Arc;

use super::words as reasons;
use crate::base::{Digest, TaskName};
use crate::event::{Event, NoticeKind, Observer, Outcome, Stamped, Summary};

pub use form::{discord, mail, slack, webhook};

/// How many failed tasks the end of a run names.
const NAMED: usize = 20;
/// How long a reason is at most, in characters.
const LONG: usize = 300;

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub kind: NoticeKind,
    /// No other message has it; each try of this one has.
    pub id: String,
    pub time_ns: i64,
    pub run: Option<String>,
    pub manifest: Option<String>,
    pub whence: Arc<Whence>,
    pub what: What,
}

/// Where messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whence {
    /// The project's folder.
    pub folder: String,
    pub host: String,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Task { task: TaskName, reason: Option<String>, duration_ms: u64 },
    Run { summary: Box<Summary>, failed: Vec<FailedTask> },
    Problem { task: Option<TaskName>, text: String },
    Health(Vec<HealthCheck>),
    Test,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FailedTask {
    pub task: TaskName,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HealthCheck {
    pub name: &'static str,
    pub status: &'static str,
    pub message: String,
}

impl Notice {
    /// One that no event of a run stands behind.
    pub fn new(kind: NoticeKind, time_ns: i64, whence: Arc<Whence>, what: What) -> Self {
        let seed = format!("{time_ns} {} {} {kind}", std::process::id(), whence.folder);
        let mut id = Digest::of(seed.as_bytes()).hex();
        id.truncate(16);
        Self { kind, id, time_ns, run: None, manifest: None, whence, what }
    }
}

/// Where messages go.
pub type Send = Box<dyn FnMut(Notice) + std::marker::Send>;

/// Listens for what is worth a message.
pub struct Notices {
    whence: Arc<Whence>,
    /// What nobody wants is not made.
    wanted: Vec<NoticeKind>,
    send: Send,
    manifest: Option<String>,
    failed: Vec<FailedTask>,
}

impl Notices {
    pub fn new(whence: Arc<Whence>, wanted: Vec<NoticeKind>, send: Send) -> Self {
        Self { whence, wanted, send, manifest: None, failed: Vec::new() }
    }

    fn tell(&mut self, from: &Stamped, kind: NoticeKind, what: What) {
        (self.send)(Notice {
            kind,
            id: format!("{}-{}", from.run, from.seq),
            time_ns: from.time_ns,
            run: Some(from.run.clone()),
            manifest: self.manifest.clone(),
            whence: Arc::clone(&self.whence),
            what,
        });
    }

    fn wants(&self, kind: NoticeKind) -> bool {
        self.wanted.contains(&kind)
    }

    fn finished_task(&mut self, from: &Stamped, task: &TaskName, outcome: &Outcome, ms: u64) {
        let (kind, reason) = match outcome {
            Outcome::Executed => (NoticeKind::TaskCompleted, None),
            Outcome::Failed { failure } => {
                let reason = cut(reasons::failure(failure));
                if self.failed.len() < NAMED {
                    let task = task.clone();
                    self.failed.push(FailedTask { task, reason: reason.clone() });
                }
                (NoticeKind::TaskFailed, Some(reason))
            }
            Outcome::Cached | Outcome::UpToDate | Outcome::Cancelled => return,
        };
        if self.wants(kind) {
            self.tell(from, kind, What::Task { task: task.clone(), reason, duration_ms: ms });
        }
    }

    fn warn(&mut self, from: &Stamped, text: String) {
        if self.wants(NoticeKind::Warning) {
            let task = from.event.task().cloned();
            let text = cut(text);
            self.tell(from, NoticeKind::Warning, What::Problem { task, text });
        }
    }
}

impl Observer for Notices {
    fn observe(&mut self, from: &Stamped) -> Result<(), String> {
        match &from.event {
            Event::RunStarted { manifest, .. } => self.manifest = Some(manifest.clone()),
            Event::TaskFinished { task, outcome, usage, .. } => {
                self.finished_task(from, task, outcome, usage.duration_ms);
            }
            Event::RunFinished { summary } => {
                let is_good = summary.is_good();
                let kind = if is_good { NoticeKind::RunCompleted } else { NoticeKind::RunFailed };
                if self.wants(kind) {
                    let failed = std::mem::take(&mut self.failed);
                    self.tell(from, kind, What::Run { summary: Box::new(summary.clone()), failed });
                }
            }
            event => {
                if let Some(text) = reasons::warning(event, NAMED) {
                    self.warn(from, text);
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "notifications"
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// Not longer than anyone reads.
fn cut(text: String) -> String {
    if text.chars().count() <= LONG {
        return text;
    }
    let mut short: String = text.chars().take(LONG - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::event::{Failure, Usage};

    fn whence() -> Arc<Whence> {
        Arc::new(Whence { folder: "/home/me/project".into(), host: "here".into() })
    }

    fn told(wanted: &[NoticeKind], events: Vec<Event>) -> Vec<Notice> {
        let (sender, receiver) = mpsc::channel();
        let send: Send = Box::new(move |notice| sender.send(notice).expect("it listens"));
        let mut notices = Notices::new(whence(), wanted.to_vec(), send);
        for (seq, event) in (1..).zip(events) {
            let event = Stamped { seq, time_ns: 7, run: "r".into(), event };
            notices.observe(&event).expect("nothing can fail");
        }
        drop(notices);
        receiver.iter().collect()
    }

    fn finished(name: &str, outcome: Outcome) -> Event {
        let task = TaskName::parse(name).expect("a good name");
        Event::TaskFinished { task, outcome, usage: Usage::default(), reasons: Vec::new() }
    }

    fn failure(code: i32) -> Outcome {
        Outcome::Failed { failure: Failure::Exit { code, withheld: Vec::new() } }
    }

    #[test]
    fn the_end_of_a_run_names_what_failed_up_to_a_bound() {
        let mut events: Vec<Event> =
            (0..NAMED + 5).map(|number| finished(&format!("t{number}"), failure(2))).collect();
        let summary = Summary { failed: NAMED + 5, ..Summary::default() };
        events.push(Event::RunFinished { summary });
        let notices = told(&NoticeKind::DEFAULT, events);
        let [Notice { kind: NoticeKind::RunFailed, id, what, .. }] = &notices[..] else {
            panic!("{notices:?}")
        };
        assert_eq!(*id, format!("r-{}", NAMED + 6));
        let What::Run { failed, .. } = what else { panic!("{what:?}") };
        assert_eq!((failed.len(), failed[3].reason.as_str()), (NAMED, "exit code 2"));
    }

    #[test]
    fn a_run_that_was_stopped_has_not_completed() {
        let summary = Summary { executed: 1, cancelled: 2, ..Summary::default() };
        let notices = told(&NoticeKind::DEFAULT, vec![Event::RunFinished { summary }]);
        assert_eq!(notices[0].kind, NoticeKind::RunFailed);
        let title = words::value(&notices[0], crate::config::Field::Outcome);
        assert_eq!(title, "run stopped, with 2 cancelled tasks");
    }

    #[test]
    fn each_event_that_is_wanted_is_told_and_no_other() {
        let events = || {
            vec![
                finished("a", Outcome::Executed),
                finished("b", failure(1)),
                finished("c", Outcome::UpToDate),
                Event::CacheDegraded { problem: "x".repeat(1000) },
                Event::RunFinished { summary: Summary::default() },
                Event::RunFinished {
                    summary: Summary { interrupted: Some(2), ..Summary::default() },
                },
            ]
        };
        let kinds = |wanted: &[NoticeKind]| -> Vec<&str> {
            told(wanted, events()).iter().map(|notice| notice.kind.name()).collect()
        };
        let all = ["task_completed", "task_failed", "warning", "run_completed", "run_failed"];
        assert_eq!(kinds(&NoticeKind::ALL), all);
        for kind in NoticeKind::ALL {
            let one = kinds(&[kind]);
            assert!(one.len() <= 1 && one.iter().all(|name| *name == kind.name()), "{kind}");
        }
        let What::Problem { text, .. } = &told(&[NoticeKind::Warning], events())[0].what else {
            panic!("a warning")
        };
        assert!(text.chars().count() == LONG && text.ends_with('…'));
    }
}
