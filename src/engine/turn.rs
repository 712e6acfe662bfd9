//! Whose turn it is to execute a key that several runs need, where they share a cache.
//!
//! A task that waits holds nothing that another process could need: no lease, and no more than its
//! own place among the jobs of this run.

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

/// The right to execute a key.
pub(super) enum Turn {
    Ours {
        _lease: Option<Lease>,
    },
    /// The run is to stop.
    Cancelled,
}

impl Turn {
    const WITHOUT_LEASE: Self = Self::Ours { _lease: None };
}

impl Worker<'_> {
    /// Waits until nobody else executes the key.
    pub(super) fn turn(&self, task: &Task, key: &Digest) -> Turn {
        let bench = self.bench;
        // What is not looked for in the cache is executed by each who needs it.
        let shares = task.cache && !bench.options.force;
        let Some(leases) = bench.leases.filter(|_| shares) else { return Turn::WITHOUT_LEASE };
        let (mut looks, mut pause, mut told) = (0, FIRST_PAUSE, false);
        loop {
            let holder = match leases.ask(key, task.name.as_str()) {
                Ok(Asked::Mine(lease)) => return Turn::Ours { _lease: Some(lease) },
                Ok(Asked::Held(holder)) => holder,
                Err(error) => {
                    // Work is done twice at worst.
                    let problem = format!("{error}: {}", error.source);
                    tracing::info!(task = %task.name, problem, "executed without a lease");
                    return Turn::WITHOUT_LEASE;
                }
            };
            if holder.as_ref().is_some_and(|holder| waits_for_us(leases, holder)) {
                tracing::info!(task = %task.name, "a run around this one has the lease");
                return Turn::WITHOUT_LEASE;
            }
            looks += 1;
            if !told && (holder.is_some() || looks > UNSIGNED) {
                let (task, key) = (task.name.clone(), *key);
                bench.emitter.emit(Event::TaskWaits { task, key, holder });
                told = true;
            }
            if !self.alarm.wait(pause) {
                return Turn::Cancelled;
            }
            pause = (pause * 2).min(PAUSE);
        }
    }
}

/// Whether the holder is a run in whose task this run was started: it would wait for its own end.
fn waits_for_us(leases: &Leases, holder: &LeaseHolder) -> bool {
    leases.is_near(holder) && is_ancestor(holder.pid)
}
