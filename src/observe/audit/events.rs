//! What of the events of a run, and of what the program did, belongs into the audit log, and as
//! what. The values of variables and what tasks write do not.

use super::record::{AuditType, Record};
use crate::event::{Access, Collected, Event, Failure, Operation, Outcome, Summary};
use crate::observe::{log, words};

/// How many settings or names are listed.
const MAX: usize = 50;

/// The records of an event, mostly none or one.
pub(super) fn records(event: &Event) -> Vec<Record> {
    match event {
        Event::TaskStarted { task, attempt, command } => {
            let details = format!("attempt={attempt} command={command}");
            vec![Record::new(AuditType::TaskStart, task.as_str(), "execute").details(details)]
        }
        Event::TaskFinished { task, outcome, usage, .. } => {
            finished(task.as_str(), outcome, usage.duration_ms)
        }
        Event::TaskRetrying { task, attempt, because, .. } => {
            let details = format!("attempt={attempt} {}", words::failure(because));
            let retry = Record::new(AuditType::Warning, task.as_str(), "retry").failed();
            let mut all = vec![retry.details(details)];
            all.extend(limit(task.as_str(), because));
            all
        }
        Event::TasksUpToDate { count, .. } => {
            let details = format!("count={count}");
            vec![Record::new(AuditType::CacheHit, "*", "up-to-date").details(details)]
        }
        Event::CacheHit { task, key, restored, .. } => {
            let action = if *restored == 0 { "lookup" } else { "restore" };
            let details = format!("key={key} files={restored}");
            vec![Record::new(AuditType::CacheHit, task.as_str(), action).details(details)]
        }
        Event::CacheMiss { task, key, reasons } => {
            let details = format!("key={key} {}", log::why(reasons));
            let miss = Record::new(AuditType::CacheMiss, task.as_str(), "lookup");
            vec![miss.details(details)]
        }
        Event::CacheStored { task, key, outputs } => {
            let details = format!("key={key} outputs={outputs}");
            vec![Record::new(AuditType::CacheStore, task.as_str(), "store").details(details)]
        }
        Event::GcRan { collected: done } => collected(done),
        other => odd(other).into_iter().collect(),
    }
}

/// What should not be, and what the run does about it.
fn odd(event: &Event) -> Option<Record> {
    let warning = |resource: &str, action, details: String| {
        Some(Record::new(AuditType::Warning, resource, action).details(details).failed())
    };
    match event {
        Event::CacheDamaged { what, path, problem } => {
            warning(path, "set-aside", format!("damaged {what}: {problem}"))
        }
        Event::CacheDegraded { problem } => warning("cache", "store", problem.clone()),
        Event::SharedFileSystem { cache, workspace } => {
            let details = words::shared_file_system(cache.as_ref(), workspace.as_ref());
            warning("file-system", "check", details)
        }
        Event::TaskNotSaved { task, changes } => {
            let changes = words::changes(changes, MAX);
            warning(task.as_str(), "store", format!("not saved: {changes}"))
        }
        Event::TaskNotReproducible { task, outputs, replaced, .. } => {
            let outputs = words::names(outputs, MAX);
            warning(
                task.as_str(),
                "store",
                format!("not reproducible: {outputs} replaced={}", u8::from(*replaced)),
            )
        }
        Event::CancelRequested { signal } => {
            warning("run", "cancel", format!("by {}", words::signal(*signal)))
        }
        Event::JobserverUnused { problem } => warning("jobserver", "share", problem.clone()),
        Event::WorkspaceBusy { holder } => {
            warning("workspace", "wait", words::busy(holder.as_ref()))
        }
        other => guarded(other),
    }
}

