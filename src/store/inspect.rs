//! Looking at an object where it lies, without touching it.

use std::io;
use std::path::Path;

use super::form::Form;
use super::read::{Flaw, Opened};
use crate::base::{Digest, FileError};

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
pub fn inspect(path: &Path, form: Form, digest: &Digest) -> Inspected {
    let read =
        Opened::open(form, path).and_then(|opened| opened.copy(digest, u64::MAX, &mut io::sink()));
    match read {
        Ok(length) => Inspected::Sound(length),
        Err(Flaw::Missing) => Inspected::Gone,
        Err(Flaw::Damaged { problem, .. }) => Inspected::Damaged(problem),
        Err(Flaw::Unreadable(error)) => Inspected::Unreadable(error),
        Err(Flaw::Write(error)) => Inspected::Unreadable(FileError::new("read", path, error)),
    }
}
