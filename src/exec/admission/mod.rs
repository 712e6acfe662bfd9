//! Whether a command may start now: a value without a clock, files or threads. What is measured,
//! and whether a slot is to be had from a jobserver, is told by the caller.
//!
//! Whoever asks first starts first, so that none waits for ever.

mod bucket;
mod measure;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::event::{Held, Limit};

pub use bucket::Bucket;
pub use measure::{Full, Measured, Sampler, cores};

/// While a slot of a jobserver is waited for, it is asked for so often.
const SLOT_BEAT: Duration = Duration::from_millis(5);
/// While something that is measured is too much, it is looked at so often.
const MEASURE_BEAT: Duration = Duration::from_millis(100);

/// How much a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of all cores of the machine.
    pub cpu_percent: Option<u64>,
    /// Bytes that all tasks may use together.
    pub memory: Option<u64>,
    /// Of the file systems of the project and of the cache.
    pub disk_percent: Option<u64>,
    /// At a time.
    pub tasks: Option<u64>,
    /// In a second.
    pub starts: Option<u64>,
    /// In a second.
    pub cache_operations: Option<u64>,
}

impl Limits {
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// What comes of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nobody waits.
    Nothing,
    /// The command in this slot may start; it counts as running from here on.
    Start(usize),
    /// The first in the line has to wait for a limit. `again`: when a new look is worth while.
    Wait { why: Held, again: Duration },
    /// The limit may not hold it back; what has started lately has to be measured first.
    WaitToMeasure { limit: Limit, again: Duration },
    /// No limit holds it back, but the jobserver has no slot.
    WaitForSlot { again: Duration },
    /// Nothing runs, and this will not end by itself.
    Never(Full),
}

/// Who runs, and who waits.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    cores: u64,
    bucket: Option<Bucket>,
    /// By slot.
    running: BTreeMap<usize, Running>,
    waiting: VecDeque<(usize, u64)>,
}

/// A command that runs.
#[derive(Debug, Clone, Copy)]
struct Running {
    /// The memory that it is expected to use.
    memory: u64,
    /// The number of the reading of the CPU after which it started.
    reading: u64,
}

impl Admission {
    /// For a machine with so many cores.
    pub fn new(limits: Limits, cores: usize) -> Self {
        Self {
            limits,
            cores: cores as u64,
            bucket: limits.starts.map(Bucket::new),
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// A command wants to start in this slot, and will use so many bytes of memory, as far as is
    /// known.
    pub fn ask(&mut self, slot: usize, expected: u64) {
        self.waiting.push_back((slot, expected));
    }

    /// The command in this slot is over.
    pub fn left(&mut self, slot: usize) {
        self.running.remove(&slot);
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Who asked in this slot does not wait.
    pub fn withdraw(&mut self, slot: usize) {
        self.waiting.retain(|&(waiting, _)| waiting != slot);
    }

    /// Nobody is to start any more; the slots that waited.
    pub fn send_away(&mut self) -> Vec<usize> {
        self.waiting.drain(..).map(|(slot, _)| slot).collect()
    }

    /// Whether starts are not held back now, nor will the next one be.
    pub fn starts_are_free(&self, now: Instant) -> bool {
        self.bucket.as_ref().is_none_or(|bucket| bucket.is_full(now))
    }

    /// Decides about the first in the line. `slot` asks the jobserver for one; the first command
    /// that runs needs none.
    pub fn next(
        &mut self,
        now: Instant,
        measured: &Measured,
        slot: &mut dyn FnMut() -> bool,
    ) -> Next {
        let Some(&(first, expected)) = self.waiting.front() else { return Next::Nothing };
        let alone = self.running.is_empty();
        if let Some(full) = self.full(measured) {
            let held = held(Limit::Disk, full.percent, full.ceiling);
            return if alone { Next::Never(full) } else { wait(held, MEASURE_BEAT) };
        }
        // Progress is certain, whatever others do to the machine: one command always runs.
        if !alone {
            if let Some(held) = self.memory(measured, expected) {
                return wait(held, MEASURE_BEAT);
            }
            if let Some(next) = self.cpu(measured) {
                return next;
            }
        }
        let due = self.bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.wait(now));
        if !due.is_zero() {
            let rate = self.limits.starts.unwrap_or(0);
            return wait(held(Limit::Starts, rate, rate), due);
        }
        if !alone && !slot() {
            return Next::WaitForSlot { again: SLOT_BEAT };
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
        self.waiting.pop_front();
        let reading = measured.cpu.map_or(0, |busy| busy.number);
        self.running.insert(first, Running { memory: expected, reading });
        Next::Start(first)
    }

    fn full(&self, measured: &Measured) -> Option<Full> {
        let ceiling = self.limits.disk_percent?;
        measured.fullest.clone().filter(|full| full.percent > ceiling)
    }

    /// What there would be, if that is too much. What runs counts with what it is expected to
    /// use, or with what it uses if that is more.
    fn memory(&self, measured: &Measured, expected: u64) -> Option<Held> {
        let ceiling = self.limits.memory?;
        let planned = self.running.values().fold(0_u64, |sum, one| sum.saturating_add(one.memory));
        let sum = planned.max(measured.memory).saturating_add(expected);
        (sum > ceiling).then(|| held(Limit::Memory, sum, ceiling))
    }

    /// What to wait for where the machine is too busy, or may be. What has started since the last
    /// reading, and runs still, is taken to keep one core busy. Nothing can be busier than a whole
    /// machine.
    fn cpu(&self, measured: &Measured) -> Option<Next> {
        let ceiling = self.limits.cpu_percent.filter(|ceiling| *ceiling < 100)?;
        let unknown = Next::WaitToMeasure { limit: Limit::Cpu, again: MEASURE_BEAT };
        let Some(reading) = measured.cpu else { return Some(unknown) };
        if reading.percent >= ceiling {
            return Some(wait(held(Limit::Cpu, reading.percent, ceiling), MEASURE_BEAT));
        }
        let free = (ceiling - reading.percent).saturating_mul(self.cores) / 100;
        let started = self.running.values().filter(|one| one.reading == reading.number).count();
        (started as u64 >= free.max(1)).then_some(unknown)
    }
}

fn held(limit: Limit, measured: u64, ceiling: u64) -> Held {
    Held { limit, measured, ceiling }
}

fn wait(why: Held, again: Duration) -> Next {
    Next::Wait { why, again }
}

#[cfg(test)]
mod tests;
