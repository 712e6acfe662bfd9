//! The audit log: who did what, when, and how it ended, as a file in which every change shows.
//!
//! Records are gathered and appended by a thread of their own; the first of a process and the last
//! are on the disk before it goes on. `docs/audit.md` says what is lost when.

mod chain;
mod events;
mod keys;
mod line;
mod record;
mod syslog;
mod tail;

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::clock::{self, Stopwatch};
use crate::base::fs::{self, Context as _};
use crate::base::text::count;
use crate::base::{Cancel, Digest, FileError};
use crate::config::SyslogAddress;
use crate::event::{Event, Observer, Operation, Stamped};
pub use chain::{Anchor, instance_of};
use chain::{Begin, Chain, Entry};
pub use keys::EpochKey;
pub use line::Line;
pub use record::AuditType;
use record::Record;
use syslog::Syslog;

/// How long records are gathered before they are written.
const GATHER: Duration = Duration::from_millis(500);
/// So many are written without waiting for more, and no more at a time.
const MANY: usize = 4096;
/// How many wait for a disk that takes nothing; what is more is counted.
const MOST: usize = 65_536;
/// How often what is written is brought onto the disk for sure, and anchored, while a process goes
/// on.
const SYNC: Duration = Duration::from_secs(10);

/// What is kept, and where.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Relative to the process's folder.
    pub file: PathBuf,
    pub key: Option<PathBuf>,
    pub anchor: Option<PathBuf>,
    pub syslog: Option<SyslogAddress>,
    /// Lines to stderr.
    pub console: bool,
    /// Without the log the program does nothing.
    pub required: bool,
    /// The settings in force, secrets left out: their digest stands for them.
    pub config: String,
    /// Raised when a log that is required cannot be written.
    pub stop: Cancel,
}

/// The log of this process. Clones share it.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// For the thread: there is something to do.
    work: Condvar,
    writer: Mutex<Writer>,
    /// Without the log the program does nothing.
    required: bool,
    stop: Cancel,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// Records that found no room.
    lost: u64,
    closing: bool,
    thread: Option<JoinHandle<()>>,
    /// How the run ended.
    totals: Option<String>,
    /// How many events of the run did not come here.
    unheard: u64,
}

/// Hears of the events of a run.
#[derive(Debug)]
struct Listener {
    audit: Audit,
    /// The number of the last event that came here.
    last: u64,
}

#[derive(Debug)]
struct Writer {
    options: AuditOptions,
    chain: Chain,
    syslog: Option<Syslog>,
    synced: Stopwatch,
    /// Something was written since.
    unsynced: bool,
    /// Why the log could not be written.
    failed: Option<FileError>,
    /// Sentences for the end.
    problems: Vec<String>,
}

/// What there is to say at the end.
#[derive(Debug, Default)]
pub struct AuditEnd {
    /// How far the log got.
    pub mark: Option<Anchor>,
    /// A sentence each.
    pub problems: Vec<String>,
    /// Why a log that is required could not be written.
    pub failed: Option<FileError>,
}

impl Audit {
    /// Opens the log and writes the first lines of this process.
    pub fn start(
        options: AuditOptions,
        started: &Operation,
        loaded: &Operation,
    ) -> Result<Self, FileError> {
        let mut config = Digest::of(options.config.as_bytes()).hex();
        config.truncate(16);
        let begin = Begin {
            start: events::operation(started),
            load: events::operation(loaded),
            change: events::settings_changed(),
            config,
        };
        let chain = Chain::open(&options.file, options.key.as_deref(), user())?;
        let syslog = options.syslog.clone().map(Syslog::new);
        let (synced, problems) = (Stopwatch::start(), Vec::new());
        let (unsynced, failed) = (false, None);
        let mut writer = Writer { options, chain, syslog, synced, unsynced, failed, problems };
        let text = writer.chain.append(&[Entry::Begin(Box::new(begin))], true)?;
        writer.pass_on(&text);
        let state = Mutex::new(State::default());
        let (required, stop) = (writer.options.required, writer.options.stop.clone());
        let (work, writer) = (Condvar::new(), Mutex::new(writer));
        Ok(Self(Arc::new(Shared { state, work, writer, required, stop })))
    }

    /// A listener for the events of a run.
    pub fn listener(&self) -> Box<dyn Observer> {
        Box::new(Listener { audit: self.clone(), last: 0 })
    }

