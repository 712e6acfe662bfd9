//! A run as text: one line for each task as it ends, then what it wrote, whole.
//!
//! Knows nothing of terminals: it is told whether to colour and how much to say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::paint::{Mark, Paint};
use super::sink::Sink;
use super::stream::Held;
use super::summary::Run;
use super::words;
use crate::base::text::{count, shown};
use crate::base::{Digest, TaskName};
use crate::event::{
    Collected, Event, Failure, MissReason, Observer, Outcome, Output, SkipReason, Stamped, Summary,
    Usage,
};

/// How many reasons a line shows, and how many skipped tasks a run, unless all are asked for.
const MAX_REASONS: usize = 3;
const MAX_SKIPPED: usize = 10;
/// How many lines of a failed command are shown.
const MAX_COMMAND: usize = 20;

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Failures with their words, and warnings.
    Quiet,
    Normal,
    /// Commands as they start, keys, all reasons.
    Verbose,
}

impl Detail {
    pub fn of(quiet: bool, verbose: bool) -> Self {
        match (quiet, verbose) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Verbose,
            _ => Self::Normal,
        }
    }
}

/// Writes a run as text.
#[derive(Debug)]
pub struct Console<W> {
    sink: Sink<W>,
    paint: Paint,
    detail: Detail,
    run: Run,
    /// The plan line is held back until something is to be said: a run that finds nothing to do
    /// says that in one line.
    planned: bool,
    /// Tasks that have begun and not ended.
    open: BTreeMap<TaskName, Open>,
    /// The task that the last line was about.
    last: Option<TaskName>,
    /// Warnings are said once.
    said: BTreeSet<String>,
    failed: Vec<TaskName>,
    /// Tasks that ran or were restored so far.
    changed: usize,
    skipped: usize,
}

#[derive(Debug, Default)]
struct Open {
    command: Option<String>,
    key: Option<Digest>,
    /// How it was taken from the cache.
    hit: Option<String>,
    /// What it wrote, held until its line has been written.
    outputs: Vec<Held>,
}

type Shown = Result<(), String>;

impl<W: Write> Console<W> {
    pub fn new(out: W, detail: Detail, paint: Paint) -> Self {
        Self {
            sink: Sink::new(out),
            paint,
            detail,
            run: Run::default(),
            planned: false,
            open: BTreeMap::new(),
            last: None,
            said: BTreeSet::new(),
            failed: Vec::new(),
            changed: 0,
            skipped: 0,
        }
    }

    fn is_quiet(&self) -> bool {
        self.detail == Detail::Quiet
    }

    fn is_verbose(&self) -> bool {
        self.detail == Detail::Verbose
    }

    fn line(&mut self, text: &str) -> Shown {
        self.plan()?;
        self.sink.put(format!("{text}\n").as_bytes())
    }

    /// `[✔] name  what`; an empty `what` leaves the name alone.
    fn task_line(&mut self, mark: Mark, task: &TaskName, what: &str) -> Shown {
        self.last = Some(task.clone());
        let gap = if what.is_empty() { "" } else { "  " };
        self.line(&format!("{} {task}{gap}{what}", self.paint.mark(mark)))
    }

    fn plan(&mut self) -> Shown {
        if self.planned || self.is_quiet() {
            return Ok(());
        }
        self.planned = true;
        self.sink.put(format!("{}\n", self.run.plan()).as_bytes())
    }

    fn warn(&mut self, text: String) -> Shown {
        if self.said.contains(&text) {
            return Ok(());
        }
        self.last = None;
        self.line(&format!("{} {text}", self.paint.warning("warning:")))?;
        self.said.insert(text);
        Ok(())
    }

    fn run_started(&mut self, event: &Event) -> Shown {
        let Event::RunStarted {
            version, manifest, project, jobs, tasks, dry_run, containment, ..
        } = event
        else {
            return Ok(());
        };
        self.run = Run { tasks: *tasks, jobs: *jobs, dry_run: *dry_run, ..Run::default() };
        if !self.is_verbose() {
            return Ok(());
        }
        let (manifest, project) = (shown(manifest.as_bytes()), shown(project.as_bytes()));
        let mut banner = format!("reprovm {version}: `{manifest}` in `{project}`\n");
        if !containment.is_empty() {
            banner.push_str(&format!("containment: {}\n", shown(containment.as_bytes())));
        }
        self.sink.put(banner.as_bytes())
    }

