//! Tests of the journal: what is written, and what is read back.

use std::fs as files;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::base::{Digest, TaskName};
use crate::event::{Output, Summary};

const RUN: &str = "0123456789abcdef";

fn name(text: &str) -> TaskName {
    TaskName::parse(text).expect("a good name")
}

fn stamped(seq: u64, event: Event) -> Stamped {
    Stamped { seq, time_ns: 5, run: RUN.into(), event }
}

fn started() -> Event {
    Event::RunStarted {
        version: "1".into(),
        manifest: "m".into(),
        project: "/p".into(),
        jobs: 2,
        targets: Vec::new(),
        tasks: 1,
        dry_run: false,
        force: false,
        containment: String::new(),
    }
}

fn finished() -> Event {
    Event::RunFinished { summary: Summary { total: 1, ..Summary::default() } }
}

fn queued(task: &str) -> Event {
    Event::TaskQueued { task: name(task), after: None }
}

fn wrote(output: Output) -> Event {
    Event::TaskOutput { task: name("a"), replayed: false, output }
}

fn journal(folder: &Path, max_bytes: u64) -> Journal {
    let header = Header::new(7, "reprovm m".into(), [("a.b".into(), "c".into())].into());
    let folder = folder.join("runs");
    Journal::new(JournalOptions { folder, keep: 3, max_bytes, header })
}

/// Tells these events and ends; the events and the header that are read back.
fn told(events: &[Event], max_bytes: u64) -> (TempDir, Vec<Stamped>) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut journal = journal(folder.path(), max_bytes);
    for (seq, event) in (1..).zip(events) {
        journal.observe(&stamped(seq, event.clone())).expect("room for it");
    }
    journal.finish().expect("room for it");
    let mut back = Vec::new();
    let path = folder.path().join("runs").join(name_of(RUN));
    if path.exists() {
        let (header, odd) = read(&path, |event| {
            back.push(event);
            true
        })
        .expect("a readable file");
        assert_eq!((header, odd), (journal.options.header, Odd::default()));
    }
    (folder, back)
}

#[test]
fn what_is_told_reads_back_with_what_came_before_the_beginning() {
    let busy = Event::WorkspaceBusy { holder: None };
    let text = wrote(Output::Bytes(b"\x1b[31mw\xc3\xb6rds\n".as_slice().into()));
    let events = [busy, started(), queued("a"), text, finished()];
    let (folder, back) = told(&events, 1 << 20);
    let events: Vec<_> = (1..).zip(events).map(|(seq, event)| stamped(seq, event)).collect();
    assert_eq!(back, events);
    let path = folder.path().join("runs").join(name_of(RUN));
    let tail = tail(&path).expect("a readable file").expect("a run");
    assert_eq!((tail.beginning, tail.end.expect("an end").total), (events[1].clone(), 1));
    assert_eq!(tail.header.command, "reprovm m");
}

#[test]
fn a_run_that_has_nothing_to_do_leaves_nothing() {
    let events = [started(), Event::TasksUpToDate { count: 1, saved_ms: 1 }, finished()];
    let (folder, back) = told(&events, 1 << 20);
    assert_eq!(back, []);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_journal_says_from_its_beginning_whose_it_is() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut journal = journal(folder.path(), 1 << 20);
    for (seq, event) in (1..).zip([started(), queued("a"), queued("b")]) {
        journal.observe(&stamped(seq, event)).expect("room for it");
    }
    let path = folder.path().join("runs").join(name_of(RUN));
    let tail = tail(&path).expect("a readable file").expect("a run");
    assert_eq!((tail.header.command.as_str(), tail.beginning.event), ("reprovm m", started()));
    assert_eq!(files::read_to_string(&path).expect("a file").lines().count(), 3, "one waits");
}

#[test]
fn what_is_idle_is_on_the_disk() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut journal = journal(folder.path(), 1 << 20);
    for (seq, event) in (1..).zip([started(), queued("a")]) {
        journal.observe(&stamped(seq, event)).expect("room for it");
    }
    journal.idle().expect("room for it");
    let path = folder.path().join("runs").join(name_of(RUN));
    assert_eq!(files::read_to_string(&path).expect("a file").lines().count(), 3);
    assert!(tail(&path).expect("a readable file").expect("a run").end.is_none());
}

#[test]
fn long_outputs_and_bytes_that_are_no_text_are_left_to_the_store() {
    let long = vec![b'x'; 100_000];
    let (_folder, back) = told(
        &[
            started(),
            queued("a"),
            wrote(Output::Bytes(long.as_slice().into())),
            wrote(Output::Bytes(b"\xff\n".as_slice().into())),
        ],
        1 << 20,
    );
    let outputs: Vec<&Output> = back
        .iter()
        .filter_map(|event| match &event.event {
            Event::TaskOutput { output, .. } => Some(output),
            _ => None,
        })
        .collect();
    let Output::Clipped { begin, end, len, object } = outputs[0] else { panic!("{outputs:?}") };
    assert_eq!((begin.len(), end.len(), *len), (32 * 1024, 32 * 1024, 100_000));
    assert_eq!(*object, Digest::of(&long));
    let Output::Clipped { begin, end, len: 2, object } = outputs[1] else { panic!("{outputs:?}") };
    assert_eq!((begin.as_str(), end.as_str()), ("\u{fffd}\n", ""));
    assert_eq!(*object, Digest::of(b"\xff\n"));
}

