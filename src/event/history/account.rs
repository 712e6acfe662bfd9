//! The account of one run: its tasks and figures, whether it came to its end or not.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::{Turn, Work};
use crate::base::{Digest, TaskName};
use crate::event::{
    Event, HitSource, MissReason, Outcome, Output, SkipReason, Stamped, Summary, Tally, Usage,
};

/// How a run began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beginning {
    pub time_ns: i64,
    pub version: String,
    pub manifest: String,
    pub project: String,
    pub jobs: usize,
    pub targets: Vec<String>,
    pub force: bool,
}

/// A result that was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub from: HitSource,
    pub saved_ms: u64,
    /// How many files were put right, and what that took.
    pub restored: usize,
    pub restore_us: u64,
}

/// What is known of one task.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskAccount {
    /// The task whose end made this one ready; none: nothing was waited for.
    pub after: Option<TaskName>,
    pub queued_ns: i64,
    pub turn: Option<Turn>,
    /// None: it did not end.
    pub outcome: Option<Outcome>,
    pub skipped: Option<SkipReason>,
    pub usage: Usage,
    /// Why it ran.
    pub reasons: Vec<MissReason>,
    pub key: Option<Digest>,
    pub hit: Option<Hit>,
    /// Whether its command was started.
    pub started: bool,
    pub retries: u32,
    /// What a task wrote that failed or did not end.
    pub output: Option<Output>,
}

impl TaskAccount {
    pub fn is_executed(&self) -> bool {
        self.outcome == Some(Outcome::Executed)
    }

    pub fn is_failed(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Failed { .. }))
    }

    /// Whether its command ran to an end, good or bad.
    pub fn has_run(&self) -> bool {
        self.started && (self.is_executed() || self.is_failed())
    }

    /// How long it had its slot and went on; where that was not measured, what its command took.
    pub fn busy_us(&self) -> u64 {
        let Some(turn) = &self.turn else { return self.usage.duration_ms.saturating_mul(1000) };
        turn.took_us.saturating_sub(self.held_us())
    }

    /// How long it had its slot and waited in it: for what a limit holds back, for another run, or
    /// before another attempt.
    pub fn held_us(&self) -> u64 {
        self.spent_us(Work::Wait).saturating_add(self.spent_us(Work::Pause))
    }

    /// How long it was ready and had no slot.
    pub fn waited_us(&self) -> u64 {
        let began = self.turn.as_ref().map_or(self.queued_ns, |turn| turn.began_ns);
        u64::try_from((began - self.queued_ns) / 1000).unwrap_or(0)
    }

    /// What its command took, as exactly as it is known.
    pub fn command_us(&self) -> u64 {
        let measured = self.spent_us(Work::Command);
        if measured > 0 { measured } else { self.usage.duration_ms.saturating_mul(1000) }
    }

    pub fn spent_us(&self, work: Work) -> u64 {
        self.turn.as_ref().map_or(0, |turn| turn.spent_us(work))
    }
}

/// What the cache was asked in a run, what that cost and what it saved.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Costs {
    pub hits: usize,
    pub misses: usize,
    /// From 0 to 1.
    pub hit_rate: f64,
    pub saved_ms: u64,
    /// The times of all tasks together.
    pub key_us: u64,
    pub lookup_us: u64,
    pub restore_us: u64,
    pub store_us: u64,
}

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub run: String,
    pub beginning: Option<Beginning>,
    /// Those that were told of by name; what was up to date from the start is not.
    pub tasks: HashMap<TaskName, TaskAccount>,
    /// In the order in which they ended.
    pub ended: Vec<TaskName>,
    /// Of a run that came to its end.
    pub end: Option<Summary>,
    /// Events that were stamped and are not here.
    pub missing: u64,
    tally: Tally,
    last: Option<(u64, i64)>,
}

impl Account {
    /// Takes one event into account, in the order of the stream.
    pub fn fold(&mut self, stamped: &Stamped) {
        self.tally.fold(stamped);
        let (seq, time_ns) = (stamped.seq, stamped.time_ns);
        let before = self.last.map_or(0, |(seq, _)| seq);
        self.missing += seq.saturating_sub(before + 1);
        self.last = Some((seq, time_ns));
        if self.run.is_empty() {
            self.run.clone_from(&stamped.run);
        }
        match &stamped.event {
            Event::RunStarted { version, manifest, project, jobs, targets, force, .. } => {
                self.beginning = Some(Beginning {
                    time_ns,
                    version: version.clone(),
                    manifest: manifest.clone(),
                    project: project.clone(),
                    jobs: *jobs,
                    targets: targets.clone(),
                    force: *force,
                });
            }
            Event::RunFinished { summary } => self.end = Some(summary.clone()),
            event => {
                if let Some(name) = event.task() {
                    self.task(name, event, time_ns);
                }
            }
        }
    }

