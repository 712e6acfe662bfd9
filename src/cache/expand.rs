//! Folders and patterns of `inputs`, expanded to the files that they stand for, in sorted order.
//!
//! Only declared folders are read: a pattern is followed no further than it can match.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::fs::Context as _;
use crate::base::{FileError, Kind, Pattern};
use crate::home;

/// Is told of each folder before it is listed, and says what counts as being in it whatever lies
/// there: paths of the project, sorted, and what is at each.
pub type Listing<'a> = &'a dyn Fn(&[u8]) -> Vec<(Vec<u8>, Kind)>;

/// What lies on the disk, and nothing else.
pub const AS_IT_IS: Listing<'static> = &|_| Vec::new();

/// Everything below `folder` (folders too), but what `excludes` cover; `folder` itself is not in
/// it. Links are not followed.
pub fn tree(
    folder: &[u8],
    excludes: &[Pattern],
    listing: Listing<'_>,
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

/// The files and links that `pattern` matches, but what `excludes` cover.
pub fn glob(
    pattern: &Pattern,
    excludes: &[Pattern],
    listing: Listing<'_>,
) -> Result<Vec<Vec<u8>>, FileError> {
    let base = pattern.base();
    let expected = listing(&base);
    let shown = Path::new(OsStr::from_bytes(if base.is_empty() { b"." } else { &base }));
    match fs::metadata(shown) {
        Ok(meta) if meta.is_dir() => {}
        _ if !expected.is_empty() => {}
        // What we may not look at is not nothing.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
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
    listing: Listing<'_>,
    see: &mut dyn FnMut(&[u8], bool) -> bool,
) -> Result<(), FileError> {
    let mut open = vec![folder.to_vec()];
    while let Some(folder) = open.pop() {
        let shown = Path::new(OsStr::from_bytes(if folder.is_empty() { b"." } else { &folder }));
        let expected = listing(&folder);
        let listing = match fs::read_dir(shown) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) if error.kind() == ErrorKind::NotADirectory && !expected.is_empty() => None,
            other => Some(other.at("list the folder", shown)?),
        };
        for entry in listing.into_iter().flatten() {
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
            if expected.binary_search_by(|(other, _)| other.cmp(&path)).is_ok() {
                continue;
            }
            let is_dir = entry.file_type().at("examine", &entry.path())?.is_dir();
            if see(&path, is_dir) && is_dir {
                open.push(path);
            }
        }
        for (path, kind) in expected.into_iter().filter(|(_, kind)| *kind != Kind::Absent) {
            let is_dir = kind == Kind::Dir;
            if see(&path, is_dir) && is_dir {
                open.push(path);
            }
        }
    }
    Ok(())
}
