//! How long a file and how large a room may be, and how a file begins.

use std::collections::BTreeMap;

use super::source::Source;

/// Lines of a file, its tests not counted.
const LINES: usize = 500;
/// Files of a room, files of tests not counted.
const FILES: usize = 14;
/// Lines of the words at a file's head.
const HEAD: usize = 5;

pub(super) fn complaints(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rooms: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let lines = lines(source);
        if lines > LINES {
            found.push(format!("{}: {lines} lines, at most {LINES}", source.path));
        }
        // A folder inside a room counts for itself.
        if source.room().is_some()
            && let Some((folder, _)) = source.path.rsplit_once('/')
        {
            *rooms.entry(folder).or_default() += 1;
        }
    }
    found.extend(
        rooms
            .iter()
            .filter(|(_, files)| **files > FILES)
            .map(|(room, files)| format!("{room}: {files} files, at most {FILES}")),
    );
    found
}

/// The lines of the file but those of the tests inside.
fn lines(source: &Source) -> usize {
    let pairs = source.code.lines().zip(source.production.lines());
    let tests = pairs.filter(|(all, kept)| all != kept).count();
    source.text.lines().count() - tests
}

/// A file begins with a few lines that say what it does.
pub(super) fn head_complaint(source: &Source) -> Option<String> {
    let head = source.text.lines().take_while(|line| line.starts_with("//!")).count();
    match head {
        0 => Some(format!("{}: does not begin with `//!`", source.path)),
        // The map of the crate may say more.
        _ if head > HEAD && source.path != "src/lib.rs" => {
            Some(format!("{}: {head} lines of `//!`, at most {HEAD}", source.path))
        }
        _ => None,
    }
}

mod tests {
    use super::*;

    fn file(path: &str, lines: usize, test_lines: usize) -> Source {
        let mut text = "fn f();\n".repeat(lines);
        text += "#[cfg(test)]\nmod tests {\n";
        text += &"    let x = 1;\n".repeat(test_lines);
        Source::new(path, text + "}\n")
    }

    #[test]
    fn a_long_file_is_seen_and_tests_do_not_count() {
        assert_eq!(complaints(&[file("src/a/b.rs", LINES + 1, 0)]).len(), 1);
        assert!(complaints(&[file("src/a/b.rs", LINES - 3, 900)]).is_empty());
        assert!(complaints(&[file("src/a/tests.rs", LINES + 1, 0)]).is_empty());
    }

    #[test]
    fn a_crowded_room_is_seen() {
        let room = |files: usize| -> Vec<Source> {
            (0..files).map(|i| Source::new(format!("src/a/{i}.rs"), "fn f() {}\n")).collect()
        };
        assert_eq!(complaints(&room(FILES + 1)).len(), 1);
        assert!(complaints(&room(FILES)).is_empty());
    }

    #[test]
    fn a_missing_or_long_head_is_seen() {
        assert!(head_complaint(&Source::new("src/a.rs", "fn f() {}\n")).is_some());
        assert!(head_complaint(&Source::new("src/a.rs", "//! x\n".repeat(HEAD + 1))).is_some());
        assert!(head_complaint(&Source::new("src/a.rs", "//! x\nfn f() {}\n")).is_none());
    }
}
