//! Digests of bytes in memory and of a file that the kernel holds in memory.

use std::fs::File;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use reprovm::base::Digest;

use super::{LARGE, large_file};

#[divan::bench(args = [64, 4096, 1 << 20], sample_size = 100)]
fn digest_of_bytes(bencher: Bencher, length: usize) {
    let bytes = vec![7_u8; length];
    bencher.counter(BytesCount::new(length)).bench_local(|| Digest::of(black_box(&bytes)));
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn digest_of_file_64_mib(bencher: Bencher) {
    let path = large_file();
    bencher
        .counter(BytesCount::new(LARGE))
        .with_inputs(|| File::open(&path).expect("the file"))
        .bench_local_refs(|file| {
            let (digest, length) = Digest::of_file(file).expect("a readable file");
            assert_eq!(length, LARGE as u64);
            digest
        });
}
