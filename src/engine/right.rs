//! Who has the right to execute a key that several runs need, where they share a cache.
//!
//! A task that waits, for a lease or at the gate, holds nothing that another process could need:
//! no lease, no slot of a jobserver, and no more than its own place among the jobs of this run.

use std::time::Duration;

use super::task::Worker;
use crate::base::Digest;
use crate::event::{Event, LeaseHolder};
use crate::exec::is_ancestor;
use crate::manifest::Task;
use crate::store::{Asked, Lease, Leases};

/// Between two looks at a lease that another run has: at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_millis(50);
/// A holder that has just got its lease has not signed it yet; so many looks later it has.
const UNSIGNED: u32 = 3;

/// The right to execute a key, while it is held.
pub(super) struct Right {
    lease: Option<Lease>,
}

impl Right {
    const WITHOUT_LEASE: Self = Self { lease: None };

    /// Whether others wait while it is held.
    pub(super) fn is_exclusive(&self) -> bool {
        self.lease.is_some()
    }
}

impl Worker<'_> {
    /// Waits until nobody else executes the key. None: nothing more is to start.
    pub(super) fn right(&self, task: &Task, key: &Digest) -> Option<Right> {
        let bench = self.bench;
        let Some(leases) = self.leases(task) else { return Some(Right::WITHOUT_LEASE) };
        let (mut looks, mut pause, mut told) = (0, FIRST_PAUSE, false);
        loop {
            let holder = match leases.ask(key, task.name.as_str()) {
                Ok(Asked::Mine(lease)) => return Some(Right { lease: Some(lease) }),
                Ok(Asked::Held(holder)) => holder,
                Err(error) => {
                    // Work is done twice at worst.
                    let problem = format!("{error}: {}", error.source);
                    tracing::info!(task = %task.name, problem, "executed without a lease");
                    return Some(Right::WITHOUT_LEASE);
                }
            };
            if holder.as_ref().is_some_and(|holder| waits_for_us(leases, holder)) {
                tracing::info!(task = %task.name, "a run around this one has the lease");
                return Some(Right::WITHOUT_LEASE);
            }
            looks += 1;
            if !told && (holder.is_some() || looks > UNSIGNED) {
                let (task, key) = (task.name.clone(), *key);
                bench.emitter.emit(Event::TaskWaits { task, key, holder });
                told = true;
            }
            if !self.alarm.wait(pause) {
                return None;
            }
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// The right, if nobody has it now.
    pub(super) fn right_at_once(&self, task: &Task, key: &Digest) -> Option<Right> {
        match self.leases(task)?.ask(key, task.name.as_str()) {
            Ok(Asked::Mine(lease)) => Some(Right { lease: Some(lease) }),
            Ok(Asked::Held(_)) | Err(_) => None,
        }
    }

    /// What is not looked for in the cache is executed by each who needs it.
    fn leases(&self, task: &Task) -> Option<&Leases> {
        self.bench.leases.filter(|_| task.cache && !self.bench.options.force)
    }
}

/// Whether the holder is a run in whose task this run was started: it would wait for its own end.
fn waits_for_us(leases: &Leases, holder: &LeaseHolder) -> bool {
    leases.is_near(holder) && is_ancestor(holder.pid)
}
