//! The look whether all files stand as they did, and the table that it goes by.

use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use reprovm::base::{Digest, stat};
use reprovm::cache::files::Watched;
use reprovm::cache::standing::{Basis, Done, Standing, Verdict, look};
use reprovm::config::Environment;

use super::{empty_folder, sig};

/// Files on the disk, in folders of a hundred.
const FILES: usize = 10_000;
/// Files in a table of which none is looked at.
const ROWS: usize = 20_000;
const DONE: Done = Done { tasks: 1, saved_ms: 1 };

#[divan::bench(args = [1, 2])]
fn look_over_10_000_files_threads(bencher: Bencher, threads: usize) {
    empty_folder("sweep");
    let files = (0..FILES).map(|at| {
        let folder = format!("sweep/{:02}", at / 100);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let path = format!("{folder}/{at}");
        std::fs::write(&path, "x").expect("room for it");
        let name = std::ffi::CString::new(path.clone()).expect("a name without NUL");
        let sig = stat::lstat_at(stat::HERE, &name).expect("the file");
        (path.into_bytes().into(), sig)
    });
    let (path, basis) = (Path::new("sweep.standing"), basis());
    standing(files.collect()).write(path, &basis, DONE).expect("a writable folder");
    let environment = Environment::default();
    bencher.counter(ItemsCount::new(FILES)).bench_local(|| {
        let threads: fn() -> usize = if threads == 1 { || 1 } else { || 2 };
        let verdict = look(path, &basis, &environment, threads);
        assert_eq!(verdict, Verdict::Stands(DONE));
    });
}

/// The floor of the look.
#[divan::bench(sample_size = 1000)]
fn lstat_of_one_file(bencher: Bencher) {
    empty_folder("one");
    std::fs::write("one/file", "x").expect("room for it");
    let look = || stat::lstat_at(stat::HERE, c"one/file").expect("the file");
    bencher.counter(ItemsCount::new(1_usize)).bench_local(look);
}

#[divan::bench]
fn write_of_20_000_rows(bencher: Bencher) {
    let (rows, basis) = (rows(), basis());
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| standing(rows.clone()))
        .bench_local_values(|standing| {
            standing.write(Path::new("rows"), &basis, DONE).expect("a writable folder");
        });
}

#[divan::bench]
fn read_of_20_000_rows(bencher: Bencher) {
    let (path, basis) = (Path::new("rows"), basis());
    standing(rows()).write(path, &basis, DONE).expect("a writable folder");
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let bytes = std::fs::read(path).expect("what was written");
        let (standing, _) = Standing::parse(&bytes, &basis).expect("what was written");
        assert_eq!(standing.files.len(), ROWS);
        standing
    });
}

fn basis() -> Digest {
    Basis::default().with(b"micro").finish()
}

fn standing(files: Vec<Watched>) -> Standing {
    Standing { files, is_whole: true, ..Standing::default() }
}

fn rows() -> Vec<Watched> {
    let path = |at: usize| format!("src/{:02}/{at}.c", at % 100).into_bytes().into();
    (0..ROWS).map(|at| (path(at), sig(at))).collect()
}
