//! How far a run is: what is done of how much, how fast, what runs, and how long it will take.
//!
//! Counts by the one fold of all figures; knows the time only as it is told.

use std::collections::{BTreeMap, HashMap};

use crate::base::TaskName;
use crate::event::{Event, Held, Stamped, Tally};

const NS_PER_MS: i64 = 1_000_000;

/// What the run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// Nothing has been heard yet: files are looked at.
    #[default]
    Looking,
    /// Another run has the workspace.
    Waiting {
        pid: Option<u32>,
        since_ns: i64,
    },
    Building,
    /// The user asked for its end.
    Stopping,
}

/// The fold of a run's events.
#[derive(Debug, Default)]
pub(super) struct Fold {
    tally: Tally,
    stage: Stage,
    jobs: usize,
    began_ns: i64,
    /// How many tasks were settled before the run began: they say nothing of its speed.
    settled: usize,
    /// What the tasks that are not done took earlier, where it is known.
    expected: HashMap<TaskName, u64>,
    expected_ms: u64,
    /// Of all tasks whose earlier duration is known, and of those that ended in this run.
    earlier: Mean,
    now: Mean,
    running: BTreeMap<TaskName, i64>,
    /// The limits that hold something back.
    held: Vec<Held>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    sum: u64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: u64) {
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
    }

    fn get(self) -> Option<u64> {
        self.sum.checked_div(self.count)
    }
}

impl Fold {
    pub(super) fn fold(&mut self, stamped: &Stamped) {
        let event = &stamped.event;
        self.tally.fold(stamped);
        match event {
            Event::RunStarted { jobs, .. } => {
                self.jobs = *jobs;
                self.began_ns = stamped.time_ns;
                self.stage = Stage::Building;
            }
            Event::WorkspaceBusy { holder } => {
                let pid = holder.as_ref().map(|holder| holder.pid);
                self.stage = Stage::Waiting { pid, since_ns: stamped.time_ns };
            }
            Event::CancelRequested { .. } => self.stage = Stage::Stopping,
            Event::TasksUpToDate { count, .. } => self.settled += count,
            Event::TasksExpected { durations_ms } => self.expect(durations_ms),
            Event::TaskStarted { task, .. } => {
                self.running.entry(task.clone()).or_insert(stamped.time_ns);
            }
            Event::TaskFinished { task, usage, .. } => {
                self.ended(task);
                if usage.attempts > 0 {
                    self.now.add(usage.duration_ms);
                }
            }
            Event::TaskSkipped { task, .. } => self.ended(task),
            Event::LimitHit { held } => self.held.push(*held),
            Event::LimitLifted { limit, .. } => self.held.retain(|held| held.limit != *limit),
            _ => {}
        }
    }

    fn expect(&mut self, durations_ms: &BTreeMap<TaskName, u64>) {
        for (task, &took) in durations_ms {
            self.earlier.add(took);
            self.expected_ms = self.expected_ms.saturating_add(took);
            self.expected.insert(task.clone(), took);
        }
    }

