//! Taking files away so that nobody who needs one meanwhile is harmed.
//!
//! A file is first moved aside and looked at again: who has used it since it was looked at has
//! changed its time, and gets it back; who comes later finds that it is gone, and makes it anew.

use std::path::Path;

use crate::base::fs;
use crate::base::{FileError, text};
use crate::store;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swept {
    Gone,
    /// Somebody has used it meanwhile; or somebody else has removed it.
    Kept,
}

/// Removes the file at `path` unless its time is another than `time`. Files in the making lie in
/// `tmp`.
pub(super) fn sweep(path: &Path, time: i64, tmp: &Path) -> Result<Swept, FileError> {
    let aside = tmp.join(fs::unique_name());
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Swept::Kept),
        other => other?,
    }
    if fs::modified_ns(&aside) == Some(time) {
        return fs::remove_file(&aside).map(|()| Swept::Gone);
    }
    // What has come into its place is as good.
    if path.symlink_metadata().is_ok() {
        fs::remove_file(&aside)?;
    } else {
        store::rename_into(&aside, path)?;
    }
    tracing::debug!(
        path = %text::shown(path.as_os_str().as_encoded_bytes()),
        "used meanwhile, and kept"
    );
    Ok(Swept::Kept)
}
