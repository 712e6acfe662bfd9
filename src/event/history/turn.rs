//! What the time of a task went to while it had its slot.

use serde::{Deserialize, Serialize};

/// What a slot was busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Reading and hashing inputs, and forming the key.
    Key,
    /// Asking the workspace and the cache.
    Lookup,
    /// Putting the files of a cached result in place.
    Restore,
    /// Clearing away what the task made before.
    Prepare,
    /// One attempt of the command.
    Command,
    /// Waiting for the result of another run, or for what a limit holds back.
    Wait,
    /// Waiting before the next attempt.
    Pause,
    /// Keeping the words of the command, hashing and saving outputs, writing the record.
    Store,
}

/// One piece of a task's time. In JSON `["key", 0, 120]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(Work, u64, u64)", from = "(Work, u64, u64)")]
pub struct Span {
    pub work: Work,
    /// Since the task got its slot.
    pub at_us: u64,
    pub took_us: u64,
}

impl From<Span> for (Work, u64, u64) {
    fn from(span: Span) -> Self {
        (span.work, span.at_us, span.took_us)
    }
}

impl From<(Work, u64, u64)> for Span {
    fn from((work, at_us, took_us): (Work, u64, u64)) -> Self {
        Self { work, at_us, took_us }
    }
}

/// A task's time in its slot, in pieces that do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Turn {
    /// Counts from 0, below the number of jobs. A slot has one task at a time.
    pub slot: usize,
    /// Nanoseconds since 1970.
    pub began_ns: i64,
    pub took_us: u64,
    pub spans: Vec<Span>,
}

impl Turn {
    /// The time of all pieces of this kind.
    pub fn spent_us(&self, work: Work) -> u64 {
        self.spans.iter().filter(|span| span.work == work).map(|span| span.took_us).sum()
    }
}
