//! The form that both languages are read into: blocks of fields with their places, and the table
//! of all fields.
//!
//! Knows nothing of what the values mean.

use super::mistake::{Mistake, Mistakes, quoted};
use super::text::Budget;
use super::{Span, Spanned, Task};
use crate::base::TaskName;
use crate::base::name::is_name_char;

/// What a field holds; decides how TOML writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    List,
    /// Names and values.
    Pairs,
    Switch,
    Number,
    Duration,
}

/// A field of a block. The order is that of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    Cmd,
    Inputs,
    Outputs,
    Deps,
    Description,
    Cwd,
    Shell,
    Env,
    PassEnv,
    InheritEnv,
    Tools,
    Timeout,
    Retries,
    Pool,
    Cache,
    Depth,
}

/// Which blocks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Task,
    Pool,
    Defaults,
}

/// What the table says of a field.
pub(super) struct Spec {
    pub(super) field: Field,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) blocks: &'static [BlockKind],
}

/// What people write for a field, from other tools.
const ALIASES: [(&str, Field); 16] = [
    ("command", Field::Cmd),
    ("run", Field::Cmd),
    ("exec", Field::Cmd),
    ("sources", Field::Inputs),
    ("srcs", Field::Inputs),
    ("reads", Field::Inputs),
    ("outs", Field::Outputs),
    ("generates", Field::Outputs),
    ("dependencies", Field::Deps),
    ("depends", Field::Deps),
    ("depends_on", Field::Deps),
    ("desc", Field::Description),
    ("dir", Field::Cwd),
    ("workdir", Field::Cwd),
    ("environment", Field::Env),
    ("requires", Field::Tools),
];

const TASK: &[BlockKind] = &[BlockKind::Task];
const COMMON: &[BlockKind] = &[BlockKind::Task, BlockKind::Defaults];
const POOL: &[BlockKind] = &[BlockKind::Pool];

const fn spec(field: Field, name: &'static str, kind: Kind, blocks: &'static [BlockKind]) -> Spec {
    Spec { field, name, kind, blocks }
}

/// Every field, at the index of its number.
pub(super) const FIELDS: [Spec; 16] = [
    spec(Field::Cmd, "cmd", Kind::Text, TASK),
    spec(Field::Inputs, "inputs", Kind::List, TASK),
    spec(Field::Outputs, "outputs", Kind::List, TASK),
    spec(Field::Deps, "deps", Kind::List, TASK),
    spec(Field::Description, "description", Kind::Text, TASK),
    spec(Field::Cwd, "cwd", Kind::Text, COMMON),
    spec(Field::Shell, "shell", Kind::List, COMMON),
    spec(Field::Env, "env", Kind::Pairs, COMMON),
    spec(Field::PassEnv, "pass_env", Kind::List, COMMON),
    spec(Field::InheritEnv, "inherit_env", Kind::Switch, COMMON),
    spec(Field::Tools, "tools", Kind::List, COMMON),
    spec(Field::Timeout, "timeout", Kind::Duration, COMMON),
    spec(Field::Retries, "retries", Kind::Number, COMMON),
    spec(Field::Pool, "pool", Kind::Text, COMMON),
    spec(Field::Cache, "cache", Kind::Switch, COMMON),
    spec(Field::Depth, "depth", Kind::Number, POOL),
];

impl Field {
    pub(super) fn of(name: &str) -> Option<Self> {
        FIELDS.iter().find(|spec| spec.name == name).map(|spec| spec.field)
    }

    pub(super) fn spec(self) -> &'static Spec {
        &FIELDS[self as usize]
    }

    pub(super) fn name(self) -> &'static str {
        self.spec().name
    }
}

impl BlockKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Pool => "pool",
            Self::Defaults => "defaults",
        }
    }

    /// The fields that it may hold.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static str> {
        FIELDS.iter().filter(move |spec| spec.blocks.contains(&self)).map(|spec| spec.name)
    }
}

/// A value as its language has it.
#[derive(Debug)]
pub(super) enum RawValue {
    /// These bytes of the source.
    Line { start: u32, end: u32 },
    /// The lines of a fence: these bytes of the source, indentation and line ends included.
    Fence { start: u32, end: u32 },
    /// From TOML.
    Typed(Box<Typed>),
}

/// A value whose language knows types and has taken quotes and escapes away.
#[derive(Debug)]
pub(super) enum Typed {
    Text(Spanned<String>),
    List(Vec<Spanned<String>>),
    Pairs(Vec<(Spanned<String>, Spanned<String>)>),
}

/// A field of a block and its value.
#[derive(Debug)]
pub(super) struct RawField {
    pub(super) field: Field,
    /// Where its name stands.
    pub(super) at: u32,
    pub(super) value: RawValue,
}

impl RawField {
    pub(super) fn span(&self, source: u32) -> Span {
        Span { source, start: self.at, end: self.at + self.field.name().len() as u32 }
    }
}

/// The fields of a block, each at most once.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<RawField>);

impl Fields {
    pub(super) fn iter(&self) -> impl Iterator<Item = &RawField> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a field in, or says that it is given twice.
    pub(super) fn push(&mut self, field: RawField, source: u32, mistakes: &mut Mistakes) {
        match self.0.iter().find(|earlier| earlier.field == field.field) {
            None => self.0.push(field),
            Some(earlier) => mistakes.add(
                Mistake::new(
                    field.span(source),
                    format!("`{}` is given twice", field.field.name()),
                )
                .label("given again")
                .also(earlier.span(source), "first given here")
                .help("keep one of them; a list may have any number of items"),
            ),
        }
    }
}

