//! Chains in files: several processes, ends that were torn, and files that are no logs.

use std::io::Seek as _;

use tempfile::TempDir;

use super::super::line::Line;
use super::*;

/// Where a log may lie, in a folder that goes when it is dropped.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("audit.log");
    (folder, path)
}

fn open(path: &Path) -> Chain {
    Chain::open(path, None, "alice".into()).expect("a log")
}

fn begin(chain: &mut Chain) {
    let record = |kind| Record::new(kind, "build", "start");
    let begin = Begin {
        start: record(AuditType::SystemStart),
        load: record(AuditType::ConfigLoad),
        change: record(AuditType::ConfigChange),
        config: "0123456789abcdef".into(),
    };
    chain.append(&[Entry::Begin(Box::new(begin))], false).expect("room");
}

fn plain(chain: &mut Chain, what: &str) {
    let record = Record::new(AuditType::Warning, what, "warn");
    chain.append(&[Entry::Plain(record)], false).expect("room");
}

fn end(chain: &mut Chain) {
    let record = Record::new(AuditType::SystemStop, "build", "stop");
    chain.append(&[Entry::End(record)], true).expect("room");
}

/// All lines, which follow from each other.
fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).expect("the log");
    let all: Vec<Line> =
        text.lines().map(|line| Line::parse(line).expect("a whole line")).collect();
    let (mut seq, mut prev) = (0, Digest::default());
    for line in &all {
        assert_eq!((line.seq, line.prev), (seq + 1, prev));
        (seq, prev) = (line.seq, line.hash);
    }
    all
}

fn kinds(path: &Path) -> Vec<(AuditType, String)> {
    lines(path).into_iter().map(|line| (line.kind, line.action)).collect()
}

#[test]
fn processes_that_write_at_once_make_one_chain() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sub/audit.log");
    // Locks belong to opened files, so that these are to each other as processes are.
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let mut chain = open(&path);
            scope.spawn(move || {
                begin(&mut chain);
                for number in 0..100 {
                    plain(&mut chain, &format!("{writer}-{number}"));
                }
                end(&mut chain);
            });
        }
    });
    let all = lines(&path);
    assert_eq!(all.len(), 1 + 4 * 103);
    assert!(all.iter().all(|line| line.action != "gap"), "all of them were alive");
    let last = all.iter().rfind(|line| line.open.is_some()).expect("an end");
    assert_eq!(last.open, Some(Vec::new()), "nobody is at work any more");
}

#[test]
fn a_process_that_did_not_end_is_told_of_by_the_next_and_a_living_one_is_not() {
    let (_folder, path) = place();
    let mut dead = open(&path);
    begin(&mut dead);
    plain(&mut dead, "x");
    let mut alive = open(&path);
    begin(&mut alive);
    drop(dead);
    let mut third = open(&path);
    begin(&mut third);
    let gaps = |path: &Path| -> Vec<String> {
        let all = lines(path).into_iter().filter(|line| line.action == "gap");
        all.map(|line| line.details).collect()
    };
    let found = gaps(&path);
    assert!(found.len() == 1 && found[0].contains("line seq=2 did not end"), "{found:?}");
    end(&mut third);
    end(&mut alive);
    begin(&mut open(&path));
    assert_eq!(gaps(&path).len(), 1, "it is told once");
}

#[test]
fn words_of_a_command_hide_no_process_that_did_not_end() {
    let (_folder, path) = place();
    let mut dead = open(&path);
    begin(&mut dead);
    plain(&mut dead, "dd if=/dev/zero open=1");
    plain(&mut dead, "dd open=- config=0123456789abcdef");
    drop(dead);
    begin(&mut open(&path));
    let gaps = lines(&path).into_iter().filter(|line| line.action == "gap");
    let told: Vec<String> = gaps.map(|line| line.details).collect();
    assert!(told.len() == 1 && told[0].contains("line seq=2 did not end"), "{told:?}");
}

#[test]
fn an_end_that_was_torn_is_cut_off_and_told() {
    let (_folder, path) = place();
    let mut chain = open(&path);
    begin(&mut chain);
    plain(&mut chain, "first");
    plain(&mut chain, "second");
    drop(chain);
    let whole = std::fs::read(&path).expect("the log");
    let begin_of_last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n');
    let begin_of_last = begin_of_last.expect("lines") + 1;
    for keep in [begin_of_last + 1, begin_of_last + 40, whole.len() - 2, whole.len() - 1] {
        fs::write_atomic(&path, &whole[..keep]).expect("a file");
        plain(&mut open(&path), "third");
        let all = kinds(&path);
        let repairs = all.iter().filter(|(_, action)| action == "repair").count();
        assert_eq!(repairs, 1, "kept {keep}: {all:?}");
        let kept_whole = keep == whole.len() - 1;
        assert_eq!(all.len(), 6 + usize::from(kept_whole), "kept {keep}: {all:?}");
    }
    // Also a long one.
    fs::write_atomic(
        &path,
        &[&whole[..], &whole[begin_of_last..][..40], &[b'x'; 100_000]].concat(),
    )
    .expect("a file");
    plain(&mut open(&path), "third");
    let all = kinds(&path);
    assert_eq!(all.iter().filter(|(_, action)| action == "repair").count(), 1, "{all:?}");
    assert_eq!(all.len(), 7);
    // Of the very first line too, with zeros as a power failure leaves them.
    let mut torn = whole[..30].to_vec();
    torn.extend([0; 100]);
    fs::write_atomic(&path, &torn).expect("a file");
    plain(&mut open(&path), "anew");
    assert_eq!(kinds(&path)[0].1, "begin");
}

