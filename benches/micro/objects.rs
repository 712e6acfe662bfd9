//! Into the store and back, beside plain copies of the same bytes as the floor.

use std::fs::File;
use std::path::{Path, PathBuf};

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use reprovm::base::{Digest, Kind, RelPath};
use reprovm::cache::files::Files;
use reprovm::cache::recipe::Recipe;
use reprovm::cache::record::{Output, Record};
use reprovm::cache::restore::{Means, restore};
use reprovm::event::Usage;
use reprovm::home::Home;
use reprovm::store::DiskStore;

use super::{LARGE, empty_folder, large_bytes, large_file, set_aside};

/// How many small outputs are restored, and how many bytes each has.
const OUTPUTS: usize = 100;
const OUTPUT_BYTES: usize = 4096;
/// How many small files are put, and how many bytes each has.
const FILES: usize = 1_000;
const FILE_BYTES: usize = 64;

#[divan::bench(sample_size = 1, sample_count = 20)]
fn restore_100_of_4_kib(bencher: Bencher) {
    restore_of(bencher.counter(ItemsCount::new(OUTPUTS)), &small_outputs());
}

#[divan::bench(sample_size = 1, sample_count = 20)]
fn restore_100_of_4_kib_floor_copy(bencher: Bencher) {
    copies_of(bencher.counter(ItemsCount::new(OUTPUTS)), &objects(&small_outputs()));
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn restore_64_mib(bencher: Bencher) {
    restore_of(bencher.counter(BytesCount::new(LARGE)), &[large_bytes()]);
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn restore_64_mib_floor_copy(bencher: Bencher) {
    copies_of(bencher.counter(BytesCount::new(LARGE)), &objects(&[large_bytes()]));
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn put_64_mib(bencher: Bencher) {
    put_of(bencher.counter(BytesCount::new(LARGE)), &[large_file()]);
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn put_64_mib_floor_copy(bencher: Bencher) {
    copies_of(bencher.counter(BytesCount::new(LARGE)), &[large_file()]);
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn put_1_000_of_64_b(bencher: Bencher) {
    put_of(bencher.counter(ItemsCount::new(FILES)), &small_files());
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn put_1_000_of_64_b_floor_copy(bencher: Bencher) {
    copies_of(bencher.counter(ItemsCount::new(FILES)), &small_files());
}

/// Restores what is in the store to a place where nothing is.
fn restore_of(bencher: Bencher, contents: &[Vec<u8>]) {
    let (home, store) = store();
    let output = |at: usize, bytes: &Vec<u8>| Output {
        path: RelPath::parse(format!("restored/{at:03}").as_bytes()).expect("a good path"),
        kind: Kind::File,
        mode: 0o644,
        size: bytes.len() as u64,
        digest: store.put_bytes(bytes).expect("room for it"),
    };
    let record = Record {
        recipe: Recipe::default(),
        outputs: contents.iter().enumerate().map(|(at, bytes)| output(at, bytes)).collect(),
        log: Digest::default(),
        log_size: 0,
        usage: Usage::default(),
    };
    let (files, stage) = (Files::new(None), home.stage());
    let means = Means { files: &files, store: &store, stage: &stage };
    bencher
        .with_inputs(|| {
            empty_folder("restored");
        })
        .bench_local_values(|()| {
            let (made, restored) = restore(&record, &[], &[], means, &|_| {}).expect("room for it");
            assert_eq!(restored, contents.len());
            made
        });
}

/// Puts files that the store does not have. To open each is part of it, as it is of a copy.
fn put_of(bencher: Bencher, files: &[PathBuf]) {
    let (_, store) = store();
    let put = |path: &PathBuf| -> Digest {
        let mut file = File::open(path).expect("the file");
        store.put_file(&mut file, path).expect("room for it").0
    };
    let objects: Vec<PathBuf> = files.iter().map(|path| store.path(&put(path))).collect();
    bencher
        .with_inputs(|| {
            for object in &objects {
                set_aside(object);
            }
        })
        .bench_local_values(|()| {
            for path in files {
                put(path);
            }
        });
}

/// Copies files into a folder that is empty.
fn copies_of(bencher: Bencher, files: &[PathBuf]) {
    let folder = Path::new("copies");
    let names: Vec<PathBuf> = (0..files.len()).map(|at| folder.join(at.to_string())).collect();
    bencher
        .with_inputs(|| {
            empty_folder("copies");
        })
        .bench_local_values(|()| {
            for (file, name) in files.iter().zip(&names) {
                std::fs::copy(file, name).expect("room for it");
            }
        });
}

fn store() -> (Home, DiskStore) {
    let home = Home::new(None);
    home.prepare().expect("a writable folder");
    let store = DiskStore::new(&home);
    (home, store)
}

/// Where the store keeps these bytes.
fn objects(contents: &[Vec<u8>]) -> Vec<PathBuf> {
    let (_, store) = store();
    let put = |bytes: &Vec<u8>| store.path(&store.put_bytes(bytes).expect("room for it"));
    contents.iter().map(put).collect()
}

fn small_outputs() -> Vec<Vec<u8>> {
    (0..OUTPUTS).map(|at| vec![at as u8; OUTPUT_BYTES]).collect()
}

fn small_files() -> Vec<PathBuf> {
    let folder = empty_folder("small");
    let file = |at: usize| {
        let path = folder.join(at.to_string());
        std::fs::write(&path, format!("{at:FILE_BYTES$}")).expect("room for it");
        path
    };
    (0..FILES).map(file).collect()
}