/// One statement of a file.
#[derive(Debug)]
pub(super) enum Statement {
    Task { name: Spanned<TaskName>, fields: Fields },
    Pool { name: Spanned<String>, fields: Fields },
    Defaults { span: Span, fields: Fields },
    Let { name: Spanned<String>, value: RawValue },
    Include(Spanned<Vec<u8>>),
}

impl Statement {
    /// Where it is known by.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Task { name, .. } => name.span,
            Self::Pool { name, .. } | Self::Let { name, .. } => name.span,
            Self::Defaults { span, .. } => *span,
            Self::Include(path) => path.span,
        }
    }

    /// What it takes in memory until it is a task, roughly.
    fn weight(&self) -> usize {
        match self {
            Self::Task { fields, .. } => size_of::<Task>() + 300 + 48 * fields.len(),
            Self::Pool { fields, .. } | Self::Defaults { fields, .. } => 300 + 48 * fields.len(),
            Self::Let { .. } | Self::Include(_) => 300,
        }
    }

    /// Takes its weight from the budget; where that ends, says so.
    pub(super) fn fits(&self, budget: &mut Budget, mistakes: &mut Mistakes) -> bool {
        if budget.is_empty() {
            return false;
        }
        let fits = budget.spend(self.weight());
        if !fits {
            mistakes.names_missing = true;
            mistakes.add(too_large(self.span()));
        }
        fits
    }
}

/// The mistake that ends the reading of a manifest that no machine should be asked to hold.
pub(super) fn too_large(span: Span) -> Mistake {
    Mistake::new(span, "the manifest is too large")
        .label("up to here it takes more memory than a manifest may")
        .help("divide the project, or let one task do the work of many")
}

/// The field of that name, if the block may hold it; a mistake if not.
pub(super) fn known_field(
    name: &str,
    span: Span,
    block: BlockKind,
    mistakes: &mut Mistakes,
) -> Option<Field> {
    let word = block.word();
    match Field::of(name) {
        Some(field) if field.spec().blocks.contains(&block) => return Some(field),
        Some(field) => mistakes.add(
            Mistake::new(span, format!("`{}` cannot stand in `{word}`", field.name()))
                .label("not here")
                .help(fields_help(block)),
        ),
        None => {
            let nearest = nearest_field(name, block, mistakes);
            let mistake = Mistake::new(span, format!("unknown field `{}`", quoted(name)));
            mistakes.add(match nearest {
                Some(_) => mistake.meant(nearest),
                None => mistake.help(fields_help(block)),
            });
        }
    }
    None
}

/// The field that is meant by a name that is none.
fn nearest_field(name: &str, block: BlockKind, mistakes: &mut Mistakes) -> Option<&'static str> {
    let aliases = || ALIASES.iter().filter(|(_, field)| field.spec().blocks.contains(&block));
    let alias =
        |word: &str| aliases().find(|(alias, _)| *alias == word).map(|(_, field)| field.name());
    alias(name).or_else(|| {
        let words = block.fields().chain(aliases().map(|&(alias, _)| alias));
        let near = mistakes.nearest(name, words)?;
        Some(alias(near).unwrap_or(near))
    })
}

fn fields_help(block: BlockKind) -> String {
    let names: Vec<String> = block.fields().map(|name| format!("`{name}`")).collect();
    format!("the fields of `{}` are {}", block.word(), names.join(", "))
}

/// A task's name, or a mistake.
pub(super) fn task_name(
    text: &str,
    span: Span,
    mistakes: &mut Mistakes,
) -> Option<Spanned<TaskName>> {
    match TaskName::parse(text) {
        Ok(value) => Some(Spanned { value, span }),
        Err(error) => {
            mistakes.names_missing = true;
            mistakes.add(Mistake::new(span, error.to_string()).label("expected a name"));
            None
        }
    }
}

/// A pool's name, or a mistake.
pub(super) fn pool_name(
    text: &str,
    span: Span,
    mistakes: &mut Mistakes,
) -> Option<Spanned<String>> {
    let problem = if text.is_empty() {
        "a pool needs a name"
    } else if text.len() > crate::base::name::MAX || !text.chars().all(is_name_char) {
        "a pool's name has at most 256 letters, digits, `_`, `-` and `.`"
    } else {
        return Some(Spanned { value: text.to_owned(), span });
    };
    mistakes.names_missing = true;
    mistakes.add(Mistake::new(span, problem).label("expected a name"));
    None
}

/// The name that a `let` defines, or a mistake.
pub(super) fn let_name(text: &str, span: Span, mistakes: &mut Mistakes) -> Option<Spanned<String>> {
    if is_identifier(text) {
        return Some(Spanned { value: text.to_owned(), span });
    }
    mistakes.add(
        Mistake::new(
            span,
            if text.is_empty() {
                "`let` needs a name".to_owned()
            } else {
                format!("`{}` cannot be a name for `let`", quoted(text))
            },
        )
        .label("expected a name")
        .help("a name is a letter or `_`, then letters, digits, `_` and `-`"),
    );
    None
}

/// A letter or `_`, then letters, digits, `_` and `-`.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_stands_at_its_number() {
        for (at, spec) in FIELDS.iter().enumerate() {
            assert_eq!(spec.field as usize, at);
            assert_eq!(Field::of(spec.name), Some(spec.field));
        }
    }

    #[test]
    fn every_field_word_and_block_is_documented() {
        let page = include_str!("../../docs/manifest.md");
        for spec in &FIELDS {
            assert!(page.contains(&format!("| `{}` |", spec.name)), "`{}` is not", spec.name);
        }
        for word in super::super::dsl::KEYWORDS {
            assert!(page.contains(&format!("`{word}")), "`{word}` is not");
        }
    }
}
