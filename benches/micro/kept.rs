//! What is kept of a project between runs: the state of the workspace, and the manifest as it was
//! last understood.

use std::path::{Path, PathBuf};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use reprovm::base::{Kind, RelPath, TaskName};
use reprovm::cache::compiled::{self, Compiled};
use reprovm::cache::files::{Entry, FileId};
use reprovm::cache::outputs::Made;
use reprovm::cache::record::Output;
use reprovm::cache::state::{Phase, State, TaskRow, Wanted};
use reprovm::graph::{Graph, TaskId};

use super::plan::Shape;
use super::{digest, empty_folder, sig};

/// Each has a source and an output, so the state has twice as many files.
const TASKS: usize = 10_000;

#[divan::bench]
fn state_load_10_000_tasks(bencher: Bencher) {
    let folder = empty_folder("load");
    filled(folder).save().expect("a writable folder");
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let state = load(folder);
        assert!(state.with_row(&name(TASKS - 1), |row| row.is_some()));
        state
    });
}

/// One task did something, and the state is written whole.
#[divan::bench(sample_size = 1)]
fn state_save_10_000_tasks(bencher: Bencher) {
    let folder = empty_folder("save");
    let state = filled(folder);
    let row = state.row(&name(0)).expect("a row");
    let mut duration_ms = 1_000;
    bencher
        .counter(ItemsCount::new(TASKS))
        .with_inputs(|| {
            duration_ms += 1;
            state.set_row(&name(0), TaskRow { duration_ms, ..row.clone() });
        })
        .bench_local_values(|()| {
            state.save().expect("a writable folder");
            assert!(!journal(folder).exists(), "it was written");
        });
}

#[divan::bench]
fn state_load_part_1_of_10_000_tasks(bencher: Bencher) {
    let folder = empty_folder("part");
    filled(folder).save().expect("a writable folder");
    let wanted = Wanted { tasks: [name(7)].into(), paths: [source(7)].into() };
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let part = State::load_part(folder.join("state"), journal(folder), None, &wanted);
        let part = part.expect("a whole state");
        assert!(part.with_row(&name(7), |row| row.is_some()));
        part
    });
}

#[divan::bench]
fn compiled_open_10_000_tasks(bencher: Bencher) {
    let path = compiled();
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let compiled = Compiled::open(&path).expect("a whole file");
        assert_eq!(compiled.len(), TASKS);
        compiled
    });
}

#[divan::bench(sample_size = 1000)]
fn compiled_concerned_by_one_path(bencher: Bencher) {
    let compiled = Compiled::open(&compiled()).expect("a whole file");
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let tasks = compiled.concerned(black_box(b"src/7000.c")).expect("a whole file");
        assert_eq!(tasks, [TaskId(7000)]);
        tasks
    });
}

fn name(at: usize) -> TaskName {
    TaskName::parse(&format!("t{at}")).expect("a good name")
}

fn source(at: usize) -> Vec<u8> {
    format!("src/{at}.c").into_bytes()
}

fn journal(folder: &Path) -> PathBuf {
    folder.join("journal")
}

fn load(folder: &Path) -> State {
    State::load(folder.join("state"), journal(folder), None)
}

/// A state in which every task succeeded once.
fn filled(folder: &Path) -> State {
    let state = load(folder);
    let put = |path: &[u8], at: usize| -> FileId {
        let file = state.files.intern(path);
        state.files.put(file, Entry { sig: sig(at), digest: digest(at), trusted: true });
        file
    };
    for at in 0..TASKS {
        put(&source(at), 2 * at);
        let path = RelPath::parse(format!("out/{at}.o").as_bytes()).expect("a good path");
        let file = put(path.as_bytes(), 2 * at + 1);
        let digest = digest(2 * at + 1);
        let output = Output { path, kind: Kind::File, mode: 0o644, size: 64, digest };
        let made = vec![Made { output, file, owned: true }];
        let done =
            TaskRow { key: digest, result: digest, phase: Phase::Done, ..TaskRow::default() };
        state.set_row(&name(at), TaskRow { duration_ms: 10, made, ..done });
    }
    state
}

fn compiled() -> PathBuf {
    let manifest = Shape::Layered.manifest(TASKS);
    let path = empty_folder("compiled").join("compiled");
    let sources = [(b"m.txt".to_vec(), sig(0))];
    compiled::write(&path, &manifest, &Graph::new(&manifest), &sources).expect("a writable folder");
    path
}
