//! A run as JSON: one object a line for each event, with its name in `type`.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::{Serialize, Serializer};

use super::sink::{Sink, cannot};
use super::stream;
use crate::base::TaskName;
use crate::event::{Event, Observer, Output, Stamped};

/// Writes each event as a line, at once.
#[derive(Debug)]
pub struct Json<W: Write> {
    out: BufWriter<Sink<W>>,
}

impl<W: Write> Json<W> {
    pub fn new(out: W) -> Self {
        Self { out: BufWriter::new(Sink::new(out)) }
    }

    fn write(&mut self, event: &Stamped) -> io::Result<()> {
        match large(event) {
            Some(line) => serde_json::to_writer(&mut self.out, &line)?,
            None => serde_json::to_writer(&mut self.out, event)?,
        }
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

/// The line of an output that lies in a file. A file that cannot be opened stays a path.
fn large(event: &Stamped) -> Option<LargeOutput<'_>> {
    let Event::TaskOutput { task, replayed, output: Output::File { path, len, .. } } = &event.event
    else {
        return None;
    };
    let output = FileText { file: File::open(path).ok()?, len: *len };
    let head = Head { seq: event.seq, time_ns: event.time_ns, run: &event.run };
    Some(LargeOutput { head, name: "task_output", task, replayed: *replayed, output })
}

impl<W: Write + Send> Observer for Json<W> {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        self.write(event).map_err(|error| cannot(&error))
    }

    fn name(&self) -> &'static str {
        "json"
    }
}

#[derive(Serialize)]
struct Head<'a> {
    seq: u64,
    time_ns: i64,
    run: &'a str,
}

/// The same line as a small output's, its text streamed from the file.
#[derive(Serialize)]
struct LargeOutput<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(rename = "type")]
    name: &'static str,
    task: &'a TaskName,
    replayed: bool,
    output: FileText,
}

struct FileText {
    file: File,
    len: u64,
}

impl fmt::Display for FileText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failed = Ok(());
        let read = stream::file_as_text(&self.file, self.len, |text| {
            failed = f.write_str(text);
            failed.map_err(io::Error::other)
        });
        // What could not be read is missing from the text; the line must still become whole.
        if failed.is_ok()
            && let Err(error) = read
        {
            f.write_str("\n(the rest cannot be read: ")?;
            error.fmt(f)?;
            f.write_str(")\n")?;
        }
        failed
    }
}

impl Serialize for FileText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::event::{HitSource, MissReason, Summary};

    fn name(text: &str) -> TaskName {
        TaskName::parse(text).expect("a good name")
    }

    fn stamped(seq: u64, event: Event) -> Stamped {
        Stamped { seq, time_ns: 5, run: "r1".into(), event }
    }

    fn lines(events: &[Stamped]) -> String {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        for event in events {
            json.observe(event).expect("room in memory");
        }
        drop(json);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_event_is_a_line_that_reads_back() {
        let events = [
            stamped(1, Event::TaskQueued { task: name("a"), after: None }),
            stamped(
                2,
                Event::CacheMiss {
                    task: name("a"),
                    key: Digest::of(b"k"),
                    reasons: vec![
                        MissReason::InputChanged { path: "x\ny".into() },
                        MissReason::EnvChanged {
                            name: "CC".into(),
                            was: None,
                            now: Some(String::new()),
                        },
                    ],
                },
            ),
            stamped(
                3,
                Event::CacheHit {
                    task: name("b"),
                    key: Digest::of(b"k"),
                    from: HitSource::Local,
                    saved_ms: 3,
                    restored: 1,
                    restore_us: 7,
                },
            ),
            stamped(
                4,
                Event::TaskOutput {
                    task: name("a"),
                    replayed: false,
                    output: Output::Bytes(b"\x1b[31mred\n".as_slice().into()),
                },
            ),
            stamped(5, Event::RunFinished { summary: Summary { total: 2, ..Summary::default() } }),
        ];
        let text = lines(&events);
        let back: Vec<Stamped> =
            text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
        assert_eq!(back, events);
        let last: serde_json::Value =
            serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert_eq!(last["type"], "run_finished");
        assert_eq!(last["summary"]["total"], 2);
    }

    #[test]
    fn a_large_output_has_the_same_line_as_a_small_one() {
        let bytes = "größe \"x\"\n\u{1}".repeat(40_000).into_bytes();
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(&bytes).expect("room for it");
        file.write_all(b"of another task").expect("room for it");
        let path = file.path().to_str().expect("a printable path").to_owned();
        let event =
            |output| [stamped(1, Event::TaskOutput { task: name("a"), replayed: true, output })];
        let (len, object) = (bytes.len() as u64, Digest::of(&bytes));
        let large = event(Output::File { path, len, object, held: None });
        let small = event(Output::Bytes(bytes.into()));
        assert!(lines(&large) == lines(&small));
    }

    #[test]
    fn a_file_that_is_gone_stays_a_path() {
        let (path, object) = ("/nowhere/log".into(), Digest::of(b"abc"));
        let output = Output::File { path, len: 3, object, held: None };
        let events = [stamped(1, Event::TaskOutput { task: name("a"), replayed: false, output })];
        let back: Stamped = serde_json::from_str(lines(&events).trim()).expect("an event");
        assert_eq!(back, events[0]);
    }
}