    fn ended(&mut self, task: &TaskName) {
        self.running.remove(task);
        if let Some(took) = self.expected.remove(task) {
            self.expected_ms = self.expected_ms.saturating_sub(took);
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// The limit that has held something back longest.
    pub(super) fn held(&self) -> Option<&Held> {
        self.held.first()
    }

    pub(super) fn total(&self) -> usize {
        self.tally.so_far().total
    }

    /// How many tasks are over, however they ended.
    pub(super) fn done(&self) -> usize {
        let sum = self.tally.so_far();
        let good = sum.executed + sum.cached + sum.up_to_date;
        good + sum.failed + sum.skipped + sum.cancelled
    }

    /// Tasks in a thousand seconds, of those that had their turn in this run.
    pub(super) fn rate_milli(&self, now_ns: i64) -> Option<u64> {
        let done = u64::try_from(self.done().saturating_sub(self.settled)).ok()?;
        let elapsed_ms = u64::try_from((now_ns - self.began_ns) / NS_PER_MS).ok()?;
        if done == 0 { None } else { (done * 1_000_000).checked_div(elapsed_ms) }
    }

    /// The tasks that run and since when, those that have run longest first.
    pub(super) fn running(&self) -> Vec<(&TaskName, i64)> {
        let mut running: Vec<_> = self.running.iter().map(|(task, &since)| (task, since)).collect();
        running.sort_by_key(|&(_, since)| since);
        running
    }

    /// How long the rest takes by what tasks took earlier: the work that is left, spread over
    /// the jobs, and never less than what is left of a task that runs. None where no duration is
    /// known, or all of them have passed.
    pub(super) fn eta_ms(&self, now_ns: i64) -> Option<u64> {
        let left = self.total().saturating_sub(self.done());
        if left == 0 {
            return Some(0);
        }
        let unknown = left.saturating_sub(self.expected.len());
        let mean = self.earlier.get().or(self.now.get());
        let guess = if unknown == 0 { 0 } else { mean? };
        let guesses = guess.saturating_mul(u64::try_from(unknown).ok()?);
        let mut work = self.expected_ms.saturating_add(guesses);
        let mut longest = 0;
        for (task, since) in &self.running {
            let takes = self.expected.get(task).copied().or(mean).unwrap_or(0);
            let age = u64::try_from((now_ns - since) / NS_PER_MS).unwrap_or(0);
            work = work.saturating_sub(takes.min(age));
            longest = longest.max(takes.saturating_sub(age));
        }
        let hands = u64::try_from(self.jobs.min(left)).ok()?.max(1);
        // Nothing is left of the work but it is not done: it takes longer than it did.
        Some(work.div_ceil(hands).max(longest)).filter(|&eta_ms| eta_ms > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Outcome, Usage};

    const SECOND: i64 = 1_000_000_000;

    fn name(text: &str) -> TaskName {
        TaskName::parse(text).expect("a good name")
    }

    /// A run of so many tasks with two jobs that begins at second 100.
    fn run(tasks: usize, expected: &[(&str, u64)]) -> Fold {
        let mut fold = Fold::default();
        let run_started = Event::RunStarted {
            version: String::new(),
            manifest: String::new(),
            project: String::new(),
            jobs: 2,
            targets: Vec::new(),
            tasks,
            dry_run: false,
            force: false,
            containment: String::new(),
        };
        tell(&mut fold, 100, run_started);
        let durations_ms = expected.iter().map(|&(task, ms)| (name(task), ms)).collect();
        tell(&mut fold, 100, Event::TasksExpected { durations_ms });
        fold
    }

    fn tell(fold: &mut Fold, second: i64, event: Event) {
        fold.fold(&Stamped { seq: 1, time_ns: second * SECOND, run: String::new(), event });
    }

    fn start(fold: &mut Fold, second: i64, task: &str) {
        let command = "x".into();
        tell(fold, second, Event::TaskStarted { task: name(task), attempt: 1, command });
    }

    fn end(fold: &mut Fold, second: i64, task: &str, outcome: Outcome, duration_ms: u64) {
        let usage = Usage { duration_ms, attempts: 1, ..Usage::default() };
        let (task, reasons) = (name(task), Vec::new());
        tell(fold, second, Event::TaskFinished { task, outcome, usage, reasons });
    }

    fn eta(fold: &Fold, second: i64) -> Option<u64> {
        fold.eta_ms(second * SECOND)
    }

    #[test]
    fn the_rest_is_spread_over_the_jobs() {
        let fold = run(4, &[("a", 4000), ("b", 4000), ("c", 4000), ("d", 4000)]);
        assert_eq!(eta(&fold, 100), Some(8000));
    }

    #[test]
    fn what_ran_already_is_not_waited_for_again() {
        let mut fold = run(2, &[("a", 4000), ("b", 6000)]);
        start(&mut fold, 100, "a");
        start(&mut fold, 100, "b");
        assert_eq!(eta(&fold, 101), Some(5000), "the longest decides");
        end(&mut fold, 104, "a", Outcome::Executed, 4000);
        assert_eq!(eta(&fold, 104), Some(2000));
        assert_eq!(eta(&fold, 110), None, "it takes longer than it did");
        end(&mut fold, 111, "b", Outcome::Executed, 11_000);
        assert_eq!(eta(&fold, 111), Some(0));
    }

    #[test]
    fn tasks_that_never_ran_count_with_the_mean_of_the_others() {
        let fold = run(4, &[("a", 2000), ("b", 4000)]);
        assert_eq!(eta(&fold, 100), Some((2000 + 4000 + 2 * 3000) / 2));
    }

    #[test]
    fn where_none_ran_before_those_of_this_run_tell() {
        let mut fold = run(5, &[]);
        assert_eq!(eta(&fold, 100), None);
        start(&mut fold, 100, "a");
        end(&mut fold, 101, "a", Outcome::Executed, 1000);
        assert_eq!(eta(&fold, 101), Some(2000));
    }

    #[test]
    fn what_fails_or_is_skipped_is_done_as_well() {
        let mut fold = run(3, &[("a", 1000), ("b", 1000), ("c", 1000)]);
        let failure = crate::event::Failure::Exit { code: 1, withheld: Vec::new() };
        end(&mut fold, 101, "a", Outcome::Failed { failure }, 1000);
        let because = crate::event::SkipReason::DependencyFailed { task: name("a") };
        tell(&mut fold, 101, Event::TaskSkipped { task: name("b"), because });
        assert_eq!((fold.done(), fold.total()), (2, 3));
        assert_eq!(eta(&fold, 101), Some(1000));
    }

    #[test]
    fn the_rate_counts_what_had_its_turn() {
        let mut fold = run(10, &[]);
        tell(&mut fold, 100, Event::TasksUpToDate { count: 5, saved_ms: 0 });
        assert_eq!(fold.rate_milli(104 * SECOND), None);
        end(&mut fold, 104, "a", Outcome::Cached, 0);
        assert_eq!(fold.rate_milli(104 * SECOND), Some(250));
        assert_eq!(fold.rate_milli(99 * SECOND), None, "the clock was set back");
    }

    #[test]
    fn a_second_attempt_is_as_old_as_the_first() {
        let mut fold = run(1, &[]);
        start(&mut fold, 101, "a");
        start(&mut fold, 105, "a");
        assert_eq!(fold.running(), [(&name("a"), 101 * SECOND)]);
    }
}
