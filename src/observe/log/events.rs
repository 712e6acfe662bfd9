//! The events of a run as records of the log. Texts of commands and reasons are for DEBUG; values
//! of variables and what tasks write are never logged.

use tracing::{debug, error, info, warn};

use crate::event::{
    Collected, Event, FolderOn, InForce, MissReason, Observer, Outcome, Stamped, Summary, Usage,
};
use crate::observe::words;

/// How many reasons or names a record lists.
const MAX: usize = 20;
/// The records of a run bear this instead of the place in the source, which is always this file.
const RUN: &str = "run";

/// Turns events into records.
#[derive(Debug, Default)]
pub struct LogEvents;

impl Observer for LogEvents {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        log(&event.event);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "log"
    }
}

fn log(event: &Event) {
    match event {
        Event::RunStarted { version, manifest, project, jobs, tasks, dry_run, force, .. } => {
            let (jobs, tasks) = (*jobs, *tasks);
            info!(
                target: RUN, version, manifest, project, jobs, tasks, dry_run, force, "run started"
            );
        }
        Event::RunFinished { summary } => finished_run(summary),
        Event::TasksUpToDate { count, saved_ms } => {
            info!(target: RUN, count, saved_ms, "tasks are up to date");
        }
        Event::CancelRequested { signal } => {
            warn!(target: RUN, signal = words::signal(*signal), "run is to stop");
        }
        Event::WorkspaceBusy { holder } => {
            let holder = holder.as_ref().map(|holder| holder.pid);
            info!(target: RUN, holder, "waiting for the lock of the workspace");
        }
        Event::LimitsInForce { .. }
        | Event::LimitHit { .. }
        | Event::LimitLifted { .. }
        | Event::JobserverUnused { .. } => log_limit(event),
        Event::CacheDamaged { .. } | Event::CacheDegraded { .. } | Event::GcRan { .. } => {
            log_cache(event);
        }
        Event::SharedFileSystem { cache, workspace } => {
            let name = |folder: &Option<FolderOn>| folder.as_ref().map(|on| on.file_system.clone());
            let (cache, workspace) = (name(cache), name(workspace));
            warn!(target: RUN, cache, workspace, "file system is not the machine's own");
        }
        Event::AccessDenied { path, problem, .. } => {
            warn!(target: RUN, path, problem, "access was denied");
        }
        Event::TasksExpected { durations_ms } => {
            debug!(target: RUN, tasks = durations_ms.len(), "earlier durations are known");
        }
        Event::TaskQueued { .. }
        | Event::CacheHit { .. }
        | Event::CacheMiss { .. }
        | Event::TaskWaits { .. }
        | Event::TaskStarted { .. }
        | Event::TaskOutput { .. }
        | Event::TaskRetrying { .. }
        | Event::TaskTimed { .. }
        | Event::TaskFinished { .. }
        | Event::TaskSkipped { .. }
        | Event::TaskNotSaved { .. }
        | Event::CacheStored { .. }
        | Event::TaskNotReproducible { .. }
        | Event::SecurityViolation { .. }
        | Event::TaskPlanned { .. } => log_task(event),
    }
}

fn log_cache(event: &Event) {
    match event {
        Event::CacheDamaged { what, path, problem } => {
            warn!(target: RUN, what, path, problem, "cache is damaged; it was set aside");
        }
        Event::CacheDegraded { problem } => {
            warn!(target: RUN, problem, "cache cannot be written; results are not saved");
        }
        Event::GcRan { collected } => {
            let Collected { records, objects, remains, bytes, kept_bytes, kept_files, .. } =
                *collected;
            info!(
                target: RUN,
                records, objects, remains, bytes, kept_bytes, kept_files, "cache was collected"
            );
        }
        _ => {}
    }
}

fn log_limit(event: &Event) {
    match event {
        Event::LimitsInForce { limits } => {
            for InForce { limit, ceiling, by } in limits {
                info!(target: RUN, limit = limit.name(), ceiling, ?by, "limit is in force");
            }
        }
        Event::LimitHit { held } => {
            let (limit, measured, ceiling) = (held.limit.name(), held.measured, held.ceiling);
            info!(target: RUN, limit, measured, ceiling, "limit holds tasks back");
        }
        Event::LimitLifted { limit, held_ms } => {
            info!(target: RUN, limit = limit.name(), held_ms, "limit is lifted");
        }
        Event::JobserverUnused { problem } => {
            warn!(target: RUN, problem, "jobserver is not used");
        }
        _ => {}
    }
}

