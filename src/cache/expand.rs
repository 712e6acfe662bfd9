//! Folders and patterns of `inputs`, expanded to the files that they stand for, in sorted order.
//!
//! Only declared folders are read: a pattern is followed no further than it can match.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::fs::Context as _;
use crate::base::{FileError, Pattern};
use crate::home;

/// Everything below `folder` (folders too), but what `excludes` cover; `folder` itself is not in
/// it. Links are not followed. `listing` is told of each folder before it is listed.
pub fn tree(
    folder: &[u8],
    excludes: &[Pattern],
    listing: &dyn Fn(&[u8]),
) -> Result<Vec<Vec<u8>>, FileError> {
    let mut found = Vec::new();
    walk(folder, listing, &mut |path, is_dir| {
        if excludes.iter().any(|exclude| exclude.covers(path)) {
            return false;
        }
        found.push(path.to_vec());
        is_dir
    })?;
    found.sort_unstable();
    Ok(found)
}

/// The files and links that `pattern` matches, but what `excludes` cover; `listing` as in [`tree`].
pub fn glob(
    pattern: &Pattern,
    excludes: &[Pattern],
    listing: &dyn Fn(&[u8]),
) -> Result<Vec<Vec<u8>>, FileError> {
    let base = pattern.base();
    listing(&base);
    let shown = Path::new(OsStr::from_bytes(if base.is_empty() { b"." } else { &base }));
    match fs::metadata(shown) {
        Ok(meta) if meta.is_dir() => {}
        // What we may not look at is not nothing.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(error).at("examine", shown);
        }
        _ => return Ok(Vec::new()),
    }
    let mut found = Vec::new();
    walk(&base, listing, &mut |path, is_dir| {
        if excludes.iter().any(|exclude| exclude.covers(path)) {
            return false;
        }
        if is_dir {
            return pattern.may_match_below(path);
        }
        if pattern.is_match(path) {
            found.push(path.to_vec());
        }
        false
    })?;
    found.sort_unstable();
    Ok(found)
}

/// Every file, link and folder below `folder`, as paths of the project; `see` says whether to
/// enter. A folder that vanishes meanwhile is as if it had not been there.
fn walk(
    folder: &[u8],
    listing: &dyn Fn(&[u8]),
    see: &mut dyn FnMut(&[u8], bool) -> bool,
) -> Result<(), FileError> {
    let mut open = vec![folder.to_vec()];
    while let Some(folder) = open.pop() {
        let shown = Path::new(OsStr::from_bytes(if folder.is_empty() { b"." } else { &folder }));
        listing(&folder);
        let listing = match fs::read_dir(shown) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.at("list the folder", shown)?,
        };
        for entry in listing {
            let entry = entry.at("list the folder", shown)?;
            let name = entry.file_name();
            if name == home::DIR {
                continue;
            }
            let mut path = folder.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
            let is_dir = entry.file_type().at("examine", &entry.path())?.is_dir();
            if see(&path, is_dir) && is_dir {
                open.push(path);
            }
        }
    }
    Ok(())
}
