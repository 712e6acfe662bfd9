//! Every way in which a log can be damaged, over logs that the listener itself has written.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::runs::Pieces;
use super::verify::{Against, Anchored, verify};
use super::{Damage, Finding};
use crate::base::fs::write_atomic;
use crate::base::{Cancel, Digest};
use crate::event::Operation;
use crate::observe::{Audit, AuditOptions, EpochKey, Line};

fn options(file: PathBuf, key: Option<PathBuf>) -> AuditOptions {
    AuditOptions {
        file,
        key,
        anchor: None,
        syslog: None,
        console: false,
        required: true,
        config: String::new(),
        stop: Cancel::new(),
    }
}

/// A process that writes so many lines beside its first two and its last.
fn process(file: &Path, key: Option<&Path>, lines: usize) {
    let started =
        Operation::Started { verb: "build".into(), version: "1".into(), command: "reprovm".into() };
    let loaded = Operation::SettingsLoaded { files: Vec::new(), set: Vec::new() };
    let options = options(file.to_path_buf(), key.map(Path::to_path_buf));
    let audit = Audit::start(options, &started, &loaded).expect("a log");
    for number in 0..lines {
        audit.tell(&Operation::Warned { what: format!("task {number}"), problem: "x\ny".into() });
    }
    let end = audit.finish(&Operation::Ended { verb: "build".into(), code: 0, took_ms: 1 });
    assert!(end.failed.is_none() && end.problems.is_empty(), "{end:?}");
}

/// The lines of a log of this length.
fn log(lines: usize) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("audit.log");
    process(&file, None, lines - 4);
    let text = fs::read_to_string(&file).expect("the log");
    let all: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(all.len(), lines);
    all
}

fn parsed(lines: &[String]) -> Vec<Option<Line>> {
    lines.iter().map(|line| Line::parse(line)).collect()
}

/// What is found in lines, by their pieces alone.
fn judged(lines: &[Option<Line>]) -> Vec<(u64, Damage)> {
    let mut pieces = Pieces::default();
    let mut times: HashMap<Digest, u64> = HashMap::new();
    for (number, line) in (1..).zip(lines) {
        pieces.add(number, line.as_ref());
        if let Some(line) = line {
            *times.entry(line.hash).or_default() += 1;
        }
    }
    let mut found: Vec<(u64, Damage)> =
        pieces.findings(&times).iter().map(|one| (one.line, one.damage)).collect();
    found.sort_unstable();
    found
}

/// The same through a file.
fn verified(bytes: &[u8], against: &Against) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("audit.log");
    write_atomic(&file, bytes).expect("a file");
    verify(&file, against).expect("a readable file").findings
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line that was changed and hashed anew, as who can write the file can do.
fn forged(line: &str, from: &str, to: &str) -> String {
    let (content, _) = line.rsplit_once(" hash=").expect("a line");
    let changed = content.replace(from, to);
    assert_ne!(changed, content);
    format!("{changed} hash={}", Digest::of(changed.as_bytes()))
}

#[test]
fn a_log_as_it_was_written_has_no_findings() {
    let lines = log(40);
    assert_eq!(judged(&parsed(&lines)), []);
    assert_eq!(verified(text(&lines).as_bytes(), &Against::default()), []);
}

#[test]
fn every_byte_that_is_flipped_shows_with_its_line() {
    let lines = log(200);
    let whole = parsed(&lines);
    let mut flips = 0;
    for (at, line) in lines.iter().enumerate() {
        let number = at as u64 + 1;
        let mut bytes = line.clone().into_bytes();
        for place in 0..bytes.len() {
            let before = bytes[place];
            bytes[place] ^= 1 << (place % 8);
            if bytes[place] == b'\n' {
                // Two lines: through a file, below.
                bytes[place] = before;
                continue;
            }
            let flipped = std::str::from_utf8(&bytes).ok().and_then(Line::parse);
            assert_eq!(flipped, None, "line {number}, byte {place}");
            bytes[place] = before;
            flips += 1;
        }
        let mut changed = whole.clone();
        changed[at] = None;
        assert_eq!(judged(&changed), [(number, Damage::Edited)]);
    }
    assert!(flips > 50_000, "{flips}");
}

