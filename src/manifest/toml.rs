//! TOML into statements: the same blocks and fields as our own language.
//!
//! Knows nothing of what the values mean, and reads no other file.

use ::toml::Spanned as TomlSpanned;
use ::toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Mistakes, quoted};
use super::raw::{
    BlockKind, Fields, Kind, RawField, RawValue, Statement, Typed, known_field, let_name,
    pool_name, task_name,
};
use super::text::Budget;
use super::{Span, Spanned};

/// The tables and the array that a file may have.
const TOP: [&str; 5] = ["include", "let", "defaults", "pool", "task"];
/// The most tokens that a file may have: the library takes more than 100 bytes for each.
const TOKENS_MAX: usize = 1_000_000;
/// In a smaller file, all mistakes of the syntax are sought; in a larger one the first is.
const RECOVER_MAX: usize = 256 * 1024;

type Key<'a> = TomlSpanned<std::borrow::Cow<'a, str>>;
type Value<'a> = TomlSpanned<DeValue<'a>>;

struct Reader<'m> {
    source: u32,
    /// Where the text that was parsed begins.
    from: usize,
    mistakes: &'m mut Mistakes,
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
    let mut reader = Reader { source, from, mistakes, statements: Vec::new() };
    let text = &text[from..];
    if tokens_at_most(text) > TOKENS_MAX {
        let span = Span { source, start: 0, end: 0 };
        reader.mistakes.add(
            Mistake::new(span, "this TOML file is too large")
                .label("takes more memory than a manifest may")
                .help("divide it into several files and `include` them"),
        );
        return Vec::new();
    }
    match DeTable::parse(text) {
        Ok(table) => reader.document(table.get_ref()),
        Err(first) if text.len() > RECOVER_MAX => reader.syntax(&first),
        Err(_) => {
            let (table, errors) = DeTable::parse_recoverable(text);
            errors.iter().for_each(|error| reader.syntax(error));
            reader.document(table.get_ref());
        }
    }
    let mut statements = reader.statements;
    let fitting = statements.iter().take_while(|statement| statement.fits(budget, mistakes));
    let fitting = fitting.count();
    statements.truncate(fitting);
    statements
}

/// Not fewer than the text has tokens: runs of letters and of blanks count once.
fn tokens_at_most(text: &str) -> usize {
    let class = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | 0x80.. => 1,
        b' ' | b'\t' => 2,
        _ => 0,
    };
    let mut last = 0;
    let mut tokens = 0;
    for class in text.bytes().map(class) {
        tokens += usize::from(class == 0 || class != last);
        last = class;
    }
    tokens
}

