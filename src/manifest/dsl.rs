//! Our own language into statements. After a mistake reading goes on at the next field or block.
//! Knows nothing of what the values mean, and reads no other file.

use super::mistake::{Mistake, Mistakes, quoted};
use super::raw::{
    BlockKind, Field, Fields, RawField, RawValue, Statement, is_identifier, known_field, let_name,
    pool_name, task_name,
};
use super::text::{Budget, VALUE_MAX};
use super::{Span, Spanned, list};

/// The words that statements begin with.
pub(super) const KEYWORDS: [&str; 5] = ["task", "pool", "defaults", "let", "include"];
const FENCE: &str = "```";
/// The most backquotes of a fence.
const FENCE_MAX: usize = 8;

/// A line, or a part of one, without white space around it.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    start: u32,
}

impl<'a> Part<'a> {
    fn end(self) -> u32 {
        self.start + self.text.len() as u32
    }

    /// Some bytes of it, trimmed.
    fn sub(self, from: usize, to: usize) -> Self {
        let text = &self.text[from..to];
        let rest = text.trim_ascii_start();
        let start = self.start + (from + text.len() - rest.len()) as u32;
        Self { text: rest.trim_ascii_end(), start }
    }

    fn from(self, from: usize) -> Self {
        self.sub(from, self.text.len())
    }

    /// The word it begins with, and what follows.
    fn split_word(self) -> (Self, Self) {
        let end = self
            .text
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '{' | '='))
            .unwrap_or(self.text.len());
        (self.sub(0, end), self.from(end))
    }

    /// Nothing to read.
    fn is_idle(self) -> bool {
        self.text.is_empty() || self.text.starts_with('#')
    }
}

/// A block that is being read.
struct Open<'a> {
    kind: BlockKind,
    /// Its name, or its first word where it has none.
    header: Part<'a>,
    fields: Fields,
    last: Option<Field>,
    /// Where the last value ends, if it ends in `}`.
    brace: Option<u32>,
    /// The line before was no field, and that has been said.
    complaining: bool,
}

struct Parser<'a, 'm> {
    source: u32,
    text: &'a str,
    at: usize,
    /// For which numbers of backquotes no closing fence is left, so that none is sought twice.
    unclosed: [bool; FENCE_MAX + 1],
    mistakes: &'m mut Mistakes,
    budget: &'m mut Budget,
    statements: Vec<Statement>,
}

/// The statements of a text, from the byte `from` on.
pub(super) fn parse(
    source: u32,
    text: &str,
    from: usize,
    mistakes: &mut Mistakes,
    budget: &mut Budget,
) -> Vec<Statement> {
    let unclosed = [false; FENCE_MAX + 1];
    let statements = Vec::new();
    let mut parser = Parser { source, text, at: from, unclosed, mistakes, budget, statements };
    while let Some(line) = parser.next() {
        if !line.is_idle() {
            parser.statement(line);
        }
    }
    parser.statements
}

