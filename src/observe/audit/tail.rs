//! What the end of an audit log says: where the chain stands, and what a crash has left there.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::line::{Line, begins_a_line};
use crate::base::Digest;

/// How much of the end is looked at, at most. A line is far shorter.
const WINDOW: u64 = 512 * 1024;
/// How much is read at first where something is looked for from the end on, and at most at a time.
const STEPS: (u64, u64) = (16 * 1024, 256 * 1024);

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

/// Reads the end of a file of this length, as far back as the newest seal if that is wanted. None:
/// it is no audit log.
pub(super) fn read(file: &File, len: u64, wants_seal: bool) -> io::Result<Option<Tail>> {
    let filled = filled(file, len)?;
    let mut window = STEPS.0;
    let (mut tail, from) = loop {
        let from = filled.saturating_sub(window);
        let tail = read_from(file, from, filled, wants_seal)?;
        let is_enough = tail.head.is_some_and(|head| !wants_seal || head.sealed.is_some());
        if is_enough || from == 0 || window == WINDOW {
            break (tail, from);
        }
        window = WINDOW;
    };
    tail.zeros = len - filled;
    let has_lines = tail.head.is_some() || tail.unreadable > 0;
    complete(&mut tail);
    // Of nothing but zeros nobody knows whose they are: as many as a first line could leave.
    let begins = begins_a_line(&tail.torn) && (filled > 0 || len <= WINDOW);
    let ours = tail.head.is_some() || (from == 0 && !has_lines && begins);
    Ok(ours.then_some(tail))
}

/// What lies between the two places, as if it were all.
fn read_from(file: &File, from: u64, to: u64, wants_seal: bool) -> io::Result<Tail> {
    let mut bytes = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = bytes.split_off(end);
    let mut tail = Tail { torn, ..Tail::default() };
    let mut last = None;
    for text in lines(&bytes).rev() {
        last.get_or_insert(text);
        match std::str::from_utf8(text).ok().and_then(Line::parse) {
            None if tail.head.is_none() => tail.unreadable += 1,
            None => {}
            Some(line) => {
                let sealed = line.seal.map(|seal| seal.epoch);
                let head = tail.head.get_or_insert(Head { seq: line.seq, hash: line.hash, sealed });
                head.sealed = head.sealed.or(sealed);
                if head.sealed.is_some() || !wants_seal {
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
    Ok(tail)
}

/// From where to where to read next, from the end of a file on.
fn steps(len: u64) -> impl Iterator<Item = Range<u64>> {
    let (mut end, mut step) = (len, STEPS.0);
    std::iter::from_fn(move || {
        let range = end.saturating_sub(step)..end;
        (end, step) = (range.start, STEPS.1);
        (!range.is_empty()).then_some(range)
    })
}

/// Where the zeros at the end of the file begin.
fn filled(file: &File, len: u64) -> io::Result<u64> {
    let mut bytes = Vec::new();
    for Range { start, end } in steps(len) {
        bytes.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut bytes, start)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
            return Ok(start + at as u64 + 1);
        }
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
    // What of a line the step behind has seen.
    let mut rest: Vec<u8> = Vec::new();
    for Range { start, end } in steps(len) {
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        bytes.extend_from_slice(&rest);
        let begin = match start {
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
    }
    Ok(None)
}