    fn task(&mut self, name: &TaskName, event: &Event, time_ns: i64) {
        let task = self.tasks.entry(name.clone()).or_default();
        match event {
            Event::TaskQueued { after, .. } => {
                task.queued_ns = time_ns;
                task.after.clone_from(after);
            }
            Event::CacheHit { key, from, saved_ms, restored, restore_us, .. } => {
                task.key = Some(*key);
                let (saved_ms, restored, restore_us) = (*saved_ms, *restored, *restore_us);
                task.hit = Some(Hit { from: from.clone(), saved_ms, restored, restore_us });
            }
            Event::CacheMiss { key, reasons, .. } => {
                task.key = Some(*key);
                task.reasons.clone_from(reasons);
            }
            Event::TaskStarted { .. } => task.started = true,
            Event::TaskOutput { output, replayed: false, .. } => {
                task.output = Some(output.clone());
            }
            Event::TaskRetrying { .. } => task.retries += 1,
            Event::TaskTimed { turn, .. } => task.turn = Some(turn.clone()),
            Event::TaskFinished { outcome, usage, reasons, .. } => {
                task.outcome = Some(outcome.clone());
                task.usage = *usage;
                if !reasons.is_empty() {
                    task.reasons.clone_from(reasons);
                }
                if !task.is_failed() {
                    task.output = None;
                }
                self.ended.push(name.clone());
            }
            Event::TaskSkipped { because, .. } => task.skipped = Some(because.clone()),
            _ => {}
        }
    }

    /// The totals: those that the run gave at its end, or else what it had done when it ended.
    pub fn summary(&self) -> Summary {
        self.end.clone().unwrap_or_else(|| {
            let began_ns = self.beginning.as_ref().map_or(0, |beginning| beginning.time_ns);
            let last_ns = self.last.map_or(began_ns, |(_, time_ns)| time_ns);
            let elapsed = u64::try_from(last_ns - began_ns).unwrap_or(0);
            self.tally.summary(Duration::from_nanos(elapsed))
        })
    }

    /// The tasks for which `which` holds, those that `measure` gives most first.
    pub fn most(
        &self,
        which: impl Fn(&TaskAccount) -> bool,
        measure: impl Fn(&TaskAccount) -> u64,
    ) -> Vec<(&TaskName, &TaskAccount)> {
        let mut found: Vec<_> = self.tasks.iter().filter(|(_, task)| which(task)).collect();
        found.sort_by(|(a_name, a), (b_name, b)| {
            measure(b).cmp(&measure(a)).then_with(|| a_name.cmp(b_name))
        });
        found
    }

