//! The form of a journal: its name, its first line, and the reading of it. A line that is torn, or
//! of another program, is passed over and counted.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::fs::lines::{Lines, RawLine};
use crate::base::fs::{Context as _, FileError};
use crate::event::{Event, Stamped, Summary};

/// Of the form of the lines. The lines of another one are passed over like foreign ones.
const FORM: u32 = 1;
/// The end of a name.
const END: &str = ".jsonl";
/// How much of the end is searched for the last line.
const TAIL: u64 = 64 * 1024;
/// Of a longer line only so much is read. The longest of ours names all tasks of a run.
const LONGEST: u64 = 64 << 20;
/// How many lines there may be before the run begins.
const BEFORE: usize = 100;

/// The first line: what no event says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    journal: u32,
    /// The number of the process that wrote it.
    pub pid: u32,
    /// The command line, without secrets.
    pub command: String,
    /// The settings that somebody set, without secrets.
    pub settings: BTreeMap<String, String>,
}

impl Header {
    pub fn new(pid: u32, command: String, settings: BTreeMap<String, String>) -> Self {
        Self { journal: FORM, pid, command, settings }
    }
}

/// What was odd in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Odd {
    /// Lines that are no events, or of another version.
    pub foreign: usize,
    /// Whether the last line has no end.
    pub torn: bool,
}

/// The name of the journal of a run.
pub fn name_of(run: &str) -> String {
    format!("{run}{END}")
}

/// The run that a file of this name is the journal of.
pub fn run_of(name: &str) -> Option<&str> {
    let run = name.strip_suffix(END)?;
    let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    (run.len() == 16 && run.bytes().all(is_hex)).then_some(run)
}

/// One line, as far as it can be understood.
enum Line {
    Header(Header),
    Event(Box<Stamped>),
    Foreign,
    Torn,
}

/// Opens a journal for reading it line by line.
fn open(path: &Path) -> io::Result<Lines> {
    // A fifo in its place does not hold us up.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(Lines::new(file, LONGEST))
}

fn parse(line: RawLine<'_>) -> Line {
    let RawLine { bytes, whole } = line;
    if !whole {
        return Line::Torn;
    }
    if let Ok(event) = serde_json::from_slice(bytes) {
        return Line::Event(Box::new(event));
    }
    match serde_json::from_slice::<Header>(bytes) {
        Ok(header) if header.journal == FORM => Line::Header(header),
        _ => Line::Foreign,
    }
}

/// Hands the events of a journal to `take`, in their order, until it says that it is enough.
pub fn read(
    path: &Path,
    mut take: impl FnMut(Stamped) -> bool,
) -> Result<(Header, Odd), FileError> {
    let mut lines = open(path).at("read", path)?;
    let (mut header, mut odd) = (Header::default(), Odd::default());
    while let Some(line) = lines.next_line().at("read", path)? {
        match parse(line) {
            Line::Event(event) => {
                if !take(*event) {
                    break;
                }
            }
            Line::Header(found) => header = found,
            Line::Foreign => odd.foreign += 1,
            Line::Torn => odd.torn = true,
        }
    }
    Ok((header, odd))
}

/// What the two ends of a journal say.
#[derive(Debug)]
pub struct Tail {
    pub header: Header,
    /// How the run began.
    pub beginning: Stamped,
    /// None: it did not come to its end.
    pub end: Option<Summary>,
}

/// The ends of a journal, without the events between them; none: it is not of a run.
pub fn tail(path: &Path) -> Result<Option<Tail>, FileError> {
    let (mut beginning, mut seen) = (None, 0);
    let (header, _) = read(path, |event| {
        seen += 1;
        if matches!(event.event, Event::RunStarted { .. }) {
            beginning = Some(event);
        }
        beginning.is_none() && seen < BEFORE
    })?;
    let Some(beginning) = beginning else { return Ok(None) };
    let end = last_line(path).at("read", path)?;
    Ok(Some(Tail { header, beginning, end }))
}

fn last_line(path: &Path) -> io::Result<Option<Summary>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let last = bytes.split_inclusive(|&c| c == b'\n').next_back().unwrap_or_default();
    let ended = last.strip_suffix(b"\n");
    let line = RawLine { bytes: ended.unwrap_or(last), whole: ended.is_some() };
    Ok(match parse(line) {
        Line::Event(event) => match event.event {
            Event::RunFinished { summary } => Some(summary),
            _ => None,
        },
        _ => None,
    })
}
