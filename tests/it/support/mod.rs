//! What the tests are written in: a project in a temporary folder, runs of the program in it,
//! what they said, and pictures of the tree. Knows nothing of what is tested.

mod background;
mod cproject;
mod project;
mod run;
mod selftest;
mod terminal;
mod tree;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use background::{Background, wait_until};
pub(crate) use cproject::CProject;
pub(crate) use project::Project;
pub(crate) use run::{Run, Summary};
pub(crate) use terminal::{Streams, Terminal};
pub(crate) use tree::{Entry, Tree, assert_same_tree, picture};

/// What takes longer than this hangs: it is killed, and the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The root of the source.
pub(crate) fn source_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
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
