//! A mark that every process hands on to its children, whatever it does to its session, group
//! or environment: a resource limit that Linux keeps and has not used since version 2.4, set to
//! a number that nobody else would choose.
//!
//! Knows nothing of who is ended.

use std::mem;
use std::ptr;

use libc::{pid_t, rlimit};

/// How many file locks a process may hold, if the kernel looked.
const LIMIT: libc::__rlimit_resource_t = libc::RLIMIT_LOCKS;
/// The part of a mark that tells the slots of a run apart.
const SLOTS: u64 = 0xfff;
/// The highest bit of a mark where nothing is marked yet, and inside of a run. A limit can only
/// be lowered, so the inner ones are the smaller numbers.
const OUTER: u64 = 1 << 62;
const INNER: u64 = 1 << 61;

/// The mark of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) struct Mark(u64);

impl Mark {
    /// From random bits. None: the limit is so low already that there is no room for a mark.
    pub(in crate::exec) fn new(random: u64) -> Option<Self> {
        Self::under(of(0)?.rlim_max, random)
    }

    fn under(hard: u64, random: u64) -> Option<Self> {
        let bit = if hard == libc::RLIM_INFINITY { OUTER } else { INNER };
        let mark = bit | (random & (bit - 1) & !SLOTS);
        (mark | SLOTS <= hard).then_some(Self(mark))
    }

    pub(in crate::exec) fn from_number(number: u64) -> Self {
        Self(number & !SLOTS)
    }

    pub(in crate::exec) fn number(self) -> u64 {
        self.0
    }

    /// The limit of what runs in a slot. What is started inside of a marked process keeps that
    /// mark as its hard limit, so that the run around ours finds it too.
    pub(in crate::exec) fn limit(self, slot: usize) -> rlimit {
        let mark = self.in_slot(slot);
        let outer = of(0).map(|limit| limit.rlim_max);
        let hard = outer.filter(|&hard| hard != libc::RLIM_INFINITY).unwrap_or(mark);
        rlimit { rlim_cur: mark, rlim_max: hard }
    }

    fn in_slot(self, slot: usize) -> u64 {
        self.0 | (slot as u64 & SLOTS)
    }

    /// Whether a process has the mark of this run.
    pub(in crate::exec) fn is_on(self, pid: pid_t) -> bool {
        of(pid).is_some_and(|limit| {
            [limit.rlim_cur, limit.rlim_max].iter().any(|number| number & !SLOTS == self.0)
        })
    }

    /// Whether a process has the mark of this slot.
    pub(in crate::exec) fn is_on_in_slot(self, pid: pid_t, slot: usize) -> bool {
        let mark = self.in_slot(slot);
        of(pid).is_some_and(|limit| limit.rlim_cur == mark || limit.rlim_max == mark)
    }
}

/// Sets the limit of this process; for a child before it executes its program.
///
/// # Safety
/// `limit` must be null or valid. One system call, which touches nothing else.
pub(super) unsafe fn set(limit: *const rlimit) {
    if !limit.is_null() {
        // SAFETY: not null, so valid by the contract; a refusal changes nothing.
        unsafe { libc::setrlimit(LIMIT, limit) };
    }
}

/// The limit of a process, of this one with 0. None: it is gone, or not ours to ask.
fn of(pid: pid_t) -> Option<rlimit> {
    // SAFETY: all-zero is a valid `rlimit`, which is writable; nothing is set.
    unsafe {
        let mut limit: rlimit = mem::zeroed();
        (libc::prlimit(pid, LIMIT, ptr::null(), &raw mut limit) == 0).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_mark_fits_under_every_outer_one() {
        let outer = Mark::under(libc::RLIM_INFINITY, 0).expect("room");
        let inner = Mark::under(outer.in_slot(0), u64::MAX).expect("room");
        let innermost = Mark::under(outer.in_slot(0), 0).expect("room");
        assert!(inner.in_slot(300) <= outer.in_slot(0) && innermost != inner);
        assert_eq!(Mark::under(1000, 7), None);
        assert_eq!(Mark::from_number(inner.in_slot(7)), inner);
    }

    #[test]
    fn this_process_has_no_mark_of_a_new_run() {
        let mark = Mark::under(libc::RLIM_INFINITY, 0x1234_5678_9000).expect("room");
        assert!(!mark.is_on(0) && !mark.is_on_in_slot(0, 0));
    }
}
