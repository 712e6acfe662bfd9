//! The one fold that counts: every figure of a run comes from here.

use std::time::Duration;

use super::{Event, Failure, Outcome, SkipReason, Summary};

/// Counts the events of one run.
#[derive(Debug, Clone, Default)]
pub struct Tally(Summary);

impl Tally {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event into account.
    pub fn fold(&mut self, event: &Event) {
        let sum = &mut self.0;
        match event {
            Event::RunStarted { tasks, .. } => sum.total = *tasks,
            Event::TasksUpToDate { count, saved_ms } => {
                sum.up_to_date += count;
                sum.cache_hits += count;
                sum.saved_ms += saved_ms;
            }
            Event::CacheHit { saved_ms, .. } => {
                sum.cache_hits += 1;
                sum.saved_ms += saved_ms;
            }
            Event::CacheMiss { .. } => sum.cache_misses += 1,
            Event::TaskRetrying { because, .. } => {
                sum.retries += 1;
                sum.timeouts += usize::from(matches!(because, Failure::TimedOut { .. }));
            }
            Event::TaskFinished { outcome, usage, .. } => self.finished(outcome, usage.duration_ms),
            Event::TaskSkipped { because, .. } => match because {
                SkipReason::Cancelled => sum.cancelled += 1,
                SkipReason::DependencyFailed { .. } | SkipReason::FailFast { .. } => {
                    sum.skipped += 1;
                }
            },
            Event::TaskPlanned { .. } => sum.planned += 1,
            Event::CancelRequested { signal } => {
                sum.interrupted.get_or_insert(*signal);
            }
            Event::RunFinished { summary } => self.0 = summary.clone(),
            Event::TasksExpected { .. }
            | Event::TaskQueued { .. }
            | Event::TaskStarted { .. }
            | Event::TaskOutput { .. }
            | Event::TaskNotSaved { .. }
            | Event::CacheDamaged { .. }
            | Event::CacheDegraded { .. }
            | Event::SharedFileSystem { .. }
            | Event::SecurityViolation { .. }
            | Event::AccessDenied { .. }
            | Event::WorkspaceBusy { .. } => {}
        }
    }

    fn finished(&mut self, outcome: &Outcome, duration_ms: u64) {
        let sum = &mut self.0;
        match outcome {
            Outcome::Executed => {
                sum.timing.min_ms = if sum.executed == 0 {
                    duration_ms
                } else {
                    sum.timing.min_ms.min(duration_ms)
                };
                sum.executed += 1;
                sum.timing.total_ms += duration_ms;
                sum.timing.max_ms = sum.timing.max_ms.max(duration_ms);
            }
            Outcome::Cached => sum.cached += 1,
            Outcome::UpToDate => sum.up_to_date += 1,
            Outcome::Failed { failure } => {
                sum.failed += 1;
                sum.timeouts += usize::from(matches!(failure, Failure::TimedOut { .. }));
            }
            Outcome::Cancelled => sum.cancelled += 1,
        }
    }

    /// The counts so far.
    pub fn so_far(&self) -> &Summary {
        &self.0
    }

    /// The totals, after a run of this length.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Summary { elapsed_ms, ..self.0.clone() }
    }
}
