//! The verbs: plain data in, plain data out. They print nothing.
//!
//! Knows nothing of the terminal, of flags or of exit codes.

pub mod backup;
mod build;
mod explain;
mod project;
mod settings;
mod standing;
mod types;

pub use project::Project;
pub use settings::load_settings;
pub use standing::{Unchanged, unchanged};
pub use types::{BuildOptions, Error, Explanation, KeyPart, Location, Report, TaskInfo};

/// The life of the process that outlives ours to end what we started. Returns its exit code.
pub fn guard() -> i32 {
    crate::exec::guard()
}