#[test]
fn any_number_of_zeros_at_the_end_is_removed_and_told() {
    let (_folder, path) = place();
    let mut chain = open(&path);
    begin(&mut chain);
    plain(&mut chain, "first");
    drop(chain);
    let whole = std::fs::read(&path).expect("the log");
    let zeros = 2_000_000;
    for (keep, told) in [
        (whole.len(), &["removed 2000000 zeros"][..]),
        (whole.len() - 1, &["removed 2000000 zeros", "the last line had no end"]),
        (whole.len() - 5, &["zeros, as a power failure leaves them"]),
        (30, &["removed 30 bytes of a line"]),
    ] {
        let mut torn = whole[..keep].to_vec();
        torn.resize(keep + zeros, 0);
        fs::write_atomic(&path, &torn).expect("a file");
        plain(&mut open(&path), "second");
        let all = lines(&path);
        let repairs = all.into_iter().filter(|line| line.action == "repair");
        let repairs: Vec<String> = repairs.map(|line| line.details).collect();
        assert_eq!(repairs.len(), told.len(), "kept {keep}: {repairs:?}");
        assert!(repairs.iter().zip(told).all(|(a, b)| a.contains(b)), "{repairs:?}");
    }
    // Whose so many are that nothing stands before nobody knows.
    fs::write_atomic(&path, &vec![0; zeros]).expect("a file");
    let record = Record::new(AuditType::Warning, "x", "y");
    open(&path).append(&[Entry::Plain(record)], false).expect_err("no log");
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), zeros as u64);
}

#[test]
fn a_file_that_is_no_audit_log_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("precious");
    for text in ["a letter\n", "a letter without an end", "[2024"] {
        fs::write_atomic(&path, text.as_bytes()).expect("a file");
        let record = Record::new(AuditType::Warning, "x", "y");
        let written = open(&path).append(&[Entry::Plain(record)], false);
        let is_ours = text.starts_with('[');
        assert_eq!(written.is_ok(), is_ours, "{text}");
        if !is_ours {
            assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
        }
    }
}

#[test]
fn lines_that_somebody_changed_at_the_end_are_told_and_stay() {
    let (_folder, path) = place();
    let mut chain = open(&path);
    begin(&mut chain);
    plain(&mut chain, "first");
    drop(chain);
    let text = std::fs::read_to_string(&path).expect("the log").replace("first", "fjrst");
    fs::write_atomic(&path, text.as_bytes()).expect("a file");
    plain(&mut open(&path), "second");
    let now = std::fs::read_to_string(&path).expect("the log");
    assert!(now.starts_with(&text));
    let added: Vec<Line> =
        now[text.len()..].lines().map(|line| Line::parse(line).expect("a line")).collect();
    assert_eq!(added.iter().map(|line| line.seq).collect::<Vec<_>>(), [5, 6]);
    assert!(added[0].details.contains("1 in number"), "{}", added[0].details);
}

#[test]
fn a_file_that_was_taken_away_begins_anew_and_settings_that_changed_are_told() {
    let (_folder, path) = place();
    let mut chain = open(&path);
    begin(&mut chain);
    fs::remove_file(&path).expect("a file");
    plain(&mut chain, "x");
    assert_eq!(kinds(&path).len(), 2);
    drop(chain);
    let mut next = open(&path);
    begin(&mut next);
    end(&mut next);
    let mut other = open(&path);
    let record = Record::new(AuditType::SystemStart, "build", "start");
    let change = Record::new(AuditType::ConfigChange, "settings", "change");
    let (start, load) = (record.clone(), record);
    let config = "fedcba9876543210".into();
    let begin = Begin { start, load, change, config };
    other.append(&[Entry::Begin(Box::new(begin))], false).expect("room");
    let last = lines(&path).pop().expect("a line");
    assert_eq!(last.kind, AuditType::ConfigChange);
    assert!(last.details.contains("0123456789abcdef") && last.details.contains("fedcba"));
}

#[test]
fn a_turn_is_found_however_far_back_it_lies() {
    let (_folder, path) = place();
    let mut chain = open(&path);
    begin(&mut chain);
    let record = Record::new(AuditType::Warning, "x", "y").details("z".repeat(3000));
    chain.append(&vec![Entry::Plain(record); 300], false).expect("room");
    let len = chain.file.stream_position().expect("a place");
    let len = len.max(std::fs::metadata(&path).expect("the file").len());
    let turn = tail::last_turn(&chain.file, len).expect("a readable file");
    assert_eq!(turn.map(|line| line.seq), Some(2));
}

#[test]
fn the_newest_seal_is_found_far_behind_lines_without_one() {
    let (folder, path) = place();
    let key = folder.path().join("key");
    fs::write_durable(&key, Digest::of(b"key").hex().as_bytes()).expect("a key");
    fs::set_mode(&key, 0o600).expect("its mode");
    let mut sealing = Chain::open(&path, Some(&key), "me".to_owned()).expect("a log");
    begin(&mut sealing);
    let record = Record::new(AuditType::Warning, "x", "y").details("z".repeat(1000));
    open(&path).append(&vec![Entry::Plain(record); 100], false).expect("room");
    let len = std::fs::metadata(&path).expect("the file").len();
    let head = |wants_seal| {
        let tail = tail::read(&sealing.file, len, wants_seal).expect("a readable file");
        tail.and_then(|tail| tail.head).expect("lines")
    };
    let (with, without) = (head(true), head(false));
    assert_eq!((with.seq, with.hash), (without.seq, without.hash));
    assert_eq!((with.sealed, without.sealed), (Some(0), None));
}