#[test]
fn a_flipped_end_of_a_line_shows_there() {
    let lines = log(20);
    let whole = text(&lines).into_bytes();
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    for (line, at) in (1..).zip(ends.collect::<Vec<_>>()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let found = verified(&bytes, &Against::default());
        assert_eq!(found.first().map(|one| one.line), Some(line), "{found:?}");
    }
    for line in 0..lines.len() {
        let mut cut = lines.clone();
        cut[line].insert(30, '\n');
        let found = verified(text(&cut).as_bytes(), &Against::default());
        assert_eq!(found.first().map(|one| one.line), Some(line as u64 + 1), "{found:?}");
    }
}

#[test]
fn every_line_that_is_taken_away_shows() {
    let lines = parsed(&log(200));
    for at in 0..199 {
        let mut changed = lines.clone();
        changed.remove(at);
        assert_eq!(judged(&changed), [(at as u64 + 1, Damage::Deleted)], "line {}", at + 1);
    }
    let mut changed = lines.clone();
    changed.drain(20..70);
    assert_eq!(judged(&changed), [(21, Damage::Deleted)]);
}

#[test]
fn every_line_that_is_there_twice_shows() {
    let lines = parsed(&log(200));
    for at in 0..200 {
        for to in [at + 1, 0, 50, 200] {
            let mut changed = lines.clone();
            changed.insert(to, lines[at].clone());
            let found = judged(&changed);
            // Of two that stand side by side the second is taken for the copy.
            let place = if to == at { to + 2 } else { to + 1 };
            assert_eq!(found, [(place as u64, Damage::Duplicated)], "line {} at {to}", at + 1);
        }
    }
}

#[test]
fn lines_that_change_their_places_show() {
    let lines = parsed(&log(200));
    for at in 0..199 {
        let mut changed = lines.clone();
        changed.swap(at, at + 1);
        let found = judged(&changed);
        assert_eq!(found.len(), 1, "{found:?}");
        let (line, damage) = found[0];
        assert_eq!(damage, Damage::Reordered);
        assert!([at as u64 + 1, at as u64 + 2].contains(&line), "{found:?}");
    }
    for (one, other) in [(3, 9), (0, 199), (50, 150), (20, 23)] {
        let mut changed = lines.clone();
        changed.swap(one, other);
        let expected = [one, other].map(|at| (at as u64 + 1, Damage::Reordered));
        assert_eq!(judged(&changed), expected);
    }
    let mut changed = lines.clone();
    let moved: Vec<_> = changed.drain(30..40).collect();
    changed.splice(100..100, moved);
    assert_eq!(judged(&changed), [(101, Damage::Reordered)]);
}

#[test]
fn lines_that_were_put_in_show() {
    let lines = log(60);
    let whole = parsed(&lines);
    for (at, line) in lines.iter().enumerate().skip(1) {
        let mut changed = whole.clone();
        changed.insert(at, None);
        assert_eq!(judged(&changed), [(at as u64 + 1, Damage::Inserted)], "no line, at {at}");
        // One that follows from the line before as the next one does.
        let mut changed = whole.clone();
        changed.insert(at, Line::parse(&forged(line, "success=", "success=0 details=")));
        assert!(!judged(&changed).is_empty());
        let twin = forged(line, "process=", "process=1");
        let mut changed = whole.clone();
        changed.insert(at, Line::parse(&twin));
        // Of two at the very end nothing follows that could tell them apart.
        let place = if at == 59 { 61 } else { at as u64 + 1 };
        assert_eq!(judged(&changed), [(place, Damage::Inserted)], "a twin, at {at}");
    }
    let other = parsed(&log(10));
    let mut changed = whole;
    changed.splice(30..30, other);
    let found = judged(&changed);
    assert_eq!(found.first(), Some(&(31, Damage::OtherInstance)), "{found:?}");
}

