//! How many journals stay, and how large: the oldest go first.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::form::run_of;
use crate::base::fs::{self, FileError};

/// When a file was changed, by the clock of its file system.
pub(super) type Time = (i64, i64);

pub(super) fn changed(meta: &Metadata) -> Time {
    (meta.mtime(), meta.mtime_nsec())
}

/// Removes all but the newest `keep` journals, and of those what is over `max_bytes` together.
/// `own` stays, and so does what is newer than its birth, `born`: where a run ends early it does not
/// hold the workspace any more, and the next one may be at work. That one counts for itself.
pub(super) fn keep_newest(
    folder: &Path,
    (own, born): (&Path, Time),
    keep: usize,
    max_bytes: u64,
) -> Result<(), FileError> {
    let mut left = max_bytes.saturating_sub(own.metadata().map_or(0, |meta| meta.len()));
    let mut is_over = false;
    for (number, (path, len)) in newest_first(folder, own, born)?.into_iter().enumerate() {
        // Once one has to go, all that are older go too: the history has no holes.
        is_over |= number + 1 >= keep || len > left;
        if is_over {
            fs::remove_file(&path)?;
        } else {
            left -= len;
        }
    }
    Ok(())
}

/// The journals that are older, each with its size.
fn newest_first(folder: &Path, own: &Path, born: Time) -> Result<Vec<(PathBuf, u64)>, FileError> {
    let mut found: Vec<(Time, PathBuf, u64)> = Vec::new();
    for name in fs::names(folder)? {
        let path = folder.join(&name);
        if run_of(&name).is_none() || path == own {
            continue;
        }
        // What goes away meanwhile needs no removing.
        let Ok(meta) = path.symlink_metadata() else { continue };
        let time = changed(&meta);
        if !meta.is_dir() && time <= born {
            found.push((time, path, meta.len()));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, path, len)| (path, len)).collect())
}
