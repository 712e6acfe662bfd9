//! The values of one block's fields, each checked by itself.
//!
//! Knows nothing of other tasks; of pools and `let` only what it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::list::{self, Items};
use super::mistake::{Mistake, Mistakes, quoted};
use super::paths;
use super::raw::{Field, Fields, RawField, RawValue, Typed, too_large};
use super::text::{Budget, Lets, Text};
use super::{Input, Span, Spanned};
use crate::base::{RelPath, TaskName};

/// None: not given. Some(None): given without a value, which takes a default back.
pub(super) type Said<T> = Option<Option<T>>;

/// The fields that `defaults` may hold too.
#[derive(Debug, Clone, Default)]
pub(super) struct Common {
    pub(super) cwd: Said<RelPath>,
    pub(super) shell: Said<Vec<String>>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) pass_env: BTreeSet<String>,
    pub(super) inherit_env: Said<bool>,
    pub(super) tools: Vec<Spanned<String>>,
    pub(super) timeout: Said<Duration>,
    pub(super) retries: Said<u32>,
    pub(super) pool: Said<u32>,
    pub(super) cache: Said<bool>,
}

/// All fields of a block.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) command: Option<String>,
    pub(super) command_at: Span,
    pub(super) description: String,
    pub(super) inputs: Vec<Spanned<Input>>,
    pub(super) outputs: Vec<Spanned<RelPath>>,
    pub(super) deps: Vec<Spanned<TaskName>>,
    pub(super) common: Common,
    pub(super) depth: Option<u32>,
}

/// One entry of a list.
#[derive(Debug)]
pub(super) struct Entry<'e> {
    /// What stands before the quote: nothing, `!`, or `NAME=`.
    pub(super) prefix: &'e str,
    pub(super) value: &'e [u8],
    pub(super) quoted: bool,
    pub(super) span: Span,
}

/// What values may refer to, and where mistakes go.
#[derive(Debug)]
pub(super) struct Values<'a> {
    /// The text of the source in hand.
    pub(super) text: &'a str,
    pub(super) source: u32,
    pub(super) lets: &'a Lets,
    pub(super) pools: &'a BTreeMap<String, u32>,
    pub(super) budget: &'a mut Budget,
    pub(super) mistakes: &'a mut Mistakes,
}

/// What an entry of a list takes in memory beside its text, roughly.
const ENTRY_WEIGHT: usize = 100;
/// The most retries of a task.
const RETRIES_MAX: u32 = 100;