impl<'a> Parser<'a, '_> {
    /// Adds a statement; where too many have been read, the rest of the text is left.
    fn push(&mut self, statement: Statement) {
        if statement.fits(self.budget, self.mistakes) {
            self.statements.push(statement);
        } else {
            self.at = self.text.len();
        }
    }

    fn next(&mut self) -> Option<Part<'a>> {
        if self.mistakes.is_full() {
            self.mistakes.names_missing = true;
            self.at = self.text.len();
        }
        let rest = &self.text.as_bytes()[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let line = Part { text: &self.text[self.at..self.at + length], start: self.at as u32 };
        self.at = (self.at + length + 1).min(self.text.len());
        Some(line.from(0))
    }

    /// The next line that holds something, not taken yet, and where the one after it begins.
    fn peek(&mut self) -> Option<(Part<'a>, usize)> {
        let here = self.at;
        let mut found = None;
        while let Some(line) = self.next() {
            if !line.is_idle() {
                found = Some((line, self.at));
                break;
            }
        }
        self.at = here;
        found
    }

    fn span(&self, part: Part<'_>) -> Span {
        Span { source: self.source, start: part.start, end: part.end() }
    }

    fn mistake(&self, part: Part<'_>, message: impl Into<String>) -> Mistake {
        Mistake::new(self.span(part), message)
    }

    fn statement(&mut self, line: Part<'a>) {
        let (word, rest) = line.split_word();
        if rest.text.starts_with('=') {
            return self.unknown_statement(line, word);
        }
        match word.text {
            "task" => self.block(BlockKind::Task, word, rest),
            "pool" => self.block(BlockKind::Pool, word, rest),
            "defaults" => self.block(BlockKind::Defaults, word, rest),
            "let" => self.declare(word, rest),
            "include" => self.include(word, rest),
            _ => self.unknown_statement(line, word),
        }
    }

    fn unknown_statement(&mut self, line: Part<'a>, word: Part<'a>) {
        if line.text.starts_with('}') {
            let mistake = self.mistake(line, "a `}` without a block").label("closes nothing");
            self.mistakes.add(mistake.help("take it out; a block is opened as in `task name {`"));
            return;
        }
        let rest = line.from(word.text.len());
        if rest.text.starts_with('=') && Field::of(word.text).is_some() {
            let message = format!("`{}` stands outside of a block", word.text);
            let mistake = self.mistake(word, message).label("a field without its task");
            self.mistakes.add(mistake.help("fields stand between `task name {` and `}`"));
            self.skip_value(rest.from(1));
            return;
        }
        let shown = if word.text.is_empty() { line } else { word };
        let nearest = self.mistakes.nearest(word.text, KEYWORDS);
        let mistake = self
            .mistake(shown, format!("unknown statement `{}`", quoted(shown.text)))
            .label("expected `task`, `pool`, `defaults`, `let` or `include`")
            .meant(nearest);
        self.mistakes.add(mistake);
        if line.text.ends_with('{') {
            self.mistakes.names_missing = true;
            self.skip_block();
        } else if rest.text.starts_with('=') {
            self.skip_value(rest.from(1));
        }
    }

    fn declare(&mut self, word: Part<'a>, rest: Part<'a>) {
        let Some(equals) = rest.text.find('=') else {
            let mistake =
                self.mistake(if rest.text.is_empty() { word } else { rest }, "`let` has no value");
            self.mistakes.add(mistake.label("expected `=`").help("write `let name = value`"));
            return;
        };
        let name = rest.sub(0, equals);
        let value = self.value(rest.from(equals + 1));
        let span = self.span(name);
        let name = let_name(name.text, span, self.mistakes);
        if let (Some(name), Some(value)) = (name, value) {
            self.push(Statement::Let { name, value });
        }
    }

    fn include(&mut self, word: Part<'a>, rest: Part<'a>) {
        let span = self.span(rest);
        let path = if rest.text.starts_with('"') {
            match list::unquote(rest.text, 0) {
                Ok((path, end)) if end == rest.text.len() => path.into_owned(),
                _ => {
                    let mistake = self.mistake(rest, "the quotes do not enclose the whole path");
                    self.mistakes.add(mistake.label("expected `\"path\"`"));
                    return;
                }
            }
        } else {
            rest.text.as_bytes().to_vec()
        };
        if path.is_empty() {
            let mistake = self.mistake(word, "`include` needs a path").label("expected a path");
            self.mistakes.add(mistake.help("write `include other.txt`"));
            return;
        }
        self.push(Statement::Include(Spanned { value: path, span }));
    }

    /// A block, from what follows its first word on.
    fn block(&mut self, kind: BlockKind, word: Part<'a>, rest: Part<'a>) {
        let (name, tail) = match rest.text.find('{') {
            Some(open) => (rest.sub(0, open), Some(rest.from(open + 1))),
            None => (rest, self.brace_below(word, rest)),
        };
        let header = if name.text.is_empty() { word } else { name };
        let fields = tail.map_or_else(Fields::default, |tail| {
            let open = Open {
                kind,
                header,
                fields: Fields::default(),
                last: None,
                brace: None,
                complaining: false,
            };
            self.body(open, tail)
        });
        let span = self.span(header);
        match kind {
            BlockKind::Task => {
                if let Some(name) = task_name(name.text, span, self.mistakes) {
                    self.push(Statement::Task { name, fields });
                }
            }
            BlockKind::Pool => {
                if let Some(name) = pool_name(name.text, span, self.mistakes) {
                    self.push(Statement::Pool { name, fields });
                }
            }
            BlockKind::Defaults if name.text.is_empty() => {
                self.push(Statement::Defaults { span, fields });
            }
            BlockKind::Defaults => {
                let mistake = self.mistake(name, "`defaults` has no name");
                self.mistakes.add(mistake.label("expected `{`"));
            }
        }
    }

    /// A header without `{`: it may stand on the next line, and where fields follow it was
    /// forgotten. None: no block follows.
    fn brace_below(&mut self, word: Part<'a>, rest: Part<'a>) -> Option<Part<'a>> {
        let next = self.peek();
        if let Some((line, after)) = next
            && line.text.starts_with('{')
        {
            self.at = after;
            return Some(line.from(1));
        }
        let end = if rest.text.is_empty() { word } else { rest };
        let place = Part { text: "", start: end.end() };
        let mistake = self.mistake(place, format!("`{}` is not followed by a block", word.text));
        self.mistakes.add(mistake.label("expected `{`"));
        let follows = next.is_some_and(|(line, _)| line.text == "}" || is_field(line));
        follows.then_some(Part { text: "", start: place.start })
    }

    /// The fields up to the closing brace; `tail` is what follows the opening one on its line.
    fn body(&mut self, mut open: Open<'a>, tail: Part<'a>) -> Fields {
        if let Some(inner) = tail.text.strip_suffix('}') {
            let inner = tail.sub(0, inner.len());
            if !inner.text.is_empty() {
                self.field(&mut open, inner);
            }
            return open.fields;
        }
        if !tail.is_idle() {
            let mistake =
                self.mistake(tail, "text after `{`").label("expected the end of the line");
            self.mistakes.add(mistake.help("write each field on a line of its own"));
            if is_field(tail) {
                self.field(&mut open, tail);
            }
        }
        loop {
            let before = self.at;
            let Some(line) = self.next() else { break };
            if line.is_idle() {
                continue;
            }
            if let Some(rest) = line.text.strip_prefix('}') {
                self.after_brace(line.from(line.text.len() - rest.len()));
                return open.fields;
            }
            if starts_block(line) {
                self.at = before;
                break;
            }
            self.field(&mut open, line);
        }
        self.unclosed(&open);
        open.fields
    }

    fn after_brace(&mut self, rest: Part<'a>) {
        if !rest.is_idle() {
            let mistake =
                self.mistake(rest, "text after `}`").label("expected the end of the line");
            self.mistakes.add(mistake.help("a `}` stands on a line of its own"));
        }
    }

    fn unclosed(&mut self, open: &Open<'a>) {
        let what = match open.kind {
            BlockKind::Defaults => "`defaults`".to_owned(),
            kind => format!("{} `{}`", kind.word(), quoted(open.header.text)),
        };
        let mut mistake = self
            .mistake(open.header, format!("{what} is not closed"))
            .label("opened here")
            .help("put a `}` on a line of its own after its last field");
        if let Some(end) = open.brace {
            let brace = Part { text: "}", start: end - 1 };
            mistake = mistake.also(self.span(brace), "this `}` is part of the value before it");
        }
        self.mistakes.add(mistake);
    }

    fn field(&mut self, open: &mut Open<'a>, line: Part<'a>) {
        let name = line.text.find('=').map(|equals| (line.sub(0, equals), equals));
        let Some((name, equals)) = name.filter(|(name, _)| is_identifier(name.text)) else {
            return self.no_field(open, line);
        };
        // After a command's first line, an assignment is more likely its second than a field.
        let continues = open.complaining || self.ends_in_backslash(line);
        if continues && Field::of(name.text).is_none() {
            return self.no_field(open, line);
        }
        open.complaining = false;
        let span = self.span(name);
        let field = known_field(name.text, span, open.kind, self.mistakes);
        open.last = field;
        let value = line.from(equals + 1);
        open.brace = value.text.ends_with('}').then(|| value.end());
        let Some(field) = field else { return self.skip_value(value) };
        if let Some(value) = self.value(value) {
            let field = RawField { field, at: name.start, value };
            open.fields.push(field, self.source, self.mistakes);
        }
    }

    /// Whether the line before this one ends in a backslash.
    fn ends_in_backslash(&self, line: Part<'_>) -> bool {
        self.text[..line.start as usize].trim_ascii_end().ends_with('\\')
    }

    /// A line in a block that is no field; of several such in a row the first is reported.
    fn no_field(&mut self, open: &mut Open<'a>, line: Part<'a>) {
        if std::mem::replace(&mut open.complaining, true) {
            return;
        }
        let mistake =
            self.mistake(line, "this line is no field").label("expected `field = value` or `}`");
        self.mistakes.add(match open.last {
            Some(field) => mistake.help(format!(
                "for a value of several lines write `{} = {FENCE}`, then the lines, then `{FENCE}` \
                 on a line of its own",
                field.name()
            )),
            None => mistake,
        });
    }

    /// A value, from what follows `=` on; a fence is read to its end. None after a mistake.
    fn value(&mut self, part: Part<'a>) -> Option<RawValue> {
        if !part.text.starts_with(FENCE) {
            return Some(RawValue::Line { start: part.start, end: part.end() });
        }
        if part.text.bytes().any(|b| b != b'`') {
            let mistake = self.mistake(part, "text on the line of an opening fence");
            self.mistakes.add(mistake.label("expected the end of the line after the backquotes"));
            let open = part.text.bytes().take_while(|&b| b == b'`').count();
            self.fence(part.sub(0, open));
            return None;
        }
        let Some((start, end)) = self.fence(part) else {
            let mistake = self.mistake(part, "the fence is not closed").label("opened here");
            self.mistakes.add(mistake.help(
                "put as many backquotes on a line of its own; around a fence, use more of them",
            ));
            self.skip_to_brace();
            return None;
        };
        if (end - start) as usize > VALUE_MAX {
            let mistake = self.mistake(part, "the fence is too long");
            self.mistakes.add(mistake.label(format!("holds more than {VALUE_MAX} bytes")));
            return None;
        }
        Some(RawValue::Fence { start, end })
    }

    /// The bytes up to the line that closes the fence, which is taken too. None: there is no such
    /// line before another field opens one, and nothing is taken.
    fn fence(&mut self, open: Part<'a>) -> Option<(u32, u32)> {
        if *self.unclosed.get(open.text.len())? {
            return None;
        }
        let start = self.at;
        let mut end = start;
        while let Some(line) = self.next() {
            if line.text == open.text {
                return Some((start as u32, end as u32));
            }
            if line.text.ends_with(open.text) && opens_fence(line, open) {
                self.at = start;
                return None;
            }
            end = self.at;
        }
        self.unclosed[open.text.len()] = true;
        self.at = start;
        None
    }

    fn skip_value(&mut self, part: Part<'a>) {
        if part.text.len() >= 3
            && part.text.bytes().all(|b| b == b'`')
            && self.fence(part).is_none()
        {
            self.skip_to_brace();
        }
    }

    /// To before the line that closes a block, if there is one before the next block.
    fn skip_to_brace(&mut self) {
        let mut before = self.at;
        while let Some(line) = self.next() {
            if line.text == "}" || starts_block(line) {
                self.at = before;
                return;
            }
            before = self.at;
        }
    }

    /// Over the closing brace of a block of an unknown kind.
    fn skip_block(&mut self) {
        let mut before = self.at;
        while let Some(line) = self.next() {
            if line.text == "}" {
                return;
            }
            if starts_block(line) {
                self.at = before;
                return;
            }
            if let Some(equals) = line.text.find('=') {
                self.skip_value(line.from(equals + 1));
            }
            before = self.at;
        }
    }
}

/// Whether a line opens a block, wherever it stands.
fn starts_block(line: Part<'_>) -> bool {
    let (word, rest) = line.split_word();
    matches!(word.text, "task" | "pool" | "defaults")
        && !rest.text.starts_with('=')
        && rest.text.find('{').is_some_and(|open| !rest.text[..open].contains('='))
}

/// Whether a line is a field whose value is a fence like this.
fn opens_fence(line: Part<'_>, fence: Part<'_>) -> bool {
    is_field(line) && line.text.find('=').is_some_and(|at| line.from(at + 1).text == fence.text)
}

/// Whether a line looks like a field that exists.
fn is_field(line: Part<'_>) -> bool {
    matches!(line.split_word(), (word, rest) if rest.text.starts_with('=') && Field::of(word.text).is_some())
}
