//! How new objects are compressed, and whether it is worth it. Knows nothing of names and places.

mod decode;
mod encode;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

pub(super) use decode::Decoder;
pub(super) use encode::{Counting, Encoder};

use super::form::{Form, LEAST};
use crate::config::{Algorithm, Compression};

/// Up to this size nothing is estimated: the whole of it costs no more than a sample.
const WHOLE: u64 = 256 << 10;
/// The sample of a larger object: so many pieces of so many bytes, evenly spread.
const PIECES: u64 = 8;
const PIECE: usize = 16 << 10;
/// At least this part of an object must be saved, or it is stored bare.
const SAVED: u64 = 8;

/// What is done to the bytes of new objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    form: Form,
    /// From 1 to 12, for each codec.
    level: u64,
}

impl Packing {
    /// Nothing is done.
    pub const BARE: Self = Self { form: Form::Bare, level: 1 };

    pub fn new(algorithm: Algorithm, level: u64) -> Self {
        let form = match algorithm {
            Algorithm::None => Form::Bare,
            Algorithm::Zlib => Form::Zlib,
            Algorithm::Gzip => Form::Gzip,
            Algorithm::Lz4 => Form::Lz4,
            Algorithm::Zstd => Form::Zstd,
        };
        Self { form, level }
    }

    /// What the settings say.
    pub fn of(settings: &Compression) -> Self {
        let algorithm = if settings.enabled { settings.algorithm } else { Algorithm::None };
        Self::new(algorithm, settings.level)
    }

    pub fn form(self) -> Form {
        self.form
    }

    pub fn level(self) -> u64 {
        self.level
    }

    /// Whether objects of this length may be compressed at all.
    pub(super) fn takes(self, length: u64) -> bool {
        self.form != Form::Bare && length >= LEAST
    }

    /// The bytes in this form; none where they are better stored bare.
    pub fn pack(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let length = bytes.len() as u64;
        if !self.takes(length) || !shrinks(length, &|part, at| copy_part(bytes, part, at)) {
            return None;
        }
        let packed =
            self.write(Vec::with_capacity(bytes.len() / 2), length, |out| out.write_all(bytes));
        packed.ok().filter(|packed| is_enough(length, packed.len() as u64))
    }

    /// Whether a file of `length` bytes is likely to shrink by enough.
    pub(super) fn is_worth(self, file: &File, length: u64) -> bool {
        self.takes(length) && shrinks(length, &|part, at| file.read_at(part, at))
    }

    /// Hands an encoder around `out` to `fill`, which writes `length` bytes.
    pub(super) fn write<W: Write, E: From<io::Error>>(
        self,
        out: W,
        length: u64,
        fill: impl FnOnce(&mut Encoder<W>) -> Result<(), E>,
    ) -> Result<W, E> {
        let mut encoder = Encoder::new(self, out, length)?;
        fill(&mut encoder)?;
        Ok(encoder.finish()?)
    }
}

/// Whether so much was saved that it is worth the work of reading it.
pub(super) fn is_enough(length: u64, stored: u64) -> bool {
    stored <= length - length / SAVED
}

/// Whether a sample shrinks; `read` gives a part of the bytes that begins at a place.
fn shrinks(length: u64, read: &dyn Fn(&mut [u8], u64) -> io::Result<usize>) -> bool {
    if length <= WHOLE {
        return true;
    }
    let mut sample = Vec::with_capacity(PIECE * PIECES as usize);
    let mut piece = vec![0; PIECE];
    let step = (length - PIECE as u64) / (PIECES - 1);
    for at in 0..PIECES {
        match read(&mut piece, at * step) {
            Ok(count) => sample.extend_from_slice(&piece[..count]),
            // Whoever reads all of it finds this too, and says so.
            Err(_) => return false,
        }
    }
    let quick = Packing { form: Form::Zstd, level: 1 };
    let length = sample.len() as u64;
    let packed =
        quick.write(Vec::with_capacity(sample.len()), length, |out| out.write_all(&sample));
    packed.is_ok_and(|packed| is_enough(length, packed.len() as u64))
}

fn copy_part(bytes: &[u8], part: &mut [u8], at: u64) -> io::Result<usize> {
    let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let count = part.len().min(rest.len());
    part[..count].copy_from_slice(&rest[..count]);
    Ok(count)
}

#[cfg(test)]
mod tests;
