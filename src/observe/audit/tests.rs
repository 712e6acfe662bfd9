//! Tests of what waits for the file, and of when it is written.

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