    /// Notes something that the program did.
    pub fn tell(&self, what: &Operation) {
        self.add(vec![events::operation(what)]);
    }

    /// Writes what waits and the last line of this process.
    pub fn finish(&self, ended: &Operation) -> AuditEnd {
        let thread = {
            let mut state = lock(&self.0.state);
            state.closing = true;
            self.0.work.notify_one();
            state.thread.take()
        };
        // A thread that panicked has been told of already.
        let _ = thread.map(JoinHandle::join);
        let mut record = events::operation(ended);
        if let Some(totals) = lock(&self.0.state).totals.take() {
            record.details = format!("{} {totals}", record.details);
        }
        lock(&self.0.state).waiting.push_back(Entry::End(record));
        self.0.flush(true);
        let mut writer = lock(&self.0.writer);
        let state = lock(&self.0.state);
        let missing = state.lost + state.waiting.len() as u64;
        writer.end(missing, state.unheard)
    }

    /// Events went by because a listener was too slow: the log has a hole, and says so.
    fn miss(&self, events: u64) {
        lock(&self.0.state).unheard += events;
        let what = format!("{events} events are missing: a listener was too slow");
        self.add(vec![gap(what)]);
        if self.0.required {
            self.0.stop.raise();
        }
    }

    fn add(&self, records: Vec<Record>) {
        let mut state = lock(&self.0.state);
        let first = state.waiting.is_empty();
        for record in records {
            if state.waiting.len() < MOST {
                state.waiting.push_back(Entry::Plain(record));
            } else {
                state.lost += 1;
            }
        }
        let waiting = state.waiting.len();
        if (first && waiting > 0) || waiting >= MANY {
            self.0.work.notify_one();
        }
    }

    /// From here on records are written while the process goes on.
    fn go_async(&self) {
        let mut state = lock(&self.0.state);
        if state.thread.is_none() {
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("audit".into()).spawn(move || shared.work());
            // Without the thread all is written at the end.
            state.thread = thread.ok();
        }
    }
}

