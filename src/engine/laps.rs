//! What a task's time in its slot goes to, measured by laps: each ends where the next begins.

use std::time::Duration;

use crate::base::clock::{self, Stopwatch};
use crate::event::{Span, Turn, Work};

/// The time of one task since it got its slot.
#[derive(Debug)]
pub(super) struct Laps {
    turn: Turn,
    watch: Stopwatch,
}

impl Laps {
    pub(super) fn start(slot: usize) -> Self {
        let turn =
            Turn { slot, began_ns: clock::now_ns(), took_us: 0, spans: Vec::with_capacity(6) };
        Self { turn, watch: Stopwatch::start() }
    }

    pub(super) fn slot(&self) -> usize {
        self.turn.slot
    }

    /// All since the last lap was this work.
    pub(super) fn lap(&mut self, work: Work) {
        let at_us = self.turn.took_us;
        self.turn.took_us = micros(self.watch.elapsed());
        let took_us = self.turn.took_us - at_us;
        if took_us > 0 {
            self.turn.spans.push(Span { work, at_us, took_us });
        }
    }

    /// The last part of it, which took so long, was this; all before it was `before`.
    pub(super) fn laps(&mut self, before: Work, work: Work, took: Duration) {
        self.lap(before);
        let Some(whole) = self.turn.spans.pop_if(|span| span.work == before) else { return };
        let took_us = micros(took).min(whole.took_us);
        let parts = [(before, whole.at_us, whole.took_us - took_us), {
            (work, whole.at_us + whole.took_us - took_us, took_us)
        }];
        self.turn.spans.extend(parts.map(Span::from).into_iter().filter(|span| span.took_us > 0));
    }

    /// The turn so far.
    pub(super) fn turn(&self) -> Turn {
        self.turn.clone()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_follow_each_other_without_a_gap() {
        let mut laps = Laps::start(3);
        std::thread::park_timeout(Duration::from_millis(1));
        laps.lap(Work::Key);
        std::thread::park_timeout(Duration::from_millis(1));
        laps.laps(Work::Lookup, Work::Restore, Duration::from_micros(100));
        std::thread::park_timeout(Duration::from_millis(1));
        laps.laps(Work::Lookup, Work::Restore, Duration::from_secs(9));
        let turn = laps.turn();
        let mut at = 0;
        for span in &turn.spans {
            assert_eq!(span.at_us, at, "{turn:?}");
            at += span.took_us;
        }
        assert_eq!((turn.slot, turn.took_us), (3, at));
        let works: Vec<Work> = turn.spans.iter().map(|span| span.work).collect();
        assert_eq!(works, [Work::Key, Work::Lookup, Work::Restore, Work::Restore]);
        assert_eq!(turn.spans[2].took_us, 100);
    }
}
