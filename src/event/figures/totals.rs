//! What all runs of a project did together, what the last one did, and what the cache holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Measures, Summary};
use crate::event::Limit;

/// The figures of a project at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    pub totals: Totals,
    /// Of the run that goes on, or else of the last one.
    pub last: LastRun,
    /// None: it could not be counted.
    pub cache: Option<CacheCount>,
}

/// What is kept of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended; 0: there was none.
    pub time_ns: i64,
    /// What the program itself used at most.
    pub memory_bytes: u64,
    pub summary: Summary,
}

/// What the cache holds, damaged files among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCount {
    pub objects: u64,
    pub object_bytes: u64,
    pub entries: u64,
}

/// The sums over runs. They only rise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    pub runs_succeeded: u64,
    pub runs_failed: u64,
    pub runs_interrupted: u64,
    pub tasks: u64,
    pub executed: u64,
    /// Every task that did not need to run.
    pub cached: u64,
    pub failed: u64,
    pub cache_hits: u64,
    pub cache_misses: u64,
    pub retries: u64,
    pub timeouts: u64,
    pub cache_errors: u64,
    pub access_errors: u64,
    pub limit_hits: BTreeMap<Limit, u64>,
    pub cpu_ms: u64,
    pub saved_ms: u64,
    pub measures: Measures,
}

impl Totals {
    /// Adds a run that is over.
    pub fn add_run(&mut self, sum: &Summary, measures: &Measures) {
        let runs = match sum.interrupted {
            Some(_) => &mut self.runs_interrupted,
            None if sum.is_good() => &mut self.runs_succeeded,
            None => &mut self.runs_failed,
        };
        *runs += 1;
        self.add(sum, measures);
    }

    /// Adds what was measured outside of runs.
    pub fn add_measures(&mut self, measures: &Measures) {
        self.measures.merge(measures);
    }

    /// Adds what a run has done, and not the run.
    pub fn add(&mut self, sum: &Summary, measures: &Measures) {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let pairs = [
            (&mut self.tasks, number(sum.total)),
            (&mut self.executed, number(sum.executed)),
            (&mut self.cached, number(sum.settled())),
            (&mut self.failed, number(sum.failed)),
            (&mut self.cache_hits, number(sum.cache_hits)),
            (&mut self.cache_misses, number(sum.cache_misses)),
            (&mut self.retries, number(sum.retries)),
            (&mut self.timeouts, number(sum.timeouts)),
            (&mut self.cache_errors, number(sum.cache_errors)),
            (&mut self.access_errors, number(sum.access_errors)),
            (&mut self.cpu_ms, sum.cpu_ms),
            (&mut self.saved_ms, sum.saved_ms),
        ];
        for (total, more) in pairs {
            *total = total.saturating_add(more);
        }
        for (limit, more) in &sum.limit_hits {
            let hits = self.limit_hits.entry(*limit).or_default();
            *hits = hits.saturating_add(*more);
        }
        self.measures.merge(measures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_counted_by_its_end_and_an_older_file_is_still_read() {
        let mut totals = Totals::default();
        let run = |failed, interrupted| Summary {
            total: 3,
            cached: 1,
            up_to_date: 1,
            failed,
            interrupted,
            ..Summary::default()
        };
        for (failed, interrupted) in [(0, None), (1, None), (1, Some(15)), (0, Some(2))] {
            totals.add_run(&run(failed, interrupted), &Measures::default());
        }
        let runs = (totals.runs_succeeded, totals.runs_failed, totals.runs_interrupted);
        assert_eq!(runs, (1, 1, 2));
        assert_eq!((totals.tasks, totals.cached, totals.failed), (12, 8, 2));
        let older: Totals = serde_json::from_str("{\"tasks\":5}").expect("a part is enough");
        assert_eq!((older.tasks, older.measures), (5, Measures::default()));
    }
}
