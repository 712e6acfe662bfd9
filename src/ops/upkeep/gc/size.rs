//! The size of a cache without counting it: what was counted last, and a line for what each run has
//! added since. Only a guess; each collection counts anew.

use std::io::Write as _;

use crate::base::fs::{self, Context as _};
use crate::base::{FileError, clock};
use crate::home::Home;

/// A longer file is no guess of ours.
const MAX_BYTES: u64 = 1 << 20;

/// What is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guess {
    /// Bytes when it was counted; none: the last look did not come to its end.
    pub counted: Option<u64>,
    pub counted_ns: i64,
    /// Bytes that runs have put there since.
    pub added: u64,
}

/// What stands for a count that there is none.
const UNKNOWN: &str = "-";

/// None: it was never counted.
pub(super) fn read(home: &Home) -> Option<Guess> {
    let bytes = fs::read_regular(&home.size_notes(), MAX_BYTES).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let (counted, counted_ns) = lines.next()?.split_once(' ')?;
    let added = lines.filter_map(|line| line.strip_prefix('+')?.parse::<u64>().ok());
    Some(Guess {
        counted: if counted == UNKNOWN { None } else { Some(counted.parse().ok()?) },
        counted_ns: counted_ns.parse().ok()?,
        added: added.fold(0, u64::saturating_add),
    })
}

/// Notes a count, or that there is none. What a run adds at this moment is lost to the guess until
/// the next one.
pub(super) fn write(home: &Home, counted: Option<u64>) -> Result<(), FileError> {
    let counted = counted.map_or(UNKNOWN.to_owned(), |counted| counted.to_string());
    let text = format!("{counted} {}\n", clock::now_ns());
    fs::write_atomic(&home.size_notes(), text.as_bytes())
}

/// Adds a line; where nothing was counted yet there is nothing to add to.
pub(super) fn add(home: &Home, bytes: u64) -> Result<(), FileError> {
    let path = home.size_notes();
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    fs::open_append(&path)?.write_all(format!("+{bytes}\n").as_bytes()).at("write", &path)
}
