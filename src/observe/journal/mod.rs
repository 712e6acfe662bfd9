//! The journal of a run: every event as a line of JSON in a file of its own, for the history. A
//! run that has nothing to do leaves none.
//!
//! Knows nothing of where the folder lies, nor of who reads.

mod bounds;
mod clip;
mod form;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::base::fs::{self, FileError};
use crate::event::{Event, Observer, Stamped};

pub use form::{Header, Odd, Tail, name_of, read, run_of, tail};

/// How many events may wait for the run to have something to do.
const MOST_HELD: usize = 200;
/// A single journal ends at such a part of what all may have, so that a large run leaves others.
const SHARES: u64 = 4;
/// At this size what waits is written, or when it is so old, also where events come without a
/// pause.
const BUFFER: usize = 64 * 1024;
const OLD_NS: i64 = 50_000_000;

/// Where journals go, and how much of them is kept.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    pub folder: PathBuf,
    /// How many journals stay.
    pub keep: usize,
    /// How many bytes they may have together; no single one grows beyond its share of it.
    pub max_bytes: u64,
    pub header: Header,
}

/// Writes the journal.
#[derive(Debug)]
pub struct Journal {
    options: JournalOptions,
    /// What came before it was known that the run has something to do.
    held: Vec<Stamped>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    born: bounds::Time,
    file: File,
    /// Whole lines that are not written yet.
    waiting: Vec<u8>,
    /// When the first of them happened.
    since_ns: i64,
    written: u64,
}

impl Journal {
    pub fn new(options: JournalOptions) -> Self {
        Self { options, held: Vec::new(), open: None }
    }

    fn begin(&mut self, run: &str) -> Result<(), String> {
        let path = self.options.folder.join(name_of(run));
        let file = fs::create_private_dir(&self.options.folder)
            .and_then(|()| fs::create_new(&path))
            .map_err(|error| sentence(&error))?;
        let born = file.metadata().map(|meta| bounds::changed(&meta)).unwrap_or_default();
        let waiting = Vec::with_capacity(2 * BUFFER);
        let mut open = Open { path, born, file, waiting, since_ns: 0, written: 0 };
        open.line(&self.options.header)?;
        for event in std::mem::take(&mut self.held) {
            open.event(&event)?;
        }
        // Others can see the file: it says at once whose it is.
        open.write()?;
        self.open = Some(open);
        Ok(())
    }
}

impl Open {
    fn line(&mut self, data: &impl serde::Serialize) -> Result<(), String> {
        serde_json::to_writer(&mut self.waiting, data).map_err(|error| error.to_string())?;
        self.waiting.push(b'\n');
        Ok(())
    }

    fn event(&mut self, event: &Stamped) -> Result<(), String> {
        if self.waiting.is_empty() {
            self.since_ns = event.time_ns;
        }
        self.line(event)?;
        let is_old = event.time_ns.saturating_sub(self.since_ns) >= OLD_NS;
        if is_old || self.waiting.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), String> {
        self.file.write_all(&self.waiting).map_err(|error| self.cannot(&error))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    fn cannot(&self, error: &io::Error) -> String {
        let path = self.path.display();
        format!("cannot write `{path}`: {error}; the rest of this run is not in the history")
    }

    fn is_full(&self, max_bytes: u64) -> bool {
        self.written + self.waiting.len() as u64 >= max_bytes
    }
}

impl Observer for Journal {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        let clipped = clip::clipped(event);
        let event = clipped.as_ref().unwrap_or(event);
        let Some(open) = &mut self.open else {
            self.held.push(event.clone());
            // Tasks are queued where the engine has something to do.
            let begins = matches!(event.event, Event::TaskQueued { .. });
            let begins = begins || self.held.len() > MOST_HELD;
            return if begins { self.begin(&event.run) } else { Ok(()) };
        };
        let is_end = matches!(event.event, Event::RunFinished { .. });
        if open.is_full(self.options.max_bytes / SHARES) && !is_end {
            return Ok(());
        }
        open.event(event)
    }

    /// A run that is killed now is known up to here.
    fn idle(&mut self) -> Result<(), String> {
        match &mut self.open {
            Some(open) if !open.waiting.is_empty() => open.write(),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.idle()?;
        let Some(open) = self.open.take() else { return Ok(()) };
        let JournalOptions { folder, keep, max_bytes, .. } = &self.options;
        let own = (open.path.as_path(), open.born);
        bounds::keep_newest(folder, own, *keep, *max_bytes).map_err(|error| sentence(&error))
    }

    fn name(&self) -> &'static str {
        "journal"
    }
}

fn sentence(error: &FileError) -> String {
    format!("{error}: {}", error.source)
}

#[cfg(test)]
mod tests;
