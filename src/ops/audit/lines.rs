//! The lines of an audit log, each with its number, however long the file or a line is.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::base::FileError;
use crate::base::fs::Context as _;
use crate::base::fs::lines::{self, RawLine};
use crate::observe::Line;

/// No line of ours is longer.
const MOST: u64 = 1 << 20;

/// A file that is read line by line.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    path: &'a Path,
    lines: lines::Lines,
    number: u64,
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
        Ok(Self { path, lines: lines::Lines::new(file, MOST), number: 0 })
    }

    pub(super) fn next(&mut self) -> Result<Option<Raw<'_>>, FileError> {
        let line = self.lines.next_line().at("read", self.path)?;
        self.number += 1;
        Ok(line.map(|RawLine { bytes, whole }| Raw { number: self.number, bytes, whole }))
    }
}
