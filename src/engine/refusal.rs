//! What keeps a task from its inputs or its outputs from being taken, as failures and as events.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Bench;
use super::lookup::chain;
use crate::base::FileError;
use crate::cache::inputs::InputError;
use crate::cache::outputs::OutputError;
use crate::event::{Access, Event, Failure, Violation};
use crate::manifest::Task;

pub(super) fn input_failure(error: &InputError) -> Failure {
    match error {
        InputError::ToolMissing(name) => Failure::ToolMissing { name: name.clone() },
        InputError::Missing(path) => {
            Failure::Input { path: path.clone(), problem: "it is not there".to_owned() }
        }
        InputError::Refused { path, kind } => Failure::Input {
            path: path.clone(),
            problem: format!("it is {}, which cannot be hashed", kind.noun()),
        },
        &InputError::TooLarge { ref path, size, limit } => {
            Failure::InputTooLarge { path: path.clone(), size, limit }
        }
        InputError::File(error) if is_denied(error) => Failure::InputDenied {
            path: error.path.display().to_string(),
            problem: permissions(error),
        },
        InputError::File(error) => {
            Failure::Input { path: error.path.display().to_string(), problem: chain(error) }
        }
        InputError::Pattern(error) => Failure::Files { problem: error.to_string() },
    }
}

pub(super) fn output_failure(error: &OutputError) -> Failure {
    match error {
        OutputError::Missing(paths) => Failure::OutputsMissing { paths: paths.clone() },
        OutputError::Refused { path, problem } => {
            Failure::OutputRefused { path: path.clone(), problem: problem.clone() }
        }
        OutputError::LeadsOut { path, problem } => {
            Failure::OutputRefused { path: path.clone(), problem: (*problem).to_owned() }
        }
        OutputError::File(error) => Failure::Files { problem: chain(error) },
    }
}

fn is_denied(error: &FileError) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

/// What of the permissions of a file stands in the way.
fn permissions(error: &FileError) -> String {
    match std::fs::metadata(&error.path) {
        Ok(meta) => format!(
            "no permission to {} it: it belongs to user {} and has the mode {:o}",
            error.op,
            meta.uid(),
            meta.mode() & 0o7777
        ),
        Err(_) => format!("no permission to {} it: a folder above it is closed", error.op),
    }
}

impl Bench<'_> {
    /// Tells of an input where a security check or a permission is the reason.
    pub(super) fn tell_input(&self, task: &Task, failure: &Failure) {
        match failure {
            &Failure::InputTooLarge { ref path, size, limit } => {
                self.violation(task, Violation::InputTooLarge { path: path.clone(), size, limit });
            }
            Failure::InputDenied { path, problem } => {
                let (path, problem) = (path.clone(), problem.clone());
                self.emitter.emit(Event::AccessDenied { what: Access::Input, path, problem });
            }
            _ => {}
        }
    }

    /// Tells of an output behind a link that leads out.
    pub(super) fn tell_output(&self, task: &Task, error: &OutputError) {
        if let OutputError::LeadsOut { path, .. } = error {
            self.violation(task, Violation::LinkLeadsOut { path: path.clone() });
        }
    }

    /// Tells that the cache could not be written.
    pub(super) fn degraded(&self, error: &FileError) {
        if is_denied(error) {
            self.emitter.emit(Event::AccessDenied {
                what: Access::Cache,
                path: Path::display(&error.path).to_string(),
                problem: chain(error),
            });
        }
        self.emitter.emit(Event::CacheDegraded { problem: chain(error) });
    }

    pub(super) fn violation(&self, task: &Task, violation: Violation) {
        let task = task.name.clone();
        self.emitter.emit(Event::SecurityViolation { task, violation, refused: true });
    }
}
