//! All objects of a folder, by their names and sizes: no file is opened.

use std::path::{Path, PathBuf};

use super::form::Form;
use crate::base::Digest;
use crate::base::fs::{self, FileError};

/// What is an object by its name, whatever it is. An object may lie there in two forms, when something that
/// changes it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub digest: Digest,
    pub form: Form,
    pub path: PathBuf,
    /// How many bytes the file, or the link, has.
    pub stored: u64,
}

impl Stored {
    /// How many bytes the object has, where the name and the size of the file say that.
    pub fn raw(&self) -> Option<u64> {
        (self.form == Form::Bare).then_some(self.stored)
    }
}

/// Calls `take` for each object in `folder`, in the order of their digests, the forms of one
/// behind each other. What goes away meanwhile is left out, and names of other forms are passed
/// over; a link or a folder with the name of an object is taken for one, and not followed.
pub fn stored(folder: &Path, mut take: impl FnMut(Stored)) -> Result<(), FileError> {
    for digits in fs::names(folder)? {
        let shelf = folder.join(&digits);
        if digits.len() != 2 || !shelf.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            continue;
        }
        for name in fs::names(&shelf)? {
            let Some((digest, form)) = Form::parse(&digits, &name) else { continue };
            let path = shelf.join(name);
            let Ok(meta) = path.symlink_metadata() else { continue };
            take(Stored { digest, form, path, stored: meta.len() });
        }
    }
    Ok(())
}
