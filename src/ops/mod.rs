//! The verbs: plain data in, plain data out. They print nothing.
//!
//! Knows nothing of the terminal, of flags or of exit codes.

pub mod audit;
pub mod backup;
mod build;
mod danger;
mod earlier;
mod explain;
mod figures;
mod limits;
pub mod notify;
mod project;
mod runs;
mod security;
mod settings;
mod sync;
mod types;
mod words;
mod upkeep;

pub use crate::store::{Form, Packing};
pub use earlier::{FirstLook, Seen, Slice, Unchanged, first_look};
pub use figures::{CacheCounter, figures, figures_of_runs};
pub use project::Project;
pub use runs::{
    CacheHistory, Compared, FailedTask, Replayed, RunHead, RunList, RunReport, RunState, SlowTask,
    compare_runs, list_runs, replay_run, runs_dir, show_run,
};
pub use settings::load_settings;
pub use sync::{Direction, LeftOut, Refused, Synced, may_sync_to, sync_to};
pub use types::{BuildOptions, Error, Explanation, KeyPart, Location, Report, TaskInfo};
pub use upkeep::{
    CacheStats, Check, Checks, Cleaned, Fault, Flaw, FormCount, Garbage, Gone, Health, Name, Pin,
    Reason, Recompressed, Status, Verified, What, cache_stats, clean_cache, collect_garbage,
    health, pins, recompress, unpin, verify_cache,
};

/// Where the report of a crash at this time belongs, in the project that the process stands in.
pub fn crash_report(time: &str) -> std::path::PathBuf {
    crate::home::Home::new(None).crash_report(time)
}

/// The life of the process that outlives ours to end what we started. Returns its exit code.
pub fn guard() -> i32 {
    crate::exec::guard()
}
