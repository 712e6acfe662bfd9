//! A picture of a tree: what every path is, its mode and its bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    File {
        mode: u32,
        bytes: Vec<u8>,
    },
    Dir {
        mode: u32,
    },
    Link {
        target: PathBuf,
    },
    /// A pipe, a socket, a device.
    Other,
}

/// Each path below the root, relative to it.
pub(crate) type Tree = BTreeMap<PathBuf, Entry>;

/// All below `root` but its `.reprovm`. Links are not followed.
pub(crate) fn picture(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a readable folder") {
            let path = folder.join(entry.expect("a readable folder").file_name());
            if path == Path::new(".reprovm") {
                continue;
            }
            let entry = look(&root.join(&path));
            if matches!(entry, Entry::Dir { .. }) {
                open.push(path.clone());
            }
            tree.insert(path, entry);
        }
    }
    tree
}

fn look(path: &Path) -> Entry {
    let data = path.symlink_metadata().expect("it was listed");
    let mode = data.permissions().mode() & 0o7777;
    let kind = data.file_type();
    if kind.is_symlink() {
        Entry::Link { target: fs::read_link(path).expect("a readable link") }
    } else if kind.is_dir() {
        Entry::Dir { mode }
    } else if kind.is_file() {
        Entry::File { mode, bytes: fs::read(path).expect("a readable file") }
    } else {
        Entry::Other
    }
}

/// Fails with the list of the paths that differ.
#[track_caller]
pub(crate) fn assert_same_tree(is: &Tree, should: &Tree) {
    let differences = differences(is, should);
    assert!(differences.is_empty(), "the trees differ:\n{}", differences.join("\n"));
}

pub(super) fn differences(is: &Tree, should: &Tree) -> Vec<String> {
    let paths: std::collections::BTreeSet<&PathBuf> = is.keys().chain(should.keys()).collect();
    paths
        .into_iter()
        .filter(|path| is.get(*path) != should.get(*path))
        .map(|path| {
            let shown = |tree: &Tree| {
                tree.get(path).map_or_else(|| "nothing".to_owned(), |entry| format!("{entry:?}"))
            };
            format!("{}: is {}, should be {}", path.display(), shown(is), shown(should))
        })
        .collect()
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { mode, bytes } => {
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
                write!(f, "a file of mode {mode:o}, {} bytes, {start:?}", bytes.len())
            }
            Self::Dir { mode } => write!(f, "a folder of mode {mode:o}"),
            Self::Link { target } => write!(f, "a link to {}", target.display()),
            Self::Other => f.write_str("something special"),
        }
    }
}
