//! The lines of a file, one after the other, however long the file or a line is.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::base::FileError;
use crate::base::fs::Context as _;
use crate::observe::Line;

/// No line of ours is longer.
const MOST: u64 = 1 << 20;

/// A file that is read line by line.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    number: u64,
    bytes: Vec<u8>,
}

/// A line as it stands in the file.
#[derive(Debug)]
pub(super) struct Raw<'a> {
    /// From 1.
    pub(super) number: u64,
    /// Without its end.
    pub(super) bytes: &'a [u8],
    /// Whether it has an end.
    pub(super) whole: bool,
}

impl Raw<'_> {
    /// None: it is no line of ours, or not as it was written.
    pub(super) fn parse(&self) -> Option<Line> {
        Line::parse(self.text()?)
    }

    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes).ok()
    }
}

impl<'a> Lines<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self, FileError> {
        let file = File::open(path).at("open", path)?;
        let meta = file.metadata().at("look at", path)?;
        if meta.is_dir() {
            let problem = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(FileError::new("read", path, problem));
        }
        let reader = BufReader::with_capacity(1 << 17, file);
        Ok(Self { path, reader, number: 0, bytes: Vec::new() })
    }

    pub(super) fn next(&mut self) -> Result<Option<Raw<'_>>, FileError> {
        self.bytes.clear();
        let mut part = self.reader.by_ref().take(MOST);
        if part.read_until(b'\n', &mut self.bytes).at("read", self.path)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut whole = self.bytes.last() == Some(&b'\n');
        if whole {
            self.bytes.pop();
        } else if self.bytes.len() as u64 == MOST {
            whole = self.pass_over().at("read", self.path)?;
        }
        Ok(Some(Raw { number: self.number, bytes: &self.bytes, whole }))
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