    fn up_to_date(&mut self, number: usize, saved_ms: u64) -> Shown {
        self.run.up_to_date += number;
        if !self.is_verbose() {
            return Ok(());
        }
        let saved = self.paint.dim(&format!("saved {}", words::duration(saved_ms)));
        let mark = self.paint.mark(Mark::Cached);
        self.line(&format!("{mark} {} up to date  {saved}", count(number, "task")))
    }

    fn started(&mut self, task: &TaskName, command: &str) -> Shown {
        self.open.entry(task.clone()).or_default().command = Some(command.to_owned());
        self.plan()?;
        if self.is_verbose() && !command.is_empty() {
            self.task_line(Mark::Running, task, "")?;
            self.command(command)?;
        }
        Ok(())
    }

    /// `  $ cc -c a.c`, a line each.
    fn command(&mut self, command: &str) -> Shown {
        let mut text = String::new();
        for (number, line) in command.lines().enumerate() {
            if number == MAX_COMMAND && !self.is_verbose() {
                let more = count(command.lines().count() - number, "more line");
                text.push_str(&format!("  {}\n", self.paint.dim(&format!("... {more}"))));
                break;
            }
            let prompt = if number == 0 { "$" } else { ">" };
            let line = format!("{prompt} {}", shown(line.as_bytes()));
            text.push_str(&format!("  {}\n", self.paint.dim(&line)));
        }
        self.sink.put(text.as_bytes())
    }

    fn output(&mut self, task: &TaskName, output: &Output, replayed: bool) -> Shown {
        let held = match Held::open(output) {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(()),
            Err(error) => return self.unreadable(task, &error),
        };
        if let Some(open) = self.open.get_mut(task) {
            open.outputs.push(held);
            return Ok(());
        }
        if self.is_quiet() && !self.failed.contains(task) {
            return Ok(());
        }
        if self.last.as_ref() != Some(task) {
            let mark = match (self.failed.contains(task), replayed) {
                (true, _) => Mark::Failed,
                (false, true) => Mark::Cached,
                (false, false) => Mark::Success,
            };
            self.task_line(mark, task, &self.paint.dim("output"))?;
        }
        self.show(task, &held)
    }

    /// The bytes as they are; a line that the task left open is closed.
    fn show(&mut self, task: &TaskName, output: &Held) -> Shown {
        match output.copy(&mut self.sink) {
            Ok(None | Some(b'\n')) => Ok(()),
            Ok(Some(_)) => self.sink.put(b"\n"),
            Err(error) => self.unreadable(task, &error),
        }
    }

    fn unreadable(&mut self, task: &TaskName, error: &io::Error) -> Shown {
        self.warn(format!("the output of `{task}` cannot be shown: {error}"))
    }

    fn show_all(&mut self, task: &TaskName, outputs: &[Held]) -> Shown {
        outputs.iter().try_for_each(|output| self.show(task, output))
    }

    fn retrying(&mut self, task: &TaskName, delay_ms: u64, because: &Failure) -> Shown {
        let outputs = self.open.get_mut(task).map(|open| std::mem::take(&mut open.outputs));
        if self.is_quiet() {
            return Ok(());
        }
        let delay = words::duration(delay_ms);
        let what = format!("{}, retrying in {delay}", words::failure(because));
        self.task_line(Mark::Running, task, &what)?;
        self.show_all(task, &outputs.unwrap_or_default())
    }

