//! What others can be told of, by the names that settings and messages use.

use std::fmt;

use serde::Serialize;

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A command ran and succeeded.
    TaskCompleted,
    TaskFailed,
    RunCompleted,
    /// A task failed, or the run was interrupted or stopped.
    RunFailed,
    /// The run could not begin or go on.
    Error,
    Warning,
    /// A health check is critical.
    HealthFailed,
    /// Somebody tries whether messages arrive.
    Test,
}

impl NoticeKind {
    /// Those that can be chosen.
    pub const ALL: [Self; 7] = [
        Self::TaskCompleted,
        Self::TaskFailed,
        Self::RunCompleted,
        Self::RunFailed,
        Self::Error,
        Self::Warning,
        Self::HealthFailed,
    ];
    /// Those that are told where nobody chooses: the end of a run names the tasks that failed.
    pub const DEFAULT: [Self; 4] =
        [Self::RunCompleted, Self::RunFailed, Self::Error, Self::HealthFailed];

    pub fn name(self) -> &'static str {
        match self {
            Self::TaskCompleted => "task_completed",
            Self::TaskFailed => "task_failed",
            Self::RunCompleted => "run_completed",
            Self::RunFailed => "run_failed",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::HealthFailed => "health_failed",
            Self::Test => "test",
        }
    }

    /// Whether it says how all of it ended.
    pub fn is_end(self) -> bool {
        matches!(self, Self::RunCompleted | Self::RunFailed | Self::Error | Self::HealthFailed)
    }

    /// Whether it says that something went well.
    pub fn is_good(self) -> bool {
        matches!(self, Self::TaskCompleted | Self::RunCompleted | Self::Test)
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
