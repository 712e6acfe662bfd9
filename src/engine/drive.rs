//! The schedule at work: the threads of the pool take turns with it, and the loop sees to signals
//! and says when what runs has to stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::attempt::Alarm;
use super::gate::{Gate, Throttle};
use super::schedule::{End, Schedule, Setup, Skip};
use super::settle::Settled;
use super::signals::Ears;
use super::task::Worker;
use super::{Bench, EngineError};
use crate::base::{Cancel, CancelLevel, clock};
use crate::cache::state::{Phase, TaskRow};
use crate::event::{Event, Held, Limit};
use crate::exec::Runner;
use crate::graph::{TaskId, ids};

/// What the loop hears.
#[derive(Debug)]
pub(super) enum Message {
    Signal(i32),
    /// The last task has ended.
    Over,
    /// Somebody waits at the gate.
    Look,
    /// A thread of the pool panicked.
    Crashed,
}

/// Hears the end of the last task, and the signals that ask the run to stop: these from its making
/// on, until it is dropped, so that none ends the process before its state is saved.
#[derive(Debug)]
pub struct Inbox {
    sender: Sender<Message>,
    inbox: Receiver<Message>,
    interrupted: AtomicBool,
    /// Raised by whoever wants that nothing new is started.
    stop: Cancel,
    _ears: Ears,
}

impl Inbox {
    /// Once `stop` is raised nothing new is started; what runs comes to its end.
    pub fn open(stop: Cancel) -> Result<Self, EngineError> {
        let (sender, inbox) = mpsc::channel();
        let ears = Ears::listen(sender.clone())
            .map_err(|source| EngineError { what: "listen for signals", source })?;
        let interrupted = AtomicBool::new(false);
        Ok(Self { sender, inbox, interrupted, stop, _ears: ears })
    }

    /// After the run: whether a signal has come that nobody has heard yet, or the run before was
    /// ended by one.
    pub fn is_interrupted(&self) -> bool {
        let heard = self.inbox.try_iter().any(|message| matches!(message, Message::Signal(_)));
        self.interrupted.fetch_or(heard, Ordering::Relaxed) || heard
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
    let open: Vec<bool> = ids(bench.plan.graph.len())
        .map(|id| bench.plan.needed[id.index()] && !settled.is_settled[id.index()])
        .collect();
    // No more threads than there are tasks: starting one takes as long as a look at 100 files.
    let most = open.iter().filter(|open| **open).count().max(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(bench.options.jobs.min(most))
        .thread_name(|at| format!("task-{at}"))
        .build()
        .map_err(|error| {
            trouble("start the threads that run tasks")(std::io::Error::other(error))
        })?;
    let alarm = Alarm::default();
    let gate = Gate::new(bench, &runner, inbox.sender.clone());
    let throttle = Throttle::new(bench.options.limits.cache_operations, bench.emitter);
    let worker = Worker { bench, runner: &runner, alarm: &alarm, gate: &gate, throttle: &throttle };
    let earlier = durations(bench);
    let durations: Vec<u64> = earlier.iter().map(|took| took.unwrap_or(0)).collect();
    let pools: Vec<Option<u32>> = bench.plan.manifest.tasks.iter().map(|task| task.pool).collect();
    let depths: Vec<u32> = bench.plan.manifest.pools.iter().map(|pool| pool.depth).collect();
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
    let schedule = Mutex::new(schedule);
    let turns = Turns { worker, schedule, to_loop: &inbox.sender, stop: &inbox.stop };
    let mut cancel = Cancel::new();
    pool.in_place_scope(|scope| drive(scope, &turns, &mut cancel, &inbox.inbox));
    inbox.interrupted.store(cancel.is_raised(), Ordering::Relaxed);
    drop(pool);
    gate.finish();
    throttle.finish();
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

/// The loop: starts what is ready at first, then sees to signals and to what is due, until all is
/// over. The threads of the pool take turns with the schedule themselves.
fn drive<'a>(
    scope: &rayon::Scope<'a>,
    turns: &'a Turns<'a>,
    cancel: &mut Cancel,
    inbox: &Receiver<Message>,
) {
    // The scope waits for its threads also where this one panics.
    let _end_all = EndAll(turns);
    turns.begin(scope);
    let mut beat = Beat { runner: None };
    while !turns.schedule().is_done() {
        match beat.hear(turns.worker, inbox) {
            Some(Message::Signal(signal)) => turns.signalled(signal, cancel),
            // The panic goes on in this thread when the others are done.
            Some(Message::Crashed) => return turns.crashed(),
            Some(Message::Look | Message::Over) | None => {}
        }
        if turns.stop.is_raised() {
            turns.halt(&mut turns.schedule());
        }
    }
}

/// When who wants a turn of the loop has it next.
struct Beat {
    /// The gate may ask for many more, for which the runner has nothing to do.
    runner: Option<Instant>,
}

impl Beat {
    /// The next message; none where somebody wanted a turn first.
    fn hear(&mut self, worker: Worker<'_>, inbox: &Receiver<Message>) -> Option<Message> {
        let now = clock::instant();
        if self.runner.is_none_or(|due| due <= now) {
            self.runner = worker.runner.tick(now);
        }
        match [self.runner, worker.gate.look(now)].into_iter().flatten().min() {
            None => inbox.recv().ok(),
            Some(due) => inbox.recv_timeout(due.saturating_duration_since(now)).ok(),
        }
    }
}

/// The schedule, and all that is needed to act on it. Whoever ends a task takes its turn: notes
/// the end, and goes on with the task that is due, so that nobody has to be woken for it.
struct Turns<'a> {
    worker: Worker<'a>,
    schedule: Mutex<Schedule<'a>>,
    to_loop: &'a Sender<Message>,
    stop: &'a Cancel,
}

impl<'a> Turns<'a> {
    fn schedule(&self) -> MutexGuard<'_, Schedule<'a>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what can start before anything has ended.
    fn begin(&'a self, scope: &rayon::Scope<'a>) {
        let mut schedule = self.schedule();
        self.queued(&schedule.ready(), None);
        if self.stop.is_raised() {
            self.halt(&mut schedule);
        }
        while let Some(id) = schedule.start_next() {
            self.spawn(scope, id);
        }
        self.crowd(&schedule);
    }

