//! What lies in a cache: objects first, then the records and what they name.
//!
//! An object or a record takes 64 bytes of memory; what a record names is not kept. Only regular
//! files with names that we give are seen, so that nothing else can go.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::clean::is_unique;
use super::super::walk;
use super::{Step, Stop};
use crate::base::{Digest, FileError};
use crate::cache::record::Record;
use crate::home::{self, Home};
use crate::store::{DiskStore, Form};

/// A file that is an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub digest: Digest,
    pub size: u64,
    /// When it was written or needed by a record last, in nanoseconds since 1970.
    pub time: i64,
    /// How many records that stay name it.
    pub refs: u32,
    form: Form,
    /// Whether any record named it when it was looked at.
    pub named: bool,
    pub pinned: bool,
}

/// A file that is a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub key: Digest,
    pub size: u64,
    /// When it was written or used last, in nanoseconds since 1970.
    pub time: i64,
    /// What it names is not known.
    pub unknown: bool,
}

/// Something that a dead run has left, or that was set aside.
#[derive(Debug, Clone)]
pub(super) struct Leftover {
    pub path: PathBuf,
    pub size: u64,
    pub time: i64,
}

/// The objects, sorted.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub all: Vec<Object>,
    /// How many records that stay may name any of them: what they say is not known.
    pub unknown: usize,
}

impl Objects {
    /// All that lie in the cache. None: it was to stop.
    pub(super) fn list(home: &Home, stop: &Stop<'_>) -> Result<Option<Self>, FileError> {
        let mut all = Vec::new();
        let whole = each(&home.objects(), stop, |digits, name, meta| {
            let Some((digest, form)) = Form::parse(digits, name) else { return };
            let (size, time) = (meta.len(), time(meta));
            all.push(Object { digest, size, time, refs: 0, form, named: false, pinned: false });
        })?;
        all.sort_unstable_by_key(|object| (object.digest, object.form));
        Ok(whole.then_some(Self { all, unknown: 0 }))
    }

    /// The files that hold an object; empty where it was not there.
    pub(super) fn of(&mut self, digest: &Digest) -> &mut [Object] {
        let start = self.all.partition_point(|object| object.digest < *digest);
        let length = self.all[start..].iter().take_while(|object| object.digest == *digest).count();
        &mut self.all[start..start + length]
    }

    /// Whether all that a record needs is there.
    pub(super) fn hold(&mut self, record: &Record, store: &DiskStore) -> bool {
        // What was put there since the list was made is not in it.
        record
            .objects()
            .all(|(digest, size)| !self.of(&digest).is_empty() || store.has(&digest, size))
    }

    /// Calls `change` for each file that the record needs.
    pub(super) fn change(&mut self, record: &Record, mut change: impl FnMut(&mut Object)) {
        for (digest, _) in record.objects() {
            self.of(&digest).iter_mut().for_each(&mut change);
        }
    }
}

impl Object {
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        self.form.at(&home::object_in(folder, &self.digest))
    }
}

/// All records; none: it was to stop.
pub(super) fn records(home: &Home, stop: &Stop<'_>) -> Result<Option<Vec<Entry>>, FileError> {
    let mut all = Vec::new();
    let whole = each(&home.records(), stop, |digits, name, meta| {
        if let Ok(key) = Digest::parse(&format!("{digits}{name}")) {
            all.push(Entry { key, size: meta.len(), time: time(meta), unknown: false });
        }
    })?;
    all.sort_unstable_by_key(|entry| entry.key);
    Ok(whole.then_some(all))
}

/// What lies in a folder under the name of something in the making, or set aside.
pub(super) fn unique(folder: &Path) -> Result<Vec<Leftover>, FileError> {
    leftovers(folder, is_unique)
}

/// The locks of keys and of runs.
pub(super) fn locks(home: &Home) -> Result<Vec<Leftover>, FileError> {
    let mut found = leftovers(&home.leases(), |name| walk::is_hex(name, 64))?;
    found.extend(leftovers(&home.users(), is_unique)?);
    Ok(found)
}

fn leftovers(folder: &Path, ours: impl Fn(&str) -> bool) -> Result<Vec<Leftover>, FileError> {
    let mut found = Vec::new();
    for entry in walk::list(folder)? {
        if entry.file_name().to_str().is_some_and(&ours)
            && let Ok(meta) = entry.metadata()
        {
            let size = if meta.is_file() { meta.len() } else { 0 };
            found.push(Leftover { path: entry.path(), size, time: time(&meta) });
        }
    }
    found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Calls `take` with the two parts of each regular file's name below `folder`. False: it was to
/// stop.
fn each(
    folder: &Path,
    stop: &Stop<'_>,
    mut take: impl FnMut(&str, &str, &Metadata),
) -> Result<bool, FileError> {
    for shelf in walk::shelves(folder)?.iter().filter(|shelf| shelf.is_ours()) {
        if stop(Step::Look) {
            return Ok(false);
        }
        let digits = shelf.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        for entry in walk::list(&shelf.path)? {
            // What goes away meanwhile is left out.
            if let (Some(name), Ok(meta)) = (entry.file_name().to_str(), entry.metadata())
                && meta.is_file()
            {
                take(digits, name, &meta);
            }
        }
    }
    Ok(true)
}

fn time(meta: &Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Object>() <= 64 && size_of::<Entry>() <= 64);
    }
}
