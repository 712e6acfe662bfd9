//! Where commands wait until they may start: holds what admission decides, wakes those whose turn
//! it is, and tells when a limit begins to hold something back and when it ends.
//!
//! Knows nothing of tasks: who waits is a slot. With nothing to decide it is always open.

mod throttle;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::engine::Bench;
use crate::engine::drive::Message;
use crate::event::{Emitter, Event, Held, Limit};
use crate::exec::{Admission, Full, Jobserver, Next, Runner, Sampler, cores};

pub(in crate::engine) use throttle::Throttle;

/// Shared by reference between threads.
pub(in crate::engine) struct Gate<'a> {
    runner: &'a Runner,
    emitter: &'a Emitter,
    /// Has the loop look, where something must be measured or waited for.
    wake: Sender<Message>,
    /// Whether anything is ever held back.
    is_on: bool,
    /// Whether nobody starts any more; also where nothing is held back.
    is_closed: AtomicBool,
    state: Mutex<State>,
    bell: Condvar,
}

struct State {
    admission: Admission,
    sampler: Sampler,
    /// Those who may start and do not know yet.
    granted: BTreeSet<usize>,
    /// Those who waited and will not start.
    sent_away: BTreeSet<usize>,
    /// Why nobody starts any more.
    closed: Option<Refused>,
    pressure: Pressure,
    crowd: Pressure,
}

/// Why a command may not start at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Refused {
    /// The run is to end.
    Closed,
    Full(Full),
}

/// The leave of a command to run: while it holds its place, others wait.
pub(in crate::engine) struct Pass<'a> {
    gate: &'a Gate<'a>,
    pub(in crate::engine) slot: usize,
    /// Bytes that it is expected to use.
    expected: u64,
    is_in: bool,
}

impl<'a> Gate<'a> {
    pub(in crate::engine) fn new(
        bench: &Bench<'a>,
        runner: &'a Runner,
        wake: Sender<Message>,
    ) -> Self {
        let limits = bench.options.limits;
        let folders = vec![PathBuf::from("."), bench.home.cache_dir().to_path_buf()];
        let state = State {
            admission: Admission::new(limits, cores()),
            sampler: Sampler::new(limits, folders),
            granted: BTreeSet::new(),
            sent_away: BTreeSet::new(),
            closed: None,
            pressure: Pressure::default(),
            crowd: Pressure::default(),
        };
        Self {
            runner,
            emitter: bench.emitter,
            wake,
            is_on: limits.any() || runner.jobserver().is_some(),
            is_closed: AtomicBool::new(false),
            state: Mutex::new(state),
            bell: Condvar::new(),
        }
    }

