//! What single parts of the library cost: `cargo bench --bench micro`, and with `-- NAME` behind
//! it those whose name holds NAME. All files lie in a folder of their own below `TMPDIR`; on
//! another file system the figures are others.

#![expect(clippy::disallowed_methods, reason = "benchmarks make and remove their own files")]

mod codecs;
mod hashing;
mod kept;
mod listeners;
mod objects;
mod plan;
mod sweep;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reprovm::base::{Digest, Sig};

/// The size of a large file, in bytes.
const LARGE: usize = 64 << 20;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The library takes the folder that the process stands in for the project.
    std::env::set_current_dir(folder.path()).expect("a folder to stand in");
    divan::Divan::default().max_time(Duration::from_secs(2)).config_with_args().main();
}

/// The folder of this name with nothing in it.
fn empty_folder(name: &str) -> &Path {
    let folder = Path::new(name);
    std::fs::create_dir_all(folder).expect("a writable folder");
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        set_aside(&entry.expect("a folder of ours").path());
    }
    folder
}

/// Takes something out of the way. What is small stays until the end, under another name: on ext4
/// without a journal files are made slowly for minutes where many were removed.
fn set_aside(path: &Path) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if path.symlink_metadata().expect("it is there").len() >= LARGE as u64 {
        std::fs::remove_file(path).expect("a writable folder");
        return;
    }
    std::fs::create_dir_all("aside").expect("a writable folder");
    let name = format!("aside/{}", NEXT.fetch_add(1, Ordering::Relaxed));
    std::fs::rename(path, name).expect("a writable folder");
}

/// A file of [`LARGE`] bytes, made by whoever asks first.
fn large_file() -> PathBuf {
    let path = PathBuf::from("large");
    if !path.exists() {
        std::fs::write(&path, large_bytes()).expect("room for it");
    }
    path
}

fn large_bytes() -> Vec<u8> {
    (0..LARGE).map(|at| (at % 251) as u8).collect()
}

/// A signature as of a file, for tables that are not compared with files.
fn sig(at: usize) -> Sig {
    let time = 1_700_000_000_000_000_000 + at as i64;
    Sig { ino: at as u64, size: 64, mtime: time, ctime: time, mode: 0o100_644, dev: 1 }
}

fn digest(at: usize) -> Digest {
    Digest::of(&at.to_le_bytes())
}
