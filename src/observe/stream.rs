//! A task's output, however large, in pieces: as bytes for the terminal, as text for JSON.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::base::ByteSize;
use crate::base::digest::{CHUNK, read_some};
use crate::event::Output;

/// An output that is kept for later; a large one as an open file, for its name may be gone by
/// then.
#[derive(Debug)]
pub(super) enum Held {
    Bytes(Arc<[u8]>),
    File(File, u64),
}

impl Held {
    /// None: there is nothing in it.
    pub(super) fn open(output: &Output) -> io::Result<Option<Self>> {
        Ok(match output {
            Output::Bytes(bytes) if bytes.is_empty() => None,
            Output::Bytes(bytes) => Some(Self::Bytes(Arc::clone(bytes))),
            Output::Clipped { begin, end, len, .. } => {
                let kept = (begin.len() + end.len()) as u64;
                let gap =
                    format!("\n... {} are not kept ...\n", ByteSize(len.saturating_sub(kept)));
                Some(Self::Bytes(format!("{begin}{gap}{end}").into_bytes().into()))
            }
            Output::File { len: 0, .. } => None,
            Output::File { path, len, .. } => Some(Self::File(File::open(path)?, *len)),
        })
    }

    /// The answer: the last byte written, if any.
    pub(super) fn copy(&self, out: &mut impl Write) -> io::Result<Option<u8>> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes).map(|()| bytes.last().copied()),
            Self::File(file, len) => copy_file(file, *len, out),
        }
    }
}

fn copy_file(file: &File, len: u64, out: &mut impl Write) -> io::Result<Option<u8>> {
    let mut last = None;
    each_piece(file, len, |piece| {
        last = piece.last().copied();
        out.write_all(piece)
    })?;
    Ok(last)
}

/// Hands the first `len` bytes of `file` on as text, in pieces; what is not UTF-8 is
/// replaced, exactly as if all of it had been converted at once.
pub(super) fn file_as_text(
    file: &File,
    len: u64,
    mut take: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    let mut held: Vec<u8> = Vec::new();
    each_piece(file, len, |piece| {
        held.extend_from_slice(piece);
        let end = held.len() - unfinished(&held);
        take(&String::from_utf8_lossy(&held[..end]))?;
        held.drain(..end);
        Ok(())
    })?;
    take(&String::from_utf8_lossy(&held))
}

/// How many bytes at the end are the beginning of a character that may go on.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    (1..=tail.len())
        .rev()
        .find(|&count| {
            std::str::from_utf8(&tail[tail.len() - count..])
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

fn each_piece(
    file: &File,
    len: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = file.take(len);
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = read_some(&mut file, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        take(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("room for it");
        io::Seek::rewind(&mut file).expect("a seekable file");
        file
    }

    #[test]
    fn text_in_pieces_equals_text_at_once() {
        // The odd length before it puts a character across each border between pieces.
        let mut bytes = b"abc".to_vec();
        while bytes.len() < 3 * CHUNK {
            bytes.extend_from_slice("é🦀".as_bytes());
            bytes.extend_from_slice(b"\xff\xf0\x9f");
        }
        for cut in 0..4 {
            let bytes = &bytes[..bytes.len() - cut];
            let file = file_of(bytes);
            let mut text = String::new();
            file_as_text(&file, u64::MAX, |piece| {
                text.push_str(piece);
                Ok(())
            })
            .expect("a readable file");
            assert!(text == String::from_utf8_lossy(bytes), "cut by {cut}");
        }
    }

    #[test]
    fn no_more_is_copied_than_the_task_wrote() {
        let file = file_of(b"one\ntwo\n");
        let mut out = Vec::new();
        assert_eq!(copy_file(&file, 4, &mut out).expect("a readable file"), Some(b'\n'));
        assert_eq!(out, b"one\n");
    }
}
