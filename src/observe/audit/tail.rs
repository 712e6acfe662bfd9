//! What the end of an audit log says: where the chain stands, and what a crash has left there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::line::{Line, begins_a_line};
use crate::base::Digest;

/// How much of the end is looked at. A line is far shorter.
const WINDOW: u64 = 512 * 1024;
/// How much is read at a time where an older line is looked for.
const STEP: u64 = 256 * 1024;

/// Where the chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: Digest,
    /// The newest epoch that was sealed, as far as the end of the file says.
    pub(super) sealed: Option<u64>,
}

/// The end of the file.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// None: there is no line.
    pub(super) head: Option<Head>,
    /// Bytes at the end that are no whole line.
    pub(super) torn: Vec<u8>,
    /// How many zeros lie behind them: what a power failure leaves of blocks that were not written.
    pub(super) zeros: u64,
    /// They are a whole line but for its end.
    pub(super) wants_end: bool,
    /// Lines at the end that cannot be read.
    pub(super) unreadable: u64,
}

/// Reads the end of a file of this length. None: it is no audit log.
pub(super) fn read(file: &File, len: u64) -> io::Result<Option<Tail>> {
    let filled = filled(file, len)?;
    let from = filled.saturating_sub(WINDOW);
    let mut bytes = vec![0; usize::try_from(filled - from).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = bytes.split_off(end);
    let mut tail = Tail { torn, zeros: len - filled, ..Tail::default() };
    let mut last = None;
    for text in lines(&bytes).rev() {
        last.get_or_insert(text);
        match std::str::from_utf8(text).ok().and_then(Line::parse) {
            None if tail.head.is_none() => tail.unreadable += 1,
            None => {}
            Some(line) => {
                let sealed = line.seal.map(|seal| seal.epoch);
                let head = tail.head.get_or_insert(Head { seq: line.seq, hash: line.hash, sealed });
                if sealed.is_some() {
                    head.sealed = head.sealed.or(sealed);
                    break;
                }
            }
        }
    }
    if let Some(head) = &mut tail.head
        && tail.unreadable > 0
    {
        head.seq += tail.unreadable;
        head.hash = Digest::of(last.unwrap_or_default());
    }
    complete(&mut tail);
    // Of nothing but zeros nobody knows whose they are: as many as a first line could leave.
    let begins = begins_a_line(&tail.torn) && (filled > 0 || len <= WINDOW);
    let ours = tail.head.is_some() || (from == 0 && end == 0 && begins);
    Ok(ours.then_some(tail))
}

/// Where the zeros at the end of the file begin.
fn filled(file: &File, len: u64) -> io::Result<u64> {
    let mut end = len;
    let mut bytes = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(STEP);
        bytes.resize(usize::try_from(end - from).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut bytes, from)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// A whole line that lacks nothing but its end is kept.
fn complete(tail: &mut Tail) {
    let Some(line) = std::str::from_utf8(&tail.torn).ok().and_then(Line::parse) else { return };
    let follows = match tail.head {
        Some(head) => (line.seq, line.prev) == (head.seq + 1, head.hash),
        None => line.seq == 1,
    };
    if follows {
        let sealed = line.seal.map(|seal| seal.epoch).or(tail.head.and_then(|head| head.sealed));
        tail.head = Some(Head { seq: line.seq, hash: line.hash, sealed });
        tail.torn.clear();
        tail.wants_end = true;
    }
}

fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    bytes.strip_suffix(b"\n").into_iter().flat_map(|bytes| bytes.split(|byte| *byte == b'\n'))
}

/// The newest line of a process's start or end: it says which were at work.
pub(super) fn last_turn(file: &File, len: u64) -> io::Result<Option<Line>> {
    let mut end = len;
    // What of a line the step behind has seen.
    let mut rest: Vec<u8> = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(STEP);
        let mut bytes = vec![0; usize::try_from(end - from).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, from)?;
        bytes.extend_from_slice(&rest);
        let begin = match from {
            0 => 0,
            _ => bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1),
        };
        let mut all = bytes[begin..].split(|byte| *byte == b'\n').rev();
        // Others may have the word in a text.
        let turn = all.find_map(|text| {
            let has = text.windows(6).any(|part| part == b" open=");
            let line = has.then(|| std::str::from_utf8(text).ok().and_then(Line::parse)).flatten();
            line.filter(|line| line.open.is_some())
        });
        if turn.is_some() {
            return Ok(turn);
        }
        bytes.truncate(begin);
        rest = bytes;
        end = from;
    }
    Ok(None)
}
