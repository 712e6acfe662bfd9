//! The small notations inside a value: lists with quotes, names with values, durations, switches.
//!
//! Works on plain text and byte offsets; knows nothing of files.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

/// One entry of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// What stands before the quote: nothing, `!`, or `NAME=`. Of a bare entry nothing.
    pub(super) prefix: &'a str,
    /// Without quotes and escapes. Bytes, since `\xff` can write any.
    pub(super) value: Cow<'a, [u8]>,
    pub(super) quoted: bool,
    /// The whole entry in the text.
    pub(super) range: Range<usize>,
}

/// What is wrong with an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ItemError {
    pub(super) range: Range<usize>,
    pub(super) message: &'static str,
    pub(super) help: &'static str,
}

/// The entries of a list, separated by commas and white space.
#[derive(Debug)]
pub(super) struct Items<'a> {
    text: &'a str,
    at: usize,
    /// Up to here no brace closes, so that the search does not cost the square of the text.
    unclosed: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, unclosed: 0 }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Where the bare words that begin at `start` end: before a separator or a quote. A comma
    /// inside `{..}` belongs to a pattern.
    fn bare_end(&mut self, start: usize) -> usize {
        let mut at = start;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'"' => break,
                b'{' => at = self.brace_end(at).unwrap_or(at) + 1,
                _ if is_separator(byte) => break,
                _ => at += 1,
            }
        }
        at
    }

    /// Where the brace at `open` closes in the same entry.
    fn brace_end(&mut self, open: usize) -> Option<usize> {
        if open < self.unclosed {
            return None;
        }
        let rest = &self.text.as_bytes()[open..];
        let ends = |b: &u8| matches!(b, b'}' | b'"') || b.is_ascii_whitespace();
        let stop = open + rest.iter().position(ends).unwrap_or(rest.len());
        if self.byte(stop) == Some(b'}') {
            return Some(stop);
        }
        self.unclosed = stop;
        None
    }

    fn skip_to_separator(&mut self) {
        while self.byte(self.at).is_some_and(|byte| !is_separator(byte)) {
            self.at += 1;
        }
    }

    fn quoted(&mut self, start: usize, prefix: &'a str) -> Result<Item<'a>, ItemError> {
        let open = start + prefix.len();
        let (value, end) = match unquote(self.text, open) {
            Ok(found) => found,
            Err(error) => {
                self.at = error.range.end;
                self.skip_to_separator();
                return Err(error);
            }
        };
        self.at = end;
        if self.byte(end).is_some_and(|byte| !is_separator(byte)) {
            self.skip_to_separator();
            return Err(ItemError {
                range: end..self.at,
                message: "a quoted entry ends at its closing quote",
                help: "put a comma or a blank after it, or the quotes around all of it",
            });
        }
        Ok(Item { prefix, value, quoted: true, range: start..end })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, ItemError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.byte(self.at).is_some_and(is_separator) {
            self.at += 1;
        }
        let start = self.at;
        self.byte(start)?;
        let end = self.bare_end(start);
        let bare = &self.text[start..end];
        if self.byte(end) != Some(b'"') {
            self.at = end;
            let value = Cow::Borrowed(bare.as_bytes());
            return Some(Ok(Item { prefix: "", value, quoted: false, range: start..end }));
        }
        if bare.is_empty() || bare == "!" || bare.ends_with('=') {
            return Some(self.quoted(start, bare));
        }
        self.at = end;
        self.skip_to_separator();
        Some(Err(ItemError {
            range: end..end + 1,
            message: "a quote in the middle of an entry",
            help: "put the quotes around all of it",
        }))
    }
}

fn is_separator(byte: u8) -> bool {
    byte == b',' || byte.is_ascii_whitespace()
}

