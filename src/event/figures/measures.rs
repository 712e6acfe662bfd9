//! How long things took, as counts in fixed ranges: small however many things there were, and
//! sums of several runs are sums of the counts.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::TaskName;
use crate::event::{Event, Outcome, Stamped};

/// Upper bounds in microseconds, for what takes as long as a command does.
const SLOW: &[u64] = &[
    10_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
];
/// The same for what should take no time.
const QUICK: &[u64] = &[
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The commands of tasks that succeeded.
    Executed,
    /// The commands of tasks that failed.
    Failed,
    /// From the end of a task's last dependency to the start of its command.
    QueueWait,
    /// Putting the files of a cached result in place.
    Restore,
    /// Requests to a remote store, each with all its tries.
    Remote,
}

/// Durations in ranges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Those up to each bound and above the one before; the last has no bound.
    counts: Vec<u64>,
    sum_us: u64,
}

impl Histogram {
    fn new(bounds: &[u64]) -> Self {
        Self { counts: vec![0; bounds.len() + 1], sum_us: 0 }
    }

    fn add(&mut self, bounds: &[u64], us: u64) {
        let at = bounds.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// One that was kept by a program with other bounds says nothing here.
    fn merge(&mut self, other: &Self) {
        if self.counts.len() == other.counts.len() {
            let pairs = self.counts.iter_mut().zip(&other.counts);
            pairs.for_each(|(count, more)| *count = count.saturating_add(*more));
            self.sum_us = self.sum_us.saturating_add(other.sum_us);
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    pub fn seconds(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }
}

/// All that is measured of one run, or of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measures {
    executed: Histogram,
    failed: Histogram,
    queue_wait: Histogram,
    restore: Histogram,
    #[serde(default = "quick")]
    remote: Histogram,
    /// When the tasks became ready that have not begun.
    #[serde(skip)]
    ready: HashMap<TaskName, i64>,
}

fn quick() -> Histogram {
    Histogram::new(QUICK)
}

impl Default for Measures {
    fn default() -> Self {
        let slow = Histogram::new(SLOW);
        Self {
            executed: slow.clone(),
            failed: slow,
            queue_wait: quick(),
            restore: quick(),
            remote: quick(),
            ready: HashMap::new(),
        }
    }
}

impl Measures {
    pub(super) fn fold(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::TaskQueued { task, .. } => {
                self.ready.insert(task.clone(), stamped.time_ns);
            }
            Event::TaskStarted { task, .. } => {
                if let Some(since) = self.ready.remove(task) {
                    let us = u64::try_from((stamped.time_ns - since) / 1000).unwrap_or(0);
                    self.queue_wait.add(QUICK, us);
                }
            }
            Event::CacheHit { restored, restore_us, .. } if *restored > 0 => {
                self.restore.add(QUICK, *restore_us);
            }
            Event::TaskFinished { task, outcome, usage, .. } => {
                self.ready.remove(task);
                let us = usage.duration_ms.saturating_mul(1000);
                match outcome {
                    Outcome::Executed => self.executed.add(SLOW, us),
                    Outcome::Failed { .. } if usage.attempts > 0 => self.failed.add(SLOW, us),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Adds something of which no event tells.
    pub fn add(&mut self, measure: Measure, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match measure {
            Measure::Executed => self.executed.add(SLOW, us),
            Measure::Failed => self.failed.add(SLOW, us),
            Measure::QueueWait => self.queue_wait.add(QUICK, us),
            Measure::Restore => self.restore.add(QUICK, us),
            Measure::Remote => self.remote.add(QUICK, us),
        }
    }

    /// Adds those of another run.
    pub(super) fn merge(&mut self, other: &Self) {
        self.executed.merge(&other.executed);
        self.failed.merge(&other.failed);
        self.queue_wait.merge(&other.queue_wait);
        self.restore.merge(&other.restore);
        self.remote.merge(&other.remote);
    }

    pub fn get(&self, measure: Measure) -> &Histogram {
        match measure {
            Measure::Executed => &self.executed,
            Measure::Failed => &self.failed,
            Measure::QueueWait => &self.queue_wait,
            Measure::Restore => &self.restore,
            Measure::Remote => &self.remote,
        }
    }

    /// The upper bounds in seconds, each with the count of all up to it.
    pub fn up_to(&self, measure: Measure) -> Vec<(f64, u64)> {
        let bounds = match measure {
            Measure::Executed | Measure::Failed => SLOW,
            Measure::QueueWait | Measure::Restore | Measure::Remote => QUICK,
        };
        let counts = bounds.iter().zip(&self.get(measure).counts);
        let mut all = 0;
        counts
            .map(|(bound, count)| {
                all += count;
                (*bound as f64 / 1e6, all)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Usage;

    fn at(ms: i64, event: Event) -> Stamped {
        Stamped { seq: 1, time_ns: ms * 1_000_000, run: "r".into(), event }
    }

    fn task() -> TaskName {
        TaskName::parse("a").expect("a good name")
    }

    #[test]
    fn a_wait_ends_with_the_first_start_and_a_value_on_a_bound_is_up_to_it() {
        let mut all = Measures::default();
        let start = || Event::TaskStarted { task: task(), attempt: 1, command: String::new() };
        all.fold(&at(0, Event::TaskQueued { task: task(), after: None }));
        all.fold(&at(5, start()));
        all.fold(&at(900, start()));
        let usage = Usage { duration_ms: 1000, attempts: 2, ..Usage::default() };
        let (outcome, reasons) = (Outcome::Executed, Vec::new());
        all.fold(&at(1000, Event::TaskFinished { task: task(), outcome, usage, reasons }));
        let waits = all.up_to(Measure::QueueWait);
        assert_eq!(waits[2..4], [(0.0025, 0), (0.005, 1)]);
        assert_eq!(waits.last(), Some(&(300.0, 1)));
        assert_eq!(all.up_to(Measure::Executed)[4..6], [(0.5, 0), (1.0, 1)]);
        let mut twice = all.clone();
        twice.merge(&all);
        assert_eq!(twice.get(Measure::Executed).count(), 2);
        assert!((twice.get(Measure::Executed).seconds() - 2.0).abs() < 1e-9);
        assert_eq!(twice.get(Measure::Failed).count(), 0);
    }

    #[test]
    fn what_has_no_bound_is_counted_and_other_bounds_are_not_believed() {
        let mut all = Histogram::new(QUICK);
        all.add(QUICK, u64::MAX);
        all.merge(&Histogram { counts: vec![7, 7], sum_us: 7 });
        assert_eq!((all.count(), all.counts.last()), (1, Some(&1)));
    }
}
