//! The mistakes found so far, with spans, and the nearest names for typos.
//!
//! Work and memory are bounded: of very many mistakes the first are kept and the rest counted.

use std::cmp::Reverse;

use super::Span;
use super::source::Sources;
use crate::base::nearest::nearest;
use crate::base::{Diagnostic, text};

/// How many mistakes are shown.
const SHOWN: usize = 100;
/// How many are kept until they are put in order.
const KEPT: usize = 500;
/// How many names may be looked at, and how many compared letter by letter, for suggestions.
const LOOKS: usize = 5_000_000;
const COMPARISONS: usize = 50_000;
/// The most bytes of the user's text that a message repeats.
const QUOTED: usize = 80;

/// One mistake, its places not yet looked up.
#[derive(Debug, Clone)]
pub(super) struct Mistake {
    message: String,
    span: Span,
    label: String,
    related: Vec<(Span, String)>,
    help: Vec<String>,
}

impl Mistake {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// `did you mean` where there is a nearest name.
    pub(super) fn meant(self, nearest: Option<&str>) -> Self {
        match nearest {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }
}

/// All mistakes of a manifest.
#[derive(Debug)]
pub(super) struct Mistakes {
    kept: Vec<Mistake>,
    dropped: usize,
    looks: usize,
    comparisons: usize,
    /// A task could not be read far enough to know its name: other tasks may refer to it.
    pub(super) names_missing: bool,
}

impl Mistakes {
    pub(super) fn new() -> Self {
        Self {
            kept: Vec::new(),
            dropped: 0,
            looks: LOOKS,
            comparisons: COMPARISONS,
            names_missing: false,
        }
    }

    pub(super) fn add(&mut self, mistake: Mistake) {
        if self.kept.len() < KEPT {
            self.kept.push(mistake);
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether a further mistake would only be counted, so that there is no use in reading on.
    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= KEPT
    }

    /// The nearest of `names` to `word`, as long as the effort for suggestions lasts.
    pub(super) fn nearest<'a>(
        &mut self,
        word: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        // Every other letter is near to a single one.
        if self.is_full() || word.len() < 2 {
            return None;
        }
        let limit = (word.len() / 3).max(1);
        let letters = letters(word);
        let mut likely = Vec::new();
        for name in names {
            if self.looks == 0 || self.comparisons == 0 {
                break;
            }
            self.looks -= 1;
            // Each edit adds or removes at most one letter, or does both.
            let differ = (letters ^ self::letters(name)).count_ones() as usize;
            if name.len().abs_diff(word.len()) <= limit * 4 && differ <= limit * 2 {
                self.comparisons -= 1;
                likely.push(name);
            }
        }
        nearest(word, likely)
    }

    /// The mistakes in the order of their places; of too many the first, and how many more.
    pub(super) fn into_diagnostics(mut self, sources: &Sources) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|mistake| {
            (mistake.span.source, mistake.span.start, Reverse(mistake.span.end))
        });
        let least = if self.is_full() { "at least " } else { "" };
        let more = self.dropped + self.kept.len().saturating_sub(SHOWN);
        self.kept.truncate(SHOWN);
        let mut all: Vec<_> =
            self.kept.into_iter().map(|mistake| diagnostic(mistake, sources)).collect();
        if more > 0 {
            all.push(Diagnostic::new(format!("and {least}{}", text::count(more, "more mistake"))));
        }
        all
    }
}

fn diagnostic(mistake: Mistake, sources: &Sources) -> Diagnostic {
    let mut diagnostic =
        Diagnostic::new(mistake.message).at(sources.place(mistake.span), mistake.label);
    for (span, label) in mistake.related {
        diagnostic = diagnostic.also(sources.place(span), label);
    }
    diagnostic.help = mistake.help;
    diagnostic
}

/// The set of letters in a name, without case, as bits.
fn letters(name: &str) -> u64 {
    name.bytes().fold(0, |set, byte| set | 1 << (byte.to_ascii_lowercase() & 63))
}

/// The user's words for a message: printable, and not longer than a message should be.
pub(super) fn quoted(words: &str) -> String {
    let mut end = words.len().min(QUOTED);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    let dots = if end < words.len() { "..." } else { "" };
    format!("{}{dots}", text::shown(&words.as_bytes()[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_find_typos_among_many_names_and_end_in_time() {
        let names: Vec<String> = (0..20_000).map(|n| format!("task-{n}")).collect();
        let mut mistakes = Mistakes::new();
        let all = || names.iter().map(String::as_str);
        assert_eq!(mistakes.nearest("tsak-7", all()), Some("task-7"));
        assert_eq!(mistakes.nearest("biuld", ["build", "test"]), Some("build"));
        for _ in 0..2000 {
            mistakes.nearest("tusk-12345", all());
        }
        assert!(mistakes.looks == 0 || mistakes.comparisons == 0);
        assert_eq!(mistakes.nearest("biuld", ["build"]), None);
    }

    #[test]
    fn of_very_many_mistakes_the_first_are_shown_and_the_rest_counted() {
        let sources = Sources::default();
        let mut mistakes = Mistakes::new();
        for start in 0..2000 {
            mistakes.add(Mistake::new(Span { source: 0, start, end: start }, "bad"));
        }
        let shown = mistakes.into_diagnostics(&sources);
        assert_eq!(shown.len(), SHOWN + 1);
        assert_eq!(shown[SHOWN].message, "and at least 1900 more mistakes");
    }

    #[test]
    fn quoted_words_are_short_and_printable() {
        assert_eq!(quoted("a\u{1b}b"), "a\\u{1b}b");
        assert_eq!(quoted(&"é".repeat(100)), format!("{}...", "é".repeat(40)));
    }
}