#[test]
fn a_line_that_was_changed_and_hashed_anew_shows_by_the_next() {
    let lines = log(60);
    for at in 0..59 {
        let mut changed = lines.clone();
        changed[at] = forged(&lines[at], "process=", "process=1");
        let found = verified(text(&changed).as_bytes(), &Against::default());
        let found: Vec<_> = found.iter().map(|one| (one.line, one.damage)).collect();
        assert_eq!(found, [(at as u64 + 1, Damage::Edited)]);
    }
}

#[test]
fn an_end_that_was_cut_off_shows_against_an_anchor_only() {
    let lines = log(60);
    let last = Line::parse(&lines[59]).expect("a line");
    let anchor = Anchored { seq: last.seq, hash: last.hash, instance: None };
    let against = Against { anchors: vec![anchor.clone()], ..Against::default() };
    assert_eq!(verified(text(&lines).as_bytes(), &against), []);
    for keep in 0..60 {
        let cut = text(&lines[..keep]);
        assert_eq!(verified(cut.as_bytes(), &Against::default()), [], "the chain cannot know");
        let found = verified(cut.as_bytes(), &against);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].line, found[0].damage), (keep as u64, Damage::CutTail));
    }
    // Cut, and written on until the number is reached again.
    let mut other = lines.clone();
    other[59] = forged(&lines[59], "process=", "process=1");
    let found = verified(text(&other).as_bytes(), &against);
    assert_eq!((found[0].line, found[0].damage), (60, Damage::Rewritten));
    // Of another log.
    let foreign = Anchored { instance: Some("f00".into()), ..anchor };
    let against = Against { anchors: vec![foreign], ..Against::default() };
    let found = verified(text(&lines).as_bytes(), &against);
    assert_eq!((found[0].line, found[0].damage), (1, Damage::OtherInstance));
}

#[test]
fn a_log_that_is_gone_shows_against_an_anchor() {
    let anchor = Anchored { seq: 1, hash: Digest::default(), instance: None };
    let against = Against { anchors: vec![anchor], ..Against::default() };
    let found = verify(Path::new("/nowhere/audit.log"), &against).expect("a finding").findings;
    assert_eq!((found[0].line, found[0].damage), (0, Damage::Missing));
    assert!(verify(Path::new("/nowhere/audit.log"), &Against::default()).is_err());
}

#[test]
fn an_end_that_is_not_whole_is_torn_wherever_it_was_cut() {
    let lines = log(6);
    let whole = text(&lines);
    let begin = whole.trim_end().rfind('\n').expect("lines") + 1;
    for end in begin + 1..whole.len() {
        let found = verified(&whole.as_bytes()[..end], &Against::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].line, found[0].damage), (6, Damage::Torn));
    }
}

#[test]
fn bytes_that_are_no_log_break_nothing() {
    for bytes in [&b"\n\n\n"[..], b"\0\xff\n", b"x", &[b'x'; 3 << 20], b"a\nb\nc\n"] {
        assert!(!verified(bytes, &Against::default()).is_empty());
    }
}

/// A log of several processes, sealed, with the initial key and the file of the key that lives.
fn sealed() -> (TempDir, PathBuf, PathBuf, EpochKey) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, key) = (folder.path().join("audit.log"), folder.path().join("key"));
    write_atomic(&key, "5a".repeat(32).as_bytes()).expect("a key");
    let first = EpochKey::read(&key).expect("the initial key");
    for lines in [3, 0, 5, 2] {
        process(&file, Some(&key), lines);
    }
    (folder, file, key, first)
}

fn with_key(first: &EpochKey, live: Option<&Path>) -> Against {
    let live = live.map(|path| EpochKey::read(path).expect("a key"));
    Against { key: Some(first.clone()), live, ..Against::default() }
}

