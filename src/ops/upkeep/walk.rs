//! The two levels of folders that objects and records lie in: `ab/cdef…`.
//!
//! One folder of the first level is in memory at a time. Links are never followed.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::fs::Context as _;
use crate::base::{Digest, FileError};
use crate::store::Form;

/// What the name of a file begins with that a health check makes and removes.
pub(super) const PROBE: &str = ".probe-";

/// A folder of the first level.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) path: PathBuf,
    /// The two digits; none: nothing of ours has such a name.
    digits: Option<String>,
}

/// Something on a shelf.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) path: PathBuf,
    /// None: nothing of ours has such a name.
    pub(super) digest: Option<Digest>,
    pub(super) form: Form,
}

/// What is asked of the names on a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// The rest of a digest.
    Records,
    /// The same, and behind it the suffix of a codec.
    Objects,
}

/// The shelves of `folder`, sorted; none where it is not there.
pub(super) fn shelves(folder: &Path) -> Result<Vec<Shelf>, FileError> {
    let mut shelves: Vec<Shelf> = list(folder)?
        .into_iter()
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(PROBE.as_bytes()))
        .map(|entry| {
            let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let digits = entry.file_name().into_string().ok();
            let digits = digits.filter(|digits| folder && is_hex(digits, 2));
            Shelf { path: entry.path(), digits }
        })
        .collect();
    shelves.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(shelves)
}

impl Shelf {
    /// What lies on it, sorted; the shelf itself where its name is not ours.
    pub(super) fn items(&self, names: Names) -> Result<Vec<Item>, FileError> {
        let Some(digits) = &self.digits else {
            return Ok(vec![Item { path: self.path.clone(), digest: None, form: Form::Bare }]);
        };
        let mut items: Vec<Item> = list(&self.path)?
            .into_iter()
            .map(|entry| {
                let rest = entry.file_name().into_string().ok();
                let (digest, form) = rest
                    .and_then(|rest| Form::parse(digits, &rest))
                    .filter(|(_, form)| names == Names::Objects || *form == Form::Bare)
                    .map_or((None, Form::Bare), |(digest, form)| (Some(digest), form));
                Item { path: entry.path(), digest, form }
            })
            .collect();
        items.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(items)
    }

    /// Whether its name is one of ours.
    pub(super) fn is_ours(&self) -> bool {
        self.digits.is_some()
    }
}

/// All that is in a folder; nothing where it is not there.
pub(super) fn list(folder: &Path) -> Result<Vec<DirEntry>, FileError> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<_>>().at("list", folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(FileError::new("list", folder, error)),
    }
}

pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}
