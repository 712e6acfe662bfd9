//! The texts that were read, and where in them a span stands.
//!
//! Knows nothing of what the texts mean.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::Span;
use crate::base::Place;
use crate::base::place::{count_lines, on_line, shown};

/// Lines are counted once for each block of so many bytes, so that a place is found quickly
/// without an index of every line.
const BLOCK: usize = 64 * 1024;

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
        on_line(&shown(&source.path), bytes, start..span.end as usize, before + 1)
    }
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
        assert!(found.text.len() <= 160);
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
}
