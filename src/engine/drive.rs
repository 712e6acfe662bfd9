//! The loop that owns the schedule: gives ready tasks to the pool, takes their ends and the
//! signals in, and says when what runs has to stop.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};

use super::attempt::Alarm;
use super::schedule::{End, Schedule, Setup, Skip};
use super::settle::Settled;
use super::signals::Ears;
use super::task::Worker;
use super::{Bench, EngineError};
use crate::base::{Cancel, CancelLevel, clock};
use crate::cache::state::{Phase, TaskRow};
use crate::event::Event;
use crate::exec::Runner;
use crate::graph::{TaskId, ids};

/// What the loop hears.
#[derive(Debug)]
pub(super) enum Message {
    Ended(TaskId, End),
    Signal(i32),
    /// A thread of the pool panicked.
    Crashed,
}

/// Hears the ends of tasks, and the signals that ask the run to stop: these from its making on,
/// until it is dropped, so that none ends the process before its state is saved.
#[derive(Debug)]
pub struct Inbox {
    sender: Sender<Message>,
    inbox: Receiver<Message>,
    _ears: Ears,
}

impl Inbox {
    pub fn open() -> Result<Self, EngineError> {
        let (sender, inbox) = mpsc::channel();
        let ears = Ears::listen(sender.clone())
            .map_err(|source| EngineError { what: "listen for signals", source })?;
        Ok(Self { sender, inbox, _ears: ears })
    }
}

/// Runs what is not settled. Returns when all of it is over.
pub fn execute(
    bench: &Bench<'_>,
    settled: &Settled,
    runner: Runner,
    inbox: &Inbox,
) -> Result<(), EngineError> {
    let trouble = |what| move |source| EngineError { what, source };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(bench.options.jobs)
        .thread_name(|at| format!("task-{at}"))
        .build()
        .map_err(|error| {
            trouble("start the threads that run tasks")(std::io::Error::other(error))
        })?;
    let alarm = Alarm::default();
    let worker = Worker { bench, runner: &runner, alarm: &alarm };
    let earlier = durations(bench);
    let durations: Vec<u64> = earlier.iter().map(|took| took.unwrap_or(0)).collect();
    let pools: Vec<Option<u32>> = bench.plan.manifest.tasks.iter().map(|task| task.pool).collect();
    let depths: Vec<u32> = bench.plan.manifest.pools.iter().map(|pool| pool.depth).collect();
    let open: Vec<bool> = ids(bench.plan.graph.len())
        .map(|id| bench.plan.needed[id.index()] && !settled.is_settled[id.index()])
        .collect();
    expect(bench, &open, &earlier);
    let schedule = Schedule::new(&Setup {
        graph: bench.plan.graph,
        open: &open,
        durations: &durations,
        pools: &pools,
        depths: &depths,
        jobs: bench.options.jobs,
        fail_fast: bench.options.fail_fast,
    });
    let mut driver = Driver { worker, schedule, cancel: Cancel::new(), inbox: &inbox.inbox };
    pool.in_place_scope(|scope| driver.drive(scope, &inbox.sender));
    drop(pool);
    runner.finish();
    Ok(())
}

/// What each task took when it last ran here; to group others takes nothing.
fn durations(bench: &Bench<'_>) -> Vec<Option<u64>> {
    let tasks = &bench.plan.manifest.tasks;
    let duration = |row: Option<&TaskRow>| {
        // A row without both is of a task that never got to its end.
        row.filter(|row| row.phase == Phase::Done || row.duration_ms > 0).map(|row| row.duration_ms)
    };
    tasks
        .iter()
        .map(|task| match task.command {
            Some(_) => bench.state.with_row(&task.name, duration),
            None => Some(0),
        })
        .collect()
}

/// Tells what the open tasks took earlier.
fn expect(bench: &Bench<'_>, open: &[bool], earlier: &[Option<u64>]) {
    let tasks = &bench.plan.manifest.tasks;
    let known = tasks.iter().zip(open).zip(earlier).filter(|((_, open), _)| **open);
    let durations_ms: BTreeMap<_, _> =
        known.filter_map(|((task, _), took)| Some((task.name.clone(), (*took)?))).collect();
    if !durations_ms.is_empty() {
        bench.emitter.emit(Event::TasksExpected { durations_ms });
    }
}

