//! A token bucket: so many times in a second, and a second's worth at once after a pause.
//!
//! Knows no clock: the time is told.

use std::time::{Duration, Instant};

/// Filled evenly. Kept as one time, the one at which the bucket would be full again.
#[derive(Debug, Clone)]
pub struct Bucket {
    each: Duration,
    /// Of a full bucket but for one token.
    reserve: Duration,
    full_at: Option<Instant>,
}

impl Bucket {
    /// Holds `rate` tokens, at least one, and gets as many in a second. It is full.
    pub fn new(rate: u64) -> Self {
        let rate = rate.max(1);
        // Rounded up: rather too slow by a nanosecond than too fast.
        let each = Duration::from_nanos(1_000_000_000_u64.div_ceil(rate));
        let most = u32::try_from(rate - 1).unwrap_or(u32::MAX);
        Self { each, reserve: each.saturating_mul(most), full_at: None }
    }

    /// How long there will be no token.
    pub fn wait(&self, now: Instant) -> Duration {
        let missing = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        missing.saturating_sub(self.reserve)
    }

    /// Takes a token, also one that is not there yet: whoever comes next waits longer.
    pub fn take(&mut self, now: Instant) {
        let from = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(from + self.each);
    }

    /// Whether nothing is missing.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::clock;

    #[test]
    fn a_second_is_had_at_once_and_then_each_waits() {
        let now = clock::instant();
        let mut bucket = Bucket::new(5);
        for _ in 0..5 {
            assert_eq!(bucket.wait(now), Duration::ZERO);
            bucket.take(now);
        }
        assert_eq!(bucket.wait(now), Duration::from_millis(200));
        bucket.take(now);
        assert_eq!(bucket.wait(now), Duration::from_millis(400), "tokens are owed in order");
        assert!(!bucket.is_full(now + Duration::from_millis(1199)));
        assert!(bucket.is_full(now + Duration::from_millis(1200)));
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_the_rate_and_a_second_at_once(
            rate in 1_u64..2000,
            pauses in prop::collection::vec(0_u64..50_000, 1..300),
        ) {
            let begin = clock::instant();
            let mut bucket = Bucket::new(rate);
            let mut now = begin;
            let mut taken: Vec<Duration> = Vec::new();
            for pause in pauses {
                now += Duration::from_micros(pause);
                while bucket.wait(now).is_zero() {
                    bucket.take(now);
                    taken.push(now - begin);
                }
            }
            for first in 0..taken.len().min(20) {
                for last in first..taken.len() {
                    let span = (taken[last] - taken[first]).as_nanos();
                    let allowed = u128::from(rate) + span * u128::from(rate) / 1_000_000_000;
                    prop_assert!((last - first + 1) as u128 <= allowed);
                }
            }
        }
    }
}
