//! What was done to a chain of lines, from the pieces in which it is still whole.
//!
//! A piece is a row of lines each of which has the number and the hash that the one before wants.
//! Of all pieces those are taken for the log that make the most of it in the order of numbers;
//! what lies between them, or does not belong to them, is the damage.

use std::collections::HashMap;

use super::{Damage, Finding};
use crate::base::Digest;
use crate::base::text::count;
use crate::observe::Line;

/// More pieces than this are not told apart: such a file is no log any more.
const MOST: usize = 3000;

/// Lines that follow from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    first_line: u64,
    last_line: u64,
    first_seq: u64,
    last_seq: u64,
    first_prev: Digest,
    first_hash: Digest,
    last_hash: Digest,
    /// Its numbers were all seen in lines before.
    repeats: bool,
}

impl Piece {
    fn of(number: u64, line: &Line, repeats: bool) -> Self {
        Self {
            first_line: number,
            last_line: number,
            first_seq: line.seq,
            last_seq: line.seq,
            first_prev: line.prev,
            first_hash: line.hash,
            last_hash: line.hash,
            repeats,
        }
    }

    fn len(&self) -> u64 {
        self.last_line - self.first_line + 1
    }

    /// Whether the other is the next of the same chain.
    fn leads_to(&self, next: &Self) -> bool {
        self.last_seq.checked_add(1) == Some(next.first_seq) && self.last_hash == next.first_prev
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.first_seq <= other.last_seq && other.first_seq <= self.last_seq
    }

    fn begins_a_log(&self) -> bool {
        self.first_seq == 1 && self.first_prev == Digest::default()
    }
}

/// The lines of a file, gathered to pieces.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    all: Vec<Piece>,
    /// Lines that are none of ours or not as they were written.
    bad: Vec<u64>,
    greatest: u64,
    /// The line before was bad.
    broken: bool,
    /// There are too many.
    pub(super) too_many: bool,
}

impl Pieces {
    pub(super) fn add(&mut self, number: u64, line: Option<&Line>) {
        self.too_many |= self.all.len() >= MOST || self.bad.len() >= MOST;
        if self.too_many {
            return;
        }
        let Some(line) = line else {
            self.bad.push(number);
            self.broken = true;
            return;
        };
        let repeats = line.seq <= self.greatest;
        let piece = Piece::of(number, line, repeats);
        match self.all.last_mut() {
            Some(last) if !self.broken && last.repeats == repeats && last.leads_to(&piece) => {
                last.last_line = number;
                last.last_seq = line.seq;
                last.last_hash = line.hash;
            }
            _ => self.all.push(piece),
        }
        self.greatest = self.greatest.max(line.seq);
        self.broken = false;
    }

    /// Hashes of lines of which it matters whether they are in the file more than once.
    pub(super) fn doubtful(&self) -> Vec<Digest> {
        let chain = self.chain();
        let others = self.all.iter().enumerate().filter(|(at, _)| !chain.contains(at));
        others.map(|(_, piece)| piece.first_hash).collect()
    }

