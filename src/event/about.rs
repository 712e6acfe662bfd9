//! What an event is called and whom it is about, without what it says.

use super::Event;
use crate::base::TaskName;

impl Event {
    /// Its name as in JSON's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::TasksUpToDate { .. } => "tasks_up_to_date",
            Self::TasksExpected { .. } => "tasks_expected",
            Self::TaskQueued { .. } => "task_queued",
            Self::CacheHit { .. } => "cache_hit",
            Self::CacheMiss { .. } => "cache_miss",
            Self::TaskWaits { .. } => "task_waits",
            Self::TaskStarted { .. } => "task_started",
            Self::TaskOutput { .. } => "task_output",
            Self::TaskRetrying { .. } => "task_retrying",
            Self::TaskTimed { .. } => "task_timed",
            Self::TaskFinished { .. } => "task_finished",
            Self::TaskSkipped { .. } => "task_skipped",
            Self::TaskNotSaved { .. } => "task_not_saved",
            Self::CacheStored { .. } => "cache_stored",
            Self::TaskNotReproducible { .. } => "task_not_reproducible",
            Self::CacheDamaged { .. } => "cache_damaged",
            Self::CacheDegraded { .. } => "cache_degraded",
            Self::GcRan { .. } => "gc_ran",
            Self::SharedFileSystem { .. } => "shared_file_system",
            Self::SecurityViolation { .. } => "security_violation",
            Self::AccessDenied { .. } => "access_denied",
            Self::TaskPlanned { .. } => "task_planned",
            Self::LimitsInForce { .. } => "limits_in_force",
            Self::LimitHit { .. } => "limit_hit",
            Self::LimitLifted { .. } => "limit_lifted",
            Self::JobserverUnused { .. } => "jobserver_unused",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::WorkspaceBusy { .. } => "workspace_busy",
            Self::RunFinished { .. } => "run_finished",
        }
    }

    /// The task that it is about.
    pub fn task(&self) -> Option<&TaskName> {
        match self {
            Self::TaskQueued { task, .. }
            | Self::CacheHit { task, .. }
            | Self::CacheMiss { task, .. }
            | Self::TaskWaits { task, .. }
            | Self::TaskStarted { task, .. }
            | Self::TaskOutput { task, .. }
            | Self::TaskRetrying { task, .. }
            | Self::TaskTimed { task, .. }
            | Self::TaskFinished { task, .. }
            | Self::TaskSkipped { task, .. }
            | Self::TaskNotSaved { task, .. }
            | Self::CacheStored { task, .. }
            | Self::TaskNotReproducible { task, .. }
            | Self::SecurityViolation { task, .. }
            | Self::TaskPlanned { task, .. } => Some(task),
            Self::RunStarted { .. }
            | Self::TasksUpToDate { .. }
            | Self::TasksExpected { .. }
            | Self::CacheDamaged { .. }
            | Self::CacheDegraded { .. }
            | Self::GcRan { .. }
            | Self::SharedFileSystem { .. }
            | Self::AccessDenied { .. }
            | Self::LimitsInForce { .. }
            | Self::LimitHit { .. }
            | Self::LimitLifted { .. }
            | Self::JobserverUnused { .. }
            | Self::CancelRequested { .. }
            | Self::WorkspaceBusy { .. }
            | Self::RunFinished { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::event::{Collected, Turn};

    #[test]
    fn the_name_is_that_of_json() {
        let task = TaskName::parse("a").expect("a good name");
        let events = [
            Event::TaskQueued { task: task.clone(), after: None },
            Event::TaskTimed { task: task.clone(), turn: Turn::default() },
            Event::TasksUpToDate { count: 1, saved_ms: 0 },
            Event::CacheDegraded { problem: String::new() },
            Event::GcRan { collected: Collected::default() },
            Event::TaskWaits { task: task.clone(), key: Digest::of(b""), holder: None },
            Event::TaskNotSaved { task: task.clone(), changes: Vec::new() },
            Event::SharedFileSystem { cache: None, workspace: None },
            Event::WorkspaceBusy { holder: None },
        ];
        for event in events {
            let json = serde_json::to_value(&event).expect("plain data");
            assert_eq!(json["type"], event.name());
            assert_eq!(
                json.get("task").and_then(|name| name.as_str()),
                event.task().map(TaskName::as_str)
            );
        }
    }
}