impl Values<'_> {
    pub(super) fn block(&mut self, fields: &Fields) -> Block {
        let mut block = Block::default();
        for field in fields.iter() {
            self.field(field, &mut block);
        }
        block
    }

    fn field(&mut self, raw: &RawField, block: &mut Block) {
        let common = &mut block.common;
        match raw.field {
            Field::Cmd => {
                let words = self.words(raw).filter(|words| !words.value.is_empty());
                block.command_at = words.as_ref().map(|words| words.span).unwrap_or_default();
                block.command = words.map(|words| words.value);
            }
            Field::Description => {
                block.description = self.words(raw).map(|words| words.value).unwrap_or_default();
            }
            Field::Inputs => block.inputs = self.list(raw, paths::input),
            Field::Outputs => block.outputs = self.list(raw, paths::output),
            Field::Deps => block.deps = self.list(raw, task),
            Field::Tools => common.tools = self.list(raw, tool),
            Field::Shell => {
                let words = self.list(raw, string).into_iter().map(|word| word.value);
                common.shell =
                    Some(Some(words.collect()).filter(|words: &Vec<_>| !words.is_empty()));
            }
            Field::Env => common.env = self.pairs(raw),
            Field::PassEnv => {
                common.pass_env =
                    self.list(raw, variable).into_iter().map(|name| name.value).collect();
            }
            Field::Cwd => common.cwd = self.scalar(raw, paths::folder),
            Field::Pool => common.pool = self.scalar(raw, Self::pool),
            Field::InheritEnv => common.inherit_env = self.scalar(raw, Self::switch),
            Field::Cache => common.cache = self.scalar(raw, Self::switch),
            Field::Timeout => common.timeout = self.scalar(raw, Self::duration),
            Field::Retries => {
                common.retries =
                    self.scalar(raw, |values, words| values.number(words, 0, RETRIES_MAX));
            }
            Field::Depth => {
                block.depth =
                    self.scalar(raw, |values, words| values.number(words, 1, u32::MAX)).flatten();
            }
        }
    }

    /// The text of a field, `{{name}}` replaced. None after a mistake.
    fn words(&mut self, raw: &RawField) -> Option<Spanned<String>> {
        let text = self.raw_text(&raw.value)?;
        self.plain(text)
    }

    /// The text of a `let`.
    pub(super) fn definition(&mut self, value: &RawValue) -> Option<String> {
        let text = self.raw_text(value)?;
        self.plain(text).map(|words| words.value)
    }

    fn raw_text<'t>(&self, value: &'t RawValue) -> Option<Text<'t>>
    where
        Self: 't,
    {
        match value {
            &RawValue::Line { start, end } => Some(Text::line(self.text, self.source, start, end)),
            &RawValue::Fence { start, end } => {
                Some(Text::fence(self.text, self.source, start, end))
            }
            RawValue::Typed(typed) => match &**typed {
                Typed::Text(text) => Some(Text::spelled(&text.value, text.span)),
                Typed::List(_) | Typed::Pairs(_) => None,
            },
        }
    }

    fn plain(&mut self, text: Text<'_>) -> Option<Spanned<String>> {
        let text = text.expand(self.lets, self.budget, self.mistakes)?;
        let span = text.whole();
        if text.text.contains('\0') {
            self.mistakes.add(nul(span));
            return None;
        }
        if !self.charge(text.text.len(), span) {
            return None;
        }
        Some(Spanned { value: text.text.into_owned(), span })
    }

    /// A field of one value. No value: Some(None). A mistake: None.
    fn scalar<T>(
        &mut self,
        raw: &RawField,
        read: impl FnOnce(&mut Self, &Spanned<String>) -> Option<T>,
    ) -> Said<T> {
        let mut words = self.words(raw)?;
        let trimmed = words.value.trim_ascii();
        if trimmed.len() != words.value.len() {
            words.value = trimmed.to_owned();
        }
        if words.value.is_empty() {
            return Some(None);
        }
        read(self, &words).map(Some)
    }

    fn switch(&mut self, words: &Spanned<String>) -> Option<bool> {
        let value = list::switch(&words.value);
        if value.is_none() {
            self.bad(words, "is neither `on` nor `off`", "expected `on` or `off`");
        }
        value
    }

    fn duration(&mut self, words: &Spanned<String>) -> Option<Duration> {
        let value = list::duration(&words.value);
        if value.is_none() {
            self.bad(words, "is no time limit", "expected `30`, `500ms`, `30s`, `5m` or `1h`");
        }
        value
    }

    fn number(&mut self, words: &Spanned<String>, least: u32, most: u32) -> Option<u32> {
        let value = list::number(&words.value).filter(|n| (least..=most).contains(n));
        if value.is_none() {
            let expected = if most == u32::MAX {
                format!("expected a number from {least} on")
            } else {
                format!("expected a number from {least} to {most}")
            };
            self.bad(words, "is out of place", &expected);
        }
        value
    }

    fn pool(&mut self, words: &Spanned<String>) -> Option<u32> {
        if let Some(&pool) = self.pools.get(&words.value) {
            return Some(pool);
        }
        if !self.mistakes.names_missing {
            let nearest =
                self.mistakes.nearest(&words.value, self.pools.keys().map(String::as_str));
            let name = quoted(&words.value);
            let mistake = Mistake::new(words.span, format!("there is no pool `{name}`"));
            self.mistakes.add(match nearest {
                Some(_) => mistake.meant(nearest),
                None => mistake.help(format!("declare it: `pool {name} {{ depth = 2 }}`")),
            });
        }
        None
    }

    fn bad(&mut self, words: &Spanned<String>, problem: &str, expected: &str) {
        let message = format!("`{}` {problem}", quoted(&words.value));
        self.mistakes.add(Mistake::new(words.span, message).label(expected));
    }

    /// The entries of a list, each read by `read`, doubles left out.
    fn list<T: Ord>(
        &mut self,
        raw: &RawField,
        read: fn(&mut Self, &Entry<'_>) -> Option<T>,
    ) -> Vec<Spanned<T>> {
        let mut all = Vec::new();
        self.entries(raw, |values, entry| {
            if let Some(value) = read(values, entry) {
                all.push(Spanned { value, span: entry.span });
            }
        });
        // The words of a shell are no set.
        if raw.field != Field::Shell {
            dedup(&mut all);
        }
        all
    }

    fn entries(&mut self, raw: &RawField, mut take: impl FnMut(&mut Self, &Entry<'_>)) {
        if let RawValue::Typed(typed) = &raw.value
            && let Typed::List(items) = &**typed
        {
            for item in items {
                let text = Text::spelled(&item.value, item.span);
                let Some(words) = self.plain(text) else { continue };
                if words.value.starts_with('"') || words.value.starts_with("!\"") {
                    self.items(&Text::spelled(&words.value, words.span), &mut take);
                } else {
                    let value = words.value.as_bytes();
                    let entry = Entry { prefix: "", value, quoted: false, span: words.span };
                    self.entry(&entry, &mut take);
                }
            }
            return;
        }
        let Some(text) = self.raw_text(&raw.value) else { return };
        let Some(text) = text.expand(self.lets, self.budget, self.mistakes) else { return };
        self.items(&text, &mut take);
    }

    fn items(&mut self, text: &Text<'_>, take: &mut impl FnMut(&mut Self, &Entry<'_>)) {
        for item in Items::new(&text.text) {
            if self.budget.is_empty() {
                return;
            }
            match item {
                Ok(item) => {
                    let entry = Entry {
                        prefix: item.prefix,
                        value: &item.value,
                        quoted: item.quoted,
                        span: text.span(item.range),
                    };
                    self.entry(&entry, take);
                }
                Err(error) => self.mistakes.add(
                    Mistake::new(text.span(error.range), error.message)
                        .label("here")
                        .help(error.help),
                ),
            }
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, take: &mut impl FnMut(&mut Self, &Entry<'_>)) {
        if entry.value.contains(&0) {
            return self.mistakes.add(nul(entry.span));
        }
        if self.charge(ENTRY_WEIGHT + entry.value.len(), entry.span) {
            take(self, entry);
        }
    }

    /// Names and values of `env`.
    fn pairs(&mut self, raw: &RawField) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        if let RawValue::Typed(typed) = &raw.value
            && let Typed::Pairs(given) = &**typed
        {
            for (name, value) in given {
                let text = Text::spelled(&value.value, value.span);
                let Some(value) = self.plain(text) else { continue };
                if self.charge(ENTRY_WEIGHT + name.value.len(), name.span) {
                    self.pair(&name.value, value.value, name.span, &mut pairs);
                }
            }
            return pairs;
        }
        self.entries(raw, |values, entry| {
            let Some(whole) = string(values, entry) else { return };
            let whole = format!("{}{whole}", entry.prefix);
            match whole.split_once('=') {
                Some((name, value)) => values.pair(name, value.to_owned(), entry.span, &mut pairs),
                None => values.mistakes.add(
                    Mistake::new(entry.span, format!("`{}` sets no variable", quoted(&whole)))
                        .label("expected `NAME=value`")
                        .help("quote a value with a blank or a comma: `NAME=\"a, b\"`")
                        .help("to pass a variable on as it is, name it in `pass_env`"),
                ),
            }
        });
        pairs
    }

    fn pair(
        &mut self,
        name: &str,
        value: String,
        span: Span,
        pairs: &mut BTreeMap<String, String>,
    ) {
        if !self.is_variable(name, span) {
            return;
        }
        if pairs.insert(name.to_owned(), value).is_some() {
            let message = format!("`{}` is set twice", quoted(name));
            self.mistakes.add(Mistake::new(span, message).label("set again"));
        }
    }

    fn is_variable(&mut self, name: &str, span: Span) -> bool {
        let bad = |c: char| c == '=' || c == '"' || c.is_whitespace() || c.is_control();
        if !name.is_empty() && !name.contains(bad) {
            return true;
        }
        let message = format!("`{}` is no name of a variable", quoted(name));
        self.mistakes.add(Mistake::new(span, message).label("expected a name such as `CC`"));
        false
    }

    /// Takes from the budget; where it ends, says so once.
    fn charge(&mut self, bytes: usize, span: Span) -> bool {
        if self.budget.is_empty() {
            return false;
        }
        let enough = self.budget.spend(bytes);
        if !enough {
            self.mistakes.add(too_large(span));
        }
        enough
    }
}

/// A text entry; a mistake if it is none.
fn string(values: &mut Values<'_>, entry: &Entry<'_>) -> Option<String> {
    let text = std::str::from_utf8(entry.value).ok().map(str::to_owned);
    if text.is_none() {
        let mistake = Mistake::new(entry.span, "only paths may have bytes that are not UTF-8");
        values.mistakes.add(mistake.label("not UTF-8"));
    }
    text
}

fn task(values: &mut Values<'_>, entry: &Entry<'_>) -> Option<TaskName> {
    let name = string(values, entry)?;
    match TaskName::parse(&name) {
        Ok(name) => Some(name),
        Err(error) => {
            let mistake = Mistake::new(entry.span, error.to_string());
            values.mistakes.add(mistake.label("expected the name of a task"));
            None
        }
    }
}

fn tool(values: &mut Values<'_>, entry: &Entry<'_>) -> Option<String> {
    let name = string(values, entry)?;
    if !name.is_empty() && !name.contains('/') {
        return Some(name);
    }
    values.mistakes.add(
        Mistake::new(entry.span, format!("`{}` is no name of a program", quoted(&name)))
            .label("expected a name that is looked up on the PATH")
            .help("a program that is part of the project is an input"),
    );
    None
}

fn variable(values: &mut Values<'_>, entry: &Entry<'_>) -> Option<String> {
    let name = string(values, entry)?;
    if name.contains('=') || !entry.prefix.is_empty() {
        values.mistakes.add(
            Mistake::new(entry.span, "`pass_env` names variables and gives no values")
                .label("expected a name such as `CC`")
                .help("to set a variable use `env`"),
        );
        return None;
    }
    values.is_variable(&name, entry.span).then_some(name)
}

fn nul(span: Span) -> Mistake {
    Mistake::new(span, "a NUL byte cannot be part of a value").label("holds a NUL byte")
}

/// Leaves out what was there before, the order kept.
fn dedup<T: Ord>(all: &mut Vec<Spanned<T>>) {
    if all.len() < 16 {
        let mut at = 1;
        while at < all.len() {
            if all[..at].iter().any(|earlier| earlier.value == all[at].value) {
                all.remove(at);
            } else {
                at += 1;
            }
        }
        return;
    }
    let mut seen = BTreeSet::new();
    let new: Vec<bool> = all.iter().map(|item| seen.insert(&item.value)).collect();
    let mut new = new.into_iter();
    all.retain(|_| new.next().unwrap_or(true));
}
