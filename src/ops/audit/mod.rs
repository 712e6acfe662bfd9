//! Reading an audit log: whether it is as it was written, which lines are asked for, and what they
//! add up to. Nothing is written.
//!
//! Logs and lines may be of any length; what is remembered of them is bounded.

mod lines;
mod query;
mod runs;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::types::Error;
use crate::base::FileError;
use crate::config::Config;
use crate::observe::{EpochKey, Line};

pub use query::{AuditCount, AuditFilter, AuditLine, AuditReport};
pub use verify::{Against, Anchored, AuditVerified};

/// What was done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    Edited,
    Deleted,
    Inserted,
    Reordered,
    Duplicated,
    /// The end is no whole line.
    Torn,
    /// The end is not there any more.
    CutTail,
    /// A line is another one than an anchor knows.
    Rewritten,
    /// It is another log.
    OtherInstance,
    /// There is none.
    Missing,
    /// A seal was not made with the key of its epoch.
    BadSeal,
    /// Lines at the end that no seal proves.
    Unsealed,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edited => "edited",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Duplicated => "duplicated",
            Self::Torn => "torn",
            Self::CutTail => "cut tail",
            Self::Rewritten => "rewritten",
            Self::OtherInstance => "other instance",
            Self::Missing => "missing",
            Self::BadSeal => "bad seal",
            Self::Unsealed => "unsealed",
        })
    }
}

/// Damage and where it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// From 1.
    pub line: u64,
    pub damage: Damage,
    pub what: String,
}

/// The log that is meant: one that is named, or that of the settings.
fn path(config: &Config, file: Option<&Path>) -> PathBuf {
    file.map_or_else(|| config.audit.log_file.clone(), Path::to_path_buf)
}

/// Proves a log, against anchors and with the initial key where they are given.
pub fn verify_audit(
    config: &Config,
    file: Option<&Path>,
    mut against: Against,
) -> Result<AuditVerified, Error> {
    // The key of this machine says something of its own log only.
    if let (Some(_), None, Some(live)) = (&against.key, file, &config.audit.key_file) {
        against.live = Some(EpochKey::read(live)?);
    }
    Ok(verify::verify(&path(config, file), &against)?)
}

/// Hands on each line that is asked for. Returns how many lines could not be read.
pub fn query_audit<E: From<FileError>>(
    config: &Config,
    file: Option<&Path>,
    filter: &AuditFilter,
    take: impl FnMut(&Line) -> Result<(), E>,
) -> Result<u64, E> {
    query::each(&path(config, file), filter, take)
}

/// What the lines that are asked for add up to.
pub fn report_audit(
    config: &Config,
    file: Option<&Path>,
    filter: &AuditFilter,
) -> Result<AuditReport, Error> {
    Ok(query::report(&path(config, file), filter)?)
}