#[test]
fn seals_are_proved_with_the_initial_key_and_only_with_it() {
    let (_folder, file, key, first) = sealed();
    let found = verify(&file, &with_key(&first, Some(&key))).expect("a log");
    assert_eq!((found.findings, found.seals), (Vec::new(), Some(8)));
    assert_eq!(EpochKey::read(&key).expect("a key").epoch, 8);
    let other = EpochKey { key: [1; 32], ..first };
    let found = verify(&file, &with_key(&other, None)).expect("a log").findings;
    assert_eq!(found.len(), 8);
    assert!(found.iter().all(|one| one.damage == Damage::BadSeal), "{found:?}");
}

/// Changes a line and makes all that follows fit again, with the key that lives for all seals.
fn rewritten(lines: &[String], at: usize, live: &EpochKey) -> Vec<String> {
    let mut prev = None::<Digest>;
    let mut out = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if number < at {
            out.push(line.clone());
            continue;
        }
        let (content, _) = line.rsplit_once(" hash=").expect("a line");
        let mut content = content.to_owned();
        if number == at {
            content = content.replace("success=0", "success=1");
            assert!(!line.starts_with(&content), "nothing to change in {line}");
        } else if let Some(prev) = prev {
            let was = Line::parse(line).expect("a line").prev.hex();
            content = content.replace(&was, &prev.hex());
        }
        if let Some((sealed, _)) = content.clone().rsplit_once(" seal=") {
            content = format!("{sealed} seal={}", Digest::keyed(&live.key, sealed.as_bytes()));
        }
        let hash = Digest::of(content.as_bytes());
        prev = Some(hash);
        out.push(format!("{content} hash={hash}"));
    }
    out
}

#[test]
fn who_has_the_key_that_lives_cannot_rewrite_what_was_sealed() {
    let (_folder, file, key, first) = sealed();
    let live = EpochKey::read(&key).expect("a key");
    let text_now = fs::read_to_string(&file).expect("the log");
    let lines: Vec<String> = text_now.lines().map(str::to_owned).collect();
    let warnings: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].contains("type=WARNING")).collect();
    assert!(warnings.len() >= 10);
    for at in warnings {
        let changed = text(&rewritten(&lines, at, &live));
        // Without the initial key it is a perfect log.
        assert_eq!(verified(changed.as_bytes(), &Against::default()), []);
        let found = verified(changed.as_bytes(), &with_key(&first, Some(&key)));
        let bad = found.iter().find(|one| one.damage == Damage::BadSeal);
        assert!(bad.is_some_and(|one| one.line > at as u64), "line {}: {found:?}", at + 1);
    }
}

#[test]
fn a_sealed_log_whose_end_was_cut_off_shows_by_the_key_and_by_what_is_written_on() {
    let (_folder, file, key, first) = sealed();
    let whole = fs::read_to_string(&file).expect("the log");
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    for keep in 1..lines.len() {
        let found = verified(text(&lines[..keep]).as_bytes(), &with_key(&first, Some(&key)));
        let seen = found.iter().any(|one| one.damage == Damage::CutTail);
        let unsealed = found.iter().any(|one| one.damage == Damage::Unsealed);
        assert!(seen || unsealed, "kept {keep}: {found:?}");
    }
    // And one that is not there at all.
    let gone = file.with_extension("gone");
    let found = verify(&gone, &with_key(&first, Some(&key))).expect("a finding").findings;
    assert!(found.len() == 1 && found[0].damage == Damage::Missing, "{found:?}");
    verify(&gone, &with_key(&first, None)).expect_err("nobody knows of a log");
    let unused = Against { live: Some(first.clone()), ..with_key(&first, None) };
    verify(&gone, &unused).expect_err("nothing was sealed yet");
    // The next process goes on with a later key than the end wants.
    write_atomic(&file, text(&lines[..lines.len() - 4]).as_bytes()).expect("a file");
    process(&file, Some(&key), 1);
    let found = verify(&file, &with_key(&first, Some(&key))).expect("a log").findings;
    assert!(found.iter().any(|one| one.damage == Damage::Deleted), "{found:?}");
}