struct Driver<'a> {
    worker: Worker<'a>,
    schedule: Schedule<'a>,
    cancel: Cancel,
    inbox: &'a Receiver<Message>,
}

impl<'a> Driver<'a> {
    fn drive(&mut self, scope: &rayon::Scope<'a>, sender: &Sender<Message>) {
        // The scope waits for its threads also where this one panics.
        let _end_all = EndAll(self.worker);
        self.queued(&self.schedule.ready(), None);
        while !self.schedule.is_done() {
            while let Some(id) = self.schedule.start_next() {
                let worker = self.worker;
                let report = Report { id, end: End::Bad, to: sender.clone() };
                scope.spawn(move |_| {
                    // All of it moves in, so that it reports when the work is over.
                    let mut report = report;
                    let slot = rayon::current_thread_index().unwrap_or(0);
                    report.end = worker.perform(id, slot);
                });
            }
            match self.hear() {
                Some(Message::Ended(id, end)) => self.ended(id, end),
                Some(Message::Signal(signal)) => self.signalled(signal),
                Some(Message::Crashed) => self.crashed(),
                None => {}
            }
        }
    }

    /// The next message; none where the runner wanted its turn first.
    fn hear(&self) -> Option<Message> {
        let now = clock::instant();
        match self.worker.runner.tick(now) {
            None => self.inbox.recv().ok(),
            Some(due) => self.inbox.recv_timeout(due.saturating_duration_since(now)).ok(),
        }
    }

    fn ended(&mut self, id: TaskId, end: End) {
        self.worker.bench.environment.panic_point("loop");
        let (ready, skipped) = self.schedule.finished(id, end);
        self.queued(&ready, Some(id));
        self.skipped(&skipped);
    }

    /// Tells that tasks are ready, by the end of which.
    fn queued(&self, ready: &[TaskId], after: Option<TaskId>) {
        let bench = self.worker.bench;
        let name = |id: TaskId| bench.plan.task(id).name.clone();
        for &id in ready {
            bench.emitter.emit(Event::TaskQueued { task: name(id), after: after.map(name) });
        }
    }

    fn skipped(&self, skipped: &[Skip]) {
        let bench = self.worker.bench;
        let name = |id: TaskId| bench.plan.task(id).name.clone();
        for skip in skipped {
            let because = skip.reason(name);
            bench.emitter.emit(Event::TaskSkipped { task: name(skip.task), because });
        }
    }

    /// The panic goes on in this thread when the others are done; nothing new is worth starting.
    fn crashed(&mut self) {
        self.worker.runner.cancel(CancelLevel::Now);
        self.worker.alarm.ring();
        let skipped = self.schedule.cancel();
        self.skipped(&skipped);
    }

    /// The first signal stops what can be stopped in good order, the next at once.
    fn signalled(&mut self, signal: i32) {
        self.cancel.raise();
        let level = self.cancel.level();
        self.worker.runner.cancel(level);
        self.worker.alarm.ring();
        if level == CancelLevel::Graceful {
            self.worker.bench.emitter.emit(Event::CancelRequested { signal });
            let skipped = self.schedule.cancel();
            self.skipped(&skipped);
        }
    }
}

/// Ends all tasks at once where the thread that owns the schedule panics.
struct EndAll<'a>(Worker<'a>);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.runner.cancel(CancelLevel::Now);
            self.0.alarm.ring();
        }
    }
}

/// Says how a task ended, also where its thread panicked.
struct Report {
    id: TaskId,
    end: End,
    to: Sender<Message>,
}

impl Drop for Report {
    fn drop(&mut self) {
        // The loop hears until all is over; that it is gone means that nobody wants to know.
        if std::thread::panicking() {
            let _ = self.to.send(Message::Crashed);
        }
        let _ = self.to.send(Message::Ended(self.id, self.end));
    }
}
