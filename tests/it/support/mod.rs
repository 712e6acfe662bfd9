//! What the tests are written in: a project in a temporary folder, runs of the program in it,
//! what they said, and pictures of the tree. Knows nothing of what is tested.

mod background;
mod browser;
mod cache;
mod cproject;
mod fake;
mod fuse;
mod machine;
mod project;
pub(crate) mod prometheus;
mod run;
mod selftest;
mod servers;
mod tmpfs;
mod store;
pub(crate) mod supervisor;
mod terminal;
mod tree;
mod volume;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use background::{Background, wait_until};
pub(crate) use browser::Browser;
pub(crate) use cache::{assert_sound_objects, bare_bytes, hex_digest};
pub(crate) use cproject::CProject;
pub(crate) use fake::{Fake, Request, Wrong};
pub(crate) use fuse::Fuse;
pub(crate) use machine::in_a_machine;
pub(crate) use project::Project;
pub(crate) use run::{Run, Summary};
pub(crate) use servers::{Certificate, Server};
pub(crate) use store::{assert_store_is_whole, records};
pub(crate) use terminal::{Streams, Terminal};
pub(crate) use tmpfs::Tmpfs;
pub(crate) use tree::{Entry, Tree, assert_same_tree, picture};
pub(crate) use volume::Volume;

/// What takes longer than this hangs: it is killed, and the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How many times more the long tests do: 0 unless `REPROVM_TEST_LONG` says otherwise.
pub(crate) fn long() -> u32 {
    std::env::var("REPROVM_TEST_LONG").map_or(0, |text| text.parse().expect("a number of times"))
}

/// A line for whoever reads what the tests say: figures, and what a machine does not permit.
#[expect(clippy::print_stderr, reason = "the tests have no other way to speak")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// The root of the source.
pub(crate) fn source_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds that a file of the source is as it is made; with `UPDATE=1` it is written instead.
#[track_caller]
pub(crate) fn generated(path: &str, text: &str) {
    let file = source_root().join(path);
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let is = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(is == text, "{path} is not as it is made: run `UPDATE=1 cargo test`, and look at it");
}

/// The regular files below `folder`, sorted, relative to it; folders of the given names are not
/// entered.
pub(crate) fn files_below(folder: &Path, skipped: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let entries = std::fs::read_dir(folder.join(&inner)).expect("a readable folder");
        for entry in entries {
            let entry = entry.expect("a readable folder");
            let path = inner.join(entry.file_name());
            let kind = entry.file_type().expect("a readable entry");
            if kind.is_dir() && !skipped.iter().any(|name| entry.file_name() == *name) {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
