//! A line of the audit log as text, and back.
//!
//! `[2024-11-16 14:30:00] type=TASK_START user=alice resource=compile action=execute success=1
//! details="attempt 1" process=4711 seq=7 prev=... hash=...`, where `hash` is that of all before
//! it. Whatever a name holds, it is one line and reads back as it was.

use std::fmt::Write as _;

use crate::base::text::push_word;
use crate::base::{Digest, clock};

use super::record::{AuditType, Record};

/// What stands before the hash of a line.
const HASH: &str = " hash=";
/// What stands before the seal of a line.
pub(super) const SEAL: &str = " seal=";

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Seconds since 1970, in UTC.
    pub time: i64,
    pub kind: AuditType,
    pub user: String,
    pub resource: String,
    pub action: String,
    pub success: bool,
    pub details: String,
    pub process: u32,
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// The hash of the line before; of the first, zeros.
    pub prev: Digest,
    /// At the start and end of a process: those that are at work, by the numbers of the lines
    /// with which they began.
    pub open: Option<Vec<u64>>,
    /// At the start of a process: its settings, in short.
    pub config: Option<String>,
    pub seal: Option<Seal>,
    /// Of all that stands before it in the line.
    pub hash: Digest,
}

/// Proves that the line, and so all before it, was written while the key of its epoch was alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    pub epoch: u64,
    pub mac: Digest,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) prev: Digest,
}

/// What a line says beside its record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    pub(super) open: Option<&'a [u64]>,
    pub(super) config: Option<&'a str>,
    /// The number and the key of the epoch that the line ends.
    pub(super) seals: Option<(u64, &'a [u8; 32])>,
}

/// Appends the line with its end, and returns its hash.
pub(super) fn write(
    out: &mut String,
    record: &Record,
    user: &str,
    place: Place,
    beside: Beside<'_>,
) -> Digest {
    let start = out.len();
    let Record { time, kind, resource, action, success, details } = record;
    push(out, format_args!("[{}] type={kind} user=", clock::utc(*time)));
    push_word(out, user);
    out.push_str(" resource=");
    push_word(out, resource);
    out.push_str(" action=");
    push_word(out, action);
    push(out, format_args!(" success={} details=", u8::from(*success)));
    push_word(out, details);
    let Place { seq, prev } = place;
    push(out, format_args!(" process={} seq={seq} prev={prev}", std::process::id()));
    if let Some(open) = beside.open {
        let open: Vec<String> = open.iter().map(u64::to_string).collect();
        push(
            out,
            format_args!(" open={}", if open.is_empty() { "-".into() } else { open.join(",") }),
        );
    }
    if let Some(config) = beside.config {
        push(out, format_args!(" config={config}"));
    }
    if let Some((epoch, key)) = beside.seals {
        push(out, format_args!(" epoch={epoch}"));
        let mac = Digest::keyed(key, &out.as_bytes()[start..]);
        push(out, format_args!("{SEAL}{mac}"));
    }
    let hash = Digest::of(&out.as_bytes()[start..]);
    push(out, format_args!("{HASH}{hash}\n"));
    hash
}

impl Line {
    /// Reads a line without its end. None: it is no line of ours, or was changed since.
    pub fn parse(text: &str) -> Option<Self> {
        let (content, hash) = text.rsplit_once(HASH)?;
        let hash =
            Digest::parse(hash).ok().filter(|hash| *hash == Digest::of(content.as_bytes()))?;
        Self::fields(content, hash)
    }

    fn fields(content: &str, hash: Digest) -> Option<Self> {
        let (time, rest) = content.strip_prefix('[')?.split_once("] ")?;
        let mut rest = Rest(rest);
        let (time, _) = clock::parse_time(time)?;
        let kind = rest.field("type")?;
        let kind = AuditType::ALL.into_iter().find(|one| one.name() == kind)?;
        let user = rest.field("user")?;
        let resource = rest.field("resource")?;
        let action = rest.field("action")?;
        let success = match rest.field("success")?.as_str() {
            "1" => true,
            "0" => false,
            _ => return None,
        };
        let details = rest.field("details")?;
        let process = rest.field("process")?.parse().ok()?;
        let seq = rest.field("seq")?.parse().ok()?;
        let prev = Digest::parse(&rest.field("prev")?).ok()?;
        let open = match rest.field("open").as_deref() {
            None => None,
            Some("-") => Some(Vec::new()),
            Some(list) => Some(list.split(',').map(|one| one.parse().ok()).collect::<Option<_>>()?),
        };
        let config = rest.field("config");
        let seal = match rest.field("epoch") {
            None => None,
            Some(epoch) => {
                let mac = Digest::parse(&rest.field("seal")?).ok()?;
                Some(Seal { epoch: epoch.parse().ok()?, mac })
            }
        };
        rest.0.is_empty().then_some(Self {
            time,
            kind,
            user,
            resource,
            action,
            success,
            details,
            process,
            seq,
            prev,
            open,
            config,
            seal,
            hash,
        })
    }

