//! An object from one form to another, or to another folder. At each moment whoever looks for it
//! finds one form that is whole.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use super::disk::{DiskStore, rename_into};
use super::form::{self, Form};
use super::inspect::{Inspected, inspect};
use super::pack::{Counting, Packing, is_enough};
use super::read::{CopyError, Flaw, Opened, copy_as_it_is, open_object};
use crate::base::fs;
use crate::base::{Digest, FileError};

/// Copies an object from below `bare` to the new file `tmp`, in the form that is asked for where
/// that is worth it; the form that it has there. What is left in `tmp` is worth nothing unless
/// this succeeds.
pub fn copy_object(
    bare: &Path,
    (digest, length): (&Digest, u64),
    packing: Packing,
    tmp: &Path,
) -> Result<Form, Flaw> {
    let source = open_object(bare, length)?;
    copy_opened(source, (digest, length), packing, &mut Target::new(tmp)?)
}

/// A large object's bare bytes as an open file, proved. Where they lie compressed, that is one
/// without a name in `tmp`.
pub fn open_bare(
    store: &DiskStore,
    digest: &Digest,
    length: u64,
    tmp: &Path,
) -> Result<File, Flaw> {
    let source = open_object(&store.path(digest), length)?;
    let mut file = match source.form {
        Form::Bare => {
            let again = source.again()?;
            source.copy(digest, length, &mut io::sink())?;
            again.file
        }
        _ => {
            let mut file = fs::unnamed(tmp).map_err(|error| Flaw::Write(error.source))?;
            source.copy(digest, length, &mut file)?;
            file
        }
    };
    file.rewind()?;
    Ok(file)
}

/// A file in the making, which may have to be begun again.
struct Target<'a> {
    file: File,
    path: &'a Path,
}

impl<'a> Target<'a> {
    fn new(path: &'a Path) -> Result<Self, Flaw> {
        Ok(Self { file: fs::create_new(path).map_err(|error| Flaw::Write(error.source))?, path })
    }

    fn begin_again(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()
    }
}

fn copy_opened(
    mut source: Opened,
    (digest, length): (&Digest, u64),
    packing: Packing,
    to: &mut Target<'_>,
) -> Result<Form, Flaw> {
    let form = packing.form();
    if source.form == form && form != Form::Bare {
        // Whoever made it found it worth it. The copy is what is proved.
        copy_as_it_is(&mut source.file, &mut to.file).map_err(|error| source.flaw(error))?;
        let copy = Opened::open(form, to.path);
        let proved = copy.and_then(|copy| copy.copy(digest, length, &mut io::sink()));
        return match proved {
            Ok(_) => Ok(form),
            Err(Flaw::Damaged { problem, .. }) => Err(source.damaged(problem)),
            Err(Flaw::Missing) => Err(Flaw::Write(io::ErrorKind::NotFound.into())),
            Err(Flaw::Unreadable(FileError { source, .. }) | Flaw::Write(source)) => {
                Err(Flaw::Write(source))
            }
        };
    }
    let likely = match source.form {
        Form::Bare => packing.is_worth(&source.file, length),
        _ => packing.takes(length),
    };
    if likely {
        let again = source.again()?;
        packing.write(&to.file, length, |out| source.copy(digest, length, out).map(drop))?;
        if is_enough(length, to.file.metadata()?.len()) {
            return Ok(form);
        }
        to.begin_again()?;
        source = again;
        source.file.rewind().map_err(|error| source.flaw(CopyError::Read(error)))?;
    }
    source.copy(digest, length, &mut to.file)?;
    Ok(Form::Bare)
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has the form that is asked for, or is as good as that bare.
    AsItWas,
    Changed,
    /// It lay there twice, and one of the two went.
    DoubleRemoved,
}

/// An object whose form was changed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub outcome: Outcome,
    /// The form that it has then.
    pub form: Form,
    /// How many bytes its files had, and have then.
    pub before: u64,
    pub after: u64,
}

/// Gives an object the form that is asked for where that is worth it. The new form is written to
/// `tmp` (in the same file system), read back and proved, and put beside the old one before that
/// goes. Others may read meanwhile; two who did this to one object at the same time could each
/// remove what the other made, so whoever calls this holds the lock of those who do.
///
/// Without `tmp` everything is tried and nothing written.
pub fn change_form(
    bare: &Path,
    digest: &Digest,
    packing: Packing,
    tmp: Option<&Path>,
) -> Result<Change, Flaw> {
    let there = form::present(bare);
    let (form, path, length) = sound(&there, digest, packing.form())?;
    let size = |path: &Path| path.symlink_metadata().map_or(0, |meta| meta.len());
    let before = there.iter().map(|(_, path)| size(path)).sum();
    let source = Opened::open(form, &path)?;
    let stays =
        form == packing.form() || (form == Form::Bare && !packing.is_worth(&source.file, length));
    let (made, after) = match tmp {
        _ if stays => (form, size(&path)),
        None => try_form(source, (digest, length), packing)?,
        Some(tmp) => {
            let made = make(source, (digest, length), packing, tmp)?;
            (made, size(tmp))
        }
    };
    let outcome = match (made == form, there.len()) {
        (true, 1) => Outcome::AsItWas,
        (true, _) => Outcome::DoubleRemoved,
        (false, _) => Outcome::Changed,
    };
    let after = if made == form { size(&path) } else { after };
    if let Some(tmp) = tmp {
        if made != form {
            rename_into(tmp, &made.at(bare)).map_err(Flaw::Unreadable)?;
        }
        for (_, other) in there.iter().filter(|(other, _)| *other != made) {
            // A run may have found the one that goes, and made it young for its record.
            let _ = fs::touch(&made.at(bare));
            fs::remove_file(other).map_err(Flaw::Unreadable)?;
        }
    }
    Ok(Change { outcome, form: made, before, after })
}

