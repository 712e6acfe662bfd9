//! A value's text as it counts: a fence without its indentation, `{{name}}` replaced; and where
//! each part of it stands in the source.
//!
//! Knows nothing of what the value means.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::mistake::{Mistake, Mistakes, quoted};
use super::raw::is_identifier;
use super::{Span, Spanned};

/// The longest fence, and the longest value that `{{name}}` may make.
pub(super) const VALUE_MAX: usize = 1 << 20;

/// How much memory the tasks may take, roughly. What is spent does not come back.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// False: there is not that much left, and from now on nothing.
    #[must_use]
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let enough = bytes <= self.0;
        self.0 = if enough { self.0 - bytes } else { 0 };
        enough
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// What `let` declared. Sorted, so that of equally near names always the same is suggested.
pub(super) type Lets = BTreeMap<String, Spanned<String>>;

/// Where a part of a text comes from.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where it begins in the text.
    out: usize,
    /// Its place in the source.
    start: u32,
    end: u32,
    /// The same bytes as there, so that offsets inside carry over.
    verbatim: bool,
}

/// A text and its places. The pieces are in order, without gaps, the first at 0.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, str>,
    source: u32,
    pieces: Vec<Piece>,
}

impl<'a> Text<'a> {
    /// These bytes of the source.
    pub(super) fn line(all: &'a str, source: u32, start: u32, end: u32) -> Self {
        Self {
            text: Cow::Borrowed(&all[start as usize..end as usize]),
            source,
            pieces: vec![Piece { out: 0, start, end, verbatim: true }],
        }
    }

    /// A text that stands at `span` in another spelling.
    pub(super) fn spelled(text: &'a str, span: Span) -> Self {
        let piece = Piece { out: 0, start: span.start, end: span.end, verbatim: false };
        Self { text: Cow::Borrowed(text), source: span.source, pieces: vec![piece] }
    }

    /// The lines of a fence: the indentation that all have in common is taken away, and so are
    /// the carriage returns at line ends and the last line's end.
    pub(super) fn fence(all: &str, source: u32, start: u32, end: u32) -> Self {
        let body = &all[start as usize..end as usize];
        let indent = common_indent(body);
        let mut built = Self { text: Cow::Owned(String::new()), source, pieces: Vec::new() };
        let mut at = start;
        for (number, line) in body.lines().enumerate() {
            if number > 0 {
                // The line end stands where the line before ended; nothing points at it.
                built.append("\n", Piece { out: 0, start: at, end: at, verbatim: false });
            }
            let kept = line.get(indent..).unwrap_or("");
            let from = at + (line.len() - kept.len()) as u32;
            let piece = Piece { out: 0, start: from, end: from, verbatim: true };
            built.append(kept, piece);
            at += line.len() as u32;
            let rest = all.as_bytes().get(at as usize..).unwrap_or(&[]);
            at += if rest.starts_with(b"\r\n") { 2 } else { 1 };
        }
        if built.pieces.is_empty() {
            built.pieces.push(Piece { out: 0, start, end: start, verbatim: true });
        }
        built
    }

    fn append(&mut self, part: &str, piece: Piece) {
        let text = self.text.to_mut();
        if !part.is_empty() || self.pieces.is_empty() {
            let end = if piece.verbatim { piece.start + part.len() as u32 } else { piece.end };
            self.pieces.push(Piece { out: text.len(), end, ..piece });
        }
        text.push_str(part);
    }

    /// Where a part of the text stands in the source.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let first = self.piece(range.start);
        let last = if range.is_empty() { first } else { self.piece(range.end - 1) };
        let inside = |piece: Piece, at: usize| {
            (piece.start + (at - piece.out) as u32).min(piece.end.max(piece.start))
        };
        let start = if first.verbatim { inside(first, range.start) } else { first.start };
        let end = if last.verbatim { inside(last, range.end) } else { last.end };
        Span { source: self.source, start, end: end.max(start) }
    }

    /// Where all of it stands.
    pub(super) fn whole(&self) -> Span {
        self.span(0..self.text.len())
    }

    fn piece(&self, at: usize) -> Piece {
        let after = self.pieces.partition_point(|piece| piece.out <= at);
        self.pieces[after.saturating_sub(1)]
    }

    /// The text with every `{{name}}` replaced; None after a mistake.
    pub(super) fn expand(
        self,
        lets: &Lets,
        budget: &mut Budget,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        if reference(&self.text, 0).is_none() {
            return Some(self);
        }
        if self.text.len() > VALUE_MAX {
            mistakes.add(too_long(self.whole()));
            return None;
        }
        let mut out = Text { text: Cow::Owned(String::new()), source: self.source, pieces: vec![] };
        let (mut at, mut good) = (0, true);
        while let Some(found) = reference(&self.text, at) {
            self.copy(at..found.start, &mut out);
            at = found.end;
            let span = self.span(found.clone());
            let name = &self.text[found.start + 2..found.end - 2];
            let Some(value) = lets.get(name) else {
                good = false;
                let nearest = mistakes.nearest(name, lets.keys().map(String::as_str));
                mistakes.add(unknown(name, span, lets, nearest));
                continue;
            };
            if out.text.len() + value.value.len() > VALUE_MAX || !budget.spend(value.value.len()) {
                mistakes.add(too_long(self.whole()));
                return None;
            }
            let piece = Piece { out: 0, start: span.start, end: span.end, verbatim: false };
            out.append(&value.value, piece);
        }
        self.copy(at..self.text.len(), &mut out);
        if out.pieces.is_empty() {
            out.pieces.push(Piece { out: 0, ..self.pieces[0] });
        }
        good.then_some(out)
    }

    /// Appends a part of this text, with its places, to another.
    fn copy(&self, range: Range<usize>, into: &mut Text<'_>) {
        let mut at = range.start;
        while at < range.end {
            let after = self.pieces.partition_point(|piece| piece.out <= at);
            let end = self.pieces.get(after).map_or(range.end, |piece| piece.out.min(range.end));
            let piece = self.pieces[after.saturating_sub(1)];
            let start =
                if piece.verbatim { piece.start + (at - piece.out) as u32 } else { piece.start };
            into.append(&self.text[at..end], Piece { start, ..piece });
            at = end;
        }
    }
}