    /// Whether the seal, if there is one, was made with this key. `text` is the line.
    pub fn is_sealed_with(&self, text: &str, key: &[u8; 32]) -> bool {
        let sealed = text.rsplit_once(SEAL).map(|(content, _)| content);
        self.seal
            .zip(sealed)
            .is_some_and(|(seal, content)| Digest::keyed(key, content.as_bytes()) == seal.mac)
    }

    /// The line without what chains it.
    pub fn plain(&self) -> String {
        let mut out = format!("[{}] type={} user=", clock::utc(self.time), self.kind);
        push_word(&mut out, &self.user);
        out.push_str(" resource=");
        push_word(&mut out, &self.resource);
        out.push_str(" action=");
        push_word(&mut out, &self.action);
        push(&mut out, format_args!(" success={} details=", u8::from(self.success)));
        push_word(&mut out, &self.details);
        push(&mut out, format_args!(" process={} seq={}", self.process, self.seq));
        out
    }
}

/// Whether bytes begin as a line does, as far as they go.
pub(super) fn begins_a_line(bytes: &[u8]) -> bool {
    const HEAD: &[u8] = b"[0000-00-00 00:00:00] type=";
    HEAD.iter().zip(bytes).all(
        |(form, byte)| {
            if *form == b'0' { byte.is_ascii_digit() } else { form == byte }
        },
    )
}

/// What of a line is still to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// The value of the next field, if it has this name.
    fn field(&mut self, name: &str) -> Option<String> {
        let rest = self.0.strip_prefix(name)?.strip_prefix('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        self.0 = match rest.strip_prefix(' ') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return None,
        };
        Some(value)
    }
}

/// The text up to the closing quote, and what is behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\') => out.push(c),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'u' => {
                    let (digits, _) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                    out.push(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?);
                    chars.nth(digits.len() + 1)?;
                }
                _ => return None,
            },
            c => out.push(c),
        }
    }
    None
}

fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::text::is_unsafe;

    #[test]
    fn a_line_has_the_documented_form() {
        let mut record = Record::new(AuditType::TaskStart, "compile", "execute");
        record.time = 1_731_767_400;
        let mut out = String::new();
        let place = Place { seq: 7, prev: Digest::of(b"x") };
        write(&mut out, &record.details("attempt 1"), "alice", place, Beside::default());
        let head = "[2024-11-16 14:30:00] type=TASK_START user=alice resource=compile \
                    action=execute success=1 details=\"attempt 1\" process=";
        assert!(out.starts_with(head), "{out}");
        assert!(out.contains(&format!(" seq=7 prev={} hash=", Digest::of(b"x"))), "{out}");
    }

    proptest! {
        #[test]
        fn whatever_a_name_holds_it_is_one_line_and_reads_back(
            texts in proptest::array::uniform3(any::<String>()),
            (kind, success, time) in (0..15_usize, any::<bool>(), 0..4_000_000_000_i64),
            (seq, seed) in (any::<u64>(), any::<[u8; 32]>()),
            open in proptest::option::of(proptest::collection::vec(any::<u64>(), 0..4)),
            epoch in proptest::option::of(any::<u64>()),
        ) {
            let [user, resource, details] = texts;
            let kind = AuditType::ALL[kind];
            let record = Record { time, kind, resource, action: "do", success, details };
            let place = Place { seq, prev: Digest::from_bytes(seed) };
            let beside = Beside {
                open: open.as_deref(),
                config: open.as_ref().map(|_| "0123456789abcdef"),
                seals: epoch.map(|epoch| (epoch, &seed)),
            };
            let mut out = String::new();
            let hash = write(&mut out, &record, &user, place, beside);
            let text = out.strip_suffix('\n').expect("an end");
            prop_assert!(!text.contains(|c: char| is_unsafe(c) || c == '\n'), "{text:?}");
            prop_assert!(begins_a_line(text.as_bytes()));
            let line = Line::parse(text).expect("a line of ours");
            prop_assert_eq!((line.time, line.kind, line.success), (time, kind, success));
            prop_assert_eq!((&line.user, &line.resource, &line.details),
                (&user, &record.resource, &record.details));
            prop_assert_eq!((line.seq, line.prev, line.hash), (seq, place.prev, hash));
            prop_assert_eq!(&line.open, &open);
            prop_assert_eq!(line.seal.map(|seal| seal.epoch), epoch);
            prop_assert_eq!(line.is_sealed_with(text, &seed), epoch.is_some());
            prop_assert!(!line.is_sealed_with(text, &[0; 32]) || seed == [0; 32]);
        }

        #[test]
        fn what_is_no_line_is_refused_and_breaks_nothing(text in any::<String>()) {
            prop_assert_eq!(Line::parse(&text), None);
            let hashed = format!("{text}{HASH}{}", Digest::of(text.as_bytes()));
            prop_assert_eq!(Line::parse(&hashed), None);
        }
    }
}
