//! One run in full: what failed, what took longest, the critical path, and what the cache cost.

use std::collections::BTreeMap;

use serde::Serialize;

use super::find::{self, RunHead};
use crate::base::TaskName;
use crate::config::Config;
use crate::event::{
    Account, Costs, CriticalPath, Failure, MissReason, Outcome, Output, SkipReason, TaskAccount,
    critical_path,
};
use crate::home::Home;
use crate::observe::{Odd, read};
use crate::ops::types::Error;

/// How many of the slowest tasks are named.
const SLOWEST: usize = 10;
/// How many lines of a failed task's words are shown, and how many bytes.
const END_LINES: usize = 20;
const END_BYTES: usize = 4096;

/// A run in full.
#[derive(Debug, Serialize)]
pub struct RunReport {
    #[serde(flatten)]
    pub head: RunHead,
    pub version: String,
    pub project: String,
    pub jobs: usize,
    /// The settings that somebody had set, without secrets.
    pub settings: BTreeMap<String, String>,
    pub failed: Vec<FailedTask>,
    /// Tasks that had begun when the run was killed.
    pub unfinished: Vec<TaskName>,
    pub skipped: usize,
    pub slowest: Vec<SlowTask>,
    pub critical_path: CriticalPath,
    pub cache: Costs,
    /// Lines of the journal that are not understood, and whether the last one is torn.
    pub odd: Odd,
    /// Events that the journal has no room for, or that a listener was too slow for.
    pub missing_events: u64,
}

/// A task that failed.
#[derive(Debug, Serialize)]
pub struct FailedTask {
    pub task: TaskName,
    pub failure: Failure,
    /// Why it ran.
    pub reasons: Vec<MissReason>,
    pub took_us: u64,
    pub attempts: u32,
    /// The end of what it wrote.
    pub output: String,
    /// The tasks that were skipped because of it.
    pub skipped: usize,
}

/// A task that took long.
#[derive(Debug, Serialize)]
pub struct SlowTask {
    pub task: TaskName,
    pub took_us: u64,
    pub reasons: Vec<MissReason>,
}

/// The run that is meant.
pub fn show_run(which: Option<&str>, config: &Config) -> Result<RunReport, Error> {
    let found = find::one(&Home::new(None), which, config)?;
    let mut account = Account::default();
    let (_, odd) = read(&found.path, |event| {
        account.fold(&event);
        true
    })?;
    let beginning = account.beginning.clone().unwrap_or_default();
    let slowest = account.most(TaskAccount::has_run, TaskAccount::command_us);
    let slowest = slowest.into_iter().take(SLOWEST).map(|(task, of)| SlowTask {
        task: task.clone(),
        took_us: of.command_us(),
        reasons: of.reasons.clone(),
    });
    Ok(RunReport {
        version: beginning.version,
        project: beginning.project,
        jobs: beginning.jobs,
        settings: found.header.settings,
        failed: failed(&account),
        unfinished: unfinished(&account),
        skipped: account.tasks.values().filter(|task| task.skipped.is_some()).count(),
        slowest: slowest.collect(),
        critical_path: critical_path(&account),
        cache: account.costs(),
        odd,
        missing_events: account.missing,
        head: found.head,
    })
}

/// The tasks that failed, in the order in which they did.
fn failed(account: &Account) -> Vec<FailedTask> {
    let tasks = account.ended.iter().filter_map(|name| Some((name, account.tasks.get(name)?)));
    let failed = tasks.filter_map(|(name, task)| {
        let Some(Outcome::Failed { failure }) = &task.outcome else { return None };
        let because = SkipReason::DependencyFailed { task: name.clone() };
        let skipped = account.tasks.values().filter(|task| task.skipped.as_ref() == Some(&because));
        Some(FailedTask {
            task: name.clone(),
            failure: failure.clone(),
            reasons: task.reasons.clone(),
            took_us: task.command_us(),
            attempts: task.usage.attempts,
            output: task.output.as_ref().map(end_of).unwrap_or_default(),
            skipped: skipped.count(),
        })
    });
    failed.collect()
}

fn unfinished(account: &Account) -> Vec<TaskName> {
    let open = account.tasks.iter().filter(|(_, task)| task.started && task.outcome.is_none());
    let mut names: Vec<_> = open.map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    names
}

/// The last lines of what a task wrote.
fn end_of(output: &Output) -> String {
    let text = match output {
        Output::Bytes(bytes) => String::from_utf8_lossy(bytes),
        Output::Clipped { begin, end, .. } if end.is_empty() => begin.into(),
        Output::Clipped { end, .. } => end.into(),
        Output::File { .. } => return String::new(),
    };
    let from = text.ceil_char_boundary(text.len().saturating_sub(END_BYTES));
    let lines: Vec<&str> = text[from..].lines().collect();
    lines[lines.len().saturating_sub(END_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_output_is_its_last_lines() {
        let output = |text: &str| Output::Bytes(text.as_bytes().into());
        assert_eq!(end_of(&output("a\nb\n")), "a\nb");
        let long: String = (0..100).map(|n| format!("{n}\n")).collect();
        let end = end_of(&output(&long));
        assert_eq!((end.lines().count(), end.lines().next_back()), (END_LINES, Some("99")));
        assert_eq!(end_of(&output(&"é".repeat(10_000))).len(), END_BYTES);
    }
}
