//! What happens between runs that share a cache, and what is collected of it, as plain data.

use serde::{Deserialize, Serialize};

/// A run that executes a task for which another one waits, by its own account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaseHolder {
    pub pid: u32,
    /// When it began with the task, as `2024-11-16T14:30:00Z`.
    pub since: String,
    pub host: String,
    /// The folder of its project.
    pub project: String,
    /// What the task is called there.
    pub task: String,
}

/// What a collection of garbage did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Collected {
    pub records: usize,
    pub objects: usize,
    /// Leftovers of dead runs, and what was set aside as damaged.
    pub remains: usize,
    /// Of all that went.
    pub bytes: u64,
    /// What is left; none where that is not known, since there was no time to count it.
    pub kept_bytes: Option<u64>,
    pub kept_files: Option<usize>,
    /// Of what is left: records that are pinned, with their objects.
    pub pinned_bytes: Option<u64>,
    /// The most that there may be.
    pub limit: Option<u64>,
    /// Its time was up, or the run was to stop, before all was done.
    pub unfinished: bool,
}

impl Collected {
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.kept_bytes.is_some_and(|kept| kept > limit))
    }

    /// How many files went.
    pub fn files(&self) -> usize {
        self.records + self.objects + self.remains
    }
}