/// What is refused or held back.
fn guarded(event: &Event) -> Option<Record> {
    match event {
        Event::SecurityViolation { task, violation, refused } => {
            let action = if *refused { "refuse" } else { "allow" };
            let record = Record::new(AuditType::SecurityViolation, task.as_str(), action);
            Some(record.details(words::violation(task, violation)).failed())
        }
        Event::AccessDenied { what, path, problem } => {
            let action = match what {
                Access::Input => "read",
                Access::Cache => "access",
            };
            let record = Record::new(AuditType::PermissionDenied, path.as_str(), action);
            Some(record.details(problem.as_str()).failed())
        }
        Event::LimitHit { held } => {
            let limit = words::limit(held.limit);
            let record = Record::new(AuditType::ResourceLimit, limit, "hold-back");
            Some(record.details(words::held(held)).failed())
        }
        // These are seen to above.
        Event::TaskStarted { .. }
        | Event::TaskFinished { .. }
        | Event::TaskRetrying { .. }
        | Event::TasksUpToDate { .. }
        | Event::CacheHit { .. }
        | Event::CacheMiss { .. }
        | Event::CacheStored { .. }
        | Event::GcRan { .. }
        | Event::CacheDamaged { .. }
        | Event::CacheDegraded { .. }
        | Event::SharedFileSystem { .. }
        | Event::TaskNotSaved { .. }
        | Event::TaskNotReproducible { .. }
        | Event::CancelRequested { .. }
        | Event::JobserverUnused { .. }
        | Event::WorkspaceBusy { .. } => None,
        // How a run goes on is for the log and the journal.
        Event::RunStarted { .. }
        | Event::TasksExpected { .. }
        | Event::TaskQueued { .. }
        | Event::TaskWaits { .. }
        | Event::TaskOutput { .. }
        | Event::TaskTimed { .. }
        | Event::TaskSkipped { .. }
        | Event::TaskPlanned { .. }
        | Event::LimitsInForce { .. }
        | Event::LimitLifted { .. }
        | Event::RunFinished { .. } => None,
    }
}

/// What was taken away from the cache, and what keeps it larger than it may be.
fn collected(done: &Collected) -> Vec<Record> {
    let mut all = Vec::new();
    if done.files() > 0 {
        let removed = Record::new(AuditType::CacheStore, "cache", "collect");
        all.push(removed.details(words::collected(done)));
    }
    if let Some(problem) = words::not_collected(done) {
        all.push(Record::new(AuditType::Warning, "cache", "collect").details(problem).failed());
    }
    all
}

fn finished(task: &str, outcome: &Outcome, took_ms: u64) -> Vec<Record> {
    let end = |kind, details: String| Record::new(kind, task, "execute").details(details);
    match outcome {
        Outcome::Executed => vec![end(AuditType::TaskComplete, format!("duration_ms={took_ms}"))],
        // The hit says all of these.
        Outcome::Cached | Outcome::UpToDate => Vec::new(),
        Outcome::Cancelled => {
            let details = format!("duration_ms={took_ms} cancelled");
            vec![end(AuditType::TaskFail, details).failed()]
        }
        Outcome::Failed { failure } => {
            let details = format!("duration_ms={took_ms} {}", words::failure(failure));
            let mut all = vec![end(AuditType::TaskFail, details).failed()];
            all.extend(limit(task, failure));
            all
        }
    }
}

/// Where a limit is the reason of a failure: which.
fn limit(task: &str, failure: &Failure) -> Option<Record> {
    let action = match failure {
        Failure::TimedOut { .. } => "time",
        Failure::InputTooLarge { .. } => "input-size",
        Failure::OutOfMemory { .. } => "memory",
        Failure::DiskFull { .. } => "disk",
        Failure::Exit { .. }
        | Failure::Signal { .. }
        | Failure::Start { .. }
        | Failure::OutputsMissing { .. }
        | Failure::OutputRefused { .. }
        | Failure::Input { .. }
        | Failure::InputDenied { .. }
        | Failure::ToolMissing { .. }
        | Failure::Files { .. } => return None,
    };
    let record = Record::new(AuditType::ResourceLimit, task, action);
    Some(record.details(words::failure(failure)).failed())
}

/// How a run ended, for the line of the program's end.
pub(super) fn totals(summary: &Summary) -> String {
    let Summary { total, executed, cached, up_to_date, failed, skipped, cancelled, .. } = summary;
    format!(
        "total={total} executed={executed} cached={cached} up_to_date={up_to_date} \
         failed={failed} skipped={skipped} cancelled={cancelled}"
    )
}