    fn finished(
        &mut self,
        task: &TaskName,
        outcome: &Outcome,
        usage: &Usage,
        reasons: &[MissReason],
    ) -> Shown {
        let open = self.open.remove(task).unwrap_or_default();
        match outcome {
            Outcome::Executed => {
                self.changed += 1;
                let what =
                    columns(&[&words::took(usage), &self.reasons(reasons), &self.key(&open)]);
                self.settle(Mark::Success, task, &what)?;
            }
            Outcome::Cached => {
                self.changed += 1;
                let from = open.hit.as_deref().unwrap_or("from the cache");
                let what = columns(&[from, &self.key(&open)]);
                self.settle(Mark::Cached, task, &what)?;
            }
            Outcome::UpToDate => {
                // Where nothing has changed yet it is no news.
                if self.changed > 0 || self.is_verbose() {
                    self.settle(Mark::Cached, task, "up to date")?;
                }
            }
            Outcome::Failed { failure } => {
                let why = self.paint.error(&words::failure(failure));
                let what = [&why, &words::took(usage), &self.reasons(reasons), &self.key(&open)];
                return self.failed(task, failure, &columns(&what.map(String::as_str)), open);
            }
            Outcome::Cancelled => self.settle(Mark::Pending, task, "cancelled")?,
        }
        if self.is_quiet() { Ok(()) } else { self.show_all(task, &open.outputs) }
    }

    fn settle(&mut self, mark: Mark, task: &TaskName, what: &str) -> Shown {
        if self.is_quiet() { Ok(()) } else { self.task_line(mark, task, what) }
    }

    /// The line, the command, its words, and what to do.
    fn failed(&mut self, task: &TaskName, failure: &Failure, what: &str, open: Open) -> Shown {
        self.failed.push(task.clone());
        self.task_line(Mark::Failed, task, what)?;
        if let Some(command) = open.command.filter(|command| !command.is_empty()) {
            self.command(&command)?;
        }
        self.show_all(task, &open.outputs)?;
        match words::hint(failure) {
            Some(hint) => self.line(&format!("  {} {hint}", self.paint.help("help:"))),
            None => Ok(()),
        }
    }

    fn skipped(&mut self, task: &TaskName, because: &SkipReason) -> Shown {
        self.open.remove(task);
        self.skipped += 1;
        if self.skipped > MAX_SKIPPED && !self.is_verbose() {
            return Ok(());
        }
        self.settle(Mark::Pending, task, &words::skip(because))
    }

    fn planned(&mut self, event: &Event) -> Shown {
        let Event::TaskPlanned { task, reasons, restore, waits_for } = event else {
            return Ok(());
        };
        let what = if *restore {
            self.run.to_restore += 1;
            "would be restored".to_owned()
        } else if !reasons.is_empty() {
            format!("would run: {}", words::reasons(reasons, self.limit()))
        } else if !waits_for.is_empty() {
            self.run.waiting += 1;
            format!("depends on {}", words::tasks(waits_for, self.limit()))
        } else {
            "would run".to_owned()
        };
        self.settle(Mark::Pending, task, &what)
    }

    fn cancelled(&mut self, signal: i32) -> Shown {
        if self.is_quiet() {
            return Ok(());
        }
        self.last = None;
        let name = words::signal(signal);
        self.line(&format!("{name}: waiting for running tasks to end; once more kills them"))
    }

    fn run_finished(&mut self, summary: &Summary) -> Shown {
        if self.is_quiet() {
            return Ok(());
        }
        // Said only after lines: the plan line would add nothing.
        self.planned = true;
        if self.skipped > MAX_SKIPPED && !self.is_verbose() {
            let more = self.skipped - MAX_SKIPPED;
            self.line(&format!("{} and {more} more", self.paint.mark(Mark::Pending)))?;
        }
        if self.failed.len() > 1
            || self.failed.first().is_some_and(|task| self.last.as_ref() != Some(task))
        {
            let names = words::tasks(&self.failed, 10);
            self.line(&format!("{} {names}", self.paint.error("failed:")))?;
        }
        let text = self.run.summary(summary);
        self.line(&self.paint.bold(&text))
    }

    /// What went is said where something did.
    fn collected(&mut self, collected: &Collected) -> Shown {
        if collected.files() > 0 && !self.is_quiet() {
            self.last = None;
            self.line(&format!("cache: {}", words::collected(collected)))?;
        }
        Ok(())
    }

    /// Also to those who want quiet.
    fn warning(&mut self, event: &Event) -> Shown {
        words::warning(event, self.limit()).map_or(Ok(()), |text| self.warn(text))
    }

