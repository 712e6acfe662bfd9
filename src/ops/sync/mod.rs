//! Exchanging results with a remote store, before or after a run: what a run finds in its cache,
//! and what it has put there. The workspace is not touched.
//!
//! Objects go before the record that names them, in both directions.

mod from;
mod pool;
mod to;

use serde::Serialize;

pub use to::{may_sync_to, sync_to};

use super::types::Error;
use crate::base::Diagnostic;
use crate::base::http::Small;
use crate::config::{RemoteCas, RemoteMode};
use crate::event::Request;
use crate::store::remote::{self, Name, Opened, Remote};

/// More than any real record, less than could hurt.
const MAX_RECORD: usize = 256 << 20;

/// What was exchanged.
#[derive(Debug, Default, Serialize)]
pub struct Synced {
    pub direction: Direction,
    /// The address of the store.
    pub remote: String,
    /// Nothing was moved: this is what would have been.
    pub dry_run: bool,
    /// What was moved; the bytes are those of the objects.
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
    /// What was there already.
    pub records_there: usize,
    pub objects_there: usize,
    /// Tasks for whose keys the store has no usable record.
    pub missing: usize,
    /// Sorted.
    pub left_out: Vec<LeftOut>,
    /// What the store has and what is not what it should be; sorted.
    pub refused: Vec<Refused>,
    /// What the user had better know of the settings, a sentence each.
    pub warnings: Vec<String>,
    /// What was asked of the store.
    #[serde(skip)]
    pub requests: Vec<Request>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    FromRemote,
    ToRemote,
}

/// A task or a record that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    pub what: String,
    pub why: String,
}

/// Something of the remote store that was not believed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refused {
    pub url: String,
    pub problem: String,
}

impl Synced {
    fn new(direction: Direction, opened: &Opened, dry_run: bool) -> Self {
        let (remote, warnings) = (opened.place.clone(), opened.warnings.clone());
        Self { direction, remote, dry_run, warnings, ..Self::default() }
    }

    fn leave_out(&mut self, what: String, why: impl Into<String>) {
        let why = why.into();
        self.left_out.push(LeftOut { what, why });
    }

    fn sorted(mut self) -> Self {
        self.left_out.sort_unstable();
        self.refused.sort_unstable();
        self
    }
}

/// The store of the settings, if it may be used in this direction.
fn open(settings: &RemoteCas, direction: Direction) -> Result<Opened, Error> {
    let (flag, forbids) = match direction {
        Direction::FromRemote => ("--sync-from-remote", RemoteMode::WriteOnly),
        Direction::ToRemote => ("--sync-to-remote", RemoteMode::ReadOnly),
    };
    if !settings.enabled {
        return Err(mistake(
            format!("`{flag}` needs a remote store, and none is set"),
            "set `remote_cas.enabled`, `remote_cas.backend` and `remote_cas.endpoint` or \
             `remote_cas.bucket`, or the variable REPROVM_REMOTE_CAS_URL",
        ));
    }
    if settings.mode == forbids {
        let word = if forbids == RemoteMode::ReadOnly { "read-only" } else { "write-only" };
        return Err(mistake(
            format!("`{flag}` is not allowed: `remote_cas.mode` is `{word}`"),
            "where both ways are wanted, `remote_cas.mode` is `read-write`",
        ));
    }
    remote::open(settings).map_err(|error| mistake(error.what, error.help))
}

fn mistake(what: String, help: &str) -> Error {
    Error::Config(vec![Diagnostic::new(what).help(help)])
}

/// The bytes of a record, whatever they are; none where there are none. The inner error says why
/// they cannot be a record.
fn record_bytes(
    remote: &dyn Remote,
    name: &Name,
) -> Result<Result<Option<Vec<u8>>, &'static str>, Error> {
    let mut body = Small::new(MAX_RECORD);
    match remote.get(name, 0, &mut body) {
        Ok(there) => Ok(Ok(there.then_some(body.bytes))),
        Err(_) if body.is_over() => Ok(Err("it is larger than any record")),
        Err(error) => Err(error.into()),
    }
}
