//! The history: what the last runs did, read from their journals.
//!
//! Knows nothing of how a journal is written.

mod find;
mod replay;
mod report;

use std::path::PathBuf;

use serde::Serialize;

use super::types::Error;
use crate::config::Config;
use crate::event::{Account, Comparison, Costs, Ledger, TaskCosts, compare};
use crate::home::Home;
use crate::observe::read;

pub use find::{RunHead, RunList, RunState};
pub use replay::{Replayed, replay_run};
pub use report::{FailedTask, RunReport, SlowTask, show_run};

/// Over how many of the last runs the cache is judged.
const JUDGED: usize = 20;
/// How many tasks a list of what was saved or lost has at most.
const MOST_TASKS: usize = 100;

/// Where the journals of the project lie in which the process stands.
pub fn runs_dir() -> PathBuf {
    Home::new(None).runs()
}

/// The runs of the project that the process stands in, the newest first.
pub fn list_runs() -> Result<RunList, Error> {
    let (runs, problems) = find::all(&Home::new(None))?;
    Ok(RunList { runs: runs.into_iter().map(|found| found.head).collect(), problems })
}

/// Two runs side by side.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub before: RunHead,
    pub after: RunHead,
    pub costs_before: Costs,
    pub costs_after: Costs,
    #[serde(flatten)]
    pub differences: Comparison,
}

/// How the second run differs from the first.
pub fn compare_runs(before: &str, after: &str, config: &Config) -> Result<Compared, Error> {
    let home = Home::new(None);
    let load = |which| -> Result<(RunHead, Account), Error> {
        let found = find::one(&home, Some(which), config)?;
        let mut account = Account::default();
        read(&found.path, |event| {
            account.fold(&event);
            true
        })?;
        Ok((found.head, account))
    };
    let ((before, earlier), (after, later)) = (load(before)?, load(after)?);
    Ok(Compared {
        before,
        after,
        costs_before: earlier.costs(),
        costs_after: later.costs(),
        differences: compare(&earlier, &later),
    })
}

/// What the cache did in the last runs.
#[derive(Debug, Default, Serialize)]
pub struct CacheHistory {
    /// How many runs are counted: those that had something to do.
    pub runs: usize,
    /// The tasks that saved most, first.
    pub savers: Vec<TaskCosts>,
    /// The tasks that take longer to store and to restore than to run, the worst first.
    pub losers: Vec<TaskCosts>,
}

/// The cache, judged by the last runs, and before it its hit rate in them; none: it was not asked.
/// A journal that cannot be read says nothing.
pub(super) fn cache_history(home: &Home) -> Result<(Option<f64>, CacheHistory), Error> {
    let (runs, _) = find::all(home)?;
    let mut ledger = Ledger::default();
    for found in runs.into_iter().take(JUDGED) {
        let mut account = Account::default();
        let fold = |event| {
            account.fold(&event);
            true
        };
        if read(&found.path, fold).is_ok() {
            ledger.add(&account);
        }
    }
    let (mut savers, mut losers) = (ledger.savers(), ledger.losers());
    savers.truncate(MOST_TASKS);
    losers.truncate(MOST_TASKS);
    let runs = ledger.runs();
    Ok((ledger.hit_rate(), CacheHistory { runs, savers, losers }))
}
