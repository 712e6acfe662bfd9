//! What holds tasks back, as plain data.

use serde::{Deserialize, Serialize};

/// Something that a run may use only so much of. The unit of each figure is said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Percent of all cores of the machine.
    Cpu,
    /// Bytes.
    Memory,
    /// Percent of a file system.
    Disk,
    /// Tasks at a time.
    Tasks,
    /// Starts in a second.
    Starts,
    /// Times in a second.
    CacheOperations,
}

impl Limit {
    pub const ALL: [Self; 6] =
        [Self::Cpu, Self::Memory, Self::Disk, Self::Tasks, Self::Starts, Self::CacheOperations];

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Tasks => "tasks",
            Self::Starts => "starts",
            Self::CacheOperations => "cache_operations",
        }
    }
}

/// A limit, and how much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub limit: Limit,
    /// What there would be with one more task, or what there is.
    pub measured: u64,
    pub ceiling: u64,
}

/// A limit of a run, and how it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    pub limit: Limit,
    pub ceiling: u64,
    pub by: Means,
}

/// How a limit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// The kernel keeps it for the control group of the run; nothing new starts above it as well.
    ControlGroup,
    /// Nothing new starts while more is measured. What runs may take more.
    Measuring,
    /// By counting what we do ourselves.
    Counting,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_json() {
        for limit in Limit::ALL {
            assert_eq!(serde_json::to_value(limit).expect("plain data"), limit.name());
        }
    }
}