    /// The damage; `times` says how often a doubtful line is in the file.
    pub(super) fn findings(&self, times: &HashMap<Digest, u64>) -> Vec<Finding> {
        let chain = self.chain();
        let main: Vec<&Piece> = chain.iter().map(|at| &self.all[*at]).collect();
        let mut findings = Vec::new();
        let others = self.all.iter().enumerate().filter(|(at, _)| !chain.contains(at));
        let (covered, free): (Vec<&Piece>, Vec<&Piece>) = others
            .map(|(_, piece)| piece)
            .partition(|one| main.iter().any(|piece| piece.overlaps(one)));
        let mut accepted = main.clone();
        for piece in &free {
            let near = |other: &&Piece| other.leads_to(piece) || piece.leads_to(other);
            if main.iter().chain(&free).any(near) {
                accepted.push(piece);
                findings.push(reordered(piece));
            } else {
                findings.push(inserted(piece));
            }
        }
        accepted.sort_by_key(|piece| piece.first_seq);
        let mut used = Vec::new();
        let mut true_ones = Vec::new();
        self.between(None, accepted.first().copied(), &mut used, &mut findings);
        for pair in accepted.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if before.last_seq.checked_add(1) != Some(after.first_seq) {
                self.between(Some(before), Some(after), &mut used, &mut findings);
            } else if before.last_hash != after.first_prev {
                let known = covered.iter().find(|one| one.leads_to(after));
                findings.push(replaced(before, known.copied()));
                true_ones.extend(known.map(|one| one.first_line));
            }
        }
        for piece in covered.iter().filter(|one| !true_ones.contains(&one.first_line)) {
            findings.push(superfluous(piece, main.first().copied(), times));
        }
        findings.extend(self.odd(main.last().copied(), &used));
        findings
    }

    /// The pieces that are taken for the log, by number: those that hold the most lines, and of
    /// those the ones that follow from each other.
    fn chain(&self) -> Vec<usize> {
        let mut best: Vec<(u64, Option<usize>)> = Vec::with_capacity(self.all.len());
        for (at, piece) in self.all.iter().enumerate() {
            let own = piece.len().saturating_mul(4);
            let mut most = (own, None);
            for (earlier, before) in self.all[..at].iter().enumerate() {
                if before.last_seq < piece.first_seq {
                    let bonus = u64::from(before.leads_to(piece));
                    let sum = best[earlier].0.saturating_add(own).saturating_add(bonus);
                    if sum > most.0 {
                        most = (sum, Some(earlier));
                    }
                }
            }
            best.push(most);
        }
        let mut next = (0..best.len()).max_by_key(|at| best[*at].0);
        let mut chain = Vec::new();
        while let Some(at) = next {
            chain.push(at);
            next = best[at].1;
        }
        chain.reverse();
        chain
    }

    /// Numbers are missing between two pieces: as many lines as stand there and cannot be read
    /// were edited, the rest is not there any more.
    fn between(
        &self,
        before: Option<&Piece>,
        after: Option<&Piece>,
        used: &mut Vec<u64>,
        findings: &mut Vec<Finding>,
    ) {
        let Some(after) = after else { return };
        let (line, seq) = before.map_or((0, 0), |piece| (piece.last_line, piece.last_seq));
        let missing = after.first_seq.saturating_sub(seq).saturating_sub(1);
        let there = self.bad.iter().filter(|bad| **bad > line && **bad < after.first_line);
        let mut edited = 0;
        for bad in there.take(usize::try_from(missing).unwrap_or(usize::MAX)) {
            used.push(*bad);
            edited += 1;
            let what = format!("this line is not as it was written (seq {})", seq + edited);
            findings.push(Finding { line: *bad, damage: Damage::Edited, what });
        }
        let gone = missing - edited;
        if gone > 0 {
            let (first, last) = (seq + edited + 1, after.first_seq - 1);
            let lines = count(usize::try_from(gone).unwrap_or(usize::MAX), "line");
            let what = format!("before this line {lines} missing (seq {first} to {last})");
            findings.push(Finding { line: after.first_line, damage: Damage::Deleted, what });
        }
    }

    /// Lines that cannot be read and for which no number is missing: of the end nobody knows
    /// whether one was.
    fn odd(&self, last: Option<&Piece>, used: &[u64]) -> Vec<Finding> {
        let end = last.map_or(0, |piece| piece.last_line);
        let odd = self.bad.iter().filter(|line| !used.contains(line));
        odd.map(|line| {
            let (damage, what) = if *line > end {
                (Damage::Edited, "this line is not as it was written")
            } else {
                (Damage::Inserted, "this is no line of the log")
            };
            Finding { line: *line, damage, what: what.to_owned() }
        })
        .collect()
    }
}

fn lines_of(piece: &Piece) -> String {
    match piece.len() {
        1 => "this line".to_owned(),
        len => {
            format!("this and the next {}", count(usize::try_from(len - 1).unwrap_or(0), "line"))
        }
    }
}

fn reordered(piece: &Piece) -> Finding {
    let (lines, seq) = (lines_of(piece), piece.first_seq);
    let what =
        format!("{lines} stood elsewhere: by its number (seq {seq}) it does not belong here");
    Finding { line: piece.first_line, damage: Damage::Reordered, what }
}

fn inserted(piece: &Piece) -> Finding {
    let what = format!("{} of no place in the chain", lines_of(piece));
    Finding { line: piece.first_line, damage: Damage::Inserted, what }
}

/// What stands in for a line, or beside it, and was made to look like one.
fn replaced(before: &Piece, known: Option<&Piece>) -> Finding {
    let seq = before.last_seq;
    let (damage, line, what) = match known {
        Some(known) => {
            let line = (before.last_line + 1).saturating_sub(known.len()).max(before.first_line);
            let what = format!("the log goes on from another line with this number (seq {seq})");
            (Damage::Inserted, line, what)
        }
        None => {
            let what = format!(
                "this line (seq {seq}) was replaced: the next line follows from another one"
            );
            (Damage::Edited, before.last_line, what)
        }
    };
    Finding { line, damage, what }
}

/// Lines whose numbers the log has already.
fn superfluous(piece: &Piece, log: Option<&Piece>, times: &HashMap<Digest, u64>) -> Finding {
    let other_log =
        piece.begins_a_log() && log.is_some_and(|log| log.first_hash != piece.first_hash);
    let (damage, what) = if other_log {
        (Damage::OtherInstance, "belongs to another log, which begins here")
    } else if times.get(&piece.first_hash).is_some_and(|times| *times > 1) {
        (Damage::Duplicated, "is in the log already")
    } else {
        (Damage::Inserted, "has a number that another line has")
    };
    let what = format!("{} {what} (seq {})", lines_of(piece), piece.first_seq);
    Finding { line: piece.first_line, damage, what }
}