fn log_task(event: &Event) {
    match event {
        Event::TaskQueued { task, .. } => debug!(target: RUN, %task, "task is ready"),
        Event::CacheHit { task, key, from, saved_ms, restored, restore_us } => {
            debug!(
                target: RUN,
                %task, key = key.hex(), ?from, restored, restore_us, saved_ms, "cache hit"
            );
        }
        Event::CacheMiss { task, key, reasons } => {
            debug!(target: RUN, %task, key = key.hex(), reasons = why(reasons), "cache miss");
        }
        Event::TaskWaits { task, key, holder } => {
            let (key, holder) = (key.hex(), words::lease_holder(holder.as_ref()));
            info!(target: RUN, %task, key, holder, "task waits for another run");
        }
        Event::TaskStarted { task, attempt, command } => {
            info!(target: RUN, %task, attempt, "task started");
            debug!(target: RUN, %task, command, "its command");
        }
        Event::TaskRetrying { task, attempt, delay_ms, because } => {
            let because = words::failure(because);
            warn!(target: RUN, %task, attempt, delay_ms, because, "task is tried again");
        }
        Event::TaskFinished { task, outcome, usage, .. } => {
            finished_task(task.as_str(), outcome, usage);
        }
        Event::TaskSkipped { task, because } => {
            warn!(target: RUN, %task, because = words::skip(because), "task was skipped");
        }
        Event::TaskNotSaved { task, changes } => {
            let changes = words::changes(changes, MAX);
            warn!(target: RUN, %task, changes, "result of the task is not saved");
        }
        Event::CacheStored { task, key, outputs } => {
            debug!(target: RUN, %task, key = key.hex(), outputs, "result is saved");
        }
        Event::TaskNotReproducible { task, key, outputs, replaced } => {
            let key = key.hex();
            let outputs = words::names(outputs, MAX);
            warn!(target: RUN, %task, key, outputs, replaced, "task is not reproducible");
        }
        Event::SecurityViolation { task, violation, refused } => {
            let problem = words::violation(task, violation);
            warn!(target: RUN, %task, problem, refused, "security check struck");
        }
        Event::TaskPlanned { task, reasons, restore, .. } => {
            info!(target: RUN, %task, restore, reasons = why(reasons), "task would run");
        }
        _ => {}
    }
}

fn finished_task(task: &str, outcome: &Outcome, usage: &Usage) {
    let duration_ms = usage.duration_ms;
    match outcome {
        Outcome::Executed => {
            let Usage { user_ms, system_ms, peak_rss_bytes, attempts, .. } = *usage;
            info!(
                target: RUN,
                task, duration_ms, user_ms, system_ms, peak_rss_bytes, attempts, "task finished"
            );
        }
        Outcome::Cached => info!(target: RUN, task, "task was restored"),
        Outcome::UpToDate => debug!(target: RUN, task, "task is up to date"),
        Outcome::Cancelled => warn!(target: RUN, task, duration_ms, "task was cancelled"),
        Outcome::Failed { failure } => {
            let because = words::failure(failure);
            error!(target: RUN, task, duration_ms, because, "task failed");
        }
    }
}

fn finished_run(summary: &Summary) {
    let Summary { total, executed, cached, up_to_date, failed, skipped, cancelled, .. } = *summary;
    let Summary { elapsed_ms, interrupted, .. } = *summary;
    info!(
        target: RUN,
        total,
        executed,
        cached,
        up_to_date,
        failed,
        skipped,
        cancelled,
        elapsed_ms,
        interrupted,
        "run finished"
    );
}

/// Reasons without the values of variables, which may be secrets.
pub(in crate::observe) fn why(reasons: &[MissReason]) -> String {
    let word = |reason: &MissReason| match reason {
        MissReason::EnvChanged { name, .. } => format!("`{name}` changed"),
        other => words::reason(other),
    };
    let mut all: Vec<String> = reasons.iter().take(MAX).map(word).collect();
    if reasons.len() > MAX {
        all.push(format!("and {} more", reasons.len() - MAX));
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_a_variable_and_not_its_values() {
        let change = MissReason::EnvChanged {
            name: "TOKEN".into(),
            was: Some("hush".into()),
            now: Some("hush hush".into()),
        };
        assert_eq!(why(&[change, MissReason::CommandChanged]), "`TOKEN` changed, command changed");
        let many = vec![MissReason::Forced; MAX + 2];
        assert!(why(&many).ends_with("forced, and 2 more"));
    }
}