    fn looked_up(&mut self, task: &TaskName, key: &Digest, hit: Option<String>) -> Shown {
        let open = self.open.entry(task.clone()).or_default();
        open.key = Some(*key);
        open.hit = hit;
        Ok(())
    }

    fn limit_line(&mut self, event: &Event) -> Shown {
        if !self.is_verbose() {
            return Ok(());
        }
        self.last = None;
        match event {
            Event::LimitsInForce { limits } => {
                // Beside the banner, above the plan.
                self.sink.put(format!("limits: {}\n", words::in_force(limits)).as_bytes())
            }
            Event::LimitHit { held } => self.line(&format!("waiting: {}", words::held(held))),
            Event::LimitLifted { limit, held_ms } => {
                let (limit, took) = (words::limit(*limit), words::duration(*held_ms));
                self.line(&format!("no longer waiting: {limit}, after {took}"))
            }
            _ => Ok(()),
        }
    }

    fn limit(&self) -> usize {
        if self.is_verbose() { usize::MAX } else { MAX_REASONS }
    }

    fn reasons(&self, reasons: &[MissReason]) -> String {
        self.paint.dim(&words::reasons(reasons, self.limit()))
    }

    fn key(&self, open: &Open) -> String {
        match open.key {
            Some(key) if self.is_verbose() => self.paint.dim(&format!("key {}", key.short())),
            _ => String::new(),
        }
    }
}

/// The parts that are not empty.
fn columns(parts: &[&str]) -> String {
    let filled: Vec<&str> = parts.iter().copied().filter(|text| !text.is_empty()).collect();
    filled.join("  ")
}

impl<W: Write + Send> Observer for Console<W> {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        let event = &event.event;
        match event {
            Event::RunStarted { .. } => self.run_started(event),
            Event::TasksUpToDate { count, saved_ms } => self.up_to_date(*count, *saved_ms),
            Event::TaskQueued { task, .. } => match self.detail {
                Detail::Verbose => self.task_line(Mark::Pending, task, "queued"),
                Detail::Quiet | Detail::Normal => Ok(()),
            },
            Event::CacheHit { task, key, from, saved_ms, restored, .. } => {
                let hit = words::hit(from, *restored, *saved_ms);
                self.looked_up(task, key, Some(hit))
            }
            Event::CacheMiss { task, key, .. } => self.looked_up(task, key, None),
            Event::TaskWaits { task, holder, .. } => {
                self.settle(Mark::Pending, task, &words::waits(holder.as_ref()))
            }
            Event::TaskStarted { task, command, .. } => self.started(task, command),
            Event::TaskOutput { task, output, replayed } => self.output(task, output, *replayed),
            Event::TaskRetrying { task, delay_ms, because, .. } => {
                self.retrying(task, *delay_ms, because)
            }
            Event::TaskFinished { task, outcome, usage, reasons } => {
                self.finished(task, outcome, usage, reasons)
            }
            Event::TaskSkipped { task, because } => self.skipped(task, because),
            // What is refused is said by the failure or the error that comes of it.
            Event::SecurityViolation { refused: true, .. } | Event::AccessDenied { .. } => Ok(()),
            Event::SecurityViolation { .. }
            | Event::TaskNotSaved { .. }
            | Event::TaskNotReproducible { .. }
            | Event::CacheDamaged { .. }
            | Event::CacheDegraded { .. }
            | Event::SharedFileSystem { .. }
            | Event::JobserverUnused { .. }
            | Event::WorkspaceBusy { .. } => self.warning(event),
            Event::GcRan { collected } => {
                self.collected(collected)?;
                self.warning(event)
            }
            Event::TasksExpected { .. } | Event::CacheStored { .. } => Ok(()),
            Event::TaskTimed { .. } => Ok(()),
            Event::TaskPlanned { .. } => self.planned(event),
            Event::LimitsInForce { .. } | Event::LimitHit { .. } | Event::LimitLifted { .. } => {
                self.limit_line(event)
            }
            Event::CancelRequested { signal } => self.cancelled(*signal),
            Event::RunFinished { summary } => self.run_finished(summary),
        }
    }

    fn name(&self) -> &'static str {
        "console"
    }
}

#[cfg(test)]
mod tests;
