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
    /// Whether something must be measured before a start.
    pub fn measures(&self) -> bool {
        self.cpu_percent.is_some() || self.memory.is_some() || self.disk_percent.is_some()
    }

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
    /// The first in the line has to wait: for what, if that is a limit, and when a new look is
    /// worth while.
    Wait { why: Option<Held>, again: Duration },
    /// Nothing runs, and this will not end by itself.
    Never(Full),
}

/// Who runs, and who waits.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    cores: u64,
    bucket: Option<Bucket>,
    /// The memory that each is expected to use, by slot.
    running: BTreeMap<usize, u64>,
    waiting: VecDeque<(usize, u64)>,
    /// How many started since the reading of the CPU that has this number.
    starts: (u64, u64),
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
            starts: (0, 0),
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
            return if alone { Next::Never(full) } else { wait(Some(held), MEASURE_BEAT) };
        }
        // Progress is certain, whatever others do to the machine: one command always runs.
        if !alone {
            if let Some(held) = self.memory(measured, expected) {
                return wait(Some(held), MEASURE_BEAT);
            }
            if let Some(why) = self.cpu(measured) {
                return wait(why, MEASURE_BEAT);
            }
        }
        let due = self.bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.wait(now));
        if !due.is_zero() {
            let rate = self.limits.starts.unwrap_or(0);
            return wait(Some(held(Limit::Starts, rate, rate)), due);
        }
        if !alone && !slot() {
            return wait(None, SLOT_BEAT);
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
        self.starts.1 += 1;
        self.waiting.pop_front();
        self.running.insert(first, expected);
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
        let planned = self.running.values().fold(0_u64, |sum, one| sum.saturating_add(*one));
        let sum = planned.max(measured.memory).saturating_add(expected);
        (sum > ceiling).then(|| held(Limit::Memory, sum, ceiling))
    }

    /// Whether the machine is too busy, with the limit where that has been measured. Until the
    /// next reading each start is taken to keep one core busy.
    fn cpu(&mut self, measured: &Measured) -> Option<Option<Held>> {
        let ceiling = self.limits.cpu_percent?;
        let Some(reading) = measured.cpu else { return Some(None) };
        if self.starts.0 != reading.number {
            self.starts = (reading.number, 0);
        }
        if reading.percent >= ceiling {
            return Some(Some(held(Limit::Cpu, reading.percent, ceiling)));
        }
        let free = (ceiling - reading.percent).saturating_mul(self.cores) / 100;
        (self.starts.1 >= free.max(1)).then_some(None)
    }
}

fn held(limit: Limit, measured: u64, ceiling: u64) -> Held {
    Held { limit, measured, ceiling }
}

fn wait(why: Option<Held>, again: Duration) -> Next {
    Next::Wait { why, again }
}

#[cfg(test)]
mod tests;