    fn spawn(&'a self, scope: &rayon::Scope<'a>, id: TaskId) {
        scope.spawn(move |scope| {
            let _report = Report(self.to_loop);
            let slot = rayon::current_thread_index().unwrap_or(0);
            let mut next = Some(id);
            while let Some(id) = next {
                let end = self.worker.perform(id, slot);
                next = self.ended(scope, id, end);
            }
        });
    }

    /// Notes an end, and starts what it sets free; the first of it is returned, for the thread
    /// that is free now.
    fn ended(&'a self, scope: &rayon::Scope<'a>, id: TaskId, end: End) -> Option<TaskId> {
        let mut schedule = self.schedule();
        self.worker.bench.environment.panic_point("turn");
        let (ready, skipped) = schedule.finished(id, end);
        // Before the lock is given back: nobody else can have started them.
        self.queued(&ready, Some(id));
        self.skipped(&skipped);
        if end == End::Bad && self.worker.bench.options.fail_fast {
            self.worker.halt();
        }
        if self.stop.is_raised() || self.worker.gate.is_stuck() {
            self.halt(&mut schedule);
        }
        let next = schedule.start_next();
        while let Some(id) = schedule.start_next() {
            self.spawn(scope, id);
        }
        self.crowd(&schedule);
        if schedule.is_done() {
            // The loop hears until all is over.
            let _ = self.to_loop.send(Message::Over);
        }
        next
    }

    /// Tells where ready tasks wait because `max_concurrent_tasks` of them run.
    fn crowd(&self, schedule: &Schedule<'_>) {
        let Some(ceiling) = self.worker.bench.options.limits.tasks else { return };
        let measured = schedule.running() as u64;
        let is_crowded = measured >= ceiling && schedule.has_ready();
        let held = Held { limit: Limit::Tasks, measured, ceiling };
        self.worker.gate.crowd(is_crowded.then_some(held));
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

    /// Nothing new is worth starting, and what runs is ended.
    fn crashed(&self) {
        self.worker.runner.cancel(CancelLevel::Now);
        self.worker.halt();
        self.schedule().cancel();
    }

    /// Nothing more is started, whatever waits; what runs comes to its end.
    fn halt(&self, schedule: &mut Schedule<'_>) {
        self.worker.halt();
        let skipped = schedule.cancel();
        self.skipped(&skipped);
    }

    /// The first signal stops what can be stopped in good order, the next at once.
    fn signalled(&self, signal: i32, cancel: &mut Cancel) {
        self.worker.bench.environment.panic_point("loop");
        cancel.raise();
        let level = cancel.level();
        self.worker.runner.cancel(level);
        if level == CancelLevel::Graceful {
            self.worker.bench.emitter.emit(Event::CancelRequested { signal });
            self.halt(&mut self.schedule());
        }
    }
}

/// Ends all tasks at once where the thread of the loop panics.
struct EndAll<'a>(&'a Turns<'a>);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.crashed();
        }
    }
}

/// Says where a thread of the pool panicked.
struct Report<'a>(&'a Sender<Message>);

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The loop hears until all is over.
            let _ = self.0.send(Message::Crashed);
        }
    }
}