impl Observer for Listener {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        let missed = event.seq.saturating_sub(self.last + 1);
        self.last = event.seq;
        if missed > 0 {
            self.audit.miss(missed);
        }
        match &event.event {
            Event::TaskQueued { .. } => self.audit.go_async(),
            Event::RunFinished { summary } => {
                lock(&self.audit.0.state).totals = Some(events::totals(summary));
            }
            other => {
                let records = events::records(other);
                if !records.is_empty() {
                    self.audit.add(records);
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "audit log"
    }
}

impl Shared {
    /// The life of the thread.
    fn work(&self) {
        loop {
            let due = lock(&self.writer).due();
            let state = self.wait_for_work(due);
            if state.waiting.is_empty() && !state.closing {
                drop(state);
                lock(&self.writer).sync();
                continue;
            }
            let calm = |state: &mut State| state.waiting.len() < MANY && !state.closing;
            let gathered = self.work.wait_timeout_while(state, GATHER, calm);
            let (state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            // The rest is written with the end.
            if state.closing {
                return;
            }
            drop(state);
            if !self.flush(false) {
                // A disk that is full is asked again, but not for every record.
                let state = lock(&self.state);
                let open = |state: &mut State| !state.closing;
                drop(self.work.wait_timeout_while(state, GATHER, open));
            }
        }
    }

    /// Until something waits to be written, the end comes, or what is written must be synced.
    fn wait_for_work(&self, due: Option<Duration>) -> MutexGuard<'_, State> {
        let state = lock(&self.state);
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closing;
        match due {
            None => self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(due) => {
                let waited = self.work.wait_timeout_while(state, due, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Writes what waits, piece by piece. What cannot be written waits on.
    fn flush(&self, last: bool) -> bool {
        let mut writer = lock(&self.writer);
        loop {
            let (entries, lost, is_all) = lock(&self.state).take();
            if !writer.write(&entries, last && is_all) {
                lock(&self.state).put_back(entries, lost);
                return false;
            }
            if is_all {
                return true;
            }
        }
    }
}

impl State {
    /// The next piece, with how many are said to be lost in it, and whether it is all that waits.
    fn take(&mut self) -> (Vec<Entry>, u64, bool) {
        let lost = std::mem::take(&mut self.lost);
        let gap = (lost > 0).then(|| Entry::Plain(missing(lost)));
        let most = self.waiting.len().min(MANY);
        let entries = gap.into_iter().chain(self.waiting.drain(..most)).collect();
        (entries, lost, self.waiting.is_empty())
    }

    /// A piece that was not written waits on before all that came meanwhile. What there is no room
    /// for is the newest, as it is without a piece on its way.
    fn put_back(&mut self, entries: Vec<Entry>, lost: u64) {
        for entry in entries.into_iter().skip(usize::from(lost > 0)).rev() {
            self.waiting.push_front(entry);
        }
        let over = self.waiting.len().saturating_sub(MOST);
        self.waiting.truncate(MOST);
        self.lost += lost + over as u64;
    }
}

impl Writer {
    /// Whether all of it was written.
    fn write(&mut self, entries: &[Entry], last: bool) -> bool {
        if entries.is_empty() {
            return true;
        }
        let sync = last || self.synced.elapsed() >= SYNC;
        if sync {
            self.synced = Stopwatch::start();
        }
        match self.chain.append(entries, sync) {
            Ok(text) => {
                self.pass_on(&text);
                self.unsynced = !sync;
                if sync {
                    self.anchor();
                }
                true
            }
            Err(error) => {
                self.fail(error);
                false
            }
        }
    }

    /// When what was written must be brought onto the disk, though nothing comes after it.
    fn due(&self) -> Option<Duration> {
        self.unsynced.then(|| SYNC.saturating_sub(self.synced.elapsed()))
    }

    fn sync(&mut self) {
        (self.synced, self.unsynced) = (Stopwatch::start(), false);
        match self.chain.sync() {
            Ok(()) => self.anchor(),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: FileError) {
        if self.options.required {
            self.options.stop.raise();
        }
        if self.failed.is_none() {
            let problem = format!("{error}: {}", error.source);
            tracing::error!(problem, "audit log cannot be written");
            self.failed = Some(error);
        }
    }

    /// Hands lines that lie in the file on to the others.
    fn pass_on(&mut self, lines: &str) {
        let lines = lines.trim_start();
        if self.options.console {
            // Where even stderr cannot be written there is nobody to tell.
            let _ = io::stderr().lock().write_all(lines.as_bytes());
        }
        if let Some(syslog) = &mut self.syslog
            && let Err(problem) = syslog.send(lines)
        {
            self.problems.push(problem);
        }
    }

    /// Says elsewhere how far the log got.
    fn anchor(&mut self) {
        let (Some(path), Some(mark)) = (&self.options.anchor, self.chain.mark()) else { return };
        let line = serde_json::json!({
            "time": clock::rfc3339(clock::now_ns()),
            "seq": mark.seq,
            "hash": mark.hash,
            "instance": self.chain.instance().unwrap_or_default(),
        });
        let written = fs::open_append(path).and_then(|mut file| {
            let written = file.write_all(format!("{line}\n").as_bytes());
            written.and_then(|()| file.sync_data()).at("write to", path)
        });
        if let Err(error) = written {
            let problem = format!("{error}: {}; it is anchored no more", error.source);
            self.problems.push(problem);
            self.options.anchor = None;
        }
    }

    fn end(&mut self, missing: u64, unheard: u64) -> AuditEnd {
        if unheard > 0 && self.options.required && self.failed.is_none() {
            let what = format!("{unheard} events went by: a listener was too slow");
            let problem = io::Error::other(what);
            self.failed = Some(FileError::new("write all to", &self.options.file, problem));
        }
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(self.chain.take_trouble());
        let failed = self.failed.take();
        let missing = count(usize::try_from(missing).unwrap_or(usize::MAX), "record");
        if let Some(error) = failed.as_ref().filter(|_| !self.options.required) {
            problems.push(format!("{error}: {}; missing: {missing}", error.source));
        }
        let failed = failed.filter(|_| self.options.required);
        AuditEnd { mark: self.chain.mark(), problems, failed }
    }
}

fn missing(lost: u64) -> Record {
    gap(format!("{lost} records are missing: the log could not be written"))
}

fn gap(what: String) -> Record {
    Record::new(AuditType::Warning, "audit-log", "gap").details(what).failed()
}

/// The name of the user that this process is, or the number of one without a name.
fn user() -> String {
    let id = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    user.map_or_else(|| id.to_string(), |user| user.name)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
