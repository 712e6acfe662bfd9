//! Tests of what waits for the file, and of when it is written.

use std::path::Path;

use super::*;

fn entry(number: usize) -> Entry {
    Entry::Plain(Record::new(AuditType::Warning, number.to_string(), "warn"))
}

fn name(entry: &Entry) -> &str {
    match entry {
        Entry::Plain(record) => &record.resource,
        Entry::Begin(_) | Entry::End(_) => "",
    }
}

#[test]
fn what_a_full_disk_keeps_waiting_is_bounded_and_tried_in_pieces() {
    let mut state = State::default();
    state.waiting.extend((0..MOST).map(entry));
    let mut came = MOST;
    for _ in 0..3 {
        let (piece, lost, is_all) = state.take();
        assert!(piece.len() <= MANY + 1 && !is_all, "{} at a time", piece.len());
        // Meanwhile others take the room.
        state.waiting.extend((came..came + 10).map(entry));
        came += 10;
        state.put_back(piece, lost);
        assert_eq!(state.waiting.len(), MOST);
        assert_eq!(state.lost, (came - MOST) as u64, "each that has no room is counted once");
    }
    let (piece, lost, _) = state.take();
    assert_eq!(lost, 30);
    assert_eq!((name(&piece[0]), name(&piece[1]), piece.len()), ("audit-log", "0", MANY + 1));
    assert_eq!(state.lost, 0, "it is told");
}

fn options(folder: &Path) -> AuditOptions {
    AuditOptions {
        file: folder.join("audit.log"),
        key: None,
        anchor: None,
        syslog: None,
        console: false,
        required: true,
        config: String::new(),
        stop: Cancel::new(),
    }
}

fn started(options: AuditOptions) -> Audit {
    let (verb, version, command) = ("build".into(), "1".into(), "reprovm".into());
    let loaded = Operation::SettingsLoaded { files: Vec::new(), set: Vec::new() };
    Audit::start(options, &Operation::Started { verb, version, command }, &loaded).expect("a log")
}

fn ended(audit: &Audit) -> AuditEnd {
    audit.finish(&Operation::Ended { verb: "build".into(), code: 0, took_ms: 1 })
}

fn event(seq: u64) -> Stamped {
    let event = Event::CancelRequested { signal: 2 };
    Stamped { seq, time_ns: 0, run: "r".into(), event }
}

#[test]
fn events_that_went_by_are_a_line_where_they_are_missing_and_stop_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for required in [true, false] {
        let options = AuditOptions { required, ..options(folder.path()) };
        let stop = options.stop.clone();
        let audit = started(options);
        let mut listener = audit.listener();
        for seq in [1, 2, 7] {
            listener.observe(&event(seq)).expect("it listens");
        }
        assert_eq!(stop.is_raised(), required);
        let end = ended(&audit);
        assert_eq!(
            end.failed.map(|error| error.source.to_string()),
            required.then(|| { "4 events went by: a listener was too slow".to_owned() })
        );
        let text = std::fs::read_to_string(folder.path().join("audit.log")).expect("the log");
        let lines: Vec<Line> = text.lines().filter_map(Line::parse).collect();
        let kinds: Vec<&str> = lines.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(kinds[kinds.len() - 5..], ["cancel", "cancel", "gap", "cancel", "stop"]);
        let gap = &lines[lines.len() - 3];
        assert!(gap.details.starts_with("4 events are missing"), "{}", gap.details);
    }
}

#[test]
fn what_is_written_is_synced_and_anchored_though_nothing_comes_after_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let anchor = folder.path().join("anchors");
    let audit = started(AuditOptions { anchor: Some(anchor.clone()), ..options(folder.path()) });
    assert_eq!(lock(&audit.0.writer).due(), None, "the first lines are on the disk");
    audit.tell(&Operation::Warned { what: "x".into(), problem: "y".into() });
    assert!(audit.0.flush(false));
    let due = lock(&audit.0.writer).due();
    assert!(due.is_some_and(|due| due <= SYNC), "{due:?}");
    assert!(!anchor.exists());
    // The thread does not wait for more, but until it is due.
    assert!(audit.0.wait_for_work(Some(Duration::ZERO)).waiting.is_empty());
    lock(&audit.0.writer).sync();
    assert_eq!(lock(&audit.0.writer).due(), None);
    let text = std::fs::read_to_string(&anchor).expect("an anchor");
    assert!(text.lines().count() == 1 && text.contains("\"seq\":4"), "{text}");
    ended(&audit);
}
