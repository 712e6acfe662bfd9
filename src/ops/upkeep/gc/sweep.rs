//! Taking files away so that nobody who needs one meanwhile is harmed.
//!
//! A file is first moved aside and looked at again: who has used it since it was looked at has
//! changed its time, and gets it back; who comes later finds that it is gone, and makes it anew.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::FileError;
use crate::base::fs;
use crate::base::text::shown;
use crate::home::Home;
use crate::store::{self, Form};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swept {
    Gone,
    /// Somebody has used it meanwhile; or somebody else has removed it.
    Kept,
}

/// Where things are moved to. Only who has the lock of collection moves anything there.
#[derive(Debug)]
pub(super) struct Aside {
    folder: PathBuf,
    objects: PathBuf,
    records: PathBuf,
}

impl Aside {
    pub(super) fn new(home: &Home) -> Self {
        Self { folder: home.going(), objects: home.objects(), records: home.records() }
    }

    /// Makes the folder, and puts back what one that was killed had moved there: it may have been
    /// used meanwhile.
    pub(super) fn prepare(&self) -> Result<(), FileError> {
        fs::create_private_dir(&self.folder)?;
        for name in fs::names(&self.folder)? {
            if let Some(place) = self.place(&name) {
                put_back(&self.folder.join(&name), &place)?;
            }
        }
        Ok(())
    }

    /// Takes the folder away.
    pub(super) fn finish(&self) {
        fs::remove_empty_dir(&self.folder);
    }

    /// Removes the file at `path` unless its time is another than `time`.
    pub(super) fn sweep(&self, path: &Path, time: i64) -> Result<Swept, FileError> {
        let aside = self.folder.join(self.name(path));
        match fs::rename(path, &aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Swept::Kept),
            other => other?,
        }
        if fs::modified_ns(&aside) == Some(time) {
            return fs::remove_file(&aside).map(|()| Swept::Gone);
        }
        put_back(&aside, path)?;
        tracing::debug!(path = %shown(path.as_os_str().as_encoded_bytes()), "used meanwhile");
        Ok(Swept::Kept)
    }

    /// `object-` or `record-`, and the name with the two digits of its folder.
    fn name(&self, path: &Path) -> String {
        let what = if path.starts_with(&self.objects) { "object" } else { "record" };
        let mut parts = path.iter().rev().map(|part| part.to_string_lossy());
        let rest = parts.next().unwrap_or_default();
        let digits = parts.next().unwrap_or_default();
        format!("{what}-{digits}{rest}")
    }

    /// The place of something with such a name.
    fn place(&self, name: &str) -> Option<PathBuf> {
        let (what, rest) = name.split_once('-')?;
        let (digits, rest) = rest.split_at_checked(2)?;
        let (_, form) = Form::parse(digits, rest)?;
        let folder = match what {
            "object" => &self.objects,
            "record" if form == Form::Bare => &self.records,
            _ => return None,
        };
        Some(folder.join(digits).join(rest))
    }
}

/// Whether a collection gives such a name to what it moves aside.
pub(in crate::ops::upkeep) fn is_going(home: &Home, name: &str) -> bool {
    Aside::new(home).place(name).is_some()
}

fn put_back(aside: &Path, place: &Path) -> Result<(), FileError> {
    // What has come into its place is as good.
    if place.symlink_metadata().is_ok() {
        fs::remove_file(aside)
    } else {
        store::rename_into(aside, place)
    }
}
