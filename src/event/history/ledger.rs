//! What caching each task cost and saved, over several runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Account, Work};
use crate::base::TaskName;
use crate::event::MissReason;

/// The sums of several runs.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    runs: usize,
    hits: usize,
    misses: usize,
    tasks: BTreeMap<TaskName, Sums>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// How often its command ran, and how long.
    ran: u64,
    ran_us: u64,
    stored: u64,
    store_us: u64,
    restored: u64,
    restore_us: u64,
    hits: usize,
    saved_ms: u64,
}

/// What caching a task costs and saves, on average; none: it was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskCosts {
    pub task: TaskName,
    /// Times that its result was there already, and what running it would have taken together.
    pub hits: usize,
    pub saved_ms: u64,
    pub run_us: Option<u64>,
    pub store_us: Option<u64>,
    pub restore_us: Option<u64>,
}

impl TaskCosts {
    /// What storing and restoring it once takes longer than running it; none where that is not
    /// so, or not known.
    pub fn loss_us(&self) -> Option<u64> {
        let cost = match (self.store_us, self.restore_us) {
            (None, None) => return None,
            (store, restore) => store.unwrap_or(0).saturating_add(restore.unwrap_or(0)),
        };
        cost.checked_sub(self.run_us?).filter(|loss| *loss > 0)
    }
}

impl Ledger {
    /// Takes a run in.
    pub fn add(&mut self, account: &Account) {
        let summary = account.summary();
        self.runs += 1;
        self.hits += summary.cache_hits;
        self.misses += summary.cache_misses;
        for (name, task) in &account.tasks {
            // What is never kept costs nothing to keep.
            if task.reasons.contains(&MissReason::CacheOff) {
                continue;
            }
            let sums = self.tasks.entry(name.clone()).or_default();
            if task.is_executed() && task.started {
                sums.ran += 1;
                sums.ran_us += task.command_us();
                let store_us = task.spent_us(Work::Store);
                sums.stored += u64::from(store_us > 0);
                sums.store_us += store_us;
            }
            if let Some(hit) = &task.hit {
                sums.hits += 1;
                sums.saved_ms += hit.saved_ms;
                if hit.restored > 0 {
                    sums.restored += 1;
                    sums.restore_us += hit.restore_us;
                }
            }
        }
    }

    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Hits of all that was asked of the cache, from 0 to 1; none: nothing was.
    pub fn hit_rate(&self) -> Option<f64> {
        let asked = self.hits + self.misses;
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }

    /// Every task that was asked for, by name.
    fn costs(&self) -> impl Iterator<Item = TaskCosts> {
        let mean = |sum: u64, count: u64| sum.checked_div(count);
        self.tasks.iter().map(move |(name, sums)| TaskCosts {
            task: name.clone(),
            hits: sums.hits,
            saved_ms: sums.saved_ms,
            run_us: mean(sums.ran_us, sums.ran)
                .or_else(|| mean(sums.saved_ms.saturating_mul(1000), sums.hits as u64)),
            store_us: mean(sums.store_us, sums.stored),
            restore_us: mean(sums.restore_us, sums.restored),
        })
    }

    /// The tasks whose results saved time, those that saved most first.
    pub fn savers(&self) -> Vec<TaskCosts> {
        let mut found: Vec<_> = self.costs().filter(|costs| costs.saved_ms > 0).collect();
        found.sort_by(|a, b| b.saved_ms.cmp(&a.saved_ms).then_with(|| a.task.cmp(&b.task)));
        found
    }

    /// The tasks that take longer to store and restore than to run, the greatest loss first.
    pub fn losers(&self) -> Vec<TaskCosts> {
        let mut found: Vec<_> = self.costs().filter(|costs| costs.loss_us().is_some()).collect();
        found.sort_by(|a, b| b.loss_us().cmp(&a.loss_us()).then_with(|| a.task.cmp(&b.task)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::Tale;
    use super::*;

    #[test]
    fn a_task_that_costs_more_than_it_saves_is_found_and_no_other() {
        let mut first = Tale::default();
        // `dear` runs for 2 ms and is stored in 6, `worth` for 90 and 10.
        first.ran("dear", (0, 8), 6).ran("worth", (8, 108), 10).ran("plain", (108, 118), 0);
        let mut second = Tale::default();
        second.restored("dear", (0, 1), 2).restored("worth", (1, 5), 90);
        let mut ledger = Ledger::default();
        ledger.add(&first.account);
        ledger.add(&second.account);
        assert_eq!((ledger.runs(), ledger.hit_rate()), (2, Some(0.4)));
        let losers = ledger.losers();
        assert_eq!(losers.len(), 1, "{losers:?}");
        assert_eq!((losers[0].task.as_str(), losers[0].loss_us()), ("dear", Some(5000)));
        assert_eq!((losers[0].store_us, losers[0].restore_us), (Some(6000), Some(1000)));
        let savers = ledger.savers();
        let saved: Vec<_> = savers.iter().map(|one| (one.task.as_str(), one.saved_ms)).collect();
        assert_eq!(saved, [("worth", 90), ("dear", 2)]);
    }

    #[test]
    fn of_what_is_not_known_nothing_is_said() {
        let mut tale = Tale::default();
        tale.ran("a", (0, 10), 0);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.hit_rate(), None);
        ledger.add(&tale.account);
        assert_eq!(ledger.losers(), []);
        assert_eq!(ledger.savers(), []);
    }
}
