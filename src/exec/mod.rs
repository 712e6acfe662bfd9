//! One command: spawned in a group of its own, captured, timed out, ended with all it started.
//!
//! Knows nothing of the graph, of keys or of the cache.

mod admission;
mod ancestry;
mod caps;
mod cgroup;
mod direct;
mod env;
mod family;
mod feed;
mod guard;
mod jobserver;
mod process;
mod program;
mod runner;
mod slots;

#[cfg(test)]
mod tests;

pub use admission::{Admission, Bucket, Full, Limits, Measured, Next, Sampler, cores};
pub use ancestry::is_ancestor;
pub use caps::{Caps, Kept};
pub use cgroup::could_keep;
pub use env::{EnvRules, task_env, withheld};
pub use feed::{Fed, Feed, GiveUp, feed};
pub use guard::guard;
pub use jobserver::{Jobserver, MAKEFLAGS, Offer};
pub use runner::{Command, Ended, Runner};
