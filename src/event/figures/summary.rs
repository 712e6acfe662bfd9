//! The figures of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Limit;

/// The totals of a run: the only figures, from the one fold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Tasks that the run needed.
    pub total: usize,
    pub executed: usize,
    /// Taken from the store.
    pub cached: usize,
    /// Nothing to do.
    pub up_to_date: usize,
    pub failed: usize,
    pub skipped: usize,
    pub cancelled: usize,
    /// In a dry run: tasks that would run, or whose dependencies would.
    pub planned: usize,
    pub cache_hits: usize,
    pub cache_misses: usize,
    pub retries: usize,
    pub timeouts: usize,
    /// Times that the cache was found damaged, or could not be written.
    pub cache_errors: usize,
    /// Times that a file or folder could not be used, or something was refused.
    pub access_errors: usize,
    /// How often each limit began to hold something back.
    pub limit_hits: BTreeMap<Limit, u64>,
    pub timing: Timing,
    /// What the commands used of all cores.
    pub cpu_ms: u64,
    /// Of the largest process of all commands.
    pub peak_rss_bytes: u64,
    /// Wall time of the run.
    pub elapsed_ms: u64,
    /// What the tasks that did not run took when they last did.
    pub saved_ms: u64,
    /// The signal that ended the run early.
    pub interrupted: Option<i32>,
}

impl Summary {
    /// Whether the run came to its end, and nothing failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.interrupted.is_none() && !self.is_stopped()
    }

    /// Whether something else than a failure or a signal kept tasks from having their turn.
    pub fn is_stopped(&self) -> bool {
        self.failed == 0 && self.interrupted.is_none() && self.cancelled > 0
    }

    /// Every task that did not need to run.
    pub fn settled(&self) -> usize {
        self.cached + self.up_to_date
    }

    /// Hits of all that was asked of the cache, from 0 to 1; nothing was asked: 0.
    pub fn hit_ratio(&self) -> f64 {
        match self.cache_hits + self.cache_misses {
            0 => 0.0,
            asked => self.cache_hits as f64 / asked as f64,
        }
    }

    /// How many cores the commands kept busy on average.
    pub fn busy_cores(&self) -> f64 {
        if self.elapsed_ms == 0 { 0.0 } else { self.cpu_ms as f64 / self.elapsed_ms as f64 }
    }

    /// Milliseconds of an executed task on average; of none it is 0.
    pub fn average_ms(&self) -> f64 {
        match self.executed {
            0 => 0.0,
            executed => self.timing.total_ms as f64 / executed as f64,
        }
    }
}

/// Durations of executed tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    pub total_ms: u64,
    pub min_ms: u64,
    pub max_ms: u64,
}
