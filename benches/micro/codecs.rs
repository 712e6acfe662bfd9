//! Storing and reading with each codec, at the default level and around it. The data are lines
//! with numbers, of which every codec makes a good part less.

use std::fs::File;
use std::path::{Path, PathBuf};

use divan::Bencher;
use divan::counter::BytesCount;
use reprovm::base::Digest;
use reprovm::config::Algorithm;
use reprovm::home::Home;
use reprovm::store::{DiskStore, Packing};

use super::LARGE;

const CODECS: [(&str, Algorithm, u64); 7] = [
    ("none", Algorithm::None, 1),
    ("lz4", Algorithm::Lz4, 1),
    ("zstd 1", Algorithm::Zstd, 1),
    ("zstd 3", Algorithm::Zstd, 3),
    ("zstd 9", Algorithm::Zstd, 9),
    ("gzip 1", Algorithm::Gzip, 1),
    ("gzip 6", Algorithm::Gzip, 6),
];

const NAMES: [&str; 7] = ["none", "lz4", "zstd 1", "zstd 3", "zstd 9", "gzip 1", "gzip 6"];

#[divan::bench(args = NAMES, sample_size = 1, sample_count = 5)]
#[expect(clippy::print_stderr, reason = "what came of the bytes is a figure too")]
fn codec_put_64_mib(bencher: Bencher, name: &str) {
    let store = store(name);
    let path = text();
    let (digest, size) = put(&store, &path);
    let (_, object) = store.find(&digest, size).expect("the object");
    let share = object.metadata().expect("the object").len() * 1000 / size;
    eprintln!("{name}: {}.{} % of the bytes", share / 10, share % 10);
    bencher
        .counter(BytesCount::new(size))
        .with_inputs(|| {
            let (_, object) = store.find(&digest, size).expect("the object");
            std::fs::remove_file(object).expect("a writable folder");
        })
        .bench_local_values(|()| put(&store, &path));
    let (_, object) = store.find(&digest, size).expect("the object");
    std::fs::remove_file(object).expect("a writable folder");
}

#[divan::bench(args = NAMES, sample_size = 1, sample_count = 5)]
fn codec_fetch_64_mib(bencher: Bencher, name: &str) {
    let store = store(name);
    let (digest, size) = put(&store, &text());
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        store.fetch(&digest, size, &mut std::io::sink()).expect("the object");
    });
    let (_, object) = store.find(&digest, size).expect("the object");
    std::fs::remove_file(object).expect("a writable folder");
}

/// A small text, as most outputs are: what a codec costs to be set up.
#[divan::bench(args = NAMES)]
fn codec_pack_4_kib(bencher: Bencher, name: &str) {
    let bytes = std::fs::read(text()).expect("the file");
    let packing = packing(name);
    bencher.bench_local(|| packing.pack(divan::black_box(&bytes[..4096])));
}

fn packing(name: &str) -> Packing {
    let (_, algorithm, level) = CODECS.iter().find(|codec| codec.0 == name).expect("a codec");
    Packing::new(*algorithm, *level)
}

fn store(name: &str) -> DiskStore {
    let home = Home::new(None);
    home.prepare().expect("a writable folder");
    DiskStore::new(&home).packing(packing(name))
}

fn put(store: &DiskStore, path: &Path) -> (Digest, u64) {
    let mut file = File::open(path).expect("the file");
    store.put_file(&mut file, path).expect("room for it")
}

/// A file of lines, made by whoever asks first.
fn text() -> PathBuf {
    let path = PathBuf::from("text");
    if !path.exists() {
        let mut text = String::with_capacity(LARGE + 100);
        let mut state = 1_u64;
        while text.len() < LARGE {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (one, other) = (state >> 48, state >> 60);
            text += &format!("  call function_{other}(argument_{one}, 0x{one:x}); // {other}\n");
        }
        std::fs::write(&path, text).expect("room for it");
    }
    path
}
