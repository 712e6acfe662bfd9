//! The digest of something long, whose pieces are hashed while others are read and written.
//!
//! All that is hashed so in the process lies on one desk. A thread that is further ahead with its
//! own than another hashes a piece of both at once, which takes little longer than a piece of one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::lanes::{self, Block, FIRST, State};
use super::{CHUNK, Digest};

/// How many pieces of one message may be under way. Each has `CHUNK` bytes.
const PIECES: usize = 6;

/// A digest in the making. Its pieces are handed over in buffers that it lends.
#[derive(Debug)]
pub struct LongHasher {
    id: u64,
    total: u64,
    /// What follows the last whole block.
    tail: Vec<u8>,
}

/// What is known of a message.
#[derive(Debug)]
struct Row {
    id: u64,
    state: State,
    pending: VecDeque<Vec<u8>>,
    /// Buffers that can be filled again.
    spare: Vec<Vec<u8>>,
    /// How many buffers there are in all.
    made: usize,
    /// Some thread has a piece of it, and its state.
    is_busy: bool,
}

#[derive(Debug)]
struct Desk {
    rows: Mutex<Vec<Row>>,
    /// A piece is done.
    done: Condvar,
}

static DESK: Desk = Desk { rows: Mutex::new(Vec::new()), done: Condvar::new() };

/// A piece that was taken from the desk to be hashed.
struct Taken {
    id: u64,
    state: State,
    piece: Vec<u8>,
}

impl Taken {
    fn blocks(&self) -> &[Block] {
        self.piece.as_chunks().0
    }
}

impl LongHasher {
    #[expect(clippy::new_without_default, reason = "it lies on the desk from here on")]
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let id = COUNT.fetch_add(1, Ordering::Relaxed);
        let row = Row {
            id,
            state: FIRST,
            pending: VecDeque::new(),
            spare: Vec::new(),
            made: 0,
            is_busy: false,
        };
        DESK.lock().push(row);
        Self { id, total: 0, tail: Vec::new() }
    }

    /// A buffer for the next piece, with the bytes of an earlier one, or none.
    pub fn buffer(&self) -> Vec<u8> {
        let mut rows = DESK.lock();
        loop {
            let own = row(&mut rows, self.id);
            let has_room = !own.spare.is_empty() || own.made < PIECES;
            match choose(&rows, self.id, has_room) {
                Choice::Hash(other) => rows = DESK.hash(rows, self.id, other),
                Choice::GoOn => {
                    let own = row(&mut rows, self.id);
                    let spare = own.spare.pop();
                    own.made += usize::from(spare.is_none());
                    return spare.unwrap_or_else(|| Vec::with_capacity(CHUNK));
                }
                Choice::Wait => rows = DESK.wait(rows),
            }
        }
    }

    /// Hands over the next piece. Only the last may have a length that is no multiple of 64.
    pub fn push(&mut self, mut piece: Vec<u8>) {
        debug_assert!(self.tail.is_empty(), "a piece behind the last");
        self.total += piece.len() as u64;
        let whole = piece.len() / 64 * 64;
        self.tail.extend(piece.drain(whole..));
        row(&mut DESK.lock(), self.id).pending.push_back(piece);
    }

    pub fn finish(self) -> Digest {
        let mut rows = DESK.lock();
        let mut state = loop {
            let own = row(&mut rows, self.id);
            if own.pending.is_empty() && !own.is_busy {
                break own.state;
            }
            rows = match choose(&rows, self.id, false) {
                Choice::Hash(other) => DESK.hash(rows, self.id, other),
                Choice::Wait | Choice::GoOn => DESK.wait(rows),
            };
        };
        drop(rows);
        // The end (FIPS 180-4, 5.1.1): a bit that is set, then as many that are not that the length
        // in bits fills the last block.
        let mut end = self.tail.clone();
        end.push(0x80);
        end.resize((end.len() + 8).next_multiple_of(64) - 8, 0);
        end.extend((self.total * 8).to_be_bytes());
        lanes::compress(&mut state, end.as_chunks().0);
        let mut bytes = [0; 32];
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
            *to = word.to_be_bytes();
        }
        Digest(bytes)
    }
}

impl Drop for LongHasher {
    fn drop(&mut self) {
        // Whoever has a piece of it finds it gone.
        DESK.lock().retain(|row| row.id != self.id);
    }
}