/// The next `{{name}}` from `from` on. Double braces around anything but a name are no reference.
fn reference(text: &str, from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let open = at + text[at..].find("{{")?;
        let name = &text.as_bytes()[open + 2..];
        let length = name
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            .count();
        let close = open + 2 + length;
        if text[close..].starts_with("}}") && is_identifier(&text[open + 2..close]) {
            return Some(open..close + 2);
        }
        // What was looked at holds no brace but the first two, of which the second may open.
        at = if length == 0 { open + 1 } else { close };
    }
}

fn unknown(name: &str, span: Span, lets: &Lets, nearest: Option<&str>) -> Mistake {
    let mistake = Mistake::new(span, format!("`{{{{{}}}}}` is not declared", quoted(name)));
    if nearest.is_some() {
        return mistake.meant(nearest);
    }
    let shown: Vec<String> =
        lets.keys().take(10).map(|name| format!("`{}`", quoted(name))).collect();
    let mistake = mistake.help(format!("declare it: `let {} = ...`", quoted(name)));
    if shown.is_empty() {
        mistake
    } else {
        mistake.help(format!("declared are {}", shown.join(", ")))
    }
}

fn too_long(span: Span) -> Mistake {
    Mistake::new(span, "this value is too long")
        .label(format!("with its `{{{{name}}}}` replaced more than {VALUE_MAX} bytes"))
        .help("put the text into a file, and use the file")
}

/// How many bytes of white space all lines begin with, blank lines not counted.
fn common_indent(body: &str) -> usize {
    let mut common: Option<&str> = None;
    for line in body.lines() {
        let rest = line.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            continue;
        }
        let indent = &line[..line.len() - rest.len()];
        common = Some(match common {
            None => indent,
            Some(before) => {
                let same = before.bytes().zip(indent.bytes()).take_while(|(a, b)| a == b).count();
                &before[..same]
            }
        });
    }
    common.map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets(pairs: &[(&str, &str)]) -> Lets {
        let spanned = |value: &str| Spanned { value: value.to_owned(), span: Span::default() };
        pairs.iter().map(|(name, value)| ((*name).to_owned(), spanned(value))).collect()
    }

    fn expand(text: &str, pairs: &[(&str, &str)]) -> Option<String> {
        let mut mistakes = Mistakes::new();
        let line = Text::line(text, 0, 0, text.len() as u32);
        line.expand(&lets(pairs), &mut Budget::new(1000), &mut mistakes)
            .map(|text| text.text.into_owned())
    }

    #[test]
    fn references_are_replaced_once_and_other_braces_stay() {
        assert_eq!(
            expand("{{cc}} -o {{ o }}", &[("cc", "gcc")]).as_deref(),
            Some("gcc -o {{ o }}")
        );
        assert_eq!(
            expand("{{.State}} {{json .}} {{", &[]).as_deref(),
            Some("{{.State}} {{json .}} {{")
        );
        assert_eq!(expand("{{{a}}}", &[("a", "x")]).as_deref(), Some("{x}"));
        assert_eq!(expand("{{open}}a}}", &[("open", "{{"), ("a", "x")]).as_deref(), Some("{{a}}"));
        assert_eq!(expand("{{x{{a}}", &[("a", "y")]).as_deref(), Some("{{xy"));
        assert_eq!(expand("{{b}}", &[("a", "x")]), None);
    }

    #[test]
    fn parts_of_an_expanded_text_keep_their_places() {
        let source = "x {{a}} tail";
        let mut mistakes = Mistakes::new();
        let text = Text::line(source, 3, 0, 12)
            .expand(&lets(&[("a", "long value")]), &mut Budget::new(1000), &mut mistakes)
            .expect("declared");
        assert_eq!(text.text, "x long value tail");
        assert_eq!(text.span(0..1), Span { source: 3, start: 0, end: 1 });
        assert_eq!(text.span(2..6), Span { source: 3, start: 2, end: 7 });
        assert_eq!(text.span(13..17), Span { source: 3, start: 8, end: 12 });
    }

    #[test]
    fn a_fence_loses_the_indentation_that_its_lines_share() {
        let source = "```\n    if x; then\r\n      y\n\n    fi\n```";
        let text = Text::fence(source, 0, 4, 36);
        assert_eq!(text.text, "if x; then\n  y\n\nfi");
        assert_eq!(text.span(13..14).start as usize, source.find('y').expect("there"));
        let last = text.span(16..18);
        assert_eq!(&source[last.start as usize..last.end as usize], "fi");
    }

    #[test]
    fn values_cannot_grow_without_limit() {
        let big = "x".repeat(600_000);
        assert_eq!(expand("{{a}}{{a}}", &[("a", &big)]), None);
    }

    #[test]
    fn an_empty_fence_is_an_empty_text() {
        let text = Text::fence("```\n```", 0, 4, 4);
        assert_eq!((&*text.text, text.whole()), ("", Span { source: 0, start: 4, end: 4 }));
    }
}
