//! Looking after the cache: verifying, cleaning, counting and recompressing it, and how things
//! stand.
//!
//! No task is run here, and no manifest is read.

mod clean;
mod gc;
mod health;
mod machine;
mod recompress;
mod stats;
mod verify;
mod walk;

pub use clean::{Cleaned, clean_cache};
pub use gc::{Garbage, Gone, Name, Pin, Reason, What, collect_garbage, pins, unpin};
pub(super) use gc::{collect_after_run, follow_pins, hold_off_gc, note_added, note_new_cache};
pub use health::{Check, Checks, Health, Status, health};
pub use recompress::{Recompressed, recompress};
pub(super) use stats::count;
pub use stats::{CacheStats, FormCount, cache_stats};
pub use verify::{Fault, Flaw, Verified, verify_cache};

use std::time::Duration;

use crate::base::FileError;
use crate::base::{Digest, Kind};
use crate::cache::record::Record;
use crate::config::{Config, Wait};

/// How long somebody else is waited for.
pub(super) fn patience(config: &Config) -> Duration {
    let Wait(seconds) = config.execution.lock_wait_seconds;
    seconds.map_or(Duration::MAX, Duration::from_secs)
}

/// A file error with its cause, as a sentence.
fn sentence(error: &FileError) -> String {
    format!("{error}: {}", error.source)
}

/// The objects that a record needs: what it is, its digest, its size.
fn named(record: &Record) -> impl Iterator<Item = (String, Digest, u64)> {
    let log = (record.log_size > 0).then(|| ("the log".to_owned(), record.log, record.log_size));
    let outputs = record.outputs.iter().filter(|output| output.kind != Kind::Dir);
    outputs.map(|output| (format!("`{}`", output.path), output.digest, output.size)).chain(log)
}