/// The text between the quote at `open` and its closing one, and where that ends.
pub(super) fn unquote(text: &str, open: usize) -> Result<(Cow<'_, [u8]>, usize), ItemError> {
    let bytes = text.as_bytes();
    let mut at = open + 1;
    let mut out: Option<Vec<u8>> = None;
    loop {
        match bytes.get(at) {
            None => {
                return Err(ItemError {
                    range: open..bytes.len(),
                    message: "a quote is not closed",
                    help: "put a `\"` at the entry's end; a quote inside is written `\\\"`",
                });
            }
            Some(b'"') => break,
            Some(b'\\') => {
                let (byte, length) = escape(&bytes[at..]).ok_or_else(|| ItemError {
                    range: at..next_char(text, at + 1),
                    message: "an unknown escape in a quoted entry",
                    help: "the escapes are `\\\"`, `\\\\`, `\\n`, `\\t` and `\\xHH`",
                })?;
                out.get_or_insert_with(|| bytes[open + 1..at].to_vec()).push(byte);
                at += length;
            }
            Some(&byte) => {
                if let Some(out) = &mut out {
                    out.push(byte);
                }
                at += 1;
            }
        }
    }
    let value = out.map_or_else(|| Cow::Borrowed(&bytes[open + 1..at]), Cow::Owned);
    Ok((value, at + 1))
}

fn escape(bytes: &[u8]) -> Option<(u8, usize)> {
    match bytes.get(1)? {
        byte @ (b'"' | b'\\') => Some((*byte, 2)),
        b'n' => Some((b'\n', 2)),
        b't' => Some((b'\t', 2)),
        b'x' => {
            let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
            Some(((digit(2)? * 16 + digit(3)?) as u8, 4))
        }
        _ => None,
    }
}

/// The end of the character at `at`, or of the text.
fn next_char(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(text.len(), |c| at + c.len_utf8())
}

/// `30`, `30s`, `500ms`, `5m`, `1h`: more than nothing and at most a year.
pub(super) fn duration(text: &str) -> Option<Duration> {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let duration = match text[digits..].trim_start() {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    };
    (!duration.is_zero() && duration <= YEAR).then_some(duration)
}

/// `on` and `off`, and how else people say it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A decimal number and nothing else.
pub(super) fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        Items::new(text)
            .map(|item| match item {
                Ok(item) => {
                    let value = String::from_utf8_lossy(&item.value).into_owned();
                    format!("{}{}{value}", item.prefix, if item.quoted { "'" } else { "" })
                }
                Err(error) => format!("{}: {:?}", error.message, error.range),
            })
            .collect()
    }

    #[test]
    fn commas_and_blanks_both_separate() {
        assert_eq!(values("a.c, b.c,c.c  d.c"), ["a.c", "b.c", "c.c", "d.c"]);
        assert_eq!(values(" , ,\t\n"), Vec::<String>::new());
    }

    #[test]
    fn quotes_keep_blanks_commas_and_patterns() {
        assert_eq!(values(r#""a b", "c,d" !"e f" "*.c""#), ["'a b", "'c,d", "!'e f", "'*.c"]);
        assert_eq!(values(r#""a\"b\\c""#), [r#"'a"b\c"#]);
        assert_eq!(values(r#"A=1 B="two words""#), ["A=1", "B='two words"]);
        let item = Items::new(r#""\xff\n""#).next().expect("one").expect("good");
        assert_eq!(&*item.value, b"\xff\n");
    }

    #[test]
    fn a_comma_inside_braces_belongs_to_the_pattern() {
        assert_eq!(values("src/*.{c,h},x"), ["src/*.{c,h}", "x"]);
        assert_eq!(values("a{b, c"), ["a{b", "c"]);
    }

    #[test]
    fn bad_quotes_are_named_and_the_rest_is_read() {
        assert_eq!(values(r#"a "b"#), ["a", "a quote is not closed: 2..4"]);
        assert_eq!(values(r#"a"b" c"#), ["a quote in the middle of an entry: 1..2", "c"]);
        assert_eq!(values(r#""a"b c"#), ["a quoted entry ends at its closing quote: 3..4", "c"]);
        assert_eq!(values(r#""\q" c"#), ["an unknown escape in a quoted entry: 1..3", "c"]);
    }

    #[test]
    fn durations_have_units() {
        let ms = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(ms("30"), Some(30_000));
        assert_eq!(ms("30s"), Some(30_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("5 m"), Some(300_000));
        assert_eq!(ms("1h"), Some(3_600_000));
        for bad in ["", "0", "s", "-1", "1.5s", "1d", "99999999999999999999", "9999999h"] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_plain() {
        assert_eq!(number("7"), Some(7));
        for bad in ["", "+7", "-1", "7 ", "4294967296"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
