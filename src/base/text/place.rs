//! Places in texts: the line, the column, and the part of the line that a person is shown.

use std::ops::Range;
use std::path::Path;

use super::shown as printable_bytes;
use crate::base::Place;

/// Of a longer line, only so many bytes around the place are shown.
const WINDOW: usize = 160;

/// The place of a range of bytes that need not be text.
pub fn in_bytes(path: &Path, bytes: &[u8], range: Range<usize>) -> Place {
    let line = count_lines(&bytes[..range.start]) + 1;
    on_line(&shown(path), bytes, range, line)
}

/// A path as a person should see it.
pub fn shown(path: &Path) -> String {
    printable_bytes(path.as_os_str().as_encoded_bytes()).into_owned()
}

/// How many lines end in a text of less than 4 GiB.
pub fn count_lines(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u32
}

/// The place of a range of bytes on a line whose number is known.
pub fn on_line(file: &str, bytes: &[u8], range: Range<usize>, line: u32) -> Place {
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
fn window(bytes: &[u8], line: Range<usize>, at: usize) -> (usize, usize) {
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
    printable_bytes(&blanks).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn bytes_that_are_no_text_have_a_place() {
        let found = in_bytes(Path::new("m"), b"a\nb\xff", 3..4);
        assert_eq!((found.line, found.column, found.text.as_str()), (2, 2, "b\\xff"));
    }
}
