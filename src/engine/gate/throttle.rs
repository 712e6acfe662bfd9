//! How often the cache is asked or written in a second.
//!
//! Knows nothing of what is asked for.

use std::sync::{Mutex, PoisonError};

use super::Pressure;
use crate::base::clock;
use crate::engine::attempt::Alarm;
use crate::event::{Emitter, Held, Limit};
use crate::exec::Bucket;

/// Shared by reference between threads. Without a rate it costs nothing.
pub(in crate::engine) struct Throttle<'a> {
    rate: Option<u64>,
    emitter: &'a Emitter,
    state: Mutex<(Bucket, Pressure)>,
}

impl<'a> Throttle<'a> {
    pub(in crate::engine) fn new(rate: Option<u64>, emitter: &'a Emitter) -> Self {
        let state = (Bucket::new(rate.unwrap_or(1)), Pressure::default());
        Self { rate, emitter, state: Mutex::new(state) }
    }

    /// Takes a token, and waits until it is there. False: the run is to end.
    pub(in crate::engine) fn pass(&self, alarm: &Alarm) -> bool {
        let wait = self.take(true);
        wait.is_zero() || alarm.wait(wait)
    }

    /// Takes a token for what is done already; whoever comes next waits longer.
    pub(in crate::engine) fn owe(&self) {
        self.take(false);
    }

    fn take(&self, tells: bool) -> std::time::Duration {
        let Some(rate) = self.rate else { return std::time::Duration::ZERO };
        let now = clock::instant();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (bucket, pressure) = &mut *state;
        let wait = bucket.wait(now);
        bucket.take(now);
        if tells && wait.is_zero() {
            pressure.lift(self.emitter, now);
        } else if tells {
            let held = Held { limit: Limit::CacheOperations, measured: rate, ceiling: rate };
            pressure.press(held, self.emitter, now);
        }
        wait
    }

    /// The run is over.
    pub(in crate::engine) fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.lift(self.emitter, clock::instant());
    }
}
