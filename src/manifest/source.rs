//! The texts that were read, and where in them a span stands.
//!
//! Knows nothing of what the texts mean.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::Span;
use crate::base::{Place, text};

/// Lines are counted once for each block of so many bytes, so that a place is found quickly
/// without an index of every line.
const BLOCK: usize = 64 * 1024;
/// Of a longer line, only so many bytes around the place are shown.
const WINDOW: usize = 160;

/// One text.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// How many lines end before each block.
    blocks: OnceLock<Vec<u32>>,
}

/// All texts of a manifest, in the order of reading. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    pub(super) fn add(&mut self, path: PathBuf, text: String) -> u32 {
        let index = u32::try_from(self.0.len()).expect("the number of files is limited");
        self.0.push(Arc::new(Source { path, text, blocks: OnceLock::new() }));
        index
    }

    pub(super) fn get(&self, source: u32) -> Option<&Arc<Source>> {
        self.0.get(source as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|source| source.path.clone()).collect()
    }

    /// The name of a text as the user knows it, printable.
    pub(super) fn name(&self, source: u32) -> String {
        self.get(source).map(|source| shown(&source.path)).unwrap_or_default()
    }

    /// The place of a span; of one that is in none of the texts, an empty place.
    pub(super) fn place(&self, span: Span) -> Place {
        let Some(source) = self.get(span.source) else { return Place::default() };
        let bytes = source.text.as_bytes();
        let start = (span.start as usize).min(bytes.len());
        let blocks = source.blocks.get_or_init(|| count_blocks(bytes));
        let block = start / BLOCK;
        let before = blocks[block] + count_lines(&bytes[block * BLOCK..start]);
        place_on_line(&shown(&source.path), bytes, start..span.end as usize, before + 1)
    }
}

/// The place of a range of bytes that need not be text.
pub(super) fn place_in(path: &Path, bytes: &[u8], range: std::ops::Range<usize>) -> Place {
    let line = count_lines(&bytes[..range.start]) + 1;
    place_on_line(&shown(path), bytes, range, line)
}

/// A path as a person should see it.
pub(super) fn shown(path: &Path) -> String {
    text::shown(path.as_os_str().as_encoded_bytes()).into_owned()
}

fn count_blocks(bytes: &[u8]) -> Vec<u32> {
    let mut lines = 0;
    let mut blocks = vec![0];
    for block in bytes.chunks(BLOCK) {
        lines += count_lines(block);
        blocks.push(lines);
    }
    blocks
}

fn count_lines(bytes: &[u8]) -> u32 {
    // The texts are far smaller than 4 GiB, so the count fits.
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u32
}

fn place_on_line(file: &str, bytes: &[u8], range: std::ops::Range<usize>, line: u32) -> Place {
    let start = range.start;
    let mut first = bytes[..start].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    // A byte order mark is no character of the first line.
    if first == 0 && bytes.starts_with(b"\xef\xbb\xbf") && start >= 3 {
        first = 3;
    }
    let mut last =
        bytes[start..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| start + n);
    if last > start && bytes[last - 1] == b'\r' {
        last -= 1;
    }
    let end = range.end.clamp(start, last.max(start));
    let column = String::from_utf8_lossy(&bytes[first..start]).chars().count() + 1;
    let (from, to) = window(bytes, first..last.max(start), start);
    let end = end.min(to);
    let [before, marked, after] =
        [&bytes[from..start], &bytes[start..end], &bytes[end..to]].map(printable);
    Place {
        file: file.to_string(),
        line,
        column: u32::try_from(column).unwrap_or(u32::MAX),
        start: before.len(),
        end: before.len() + marked.len(),
        text: before + &marked + &after,
    }
}

/// The part of a line that is shown: all of it, or the surroundings of `at`, cut between
/// characters.
fn window(bytes: &[u8], line: std::ops::Range<usize>, at: usize) -> (usize, usize) {
    if line.len() <= WINDOW {
        return (line.start, line.end);
    }
    let mut from = at.saturating_sub(WINDOW / 4).max(line.start);
    let mut to = (from + WINDOW).min(line.end);
    let inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    while from < at && inside(from) {
        from += 1;
    }
    while to > at && inside(to) {
        to -= 1;
    }
    (from, to)
}

/// A tab becomes one blank, so that the columns fit; other control characters are escaped.
fn printable(bytes: &[u8]) -> String {
    let blanks: Vec<u8> = bytes.iter().map(|&b| if b == b'\t' { b' ' } else { b }).collect();
    text::shown(&blanks).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, start: u32, end: u32) -> Place {
        let mut sources = Sources::default();
        let source = sources.add("m.txt".into(), text.into());
        sources.place(Span { source, start, end })
    }

    #[test]
    fn a_place_counts_lines_and_characters() {
        let found = place("eins\n\tzwölf x\r\nend", 13, 14);
        assert_eq!((found.line, found.column), (2, 8));
        assert_eq!(found.text, " zwölf x");
        assert_eq!(&found.text[found.start..found.end], "x");
    }

    #[test]
    fn places_far_into_a_text_are_right() {
        let text = "0123456\n".repeat(40_000);
        let at = 8 * 30_000 + 3;
        let found = place(&text, at, at + 1);
        assert_eq!((found.line, found.column), (30_001, 4));
        let end = place(&text, 8 * 40_000, 8 * 40_000);
        assert_eq!((end.line, end.column, end.text.as_str()), (40_001, 1, ""));
    }

    #[test]
    fn a_huge_line_is_shown_in_part() {
        let found = place(&"ü".repeat(5000), 6000, 6002);
        assert_eq!(found.column, 3001);
        assert!(found.text.len() <= WINDOW);
        assert_eq!(&found.text[found.start..found.end], "ü");
    }

    #[test]
    fn control_characters_are_escaped_and_the_mark_follows() {
        let found = place("a\u{1b}[31mb", 6, 7);
        assert_eq!(&found.text[found.start..found.end], "b");
        assert!(!found.text.contains('\u{1b}'));
    }

    #[test]
    fn a_span_over_lines_is_marked_to_the_end_of_its_first() {
        let found = place("abc\ndef", 1, 6);
        assert_eq!((found.start, found.end), (1, 3));
    }

    #[test]
    fn a_byte_order_mark_is_no_column() {
        let found = place("\u{feff}task", 3, 7);
        assert_eq!((found.column, found.text.as_str()), (1, "task"));
    }

    #[test]
    fn bytes_that_are_no_text_have_a_place() {
        let found = place_in(Path::new("m"), b"a\nb\xff", 3..4);
        assert_eq!((found.line, found.column, found.text.as_str()), (2, 2, "b\\xff"));
    }
}