/// The record of what the program did.
pub(super) fn operation(what: &Operation) -> Record {
    match what {
        Operation::Started { verb, version, command } => {
            let details = format!("version={version} command={command}");
            Record::new(AuditType::SystemStart, verb.as_str(), "start").details(details)
        }
        Operation::SettingsLoaded { files, set } => {
            let (files, set) = (files.join(","), set.join(" "));
            Record::new(AuditType::ConfigLoad, "settings", "load")
                .details(format!("files={files} {set}").trim_end().to_owned())
        }
        Operation::Warned { what, problem } => {
            Record::new(AuditType::Warning, what.as_str(), "warn")
                .details(problem.as_str())
                .failed()
        }
        Operation::Failed { problem } => {
            Record::new(AuditType::Error, "program", "fail").details(problem.as_str()).failed()
        }
        Operation::Ended { verb, code, took_ms } => {
            let record = Record::new(AuditType::SystemStop, verb.as_str(), "stop")
                .details(format!("code={code} duration_ms={took_ms}"));
            if *code == 0 { record } else { record.failed() }
        }
    }
}

/// The record of settings that are not those of the process before.
pub(super) fn settings_changed() -> Record {
    Record::new(AuditType::ConfigChange, "settings", "change")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Digest, TaskName};
    use crate::event::{MissReason, Usage};

    #[test]
    fn a_limit_that_ends_a_task_is_a_line_beside_its_failure() {
        let path = "x".to_owned();
        for (failure, action) in [
            (Failure::TimedOut { after_ms: 1000 }, "time"),
            (Failure::InputTooLarge { path: path.clone(), size: 2, limit: 1 }, "input-size"),
            (Failure::OutOfMemory { limit: 1 << 20 }, "memory"),
            (Failure::DiskFull { path, percent: 99, ceiling: 90 }, "disk"),
        ] {
            let task = TaskName::parse("a").expect("a good name");
            let outcome = Outcome::Failed { failure };
            let (usage, reasons) = (Usage::default(), Vec::new());
            let all = records(&Event::TaskFinished { task, outcome, usage, reasons });
            let kinds: Vec<_> = all.iter().map(|record| (record.kind, record.action)).collect();
            let limit = (AuditType::ResourceLimit, action);
            assert_eq!(kinds, [(AuditType::TaskFail, "execute"), limit]);
            assert!(all.iter().all(|record| !record.success));
        }
    }

    #[test]
    fn what_is_collected_and_what_the_console_warns_of_are_in_the_log() {
        let kinds = |event: &Event| -> Vec<(AuditType, &'static str)> {
            records(event).iter().map(|record| (record.kind, record.action)).collect()
        };
        let done =
            Collected { objects: 3, kept_bytes: Some(9), limit: Some(1), ..Collected::default() };
        assert_eq!(
            kinds(&Event::GcRan { collected: done }),
            [(AuditType::CacheStore, "collect"), (AuditType::Warning, "collect")]
        );
        assert!(records(&Event::GcRan { collected: Collected::default() }).is_empty());
        let unused = Event::JobserverUnused { problem: "no fifo".into() };
        assert_eq!(kinds(&unused), [(AuditType::Warning, "share")]);
        let busy = Event::WorkspaceBusy { holder: None };
        assert_eq!(kinds(&busy), [(AuditType::Warning, "wait")]);
    }

    #[test]
    fn whatever_is_a_warning_has_a_line() {
        let unused = Event::JobserverUnused { problem: "none".into() };
        for event in [unused, Event::WorkspaceBusy { holder: None }] {
            let all = records(&event);
            assert_eq!((all.len(), all[0].kind), (1, AuditType::Warning));
        }
    }

    #[test]
    fn the_values_of_variables_are_in_no_line() {
        let reasons = vec![MissReason::EnvChanged {
            name: "TOKEN".into(),
            was: Some("hush".into()),
            now: Some("hush hush".into()),
        }];
        let task = TaskName::parse("a").expect("a good name");
        let all = records(&Event::CacheMiss { task, key: Digest::default(), reasons });
        assert!(all[0].details.contains("`TOKEN` changed") && !all[0].details.contains("hush"));
    }
}
