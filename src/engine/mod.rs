//! Runs a plan: settles what did not change in bulk, and gives the rest to a pool of threads that
//! take turns with the schedule.
//!
//! Knows nothing of terminals, of flags or of who listens.

mod attempt;
mod drive;
mod dry;
mod gate;
mod keep;
mod laps;
mod lookup;
mod refusal;
mod right;
pub mod schedule;
mod settle;
mod signals;
mod task;

use std::sync::OnceLock;
use std::time::Duration;

use crate::base::Digest;
use crate::cache::record::Records;
use crate::cache::state::State;
use crate::config::Environment;
use crate::event::Emitter;
use crate::exec::Limits;
use crate::graph::{Graph, TaskId};
use crate::home::Home;
use crate::manifest::{Manifest, Task};
use crate::store::{DiskStore, Leases};

pub use drive::{Inbox, execute};
pub use dry::{Fate, Forecast, dry_run, forecast, foresee};
pub use lookup::kept_output;
pub use settle::{Settled, missing_inputs, settle};

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    pub manifest: &'a Manifest,
    pub graph: &'a Graph,
    /// All tasks, dependencies first.
    pub order: &'a [TaskId],
    /// Which tasks the targets need.
    pub needed: &'a [bool],
}

impl<'a> Plan<'a> {
    pub fn task(&self, id: TaskId) -> &'a Task {
        &self.manifest.tasks[id.index()]
    }

    /// The needed tasks, dependencies first.
    pub fn in_order(&self) -> impl Iterator<Item = TaskId> + use<'a> {
        let needed = self.needed;
        self.order.iter().copied().filter(move |id| needed[id.index()])
    }
}

/// How it is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub jobs: usize,
    pub force: bool,
    pub fail_fast: bool,
    /// Show what a task wrote also where it is not run.
    pub replay: bool,
    /// For tasks that set none.
    pub timeout: Option<Duration>,
    /// For tasks that set none.
    pub retries: u32,
    /// Before the first retry; each further one waits twice as long.
    pub retry_delay: Duration,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// The most bytes that a file may have to be an input.
    pub max_input: Option<u64>,
    pub limits: Limits,
}

/// What everything works with.
#[derive(Debug)]
pub struct Bench<'a> {
    pub plan: Plan<'a>,
    pub options: Options,
    pub home: &'a Home,
    pub state: &'a State,
    pub store: &'a DiskStore,
    pub records: &'a Records,
    /// Where others share the cache.
    pub leases: Option<&'a Leases>,
    /// When the run began, in nanoseconds since 1970.
    pub began_ns: i64,
    pub environment: &'a Environment,
    pub emitter: &'a Emitter,
    /// The result of each task that is settled.
    pub results: Results,
}

/// The results of tasks, each said once.
#[derive(Debug)]
pub struct Results(Vec<OnceLock<Digest>>);

impl Results {
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| OnceLock::new()).collect())
    }

    pub fn get(&self, id: TaskId) -> Option<Digest> {
        self.0[id.index()].get().copied()
    }

    fn set(&self, id: TaskId, result: Digest) {
        // A task ends once; a second saying could only repeat the first.
        let _ = self.0[id.index()].set(result);
    }
}

/// Why a run could not go on; tasks that fail are no such reason.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct EngineError {
    pub what: &'static str,
    #[source]
    pub source: std::io::Error,
}