    /// Waits until a command may start in this slot, which will use `expected` bytes of memory.
    pub(in crate::engine) fn enter(
        &'a self,
        slot: usize,
        expected: impl FnOnce() -> u64,
    ) -> Result<Pass<'a>, Refused> {
        let mut pass = self.pass(slot, expected);
        pass.again()?;
        Ok(pass)
    }

    /// The same, if it need not wait.
    pub(in crate::engine) fn enter_at_once(
        &'a self,
        slot: usize,
        expected: impl FnOnce() -> u64,
    ) -> Result<Option<Pass<'a>>, Refused> {
        let mut pass = self.pass(slot, expected);
        Ok(pass.at_once()?.then_some(pass))
    }

    fn pass(&'a self, slot: usize, expected: impl FnOnce() -> u64) -> Pass<'a> {
        let expected = if self.is_on { expected() } else { 0 };
        Pass { gate: self, slot, expected, is_in: false }
    }

    /// Decides about those who wait, as far as that is possible now. Returns when it wants to be
    /// asked again.
    pub(in crate::engine) fn look(&self, now: Instant) -> Option<Instant> {
        if !self.is_on {
            return None;
        }
        let mut state = self.lock();
        if state.admission.is_waited_for() || state.pressure.is_on() {
            self.decide(&mut state, now).map(|again| now + again)
        } else {
            state.sampler.watch(now);
            None
        }
    }

    fn decide(&self, state: &mut State, now: Instant) -> Option<Duration> {
        let measured = state.sampler.read(now, &|| self.runner.memory()).clone();
        let jobserver = self.runner.jobserver();
        let mut slot = || jobserver.is_none_or(Jobserver::try_take);
        loop {
            match state.admission.next(now, &measured, &mut slot) {
                Next::Start(slot) => {
                    state.granted.insert(slot);
                    self.bell.notify_all();
                }
                Next::Nothing => {
                    self.relax(state, now);
                    return None;
                }
                Next::Wait { why, again } => {
                    state.pressure.press(why, self.emitter, now);
                    return Some(again);
                }
                Next::WaitToMeasure { limit, again } => {
                    if state.pressure.limit() != Some(limit) {
                        self.relax(state, now);
                    }
                    return Some(again);
                }
                Next::WaitForSlot { again } => {
                    self.relax(state, now);
                    return Some(again);
                }
                Next::Never(full) => {
                    let (measured, ceiling) = (full.percent, full.ceiling);
                    let held = Held { limit: Limit::Disk, measured, ceiling };
                    state.pressure.press(held, self.emitter, now);
                    self.close_for(state, Refused::Full(full));
                    return None;
                }
            }
        }
    }

    /// No limit holds anything back now. A rate does until it would not: else it would come and
    /// go with each start.
    fn relax(&self, state: &mut State, now: Instant) {
        if state.pressure.limit() != Some(Limit::Starts) || state.admission.starts_are_free(now) {
            state.pressure.lift(self.emitter, now);
        }
    }

    /// Tells whether ready tasks wait only because so many run already.
    pub(in crate::engine) fn crowd(&self, crowd: Option<Held>) {
        let (mut state, now) = (self.lock(), clock::instant());
        match crowd {
            Some(held) => state.crowd.press(held, self.emitter, now),
            None => state.crowd.lift(self.emitter, now),
        }
    }

    /// Nobody starts any more, and who waits is sent away.
    pub(in crate::engine) fn close(&self) {
        self.close_for(&mut self.lock(), Refused::Closed);
    }

    /// The first reason counts.
    fn close_for(&self, state: &mut State, why: Refused) {
        state.closed.get_or_insert(why);
        self.is_closed.store(true, Ordering::SeqCst);
        let waited = state.admission.send_away();
        state.sent_away.extend(waited);
        self.bell.notify_all();
    }

    /// Whether nothing starts any more because a disk is full.
    pub(in crate::engine) fn is_stuck(&self) -> bool {
        self.is_on && matches!(self.lock().closed, Some(Refused::Full(_)))
    }

    /// The run is over.
    pub(in crate::engine) fn finish(&self) {
        let (mut state, now) = (self.lock(), clock::instant());
        state.pressure.lift(self.emitter, now);
        state.crowd.lift(self.emitter, now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Pass<'a> {
    /// Waits for a place, at first and for each further attempt.
    pub(in crate::engine) fn again(&mut self) -> Result<(), Refused> {
        let gate = self.gate;
        let Some(mut state) = self.ask()? else { return Ok(()) };
        // The loop hears until all is over.
        let _ = gate.wake.send(Message::Look);
        loop {
            if self.is_granted(&mut state) {
                return Ok(());
            }
            if state.sent_away.remove(&self.slot) {
                return Err(state.closed.clone().unwrap_or(Refused::Closed));
            }
            state = gate.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether there is a place now; who gets none does not wait.
    fn at_once(&mut self) -> Result<bool, Refused> {
        let Some(mut state) = self.ask()? else { return Ok(true) };
        state.admission.withdraw(self.slot);
        if state.sent_away.remove(&self.slot) {
            return Err(state.closed.clone().unwrap_or(Refused::Closed));
        }
        Ok(false)
    }

    /// Joins the line. None where it has its place now.
    fn ask(&mut self) -> Result<Option<MutexGuard<'a, State>>, Refused> {
        let gate = self.gate;
        if !gate.is_on && !gate.is_closed.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let mut state = gate.lock();
        if let Some(refused) = &state.closed {
            return Err(refused.clone());
        }
        state.admission.ask(self.slot, self.expected);
        gate.decide(&mut state, clock::instant());
        Ok((!self.is_granted(&mut state)).then_some(state))
    }

    fn is_granted(&mut self, state: &mut State) -> bool {
        self.is_in = state.granted.remove(&self.slot);
        self.is_in
    }

    /// The command has ended; its place is another's.
    pub(in crate::engine) fn leave(&mut self) {
        if !std::mem::take(&mut self.is_in) {
            return;
        }
        let gate = self.gate;
        let mut state = gate.lock();
        state.admission.left(self.slot);
        if let Some(jobserver) = gate.runner.jobserver() {
            if state.admission.running() == 0 {
                jobserver.put_right();
            } else {
                jobserver.give_back();
            }
        }
        if state.admission.is_waited_for() {
            if matches!(state.pressure.limit(), Some(Limit::Memory | Limit::Disk)) {
                // It may have been what filled them.
                state.sampler.forget();
            }
            gate.decide(&mut state, clock::instant());
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// That a limit holds something back, told once at its beginning and once at its end.
#[derive(Debug, Default)]
pub(in crate::engine) struct Pressure(Option<(Limit, Instant)>);

impl Pressure {
    pub(in crate::engine) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn limit(&self) -> Option<Limit> {
        self.0.map(|(limit, _)| limit)
    }

    pub(in crate::engine) fn press(&mut self, held: Held, emitter: &Emitter, now: Instant) {
        if self.limit() != Some(held.limit) {
            self.lift(emitter, now);
            self.0 = Some((held.limit, now));
            emitter.emit(Event::LimitHit { held });
        }
    }

    pub(in crate::engine) fn lift(&mut self, emitter: &Emitter, now: Instant) {
        if let Some((limit, since)) = self.0.take() {
            let held = now.saturating_duration_since(since).as_millis();
            let held_ms = u64::try_from(held).unwrap_or(u64::MAX);
            emitter.emit(Event::LimitLifted { limit, held_ms });
        }
    }
}
