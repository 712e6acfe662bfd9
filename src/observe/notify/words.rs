//! What a message says, in words: the values of a template's names.

use super::{Notice, What};
use crate::base::clock;
use crate::base::text::count;
use crate::config::Field;
use crate::event::NoticeKind;
use crate::observe::{summary_text, words};

/// The value of a name.
pub(super) fn value(notice: &Notice, field: Field) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match field {
        Field::Event => notice.kind.name().to_owned(),
        Field::Outcome => outcome(notice),
        Field::Summary => summary(notice),
        Field::Details => details(notice).join("\n"),
        Field::Task => task(notice),
        Field::Project => project(notice),
        Field::Folder => shown(&notice.whence.folder),
        Field::Manifest => shown(&text(&notice.manifest)),
        Field::Host => shown(&notice.whence.host),
        Field::Run => text(&notice.run),
        Field::Time => clock::rfc3339(notice.time_ns),
    }
}

fn shown(text: &str) -> String {
    crate::base::text::shown(text.as_bytes()).into_owned()
}

/// The name of the folder.
fn project(notice: &Notice) -> String {
    let folder = notice.whence.folder.trim_end_matches('/');
    let name = folder.rsplit('/').next().unwrap_or_default();
    shown(if name.is_empty() { "/" } else { name })
}

fn task(notice: &Notice) -> String {
    match &notice.what {
        What::Task { task, .. } | What::Problem { task: Some(task), .. } => task.to_string(),
        _ => String::new(),
    }
}

/// How it ended, in a few words.
fn outcome(notice: &Notice) -> String {
    match &notice.what {
        What::Task { task, reason: None, .. } => format!("task {task} completed"),
        What::Task { task, reason: Some(_), .. } => format!("task {task} failed"),
        What::Run { summary, .. } => match summary.interrupted {
            Some(signal) => format!("run interrupted by {}", words::signal(signal)),
            None if summary.failed > 0 => {
                format!("run failed, with {}", count(summary.failed, "failed task"))
            }
            None if summary.is_stopped() => {
                format!("run stopped, with {}", count(summary.cancelled, "cancelled task"))
            }
            None => "run completed".to_owned(),
        },
        What::Problem { .. } if notice.kind == NoticeKind::Error => {
            "run could not go on".to_owned()
        }
        What::Problem { .. } => "warning".to_owned(),
        What::Health(_) => "health is critical".to_owned(),
        What::Test => "test message".to_owned(),
    }
}

/// One line that says the most.
fn summary(notice: &Notice) -> String {
    match &notice.what {
        What::Task { reason, duration_ms, .. } => {
            let took = words::duration(*duration_ms);
            match reason {
                Some(reason) => format!("{reason}, after {took}"),
                None => format!("it took {took}"),
            }
        }
        What::Run { summary, .. } => summary_text(summary),
        What::Problem { text, .. } => text.clone(),
        What::Health(checks) => {
            let bad = checks.iter().filter(|check| check.status == "CRITICAL").count();
            format!("{} of {} are critical", bad, count(checks.len(), "check"))
        }
        What::Test => "messages arrive here".to_owned(),
    }
}

/// What there is to list, a line each.
fn details(notice: &Notice) -> Vec<String> {
    match &notice.what {
        What::Run { summary, failed } => {
            let line = |one: &super::FailedTask| format!("{}: {}", one.task, one.reason);
            let mut lines: Vec<String> = failed.iter().map(line).collect();
            let more = summary.failed.saturating_sub(failed.len());
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            lines
        }
        What::Health(checks) => checks
            .iter()
            .filter(|check| check.status != "OK")
            .map(|check| format!("{}: {}: {}", check.name, check.status, shown(&check.message)))
            .collect(),
        _ => Vec::new(),
    }
}
