//! How one run differs from another: the pace of the tasks that both ran, and what only the later
//! one ran or failed.

use serde::Serialize;

use super::{Account, TaskAccount};
use crate::base::TaskName;
use crate::event::MissReason;

/// What is shorter than this is chance.
const LEAST_US: u64 = 10_000;

/// A task that both runs ran, at another pace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pace {
    pub task: TaskName,
    pub before_us: u64,
    pub after_us: u64,
}

impl Pace {
    fn difference(&self) -> u64 {
        self.before_us.abs_diff(self.after_us)
    }

    /// More than chance: a tenth of the longer time, and 10 ms.
    fn is_real(&self) -> bool {
        let longer = self.before_us.max(self.after_us);
        self.difference() >= LEAST_US.max(longer / 10)
    }
}

/// A task that only the second run ran, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newly {
    pub task: TaskName,
    pub reasons: Vec<MissReason>,
    pub took_us: u64,
}

/// All differences; the largest of each kind first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Comparison {
    pub slower: Vec<Pace>,
    pub faster: Vec<Pace>,
    pub newly_run: Vec<Newly>,
    /// By name.
    pub newly_failed: Vec<TaskName>,
    /// Failed in the first run and not in the second.
    pub mended: Vec<TaskName>,
}

/// What is other in `after` than in `before`.
pub fn compare(before: &Account, after: &Account) -> Comparison {
    let mut found = Comparison::default();
    for (name, task) in after.most(TaskAccount::has_run, TaskAccount::command_us) {
        let earlier = before.tasks.get(name).filter(|task| task.has_run());
        let took_us = task.command_us();
        let Some(earlier) = earlier else {
            let (task, reasons) = (name.clone(), task.reasons.clone());
            found.newly_run.push(Newly { task, reasons, took_us });
            continue;
        };
        let pace = Pace { task: name.clone(), before_us: earlier.command_us(), after_us: took_us };
        // A command that failed may have ended anywhere.
        if earlier.is_executed() && task.is_executed() && pace.is_real() {
            let slower = pace.after_us > pace.before_us;
            if slower { &mut found.slower } else { &mut found.faster }.push(pace);
        }
    }
    for paces in [&mut found.slower, &mut found.faster] {
        paces.sort_by_key(|pace| std::cmp::Reverse(pace.difference()));
    }
    found.newly_failed = only_failed(after, before);
    found.mended = only_failed(before, after);
    found
}

/// The tasks that failed in the first of the two, and not in the second.
fn only_failed(here: &Account, there: &Account) -> Vec<TaskName> {
    let failed_there = |name: &TaskName| there.tasks.get(name).is_some_and(TaskAccount::is_failed);
    let failed = here.tasks.iter().filter(|(name, task)| task.is_failed() && !failed_there(name));
    let mut names: Vec<_> = failed.map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::{Tale, name};
    use super::*;

    #[test]
    fn each_difference_is_of_its_kind() {
        let mut before = Tale::default();
        before.ran("slow", (0, 100), 0).ran("fast", (0, 100), 0).ran("same", (0, 100), 0);
        before.failed("mended", (0, 5)).restored("new", (0, 1), 30);
        let mut after = Tale::default();
        after.ran("slow", (0, 150), 0).ran("fast", (0, 20), 0).ran("same", (0, 105), 0);
        after.ran("mended", (0, 500), 0).ran("new", (0, 30), 0).failed("broken", (0, 2));
        let found = compare(&before.account, &after.account);
        let paces = |all: &[Pace]| -> Vec<(String, u64, u64)> {
            all.iter().map(|pace| (pace.task.to_string(), pace.before_us, pace.after_us)).collect()
        };
        assert_eq!(paces(&found.slower), [("slow".to_owned(), 100_000, 150_000)]);
        assert_eq!(paces(&found.faster), [("fast".to_owned(), 100_000, 20_000)]);
        let newly: Vec<_> = found.newly_run.iter().map(|one| one.task.as_str()).collect();
        assert_eq!(newly, ["new", "broken"]);
        assert_eq!(found.newly_run[0].reasons, [MissReason::NoRecord]);
        assert_eq!(found.newly_failed, [name("broken")]);
        assert_eq!(found.mended, [name("mended")]);
    }

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let mut tale = Tale::default();
        tale.ran("a", (0, 100), 0).failed("b", (0, 5));
        assert_eq!(compare(&tale.account, &tale.account), Comparison::default());
    }
}
