//! What is going on in one slot, and what is due to it: pure, the clock and the signals are the
//! caller's.
//!
//! Knows nothing of processes but their id.

use std::time::{Duration, Instant};

use libc::pid_t;

use crate::base::CancelLevel;

/// One slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Slot {
    #[default]
    Idle,
    /// The leader runs, as far as we know.
    Running { pid: pid_t, deadline: Option<Instant> },
    /// The leader was asked to end, and will be killed then.
    Asked { pid: pid_t, why: Why, kill_at: Instant },
    /// The leader was killed.
    Killed { pid: pid_t, why: Why },
    /// The leader has ended; what it left behind is being ended.
    Clearing,
}

/// Why we end a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    TimedOut,
    Cancelled,
}

/// What is to be sent to a slot's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Term,
    Kill,
}

impl Slot {
    /// The leader, while signals to it make sense.
    pub(super) fn leader(&self) -> Option<pid_t> {
        match *self {
            Self::Running { pid, .. } | Self::Asked { pid, .. } | Self::Killed { pid, .. } => {
                Some(pid)
            }
            Self::Idle | Self::Clearing => None,
        }
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        match *self {
            Self::Running { deadline, .. } => deadline,
            Self::Asked { kill_at, .. } => Some(kill_at),
            Self::Idle | Self::Killed { .. } | Self::Clearing => None,
        }
    }

    /// Moves on to `now`.
    pub(super) fn tick(&mut self, now: Instant, grace: Duration) -> Option<Order> {
        if self.next().is_none_or(|due| due > now) {
            return None;
        }
        match *self {
            Self::Running { pid, .. } => Some(self.ask(pid, Why::TimedOut, now, grace)),
            Self::Asked { pid, why, .. } => {
                *self = Self::Killed { pid, why };
                Some(Order::Kill)
            }
            Self::Idle | Self::Killed { .. } | Self::Clearing => None,
        }
    }

    /// The run is cancelled.
    pub(super) fn cancel(
        &mut self,
        level: CancelLevel,
        now: Instant,
        grace: Duration,
    ) -> Option<Order> {
        match (level, *self) {
            (CancelLevel::Graceful, Self::Running { pid, .. }) => {
                Some(self.ask(pid, Why::Cancelled, now, grace))
            }
            (CancelLevel::Now, Self::Running { pid, .. }) => {
                *self = Self::Killed { pid, why: Why::Cancelled };
                Some(Order::Kill)
            }
            (CancelLevel::Now, Self::Asked { pid, why, .. }) => {
                *self = Self::Killed { pid, why };
                Some(Order::Kill)
            }
            _ => None,
        }
    }

    fn ask(&mut self, pid: pid_t, why: Why, now: Instant, grace: Duration) -> Order {
        match now.checked_add(grace) {
            Some(kill_at) if !grace.is_zero() => {
                *self = Self::Asked { pid, why, kill_at };
                Order::Term
            }
            _ => {
                *self = Self::Killed { pid, why };
                Order::Kill
            }
        }
    }

    /// The leader has ended. Says why, if it was our doing.
    pub(super) fn ended(&mut self) -> Option<Why> {
        match std::mem::replace(self, Self::Clearing) {
            Self::Asked { why, .. } | Self::Killed { why, .. } => Some(why),
            Self::Idle | Self::Running { .. } | Self::Clearing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    const GRACE: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_deadline_asks_first_and_kills_after_the_grace() {
        let start = clock::instant();
        let mut slot = Slot::Running { pid: 7, deadline: Some(start + SECOND) };
        assert_eq!(slot.tick(start, GRACE), None);
        assert_eq!(slot.next(), Some(start + SECOND));
        assert_eq!(slot.tick(start + SECOND, GRACE), Some(Order::Term));
        assert_eq!(slot.tick(start + SECOND * 2, GRACE), None);
        assert_eq!(slot.tick(start + SECOND * 6, GRACE), Some(Order::Kill));
        assert_eq!((slot.tick(start + SECOND * 9, GRACE), slot.next()), (None, None));
        assert_eq!((slot.ended(), slot), (Some(Why::TimedOut), Slot::Clearing));
    }

    #[test]
    fn a_second_cancel_kills_at_once_and_the_first_cause_stays() {
        let start = clock::instant();
        let mut slot = Slot::Running { pid: 7, deadline: Some(start) };
        assert_eq!(slot.tick(start, GRACE), Some(Order::Term));
        assert_eq!(slot.cancel(CancelLevel::Graceful, start, GRACE), None);
        assert_eq!(slot.cancel(CancelLevel::Now, start, GRACE), Some(Order::Kill));
        assert_eq!(slot.cancel(CancelLevel::Now, start, GRACE), None);
        assert_eq!(slot.ended(), Some(Why::TimedOut));
    }

    #[test]
    fn cancelling_an_empty_slot_does_nothing() {
        let start = clock::instant();
        for mut slot in [Slot::Idle, Slot::Clearing] {
            assert_eq!(slot.cancel(CancelLevel::Now, start, GRACE), None);
            assert_eq!(slot.leader(), None);
        }
        let mut slot = Slot::Running { pid: 7, deadline: None };
        assert_eq!(slot.cancel(CancelLevel::None, start, GRACE), None);
        assert_eq!(slot.cancel(CancelLevel::Graceful, start, Duration::ZERO), Some(Order::Kill));
    }
}
