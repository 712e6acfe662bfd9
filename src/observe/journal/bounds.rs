//! How many journals stay, and how large: the oldest go first.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::form::run_of;
use crate::base::fs::{self, FileError};

/// Removes all but the newest `keep` journals, and of those what is over `max_bytes` together.
/// `own` is the newest and stays.
pub(super) fn keep_newest(
    folder: &Path,
    own: &Path,
    keep: usize,
    max_bytes: u64,
) -> Result<(), FileError> {
    let mut left = max_bytes.saturating_sub(own.metadata().map_or(0, |meta| meta.len()));
    let mut is_over = false;
    for (number, (path, len)) in newest_first(folder, own)?.into_iter().enumerate() {
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

/// The journals but `own`, each with its size.
fn newest_first(folder: &Path, own: &Path) -> Result<Vec<(PathBuf, u64)>, FileError> {
    let mut found: Vec<((i64, i64), PathBuf, u64)> = Vec::new();
    for name in fs::names(folder)? {
        let path = folder.join(&name);
        if run_of(&name).is_none() || path == own {
            continue;
        }
        // What goes away meanwhile needs no removing.
        let Ok(meta) = path.symlink_metadata() else { continue };
        if !meta.is_dir() {
            found.push(((meta.mtime(), meta.mtime_nsec()), path, meta.len()));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, path, len)| (path, len)).collect())
}
