//! Reading an object where it lies, in whatever form, and proving it on the way. Changes nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::form::{self, Form};
use super::pack::Decoder;
use super::share;
use crate::base::digest::{CHUNK, hash_through, read_some};
use crate::base::fs::Context as _;
use crate::base::{Digest, FileError, stat};

/// Why a file could not be read as the object that it should be.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    #[error("it is not there")]
    Missing,
    /// The file is there but is not the object.
    #[error("{problem}")]
    Damaged { path: PathBuf, problem: String },
    #[error("{}", .0.source)]
    Unreadable(FileError),
    /// The bytes could not be passed on.
    #[error("{0}")]
    Write(io::Error),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Writes an object to `out`, which is worth nothing unless this succeeds. `bare` is the place of
/// its bare form; the others are beside it.
pub fn read_object(
    bare: &Path,
    digest: &Digest,
    length: u64,
    out: &mut impl Write,
) -> Result<(), Flaw> {
    open_object(bare, length)?.copy(digest, length, out).map(drop)
}

/// Makes an empty file hold an object; it is worth nothing unless this succeeds. Where the file
/// system can, the file gets the blocks of the object, and blocks of its own when it is written to.
pub(super) fn clone_object(
    bare: &Path,
    digest: &Digest,
    length: u64,
    out: &mut File,
) -> Result<(), Flaw> {
    let opened = open_object(bare, length)?;
    if opened.form == Form::Bare
        && share::out_of_store(&opened.file, length, opened.modified_ns, out)
    {
        let shared = out.metadata()?.len();
        if shared != length {
            return Err(opened.damaged(format!("it has {shared} bytes instead of {length}")));
        }
        // What is proved is the new file: the object may be sound in memory and not on the disk,
        // and only the disk is shared.
        let new = Opened { file: out.try_clone()?, ..opened };
        return new.copy(digest, length, &mut io::sink()).map(drop);
    }
    opened.copy(digest, length, out).map(drop)
}

/// The object in one form.
pub(super) struct Opened {
    pub(super) form: Form,
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// How many bytes the file has.
    pub(super) stored: u64,
    pub(super) modified_ns: i64,
}

/// Opens the first form that is there, also while the form is changed.
pub(super) fn open_object(bare: &Path, length: u64) -> Result<Opened, Flaw> {
    let look = |form: Form, path: &Path| match Opened::open(form, path) {
        Err(Flaw::Missing) => None,
        other => Some(other),
    };
    let opened = form::first_of_two(bare, length, look).unwrap_or(Err(Flaw::Missing))?;
    if opened.form == Form::Bare && opened.stored != length {
        let problem = format!("it has {} bytes instead of {length}", opened.stored);
        return Err(Flaw::Damaged { path: opened.path, problem });
    }
    Ok(opened)
}

impl Opened {
    /// A fifo in the object's place does not hold us up, nor does a link lead elsewhere.
    pub(super) fn open(form: Form, path: &Path) -> Result<Self, Flaw> {
        let damaged = |problem: String| Flaw::Damaged { path: path.to_path_buf(), problem };
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Flaw::Missing),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => {
                return Err(damaged("it is no regular file".to_owned()));
            }
            Err(error) => return Err(Flaw::Unreadable(FileError::new("open", path, error))),
        };
        let sig = stat::fstat(file.as_fd()).at("examine", path).map_err(Flaw::Unreadable)?;
        if !sig.kind().is_file() {
            return Err(damaged(format!("it is {}", sig.kind().noun())));
        }
        let (path, stored) = (path.to_path_buf(), sig.size);
        Ok(Self { form, path, file, stored, modified_ns: sig.mtime })
    }

    /// The same file once more, at the same place in it.
    pub(super) fn again(&self) -> Result<Self, Flaw> {
        let file = self.file.try_clone().at("open", &self.path).map_err(Flaw::Unreadable)?;
        Ok(Self { file, path: self.path.clone(), ..*self })
    }

    pub(super) fn damaged(&self, problem: String) -> Flaw {
        Flaw::Damaged { path: self.path.clone(), problem }
    }

    /// What an error says of it when it was copied.
    pub(super) fn flaw(&self, error: CopyError) -> Flaw {
        match error {
            CopyError::Read(error) => self.damaged(error.to_string()),
            CopyError::Write(error) => Flaw::Write(error),
        }
    }

    /// Writes all of it to `out`, at most `length` bytes, and how many that were.
    pub(super) fn copy(
        self,
        digest: &Digest,
        length: u64,
        out: &mut impl Write,
    ) -> Result<u64, Flaw> {
        let Self { form, path, mut file, stored, .. } = self;
        let copied = match form {
            Form::Bare => copy_hashing(&mut file, out, length),
            _ => Decoder::new(form, BufReader::with_capacity(CHUNK, file), stored)
                .map_err(CopyError::Read)
                .and_then(|mut decoder| copy_to_end(&mut decoder, out, length)),
        };
        let damaged = |problem| Err(Flaw::Damaged { path, problem });
        match copied {
            Ok((found, total)) if found == *digest => Ok(total),
            Ok(_) => damaged("its bytes have another digest".to_owned()),
            Err(CopyError::Read(error)) => damaged(error.to_string()),
            Err(CopyError::Write(error)) => Err(Flaw::Write(error)),
        }
    }
}

/// Copies all that there is, which may not be more than `most` bytes.
fn copy_to_end(
    from: &mut impl Read,
    to: &mut impl Write,
    most: u64,
) -> Result<(Digest, u64), CopyError> {
    let copied = copy_hashing(from, to, most)?;
    if copied.1 == most && read_some(from, &mut [0]).map_err(CopyError::Read)? > 0 {
        let problem = format!("it has more than {most} bytes");
        return Err(CopyError::Read(io::Error::new(io::ErrorKind::InvalidData, problem)));
    }
    Ok(copied)
}

pub(super) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl CopyError {
    pub(super) fn named(self, from: &Path, to: &Path) -> FileError {
        match self {
            Self::Read(error) => FileError::new("read", from, error),
            Self::Write(error) => FileError::new("write", to, error),
        }
    }
}

/// Copies all bytes, whatever they are.
pub(super) fn copy_as_it_is(from: &mut impl Read, to: &mut impl Write) -> Result<(), CopyError> {
    let mut piece = vec![0; CHUNK];
    loop {
        let count = read_some(from, &mut piece).map_err(CopyError::Read)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&piece[..count])?;
    }
}

/// Copies up to `most` bytes, or to the end.
pub(super) fn copy_hashing(
    from: &mut impl Read,
    to: &mut impl Write,
    most: u64,
) -> Result<(Digest, u64), CopyError> {
    hash_through(from, most, CopyError::Read, |piece| to.write_all(piece).map_err(CopyError::Write))
}
