//! A file line by line, in bounded memory however long the file or a line is.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};

/// The lines of a file, one after the other.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<File>,
    bytes: Vec<u8>,
    most: u64,
}

/// A line as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// Without its end; of a line that is too long, how it begins.
    pub bytes: &'a [u8],
    /// Whether it has an end.
    pub whole: bool,
}

impl Lines {
    /// Of a longer line than `most` bytes only so much is kept.
    pub fn new(file: File, most: u64) -> Self {
        Self { reader: BufReader::with_capacity(1 << 17, file), bytes: Vec::new(), most }
    }

    /// The next line; none: the file has ended.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.bytes.clear();
        let mut part = self.reader.by_ref().take(self.most);
        if part.read_until(b'\n', &mut self.bytes)? == 0 {
            return Ok(None);
        }
        let mut whole = self.bytes.last() == Some(&b'\n');
        if whole {
            self.bytes.pop();
        } else if self.bytes.len() as u64 == self.most {
            whole = self.pass_over()?;
        }
        Ok(Some(RawLine { bytes: &self.bytes, whole }))
    }

    /// What is left of a line that is too long. Whether it had an end.
    fn pass_over(&mut self) -> io::Result<bool> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            if let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
                self.reader.consume(at + 1);
                return Ok(true);
            }
            let count = buffer.len();
            self.reader.consume(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    /// The lines of a file with this text, of which three bytes are kept.
    fn lines(text: &str) -> Vec<(String, bool)> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(text.as_bytes()).and_then(|()| file.rewind()).expect("room for it");
        let (mut lines, mut all) = (Lines::new(file, 3), Vec::new());
        while let Some(line) = lines.next_line().expect("a readable file") {
            all.push((String::from_utf8_lossy(line.bytes).into_owned(), line.whole));
        }
        all
    }

    #[test]
    fn lines_are_cut_where_they_are_too_long_and_the_next_is_whole() {
        let expected = |all: &[(&str, bool)]| -> Vec<(String, bool)> {
            all.iter().map(|(text, whole)| ((*text).to_owned(), *whole)).collect()
        };
        assert_eq!(lines(""), []);
        assert_eq!(lines("a\n\nb\n"), expected(&[("a", true), ("", true), ("b", true)]));
        assert_eq!(lines("abcdef\ngh"), expected(&[("abc", true), ("gh", false)]));
        assert_eq!(lines("abc\nabcd"), expected(&[("abc", true), ("abc", false)]));
    }
}
