//! Where the time of a run went, for `--profile`: a trace for Perfetto and chrome://tracing, and
//! the critical path as text.

mod trace;
mod words;

use std::io::Write;
use std::path::PathBuf;

use super::paint::Paint;
use super::sink::Sink;
use crate::base::fs;
use crate::event::{Account, Event, Observer, Request, Stamped, Summary, critical_path};

pub use words::path_text;

/// Writes the trace when the run has finished, and says the critical path.
#[derive(Debug)]
pub struct Profile<W> {
    path: PathBuf,
    /// None: only the file is written.
    out: Option<Sink<W>>,
    paint: Paint,
    account: Account,
    /// What was asked of a remote store before the run.
    fetched: Vec<Request>,
}

impl<W: Write> Profile<W> {
    /// The file's folder must exist.
    pub fn new(path: PathBuf, out: Option<W>, paint: Paint) -> Self {
        let (out, account) = (out.map(Sink::new), Account::default());
        Self { path, out, paint, account, fetched: Vec::new() }
    }

    /// The run comes after these.
    #[must_use]
    pub fn after(self, fetched: Vec<Request>) -> Self {
        Self { fetched, ..self }
    }

    fn finished(&mut self, summary: &Summary) -> Result<(), String> {
        fs::write_atomic_with(&self.path, |file| trace::write(&self.account, &self.fetched, file))
            .map_err(|error| format!("{error}: {}", error.source))?;
        let Some(out) = &mut self.out else { return Ok(()) };
        let path = critical_path(&self.account);
        let mut text = path_text(&path, summary.elapsed_ms, self.paint);
        let file = self.path.display();
        text.push_str(&format!("profile: `{file}`, for ui.perfetto.dev or chrome://tracing\n"));
        out.put(text.as_bytes())
    }
}

impl<W: Write + Send> Observer for Profile<W> {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        // What tasks write is no part of it.
        if !matches!(event.event, Event::TaskOutput { .. }) {
            self.account.fold(event);
        }
        match &event.event {
            Event::RunFinished { summary } => self.finished(summary),
            _ => Ok(()),
        }
    }

    fn name(&self) -> &'static str {
        "profile"
    }
}
