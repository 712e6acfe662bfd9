//! The log: records for people who look for a fault, to a file, to the terminal, or to both.
//!
//! Records come from the events of a run (`events`) and from `tracing` at points that no event
//! covers (`subscriber`). Whoever writes one never waits for a disk.

mod events;
mod queue;
mod recent;
mod record;
mod subscriber;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

pub use events::LogEvents;
pub(super) use events::why;
pub use recent::Recent;

use super::Paint;
use crate::base::FileError;
use crate::base::fs::rotating::{RotatingFile, Rotation};
use crate::base::text::{count, shown};
use crate::event::Level;
use queue::{Losses, Queue};
use record::Form;
use subscriber::{Outlet, subscriber};

/// What is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Records of less weight are left out.
    pub level: Level,
    /// Relative to the process's folder. None: no file.
    pub file: Option<PathBuf>,
    /// The file has a JSON object on each line, instead of text.
    pub json: bool,
    /// When the file begins anew, and how many old ones stay.
    pub rotation: Rotation,
    /// Lines to stderr.
    pub console: bool,
    /// Whether those are coloured.
    pub paint: Paint,
    /// Whether stderr leads to the systemd journal.
    pub journal: bool,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot start a thread for the log")]
    Thread(#[source] io::Error),
}

/// The log lives as long as this; what waits is written when it is dropped.
#[derive(Debug)]
pub struct LogHandle {
    outlets: Vec<(String, Arc<Queue>)>,
    finished: bool,
}

/// Starts the log of this process; there is one. Without a file and a console it costs nothing.
pub fn start_log(options: &LogOptions) -> Result<LogHandle, LogError> {
    let mut outlets = Vec::new();
    let mut named = Vec::new();
    let mut add = |name: String, form, thread, write| -> Result<(), LogError> {
        let queue = Arc::new(Queue::start(thread, write).map_err(LogError::Thread)?);
        named.push((name, Arc::clone(&queue)));
        outlets.push(Outlet { form, queue });
        Ok(())
    };
    if let Some(path) = &options.file {
        let mut file = RotatingFile::open(path, options.rotation)?;
        let form = if options.json { Form::Json } else { Form::Text };
        let name = format!("`{}`", shown(path.as_os_str().as_encoded_bytes()));
        add(name, form, "log-file", Box::new(move |lines: &[u8]| file.append(lines)))?;
    }
    if options.console {
        let form = if options.journal { Form::Journal } else { Form::Terminal(options.paint) };
        let write = |lines: &[u8]| io::stderr().lock().write_all(lines);
        add("stderr".to_owned(), form, "log-stderr", Box::new(write))?;
    }
    if !outlets.is_empty() {
        // A second log in one process would take the records of the first.
        let _ = tracing::subscriber::set_global_default(subscriber(options.level, outlets));
    }
    Ok(LogHandle { outlets: named, finished: false })
}

impl LogHandle {
    /// Whether anything is logged.
    pub fn is_on(&self) -> bool {
        !self.outlets.is_empty()
    }

    /// Writes what waits, and says what was lost, a sentence for each place.
    pub fn finish(mut self) -> Vec<String> {
        self.close()
    }

    fn close(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.finished, true) {
            return Vec::new();
        }
        let dropped: u64 = self.outlets.iter().map(|(_, queue)| queue.dropped()).sum();
        if dropped > 0 {
            tracing::warn!(dropped, "records are missing: the log was too slow");
        }
        self.outlets.iter().filter_map(|(name, queue)| sentence(name, &queue.finish())).collect()
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.close();
    }
}

fn sentence(name: &str, losses: &Losses) -> Option<String> {
    let missing = usize::try_from(losses.dropped + losses.lost).unwrap_or(usize::MAX);
    let why = match (&losses.problem, losses.dropped) {
        (Some(problem), _) => format!("cannot write to the log {name}: {problem}"),
        (None, 1..) => format!("the log {name} was too slow"),
        (None, 0) => return None,
    };
    let verb = if missing == 1 { "is" } else { "are" };
    Some(format!("{why}; {} {verb} missing", count(missing, "record")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_one_sentence() {
        let losses = |dropped, lost, problem: Option<&str>| Losses {
            dropped,
            lost,
            problem: problem.map(str::to_owned),
        };
        assert_eq!(sentence("`x`", &losses(0, 0, None)), None);
        assert_eq!(
            sentence("`x`", &losses(1, 0, None)).as_deref(),
            Some("the log `x` was too slow; 1 record is missing")
        );
        assert_eq!(
            sentence("`x`", &losses(1, 3, Some("full"))).as_deref(),
            Some("cannot write to the log `x`: full; 4 records are missing")
        );
    }
}