#[test]
fn a_journal_that_is_full_has_its_end() {
    let words = || wrote(Output::Bytes(vec![b'x'; 1000].as_slice().into()));
    let (folder, back) =
        told(&[started(), queued("a"), words(), words(), words(), finished()], 4 * 1500);
    assert!(back.len() < 6, "{back:?}");
    assert_eq!(back.last().expect("an event").event, finished());
    let path = folder.path().join("runs").join(name_of(RUN));
    assert!(path.metadata().expect("a file").len() < 3500);
}

#[test]
fn one_large_run_leaves_the_history_of_others() {
    let words = || wrote(Output::Bytes(vec![b'x'; 60_000].as_slice().into()));
    let folder = TempDir::new().expect("a temporary folder");
    for run in ["00000000000000aa", "00000000000000bb"] {
        let mut journal = journal(folder.path(), 1 << 20);
        let many = if run.ends_with('b') { 100 } else { 1 };
        let events = [started(), queued("a")].into_iter().chain((0..many).map(|_| words()));
        for (seq, event) in (1..).zip(events.chain([finished()])) {
            let event = Stamped { run: run.into(), ..stamped(seq, event) };
            journal.observe(&event).expect("room for it");
        }
        journal.finish().expect("room for it");
    }
    let size = |run: &str| folder.path().join("runs").join(name_of(run)).metadata();
    let large = size("00000000000000bb").expect("the newest").len();
    assert!((200_000..400_000).contains(&large), "{large}");
    size("00000000000000aa").expect("the one before");
}

#[test]
fn a_run_that_ends_late_leaves_the_journal_of_the_next() {
    let folder = TempDir::new().expect("a temporary folder");
    let [mut first, mut next] = [0; 2].map(|_| {
        let mut journal = journal(folder.path(), 1 << 20);
        journal.options.keep = 1;
        journal
    });
    let begin = |journal: &mut Journal, run: &str| {
        let event = Stamped { run: run.into(), ..stamped(1, queued("a")) };
        journal.observe(&event).expect("room for it");
        folder.path().join("runs").join(name_of(run))
    };
    let own = begin(&mut first, "00000000000000aa");
    let other = begin(&mut next, "00000000000000bb");
    // The clock of a file system may stand still for a moment.
    let later = own.metadata().and_then(|meta| meta.modified()).expect("a time");
    let later = later + std::time::Duration::from_secs(1);
    files::File::open(&other).and_then(|file| file.set_modified(later)).expect("a file");
    first.finish().expect("room for it");
    assert!(own.exists() && other.exists());
    // At its own end the next one removes what is older.
    begin(&mut next, "00000000000000bb");
    next.finish().expect("room for it");
    assert!(!own.exists() && other.exists());
}

#[test]
fn lines_that_are_torn_or_foreign_are_passed_over() {
    let (folder, _) = told(&[started(), queued("a"), finished()], 1 << 20);
    let path = folder.path().join("runs").join(name_of(RUN));
    let text = files::read_to_string(&path).expect("a file");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(2, "{\"type\":\"of_next_year\",\"seq\":1}");
    lines.insert(3, "words");
    let last = lines.pop().expect("an end");
    let torn = format!("{}\n{}", lines.join("\n"), &last[..last.len() / 2]);
    #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
    files::write(&path, torn).expect("room for it");
    let mut seen = 0;
    let (_, odd) = read(&path, |_| {
        seen += 1;
        true
    })
    .expect("a readable file");
    assert_eq!((seen, odd), (2, Odd { foreign: 2, torn: true }));
    assert!(tail(&path).expect("a readable file").expect("a run").end.is_none());
}

#[test]
fn a_line_without_bound_is_passed_over_and_what_follows_is_read() {
    use std::os::unix::fs::FileExt as _;
    let (folder, _) = told(&[started(), queued("a"), finished()], 1 << 20);
    let path = folder.path().join("runs").join(name_of(RUN));
    let text = files::read_to_string(&path).expect("a file");
    let hole = 70 << 20;
    let file = files::File::options().write(true).open(&path).expect("a file");
    file.set_len(hole).and_then(|()| file.write_all_at(b"\n", hole)).expect("a hole");
    file.write_all_at(text.as_bytes(), hole + 1).expect("room for it");
    let mut seen = 0;
    let (header, odd) = read(&path, |_| {
        seen += 1;
        true
    })
    .expect("a readable file");
    assert_eq!((seen, odd), (6, Odd { foreign: 1, torn: false }));
    assert_eq!(header.command, "reprovm m");
}

#[test]
fn only_names_that_we_give_are_journals() {
    assert_eq!(run_of(&name_of(RUN)), Some(RUN));
    for other in ["notes.jsonl", "0123456789ABCDEF.jsonl", "0123456789abcdef.json", RUN] {
        assert_eq!(run_of(other), None, "{other}");
    }
}
