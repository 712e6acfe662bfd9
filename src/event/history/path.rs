//! The critical path of a run: the chain of tasks, each made ready by the end of the one before,
//! that was busy longest. With any number of jobs the run would have taken about as long.

use std::collections::HashMap;

use serde::Serialize;

use super::Account;
use crate::base::TaskName;

/// One task of the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub task: TaskName,
    /// How long it had its slot and went on.
    pub busy_us: u64,
    /// How long it was ready and had none, or waited in it.
    pub waited_us: u64,
}

/// The chain, its first task first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CriticalPath {
    pub busy_us: u64,
    pub waited_us: u64,
    pub steps: Vec<Step>,
}

/// The critical path; empty where no task had its turn.
pub fn critical_path(account: &Account) -> CriticalPath {
    // A task ends after those that it waits for, so in this order the one before is known.
    let mut lengths: HashMap<&TaskName, u64> = HashMap::new();
    let mut longest: Option<(u64, &TaskName)> = None;
    for name in &account.ended {
        let Some(task) = account.tasks.get(name) else { continue };
        let before = task.after.as_ref().and_then(|after| lengths.get(after)).copied();
        let length = before.unwrap_or(0).saturating_add(task.busy_us());
        lengths.insert(name, length);
        if longest.is_none_or(|(most, _)| length >= most) {
            longest = Some((length, name));
        }
    }
    let mut path = CriticalPath::default();
    let mut next = longest.map(|(_, name)| name);
    // What is taken is taken out, so that no foreign journal leads in a circle.
    while let Some((name, _)) = next.and_then(|name| lengths.remove_entry(name)) {
        let Some(task) = account.tasks.get(name) else { break };
        let (busy_us, waited_us) = (task.busy_us(), task.waited_us() + task.held_us());
        path.busy_us += busy_us;
        path.waited_us += waited_us;
        path.steps.push(Step { task: name.clone(), busy_us, waited_us });
        next = task.after.as_ref();
    }
    path.steps.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::Tale;
    use super::*;

    fn names(path: &CriticalPath) -> Vec<&str> {
        path.steps.iter().map(|step| step.task.as_str()).collect()
    }

    #[test]
    fn the_longest_chain_is_the_path_whatever_ends_last() {
        let mut tale = Tale::default();
        tale.queued(0, "a", None).queued(0, "alone", None);
        tale.ran("a", (0, 40), 0).queued(40, "b", Some("a")).ran("b", (45, 75), 5);
        tale.ran("alone", (40, 90), 0);
        let path = critical_path(&tale.account);
        assert_eq!(names(&path), ["a", "b"]);
        assert_eq!((path.busy_us, path.waited_us), (70_000, 5000));
        assert_eq!(path.steps[1].waited_us, 5000);
    }

    #[test]
    fn a_task_that_waits_in_its_slot_is_not_busy() {
        let mut tale = Tale::default();
        tale.queued(0, "held", None).queued(0, "works", None);
        tale.ran("works", (0, 50), 0).held("held", (10, 110), 20);
        assert_eq!(names(&critical_path(&tale.account)), ["works"]);
        tale.queued(110, "next", Some("held")).ran("next", (110, 150), 0);
        let path = critical_path(&tale.account);
        assert_eq!(names(&path), ["held", "next"]);
        assert_eq!((path.busy_us, path.waited_us), (60_000, 90_000));
    }

    #[test]
    fn restored_tasks_are_on_it_and_a_run_of_nothing_has_none() {
        let mut tale = Tale::default();
        assert_eq!(critical_path(&tale.account), CriticalPath::default());
        tale.queued(0, "a", None).restored("a", (0, 3), 100).queued(3, "b", Some("a"));
        tale.failed("b", (3, 5));
        assert_eq!(names(&critical_path(&tale.account)), ["a", "b"]);
    }

    #[test]
    fn a_journal_that_leads_in_a_circle_does_not() {
        let mut tale = Tale::default();
        tale.queued(0, "a", Some("b")).queued(0, "b", Some("a"));
        tale.ran("a", (0, 1), 0).ran("b", (1, 2), 0);
        assert_eq!(names(&critical_path(&tale.account)), ["a", "b"]);
    }
}
