//! One command: spawned in a group of its own, captured, timed out, ended with all it started.
//!
//! Knows nothing of the graph, of keys or of the cache.

mod ancestry;
mod cgroup;
mod direct;
mod env;
mod family;
mod feed;
mod guard;
mod process;
mod program;
mod runner;
mod slots;

#[cfg(test)]
mod tests;

pub use ancestry::is_ancestor;
pub use env::{EnvRules, task_env, withheld};
pub use feed::{Fed, Feed, feed};
pub use guard::guard;
pub use runner::{Command, Ended, Runner};
