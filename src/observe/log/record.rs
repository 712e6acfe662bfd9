//! One record as one line: for the file as text or JSON, for a terminal, for the journal.
//!
//! Whatever a name or a message holds, it cannot end the line or move a cursor.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::base::clock;
use crate::base::text::{is_unsafe, push_word, shown};
use crate::event::Level;
use crate::observe::Paint;

/// Longer texts are cut, so that one record cannot fill the queue.
const MAX_TEXT: usize = 4096;

/// How a record looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    /// Short lines for a person who watches.
    Terminal(Paint),
    /// Lines with the journal's priority, which has the time itself.
    Journal,
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

/// One thing that is worth a line.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) time_ns: i64,
    pub(super) level: Level,
    /// The room and what lies in it: `cache::state`.
    pub(super) target: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) run: Option<&'a str>,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Record<'_> {
    /// The record as a line with its end.
    pub(super) fn render(&self, form: Form) -> String {
        let mut line = match form {
            Form::Json => self.json(),
            Form::Text => self.text(),
            Form::Terminal(paint) => {
                let time = clock::rfc3339_ms(self.time_ns);
                let level = paint_level(self.level, paint);
                self.end_of(format!("{} {level} {}:", &time[11..23], self.target))
            }
            Form::Journal => {
                let head = format!("<{}>{}:", priority(self.level), self.target);
                self.end_of(head)
            }
        };
        line.push('\n');
        line
    }

    fn text(&self) -> String {
        let Self { level, target, file, line, .. } = self;
        let mut head = String::with_capacity(256);
        head.push_str(&clock::rfc3339_ms(self.time_ns));
        push(&mut head, format_args!(" {level:<5} "));
        for part in [target, " ", file, ":"] {
            head.push_str(part);
        }
        push(&mut head, line);
        for part in [" ", self.run.unwrap_or("-"), ":"] {
            head.push_str(part);
        }
        self.end_of(head)
    }

    /// The message and the fields behind what a line begins with.
    fn end_of(&self, mut line: String) -> String {
        line.push(' ');
        line.push_str(&shown(cut(&self.message).as_bytes()));
        for (name, value) in &self.fields {
            line.push(' ');
            line.push_str(name);
            line.push('=');
            match value {
                Value::Text(text) => push_word(&mut line, &cut(text)),
                Value::Bool(value) => push(&mut line, value),
                Value::Unsigned(value) => push(&mut line, value),
                Value::Signed(value) => push(&mut line, value),
                Value::Float(value) => push(&mut line, value),
            }
        }
        line
    }

    fn json(&self) -> String {
        let line = Line {
            time: clock::rfc3339_ms(self.time_ns),
            level: self.level,
            target: self.target,
            file: self.file,
            line: self.line,
            run: self.run,
            message: cut(&self.message),
            fields: Fields(&self.fields),
        };
        let text = serde_json::to_string(&line).expect("plain data becomes JSON");
        if !text.contains(is_unsafe) {
            return text;
        }
        // Such a character can only stand inside of a string.
        let mut safe = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            if is_unsafe(c) {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    push(&mut safe, format_args!("\\u{unit:04x}"));
                }
            } else {
                safe.push(c);
            }
        }
        safe
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: Level,
    target: &'a str,
    file: &'a str,
    line: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    message: Cow<'a, str>,
    fields: Fields<'a>,
}

struct Fields<'a>(&'a [(&'static str, Value)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match value {
                Value::Text(text) => map.serialize_entry(name, &cut(text))?,
                other => map.serialize_entry(name, other)?,
            }
        }
        map.end()
    }
}

fn push(line: &mut String, value: impl std::fmt::Display) {
    write!(line, "{value}").expect("writing to a string cannot fail");
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    Cow::Owned(format!("{}... ({} more bytes)", &text[..end], text.len() - end))
}

fn paint_level(level: Level, paint: Paint) -> String {
    let name = format!("{level:<5}");
    match level {
        Level::Debug => paint.dim(&name),
        Level::Info => name,
        Level::Warn => paint.warning(&name),
        Level::Error | Level::Fatal => paint.error(&name),
    }
}

/// The numbers of syslog, which `<N>` at the start of a line says to the journal (sd-daemon(3)).
fn priority(level: Level) -> u8 {
    match level {
        Level::Debug => 7,
        Level::Info => 6,
        Level::Warn => 4,
        Level::Error => 3,
        Level::Fatal => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &str, fields: Vec<(&'static str, Value)>) -> Record<'static> {
        Record {
            time_ns: 1_700_000_000_123_456_789,
            level: Level::Warn,
            target: "cache::state",
            file: "src/cache/state.rs",
            line: 7,
            run: Some("r1"),
            message: message.to_owned(),
            fields,
        }
    }

    #[test]
    fn a_record_has_a_line_for_each_reader() {
        let record = record(
            "it is odd",
            vec![
                ("task", Value::Text("a".into())),
                ("path", Value::Text("b c\"".into())),
                ("n", Value::Unsigned(3)),
            ],
        );
        let end = "it is odd task=a path=\"b c\\\"\" n=3\n";
        let head = "2023-11-14T22:13:20.123Z WARN  cache::state src/cache/state.rs:7 r1: ";
        assert_eq!(record.render(Form::Text), format!("{head}{end}"));
        assert_eq!(
            record.render(Form::Terminal(Paint(false))),
            format!("22:13:20.123 WARN  cache::state: {end}")
        );
        assert_eq!(
            record.render(Form::Terminal(Paint(true))),
            format!("22:13:20.123 \x1b[1;33mWARN \x1b[0m cache::state: {end}")
        );
        assert_eq!(record.render(Form::Journal), format!("<4>cache::state: {end}"));
        let json: serde_json::Value =
            serde_json::from_str(&record.render(Form::Json)).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "time": "2023-11-14T22:13:20.123Z", "level": "WARN", "target": "cache::state",
                "file": "src/cache/state.rs", "line": 7, "run": "r1", "message": "it is odd",
                "fields": {"task": "a", "path": "b c\"", "n": 3},
            })
        );
    }

    #[test]
    fn no_name_can_forge_a_line_or_move_the_cursor() {
        let evil = "a\n2023 FATAL\r\u{1b}[2J\u{9b}31m\u{202e}\u{7f}";
        let record = record(evil, vec![("path", Value::Text(evil.into()))]);
        for form in [Form::Text, Form::Json, Form::Terminal(Paint(false)), Form::Journal] {
            let line = record.render(form);
            let inner = line.strip_suffix('\n').expect("a line");
            assert!(!inner.contains(is_unsafe), "{line:?}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&record.render(Form::Json)).expect("JSON");
        assert_eq!((&json["message"], &json["fields"]["path"]), (&evil.into(), &evil.into()));
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let line = record("x", vec![("command", Value::Text("é".repeat(5000)))]).render(Form::Text);
        assert!(line.len() < MAX_TEXT + 200 && line.contains("(5904 more bytes)"), "{line}");
    }
}
