//! What is looked at before a run begins: whose the folders of the cache are, and whether
//! commands are known to be dangerous.

use super::danger::dangers;
use super::project::Project;
use super::types::Error;
use crate::base::{Diagnostic, FileError};
use crate::engine::{Bench, Settled};
use crate::event::{Access, Danger, Emitter, Event, Violation};
use crate::home::{Exposed, Home};
use crate::manifest::Task;
use crate::observe::words;

/// How many dangerous commands are shown where the manifest is refused.
const SHOWN: usize = 100;

/// An error where others may write to the cache or the workspace: what they put there would be
/// believed.
pub(super) fn refuse_exposed(home: &Home, emitter: &Emitter) -> Result<(), Error> {
    let exposed = home.exposed().inspect_err(|error| tell_denied(error, emitter))?;
    let Some(Exposed { path, owner, mode, user }) = exposed else { return Ok(()) };
    let shown = path.display();
    let (problem, first) = if owner != user && owner != 0 {
        (
            format!("it belongs to user {owner} and has the mode {mode:o}, and we are user {user}"),
            format!("if you trust what is in it: chown -R {user} {shown}"),
        )
    } else {
        (
            format!("others may write to it: it belongs to user {owner} and has the mode {mode:o}"),
            format!("if you trust what is in it: chmod go-w {shown}"),
        )
    };
    emitter.emit(Event::AccessDenied {
        what: Access::Cache,
        path: shown.to_string(),
        problem: problem.clone(),
    });
    let second = "otherwise remove it, or name a cache of your own with `--cache-dir`".to_owned();
    Err(Error::Exposed { help: vec![first, second], problem, path })
}

/// Tells of a folder or file of the cache that the system does not let us use.
pub(super) fn tell_denied(error: &FileError, emitter: &Emitter) {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        emitter.emit(Event::AccessDenied {
            what: Access::Cache,
            path: error.path.display().to_string(),
            problem: format!("{error}: {}", error.source),
        });
    }
}

/// As [`tell_denied`], for whatever error it may be.
pub(super) fn tell_refused(error: &Error, emitter: &Emitter) {
    if let Error::File(error) = error {
        tell_denied(error, emitter);
    }
}

impl Project {
    /// An error where the manifest has a dangerous command, needed or not.
    pub(super) fn refuse_dangers(&self, emitter: &Emitter) -> Result<(), Error> {
        let mut found = Vec::new();
        for task in &self.manifest.tasks {
            for danger in dangers_of(task).take(SHOWN - found.len()) {
                emitter.emit(self.violation(task, danger, true));
                let what = words::danger(danger);
                found.push(
                    Diagnostic::new(format!("the command of `{}` {what}", task.name))
                        .at(self.manifest.place(task.command_at), "refused, and nothing has run")
                        .help("correct the command, or set `security.deny_dangerous` to 0"),
                );
            }
        }
        if found.is_empty() { Ok(()) } else { Err(Error::Dangerous(found)) }
    }

    /// A warning of each dangerous command that may run now.
    pub(super) fn tell_dangers(&self, bench: &Bench<'_>, settled: &Settled) {
        for id in bench.plan.in_order().filter(|id| !settled.is_settled[id.index()]) {
            let task = bench.plan.task(id);
            for danger in dangers_of(task) {
                bench.emitter.emit(self.violation(task, danger, false));
            }
        }
    }

    fn violation(&self, task: &Task, danger: Danger, refused: bool) -> Event {
        let place = self.manifest.place(task.command_at);
        let place = format!("{}:{}", place.file, place.line);
        let violation = Violation::DangerousCommand { danger, place };
        Event::SecurityViolation { task: task.name.clone(), violation, refused }
    }
}

fn dangers_of(task: &Task) -> impl Iterator<Item = Danger> + use<> {
    task.command.as_deref().map(dangers).unwrap_or_default().into_iter()
}