/// What a thread does next.
enum Choice {
    /// A piece of its own, and one of the other message at once.
    Hash(Option<u64>),
    /// Read the next piece.
    GoOn,
    /// All of its own is in others' hands.
    Wait,
}

fn choose(rows: &[Row], own: u64, has_room: bool) -> Choice {
    let pieces = |row: &Row| if row.is_busy { 0 } else { row.pending.len() };
    let mine = rows.iter().find(|row| row.id == own).map_or(0, pieces);
    let most = rows.iter().filter(|row| row.id != own).max_by_key(|row| pieces(row));
    if mine == 0 {
        return if has_room { Choice::GoOn } else { Choice::Wait };
    }
    match most {
        // Who is further ahead has the time.
        Some(other) if pieces(other) > 0 && (!has_room || mine >= pieces(other)) => {
            Choice::Hash(Some(other.id))
        }
        // Another piece may come to it.
        Some(_) if has_room => Choice::GoOn,
        _ => Choice::Hash(None),
    }
}

fn row(rows: &mut [Row], id: u64) -> &mut Row {
    rows.iter_mut().find(|row| row.id == id).expect("it lies on the desk until it is dropped")
}

fn take(rows: &mut [Row], id: u64) -> Taken {
    let row = row(rows, id);
    row.is_busy = true;
    let piece = row.pending.pop_front().unwrap_or_default();
    Taken { id, state: row.state, piece }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, rows: MutexGuard<'a, Vec<Row>>) -> MutexGuard<'a, Vec<Row>> {
        self.done.wait(rows).unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes a piece of a message, and one of another. The desk is free meanwhile.
    fn hash<'a>(
        &'a self,
        mut rows: MutexGuard<'a, Vec<Row>>,
        own: u64,
        other: Option<u64>,
    ) -> MutexGuard<'a, Vec<Row>> {
        let mut one = take(&mut rows, own);
        let two = other.map(|other| take(&mut rows, other));
        drop(rows);
        let mut state = one.state;
        let Some(mut two) = two else {
            lanes::compress(&mut state, one.blocks());
            one.state = state;
            return self.give_back([Some(one), None]);
        };
        let mut other_state = two.state;
        lanes::compress_two([&mut state, &mut other_state], [one.blocks(), two.blocks()]);
        one.state = state;
        two.state = other_state;
        self.give_back([Some(one), Some(two)])
    }

    fn give_back(&self, taken: [Option<Taken>; 2]) -> MutexGuard<'_, Vec<Row>> {
        let mut rows = self.lock();
        for Taken { id, state, piece } in taken.into_iter().flatten() {
            if let Some(row) = rows.iter_mut().find(|row| row.id == id) {
                row.spare.push(piece);
                row.state = state;
                row.is_busy = false;
            }
        }
        self.done.notify_all();
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(seed: usize, length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 + at / 251 * 7 + seed) as u8).collect()
    }

    fn long(bytes: &[u8], pieces: usize) -> Digest {
        let mut hasher = LongHasher::new();
        for part in bytes.chunks(pieces) {
            let mut buffer = hasher.buffer();
            buffer.clear();
            buffer.extend_from_slice(part);
            hasher.push(buffer);
        }
        hasher.finish()
    }

    #[test]
    fn messages_of_any_length_have_their_digests() {
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 4096, 100_000] {
            let bytes = bytes(length, length);
            for pieces in [64, 4096] {
                assert_eq!(long(&bytes, pieces), Digest::of(&bytes), "{length} in {pieces}");
            }
        }
    }

    #[test]
    fn many_threads_at_one_desk_do_not_mix_their_messages() {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for round in 0..40 {
                        let bytes = bytes(thread * 100 + round, thread * 40_000 + round * 997);
                        assert_eq!(long(&bytes, 4096), Digest::of(&bytes));
                    }
                });
            }
        });
    }

    #[test]
    fn who_gives_up_leaves_nobody_waiting() {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..100 {
                        let mut hasher = LongHasher::new();
                        for _ in 0..round % 20 {
                            let mut buffer = hasher.buffer();
                            buffer.resize(4096, thread);
                            hasher.push(buffer);
                        }
                        if round % 3 == 0 {
                            hasher.finish();
                        }
                    }
                });
            }
        });
    }
}
