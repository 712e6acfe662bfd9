//! Which runs there are, and which of them a word means.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::{clock, fs};
use crate::config::Config;
use crate::event::{Account, Event, Stamped, Summary};
use crate::home::{Holding, Home};
use crate::observe::{Header, Tail, read, run_of, tail};
use crate::ops::types::Error;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Succeeded,
    Failed,
    Interrupted,
    /// It goes on.
    Running,
    /// It was killed, or the machine went down, or the journal could not be written on.
    DidNotEnd,
}

/// A run in a list.
#[derive(Debug, Clone, Serialize)]
pub struct RunHead {
    pub id: String,
    /// When it began, as `2026-11-25T18:01:02Z`.
    pub started: String,
    pub state: RunState,
    pub manifest: String,
    pub targets: Vec<String>,
    /// The command line, without secrets.
    pub command: String,
    /// Of a run that has not ended, what is known of it.
    pub summary: Summary,
}

/// The runs that are known.
#[derive(Debug, Serialize)]
pub struct RunList {
    /// The newest first.
    pub runs: Vec<RunHead>,
    /// Journals that could not be read, a sentence each.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// A run with its journal.
#[derive(Debug)]
pub(super) struct Found {
    pub head: RunHead,
    pub header: Header,
    pub path: PathBuf,
    time_ns: i64,
}

impl Found {
    fn new(id: &str, path: PathBuf, ends: Tail, at_work: Option<u32>) -> Self {
        let Tail { header, beginning: Stamped { time_ns, event, .. }, end } = ends;
        let (manifest, targets) = match event {
            Event::RunStarted { manifest, targets, .. } => (manifest, targets),
            _ => Default::default(),
        };
        let state = match &end {
            Some(Summary { interrupted: Some(_), .. }) => RunState::Interrupted,
            Some(summary) if summary.is_good() => RunState::Succeeded,
            Some(_) => RunState::Failed,
            None if at_work == Some(header.pid) => RunState::Running,
            None => RunState::DidNotEnd,
        };
        let head = RunHead {
            id: id.to_owned(),
            started: clock::rfc3339(time_ns),
            state,
            manifest,
            targets,
            command: header.command.clone(),
            summary: end.unwrap_or_else(|| counted(&path)),
        };
        Self { head, header, path, time_ns }
    }
}

/// The figures of a run that gave none, from its events.
fn counted(path: &Path) -> Summary {
    let mut account = Account::default();
    // What cannot be read to its end is known up to there.
    let _ = read(path, |event| {
        account.fold(&event);
        true
    });
    account.summary()
}

/// All runs, the newest first, and what could not be read.
pub(super) fn all(home: &Home) -> Result<(Vec<Found>, Vec<String>), Error> {
    let folder = home.runs();
    let at_work = match home.holder() {
        Ok(Holding::Held(Some(holder))) => Some(holder.pid),
        _ => None,
    };
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for name in fs::names(&folder)? {
        let Some(id) = run_of(&name) else { continue };
        let path = folder.join(&name);
        match tail(&path) {
            Ok(Some(ends)) => found.push(Found::new(id, path, ends, at_work)),
            Ok(None) => problems.push(format!(
                "`{}` does not say how its run began; it is left out, and can be removed",
                path.display()
            )),
            Err(error) => problems.push(format!("{error}: {}", error.source)),
        }
    }
    found.sort_by(|a, b| (b.time_ns, &b.head.id).cmp(&(a.time_ns, &a.head.id)));
    Ok((found, problems))
}

/// The run that a word means: `last`, `last~2`, or the beginning of its name. Nothing is `last`.
pub(super) fn one(home: &Home, which: Option<&str>, config: &Config) -> Result<Found, Error> {
    let which = which.unwrap_or("last");
    let (mut runs, _) = all(home)?;
    if runs.is_empty() {
        let help = if config.history.keep_runs == 0 {
            "set `history.keep_runs` to more than 0: it says how many runs are remembered"
        } else {
            "a run is remembered from now on that has something to do"
        };
        let message = "no run is known in this project".to_owned();
        return Err(Error::NoRun { message, help: vec![help.to_owned()] });
    }
    let known = runs.len();
    let at = match back(which) {
        Some(number) if number < known => Ok(number),
        Some(_) => Err(format!("there is no run `{which}`: {known} are known")),
        None => by_name(which, &runs),
    };
    match at {
        Ok(at) => Ok(runs.swap_remove(at)),
        Err(message) => {
            let help = "`reprovm runs list` names the runs; the beginning of a name is enough, \
                        and `last~1` is the last but one";
            Err(Error::NoRun { message, help: vec![help.to_owned()] })
        }
    }
}

/// How many runs before the last one `last~2` is.
fn back(which: &str) -> Option<usize> {
    match which.strip_prefix("last")? {
        "" => Some(0),
        rest => rest.strip_prefix('~')?.parse().ok(),
    }
}

fn by_name(which: &str, runs: &[Found]) -> Result<usize, String> {
    let matching: Vec<usize> = runs
        .iter()
        .enumerate()
        .filter(|(_, run)| !which.is_empty() && run.head.id.starts_with(which))
        .map(|(at, _)| at)
        .collect();
    match matching[..] {
        [at] => Ok(at),
        [] => Err(format!("there is no run `{which}`")),
        _ => {
            let names: Vec<_> =
                matching.iter().map(|at| format!("`{}`", runs[*at].head.id)).collect();
            Err(format!("`{which}` is the beginning of several runs: {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_runs_are_understood() {
        assert_eq!(back("last"), Some(0));
        assert_eq!(back("last~12"), Some(12));
        for other in ["last~", "last~x", "last1", "la", ""] {
            assert_eq!(back(other), None, "{other}");
        }
    }
}
