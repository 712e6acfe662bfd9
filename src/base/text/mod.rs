//! Texts as a person may see them: names, places in a text, the nearest name to a typo, secrets.

pub mod nearest;
pub mod place;
pub mod secret;

use std::borrow::Cow;
use std::fmt::Display;
use std::fmt::Write as _;

/// `bytes` as text: what is not printable is escaped (`\n`, `\u{1b}`, `\xff`), so that no name
/// can move the cursor, colour the terminal or break a line.
pub fn shown(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(is_unsafe)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_unsafe(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    Cow::Owned(out)
}

/// Control characters, and those that turn the direction of the text around.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends a value of a line as it is; one that has spaces, quotes or the like, between quotes, with
/// `\"`, `\\` and the escapes of Rust for what would end the line or change how it looks.
pub fn push_word(line: &mut String, text: &str) {
    let is_plain = |byte: u8| {
        let is_mark = matches!(byte, b'_' | b'%' | b'*' | b'+' | b','..=b'/' | b':' | b'@');
        byte.is_ascii_alphanumeric() || is_mark
    };
    if !text.is_empty() && text.bytes().all(is_plain) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            c if is_unsafe(c) || matches!(c, '\u{2028}' | '\u{2029}') => {
                line.extend(c.escape_default());
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// `1 task`, `2 tasks`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    if number == N::from(1) { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_names_stay_and_others_are_escaped() {
        assert_eq!(shown("größe 🦀".as_bytes()), "größe 🦀");
        assert_eq!(shown(b"a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown(b"a\xffb"), "a\\xffb");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }
}