    pub fn costs(&self) -> Costs {
        let summary = self.summary();
        let spent = |work| self.tasks.values().map(|task| task.spent_us(work)).sum();
        Costs {
            hits: summary.cache_hits,
            misses: summary.cache_misses,
            hit_rate: summary.hit_ratio(),
            saved_ms: summary.saved_ms,
            key_us: spent(Work::Key),
            lookup_us: spent(Work::Lookup),
            restore_us: spent(Work::Restore),
            store_us: spent(Work::Store),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::{Failure, Span};

    pub(crate) fn name(text: &str) -> TaskName {
        TaskName::parse(text).expect("a good name")
    }

    /// A run made by hand: times in milliseconds.
    #[derive(Default)]
    pub(crate) struct Tale {
        pub(crate) account: Account,
        seq: u64,
    }

    impl Tale {
        pub(crate) fn tell(&mut self, ms: i64, event: Event) -> &mut Self {
            self.seq += 1;
            let (seq, time_ns) = (self.seq, ms * 1_000_000);
            self.account.fold(&Stamped { seq, time_ns, run: "r".into(), event });
            self
        }

        pub(crate) fn queued(&mut self, ms: i64, task: &str, after: Option<&str>) -> &mut Self {
            self.tell(ms, Event::TaskQueued { task: name(task), after: after.map(name) })
        }

        /// A task that had slot 0 in this time and whose command took all but `store` of it.
        pub(crate) fn ran(&mut self, task: &str, times: (i64, i64), store: u64) -> &mut Self {
            self.ended(task, times, store, Outcome::Executed)
        }

        pub(crate) fn ended(
            &mut self,
            task: &str,
            (begin, end): (i64, i64),
            store: u64,
            outcome: Outcome,
        ) -> &mut Self {
            let took = u64::try_from(end - begin).expect("it ends after its beginning");
            let command = took - store;
            let spans = vec![
                Span { work: Work::Command, at_us: 0, took_us: command * 1000 },
                Span { work: Work::Store, at_us: command * 1000, took_us: store * 1000 },
            ];
            let began_ns = begin * 1_000_000;
            let turn = Turn { slot: 0, began_ns, took_us: took * 1000, spans };
            let (key, reasons) = (Digest::of(b"k"), vec![MissReason::NoRecord]);
            let usage = Usage { duration_ms: command, attempts: 1, ..Usage::default() };
            let task = || name(task);
            let command = String::new();
            self.tell(begin, Event::CacheMiss { task: task(), key, reasons: reasons.clone() });
            self.tell(begin, Event::TaskStarted { task: task(), attempt: 1, command });
            self.tell(end, Event::TaskTimed { task: task(), turn });
            self.tell(end, Event::TaskFinished { task: task(), outcome, usage, reasons })
        }

        /// A task that had its slot in this time and waited in it but for the last `command`.
        pub(crate) fn held(
            &mut self,
            task: &str,
            (begin, end): (i64, i64),
            command: u64,
        ) -> &mut Self {
            let took = u64::try_from(end - begin).expect("it ends after its beginning") * 1000;
            let half = (took - command * 1000) / 2;
            let spans = vec![
                Span { work: Work::Wait, at_us: 0, took_us: half },
                Span { work: Work::Pause, at_us: half, took_us: half },
                Span { work: Work::Command, at_us: 2 * half, took_us: command * 1000 },
            ];
            let turn = Turn { slot: 1, began_ns: begin * 1_000_000, took_us: took, spans };
            let usage = Usage { duration_ms: command, attempts: 2, ..Usage::default() };
            let (outcome, reasons) = (Outcome::Executed, Vec::new());
            self.tell(end, Event::TaskTimed { task: name(task), turn });
            self.tell(end, Event::TaskFinished { task: name(task), outcome, usage, reasons })
        }

        /// A task that was taken from the cache, which took all of this time.
        pub(crate) fn restored(
            &mut self,
            task: &str,
            (begin, end): (i64, i64),
            saved_ms: u64,
        ) -> &mut Self {
            let took_us = u64::try_from(end - begin).expect("it ends after its beginning") * 1000;
            let spans = vec![Span { work: Work::Restore, at_us: 0, took_us }];
            let turn = Turn { slot: 0, began_ns: begin * 1_000_000, took_us, spans };
            let (from, restored, restore_us) = (HitSource::Local, 1, took_us);
            let (key, task) = (Digest::of(b"k"), || name(task));
            self.tell(
                end,
                Event::CacheHit { task: task(), key, from, saved_ms, restored, restore_us },
            );
            self.tell(end, Event::TaskTimed { task: task(), turn });
            let (outcome, usage, reasons) = (Outcome::Cached, Usage::default(), Vec::new());
            self.tell(end, Event::TaskFinished { task: task(), outcome, usage, reasons })
        }

        pub(crate) fn failed(&mut self, task: &str, times: (i64, i64)) -> &mut Self {
            let failure = Failure::Exit { code: 1, withheld: Vec::new() };
            self.ended(task, times, 0, Outcome::Failed { failure })
        }
    }

    #[test]
    fn a_task_is_known_by_what_was_told_of_it() {
        let mut tale = Tale::default();
        tale.queued(0, "a", None).queued(0, "b", None).ran("a", (2, 10), 3).failed("b", (10, 12));
        let account = &tale.account;
        let (a, b) = (&account.tasks[&name("a")], &account.tasks[&name("b")]);
        assert!(a.is_executed() && a.has_run() && !a.is_failed());
        assert_eq!((a.busy_us(), a.waited_us(), a.command_us()), (8000, 2000, 5000));
        assert_eq!(a.reasons, [MissReason::NoRecord]);
        assert!(b.is_failed() && b.has_run());
        let slowest = account.most(TaskAccount::has_run, TaskAccount::command_us);
        assert_eq!(slowest.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(account.costs().store_us, 3000);
        assert_eq!((account.costs().hits, account.costs().misses), (0, 2));
    }

    #[test]
    fn a_run_without_an_end_has_the_figures_of_what_it_did() {
        let mut tale = Tale::default();
        tale.queued(5, "a", None).ran("a", (5, 30), 0).queued(30, "b", Some("a"));
        assert_eq!(tale.account.end, None);
        assert_eq!((tale.account.summary().executed, tale.account.summary().elapsed_ms), (1, 30));
        let summary = Summary { executed: 7, ..Summary::default() };
        tale.tell(40, Event::RunFinished { summary });
        assert_eq!(tale.account.summary().executed, 7);
        assert_eq!(tale.account.tasks[&name("b")].outcome, None);
    }

    #[test]
    fn events_that_are_not_there_are_counted() {
        let mut tale = Tale::default();
        tale.queued(0, "a", None);
        tale.seq += 3;
        tale.queued(0, "b", None);
        assert_eq!(tale.account.missing, 3);
    }
}
