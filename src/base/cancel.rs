//! The request to stop, shared by everyone who could be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How urgently to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CancelLevel {
    /// Go on.
    None,
    /// Start nothing new, ask what runs to end.
    Graceful,
    /// Kill what runs.
    Now,
}

/// A flag that only rises. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    pub fn new() -> Self {
        Self::default()
    }

    /// One step up: the first call asks, the second demands.
    pub fn raise(&self) {
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |level| {
            (level < CancelLevel::Now as u8).then_some(level + 1)
        });
    }

    pub fn level(&self) -> CancelLevel {
        match self.0.load(Ordering::SeqCst) {
            0 => CancelLevel::None,
            1 => CancelLevel::Graceful,
            _ => CancelLevel::Now,
        }
    }

    pub fn is_raised(&self) -> bool {
        self.level() != CancelLevel::None
    }
}