impl Reader<'_> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        let place = |at: usize| u32::try_from(self.from + at).unwrap_or(u32::MAX);
        Span { source: self.source, start: place(range.start), end: place(range.end) }
    }

    fn syntax(&mut self, error: &::toml::de::Error) {
        self.mistakes.names_missing = true;
        let span = self.span(error.span().unwrap_or(0..0));
        self.mistakes.add(Mistake::new(span, error.message()).label("not TOML"));
    }

    /// A mistake about the type of a value.
    fn wrong_type(&mut self, value: &Value<'_>, expected: &str, help: &str) {
        let span = self.span(value.span());
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.mistakes.add(
            Mistake::new(span, format!("expected {expected}, found {found}"))
                .label(format!("expected {expected}"))
                .help(help),
        );
    }

    fn document(&mut self, table: &DeTable<'_>) {
        for (key, value) in in_order(table) {
            match &**key.get_ref() {
                "include" => self.includes(value),
                "let" => self.lets(value),
                "defaults" => {
                    if let Some(fields) = self.block(key, value, BlockKind::Defaults) {
                        let span = self.span(key.span());
                        self.statements.push(Statement::Defaults { span, fields });
                    }
                }
                "pool" => self.blocks(value, BlockKind::Pool),
                "task" => self.blocks(value, BlockKind::Task),
                other => self.unknown_top(key, other),
            }
        }
        // The map is sorted by name; statements are read in the order of the text.
        self.statements.sort_by_key(|statement| statement.span().start);
    }

    fn unknown_top(&mut self, key: &Key<'_>, name: &str) {
        let span = self.span(key.span());
        let nearest = self.mistakes.nearest(name, TOP);
        self.mistakes.add(
            Mistake::new(span, format!("unknown key `{}`", quoted(name)))
                .label("expected `task`, `pool`, `defaults`, `let` or `include`")
                .meant(nearest)
                .help("a task is a table: `[task.name]`"),
        );
    }

    fn includes(&mut self, value: &Value<'_>) {
        let Some(paths) = self.list(value) else { return };
        for path in paths {
            let Spanned { value, span } = path;
            self.statements.push(Statement::Include(Spanned { value: value.into_bytes(), span }));
        }
    }

    fn lets(&mut self, value: &Value<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong_type(value, "a table", "write `[let]`, then `name = \"value\"`");
        };
        for (key, value) in in_order(table) {
            let span = self.span(key.span());
            let name = let_name(key.get_ref(), span, self.mistakes);
            if let (Some(name), Some(text)) = (name, self.string(value)) {
                let value = RawValue::Typed(Box::new(Typed::Text(text)));
                self.statements.push(Statement::Let { name, value });
            }
        }
    }

    fn blocks(&mut self, value: &Value<'_>, kind: BlockKind) {
        let word = kind.word();
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong_type(value, "a table", &format!("write `[{word}.name]`"));
        };
        for (key, value) in in_order(table) {
            let span = self.span(key.span());
            let Some(fields) = self.block(key, value, kind) else { continue };
            match kind {
                BlockKind::Pool => {
                    if let Some(name) = pool_name(key.get_ref(), span, self.mistakes) {
                        self.statements.push(Statement::Pool { name, fields });
                    }
                }
                BlockKind::Task | BlockKind::Defaults => {
                    if let Some(name) = task_name(key.get_ref(), span, self.mistakes) {
                        self.statements.push(Statement::Task { name, fields });
                    }
                }
            }
        }
    }

    fn block(&mut self, key: &Key<'_>, value: &Value<'_>, kind: BlockKind) -> Option<Fields> {
        let DeValue::Table(table) = value.get_ref() else {
            self.mistakes.names_missing = true;
            let help = match kind {
                BlockKind::Defaults => "write `[defaults]`".to_owned(),
                _ => format!("write `[{}.{}]`", kind.word(), quoted(key.get_ref())),
            };
            self.wrong_type(value, "a table", &help);
            return None;
        };
        let mut fields = Fields::default();
        for (key, value) in in_order(table) {
            let span = self.span(key.span());
            if let (BlockKind::Task, DeValue::Table(_), None) =
                (kind, value.get_ref(), super::raw::Field::of(key.get_ref()))
            {
                self.mistakes.add(
                    Mistake::new(span, format!("unknown field `{}`", quoted(key.get_ref())))
                        .label("a table in a task")
                        .help("a name with a dot is quoted: `[task.\"a.b\"]`"),
                );
                continue;
            }
            let Some(field) = known_field(key.get_ref(), span, kind, self.mistakes) else {
                continue;
            };
            if let Some(typed) = self.value(field.spec().kind, value) {
                let value = RawValue::Typed(Box::new(typed));
                let field = RawField { field, at: span.start, value };
                fields.push(field, self.source, self.mistakes);
            }
        }
        Some(fields)
    }

    fn value(&mut self, kind: Kind, value: &Value<'_>) -> Option<Typed> {
        let span = self.span(value.span());
        let text = |value: String| Some(Typed::Text(Spanned { value, span }));
        match (kind, value.get_ref()) {
            (Kind::Text, _) => self.string(value).map(Typed::Text),
            (Kind::List, _) => self.list(value).map(Typed::List),
            (Kind::Pairs, _) => self.pairs(value),
            (Kind::Switch, DeValue::Boolean(on)) => text(on.to_string()),
            (Kind::Number | Kind::Duration, DeValue::Integer(number)) if number.radix() == 10 => {
                text(number.as_str().to_owned())
            }
            (Kind::Duration, DeValue::String(duration)) => text(duration.to_string()),
            (Kind::Switch, _) => {
                self.wrong_type(value, "a boolean", "write `true` or `false`");
                None
            }
            (Kind::Number, _) => {
                self.wrong_type(value, "a decimal integer", "write a number such as `2`");
                None
            }
            (Kind::Duration, _) => {
                self.wrong_type(value, "seconds or a string", "write `30` or \"5m\"");
                None
            }
        }
    }

    fn string(&mut self, value: &Value<'_>) -> Option<Spanned<String>> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(Spanned { value: text.to_string(), span: self.span(value.span()) });
        }
        self.wrong_type(value, "a string", "put it in quotes");
        None
    }

    fn list(&mut self, value: &Value<'_>) -> Option<Vec<Spanned<String>>> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(value, "an array of strings", "write `[\"one\", \"two\"]`");
            return None;
        };
        Some(items.iter().filter_map(|item| self.string(item)).collect())
    }

    fn pairs(&mut self, value: &Value<'_>) -> Option<Typed> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, "a table of strings", "write `{ NAME = \"value\" }`");
            return None;
        };
        let mut pairs = Vec::with_capacity(table.len());
        for (key, value) in in_order(table) {
            let name = Spanned { value: key.get_ref().to_string(), span: self.span(key.span()) };
            if let Some(value) = self.string(value) {
                pairs.push((name, value));
            }
        }
        Some(Typed::Pairs(pairs))
    }
}

/// The entries of a table in the order of the text.
fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t Key<'a>, &'t Value<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
