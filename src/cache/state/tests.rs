//! What is read back of a state and its journal, whole, in part, cut and damaged.

use super::*;

fn load(folder: &std::path::Path) -> State {
    State::load(folder.join("state"), folder.join("journal"), None)
}

fn name() -> TaskName {
    TaskName::parse("task").expect("a good name")
}

fn row(state: &State) -> TaskRow {
    let path = RelPath::parse(b"out/a.o").expect("a good path");
    let file = state.files.intern(path.as_bytes());
    let sig = Sig { ino: 1, size: 2, mtime: 3, ctime: 4, mode: 0o100_644, dev: 6 };
    let entry = Entry { sig, digest: Digest::of(b"x"), trusted: true };
    state.files.put(file, entry);
    let output = Output { path, kind: Kind::File, mode: 0o644, size: 2, digest: Digest::of(b"x") };
    TaskRow {
        key: Digest::of(b"key"),
        result: Digest::of(b"result"),
        duration_ms: 7,
        peak_rss_bytes: 8,
        phase: Phase::Done,
        made: vec![Made { output, file, owned: true }],
        listed: vec![b"out/theirs".to_vec()],
        started_ns: 9,
    }
}

fn shown(state: &State) -> Option<String> {
    let row = state.row(&name())?;
    let file = row.made.first()?.file;
    let entries = state.files.known();
    let entry = entries.iter().find(|(id, ..)| *id == file)?;
    Some(format!("{row:?} {entry:?}"))
}

#[test]
fn the_state_and_the_journal_read_back_as_they_were() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = load(folder.path());
    state.set_row(&name(), row(&state));
    let good = shown(&state).expect("the row");
    assert_eq!(shown(&load(folder.path())), Some(good.clone()), "from the journal");
    state.save().expect("a writable folder");
    assert!(!folder.path().join("journal").exists());
    assert_eq!(shown(&load(folder.path())), Some(good), "from the state");
}

#[test]
fn a_cut_journal_counts_up_to_its_last_whole_frame() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = load(folder.path());
    state.set_row(&name(), row(&state));
    let journal = folder.path().join("journal");
    let one = std::fs::read(&journal).expect("the journal");
    state.set_row(&name(), TaskRow { duration_ms: 8, ..row(&state) });
    let two = std::fs::read(&journal).expect("the journal");
    for cut in 0..=two.len() {
        std::fs::write(&journal, &two[..cut]).expect("a writable folder");
        let expected = match cut {
            cut if cut == two.len() => Some(8),
            cut if cut >= one.len() => Some(7),
            _ => None,
        };
        let found = load(folder.path()).row(&name()).map(|row| row.duration_ms);
        assert_eq!(found, expected, "cut at {cut}");
    }
}

#[test]
fn a_part_has_what_is_wanted_and_adds_to_the_journal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = load(folder.path());
    let other = TaskName::parse("other").expect("a good name");
    state.set_row(&name(), row(&state));
    state.set_row(&other, TaskRow { duration_ms: 1, ..TaskRow::default() });
    let sig = Sig { size: 1, mode: 0o100_644, ..Sig::ABSENT };
    let put = |state: &State, path: &[u8], digest: Digest| {
        state.files.put(state.files.intern(path), Entry { sig, digest, trusted: true });
    };
    for path in [&b"src/b"[..], b"more\0", b"far"] {
        put(&state, path, Digest::of(path));
    }
    state.save().expect("a writable folder");
    let part = |state: &State| -> Vec<String> {
        let mut known: Vec<_> = state.files.known();
        known.sort_by(|one, two| one.1.cmp(&two.1));
        known.iter().map(|(_, path, _)| String::from_utf8_lossy(path).into_owned()).collect()
    };
    let load_part = || {
        let paths = [b"src".to_vec(), b"more".to_vec()].into();
        let wanted = Wanted { tasks: [name()].into(), paths };
        let (state, journal) = (folder.path().join("state"), folder.path().join("journal"));
        State::load_part(state, journal, None, &wanted).expect("a whole state")
    };
    let some = load_part();
    assert_eq!(part(&some), ["more\0", "out/a.o", "src/b"]);
    assert_eq!(some.row(&name()).map(|row| row.duration_ms), Some(7));
    assert_eq!(some.row(&other), None);
    // What is new in the part is there for both from then on.
    some.set_row(&name(), TaskRow { duration_ms: 9, ..row(&some) });
    put(&some, b"src/b", Digest::of(b"2"));
    some.save().expect("a writable folder");
    let (again, whole) = (load_part(), load(folder.path()));
    for state in [&again, &whole] {
        assert_eq!(state.row(&name()).map(|row| row.duration_ms), Some(9));
        let known = state.files.known();
        let entry = known.iter().find(|(_, path, _)| &path[..] == b"src/b").expect("it");
        assert_eq!(entry.2.digest, Digest::of(b"2"));
    }
    assert_eq!(whole.row(&other).map(|row| row.duration_ms), Some(1));
    whole.save().expect("a writable folder");
    assert!(!folder.path().join("journal").exists());
}

#[test]
fn a_damaged_state_is_no_state() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = load(folder.path());
    state.set_row(&name(), row(&state));
    state.save().expect("a writable folder");
    let path = folder.path().join("state");
    let good = std::fs::read(&path).expect("the state");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, &bad).expect("a writable folder");
        assert_eq!(load(folder.path()).row(&name()), None, "byte {at}");
    }
}
