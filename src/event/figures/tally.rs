//! The one fold that counts: every figure of a run comes from here.

use std::time::Duration;

use super::{Measures, Summary};
use crate::event::{Event, Failure, Outcome, SkipReason, Stamped, Usage};

/// Counts the events of one run.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    sum: Summary,
    measures: Measures,
}

impl Tally {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event into account.
    pub fn fold(&mut self, stamped: &Stamped) {
        self.measures.fold(stamped);
        let sum = &mut self.sum;
        match &stamped.event {
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
            Event::TaskFinished { outcome, usage, .. } => self.finished(outcome, usage),
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
            Event::CacheDamaged { .. } | Event::CacheDegraded { .. } => sum.cache_errors += 1,
            Event::AccessDenied { .. } | Event::SecurityViolation { refused: true, .. } => {
                sum.access_errors += 1;
            }
            Event::LimitHit { held } => *sum.limit_hits.entry(held.limit).or_default() += 1,
            Event::RunFinished { summary } => self.sum = summary.clone(),
            Event::TasksExpected { .. }
            | Event::TaskQueued { .. }
            | Event::TaskWaits { .. }
            | Event::TaskStarted { .. }
            | Event::TaskOutput { .. }
            | Event::TaskTimed { .. }
            | Event::TaskNotSaved { .. }
            | Event::CacheStored { .. }
            | Event::TaskNotReproducible { .. }
            | Event::GcRan { .. }
            | Event::SharedFileSystem { .. }
            | Event::SecurityViolation { .. }
            | Event::LimitsInForce { .. }
            | Event::LimitLifted { .. }
            | Event::JobserverUnused { .. }
            | Event::WorkspaceBusy { .. } => {}
        }
    }

    fn finished(&mut self, outcome: &Outcome, usage: &Usage) {
        let sum = &mut self.sum;
        let duration_ms = usage.duration_ms;
        sum.cpu_ms += usage.user_ms + usage.system_ms;
        sum.peak_rss_bytes = sum.peak_rss_bytes.max(usage.peak_rss_bytes);
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
        &self.sum
    }

    /// How long things took so far.
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// The totals, after a run of this length.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Summary { elapsed_ms, ..self.sum.clone() }
    }
}