/// The first form that is whole, the one that is asked for before all others.
fn sound(
    there: &[(Form, PathBuf)],
    digest: &Digest,
    wanted: Form,
) -> Result<(Form, PathBuf, u64), Flaw> {
    let (best, others): (Vec<_>, Vec<_>) = there.iter().partition(|(form, _)| *form == wanted);
    let mut flaw = Flaw::Missing;
    for (form, path) in best.into_iter().chain(others) {
        flaw = match inspect(path, *form, digest) {
            Inspected::Sound(length) => return Ok((*form, path.clone(), length)),
            Inspected::Gone => continue,
            Inspected::Damaged(problem) => Flaw::Damaged { path: path.clone(), problem },
            Inspected::Unreadable(error) => Flaw::Unreadable(error),
        };
    }
    Err(flaw)
}

/// Writes the new form, and proves it.
fn make(
    source: Opened,
    (digest, length): (&Digest, u64),
    packing: Packing,
    tmp: &Path,
) -> Result<Form, Flaw> {
    let mut target = Target::new(tmp)?;
    let made = copy_opened(source, (digest, length), packing, &mut target)?;
    match inspect(tmp, made, digest) {
        Inspected::Sound(_) => fs::set_mode(tmp, 0o444).map_err(Flaw::Unreadable).map(|()| made),
        _ => Err(Flaw::Write(io::Error::other("it is not read back as it was written"))),
    }
}

/// The form that would be made, and how many bytes it would have.
fn try_form(
    source: Opened,
    (digest, length): (&Digest, u64),
    packing: Packing,
) -> Result<(Form, u64), Flaw> {
    if packing.takes(length) {
        let out = Counting::new(io::sink());
        let made = packing.write(out, length, |out| source.copy(digest, length, out).map(drop))?;
        if is_enough(length, made.count) {
            return Ok((packing.form(), made.count));
        }
    }
    Ok((Form::Bare, length))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::config::Algorithm;

    /// As on a disk with a bad sector: it can be opened, but not be read.
    #[test]
    fn an_object_that_cannot_be_read_is_damaged_and_not_the_copy_of_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("object");
        for (number, form) in [Form::Zstd, Form::Gzip, Form::Bare].into_iter().enumerate() {
            let mut open = OpenOptions::new();
            let file = open.create(true).append(true).open(&path).expect("a file");
            let source = Opened { form, path: path.clone(), file, stored: 1000, modified_ns: 0 };
            let tmp = folder.path().join(format!("tmp-{number}"));
            let mut target = Target::new(&tmp).expect("a file");
            let packing = Packing::new(Algorithm::Zstd, 3);
            let copied = copy_opened(source, (&Digest::of(b""), 1000), packing, &mut target);
            let flaw = copied.expect_err("it cannot be read");
            let of_it = matches!(&flaw, Flaw::Damaged { path: named, .. } if *named == path);
            assert!(of_it, "{form:?}: {flaw:?}");
        }
    }

    #[test]
    fn a_copy_that_cannot_be_written_is_no_flaw_of_the_object() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bare = folder.path().join("object");
        let bytes = vec![7; 1000];
        let packing = Packing::new(Algorithm::Zstd, 3);
        let packed = packing.pack(&bytes).expect("it shrinks");
        let object = (&Digest::of(&bytes), 1000);
        let mut file = fs::create_new(&Form::Zstd.at(&bare)).expect("a file");
        io::Write::write_all(&mut file, &packed).expect("room for it");
        for packing in [packing, Packing::new(Algorithm::Gzip, 3), Packing::BARE] {
            let source = open_object(&bare, 1000).expect("the object");
            let file = File::open(Form::Zstd.at(&bare)).expect("a file that is only read");
            let mut target = Target { file, path: &bare };
            let flaw = copy_opened(source, object, packing, &mut target).expect_err("no writing");
            assert!(matches!(&flaw, Flaw::Write(_)), "{packing:?}: {flaw:?}");
        }
    }
}
