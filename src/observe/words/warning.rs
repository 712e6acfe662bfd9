//! What a run warns of, in words: the one list of the events that are warnings.

use super::{
    busy, changes, damage, degraded, jobserver_unused, names, not_collected, not_reproducible,
    quoted, shared_file_system, violation,
};
use crate::base::text::shown;
use crate::event::Event;

/// The words of a warning, with at most so many names in a list; none: the event is no warning.
pub fn warning(event: &Event, limit: usize) -> Option<String> {
    Some(match event {
        Event::TaskNotSaved { task, changes: all } => {
            format!("`{task}`: result kept but not saved: {}", changes(all, limit))
        }
        Event::TaskNotReproducible { task, outputs, replaced, .. } => {
            not_reproducible(task, &names(outputs, limit), *replaced)
        }
        Event::CacheDamaged { what, path, problem } => damage(what, path, problem),
        Event::CacheDegraded { problem } => degraded(problem),
        Event::GcRan { collected } => return not_collected(collected),
        Event::SharedFileSystem { cache, workspace } => {
            shared_file_system(cache.as_ref(), workspace.as_ref())
        }
        Event::SecurityViolation { task, violation: what, .. } => violation(task, what),
        Event::AccessDenied { path, problem, .. } => {
            format!("{} may not be used: {}", quoted(path), shown(problem.as_bytes()))
        }
        Event::JobserverUnused { problem } => jobserver_unused(problem),
        Event::WorkspaceBusy { holder } => busy(holder.as_ref()),
        Event::RunStarted { .. }
        | Event::TasksUpToDate { .. }
        | Event::TasksExpected { .. }
        | Event::TaskQueued { .. }
        | Event::CacheHit { .. }
        | Event::CacheMiss { .. }
        | Event::TaskWaits { .. }
        | Event::TaskStarted { .. }
        | Event::TaskOutput { .. }
        | Event::TaskRetrying { .. }
        | Event::TaskTimed { .. }
        | Event::TaskFinished { .. }
        | Event::TaskSkipped { .. }
        | Event::CacheStored { .. }
        | Event::TaskPlanned { .. }
        | Event::LimitsInForce { .. }
        | Event::LimitHit { .. }
        | Event::LimitLifted { .. }
        | Event::CancelRequested { .. }
        | Event::RunFinished { .. } => return None,
    })
}
