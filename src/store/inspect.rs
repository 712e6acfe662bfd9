//! Looking at an object where it lies, without touching it.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::base::fs::Context as _;
use crate::base::{Digest, FileError, Sig, stat};

/// What is found in an object's place.
#[derive(Debug)]
pub enum Inspected {
    /// It is the object, and has so many bytes.
    Sound(u64),
    /// Nothing is there.
    Gone,
    /// Something else is there.
    Damaged(String),
    Unreadable(FileError),
}

/// Reads what lies at `path` in pieces and compares it with the digest that it should have. A
/// fifo in its place does not hold us up, nor does a link lead elsewhere.
pub fn inspect(path: &Path, digest: &Digest) -> Inspected {
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Inspected::Gone,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => {
            return Inspected::Damaged("it is no regular file".to_owned());
        }
        Err(error) => return Inspected::Unreadable(FileError::new("open", path, error)),
    };
    let sig: Sig = match stat::fstat(file.as_fd()).at("examine", path) {
        Ok(sig) => sig,
        Err(error) => return Inspected::Unreadable(error),
    };
    if !sig.kind().is_file() {
        return Inspected::Damaged(format!("it is {}", sig.kind().noun()));
    }
    match Digest::of_file(&mut file).at("read", path) {
        Ok((found, length)) if found == *digest => Inspected::Sound(length),
        Ok(_) => Inspected::Damaged("its bytes have another digest".to_owned()),
        Err(error) => Inspected::Unreadable(error),
    }
}
