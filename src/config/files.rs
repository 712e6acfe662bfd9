//! Files of settings: in sections or flat with bare values, or TOML; where they lie, and what
//! stands in them with its place.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ini_roundtrip::{Item, Parser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::fold::{Entry, Origin};
use super::lookup::{self, Find};
use super::table::settings;
use crate::base::fs::{self, Context as _};
use crate::base::place::{in_bytes, shown};
use crate::base::secret::HIDDEN;
use crate::base::{ByteSize, Diagnostic, FileError, Place};

/// A file of settings is small; what is larger is something else.
const MAX: u64 = 1 << 20;
/// The file of the machine, unless the environment names another.
const SYSTEM: &str = "/etc/reprovm/reprovm.conf";
const SYSTEM_VARIABLE: &str = "REPROVM_SYSTEM_CONFIG";

/// A file that values may come from.
#[derive(Debug, Clone)]
pub struct FileLayer {
    pub path: PathBuf,
    /// It was asked for, so that it is a mistake if it is not there.
    pub must_exist: bool,
}

/// The file of the machine; none where the environment says so.
pub fn system_file(environment: &Environment) -> Option<FileLayer> {
    let path = match environment.get(SYSTEM_VARIABLE) {
        None => PathBuf::from(SYSTEM),
        Some(path) if path.is_empty() => return None,
        Some(path) => PathBuf::from(path),
    };
    Some(FileLayer { path, must_exist: false })
}

/// The file of the user; none where there is no home.
pub fn user_file(environment: &Environment) -> Option<FileLayer> {
    let absolute = |name: &str| environment.get(name).map(Path::new).filter(|p| p.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").map(Path::to_path_buf);
    let folder = folder.or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(FileLayer { path: folder.join("reprovm/reprovm.conf"), must_exist: false })
}

/// What stands in a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) entries: Vec<Entry>,
    pub(super) mistakes: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads a file. None: it is not there, and need not be.
pub(super) fn read(layer: &FileLayer) -> Result<Option<Content>, Box<Diagnostic>> {
    let path = &layer.path;
    let bytes = match open(path) {
        Ok(bytes) => bytes,
        Err(Unreadable::File(error)) if is_absent(&error) && !layer.must_exist => return Ok(None),
        Err(Unreadable::File(error)) => {
            return Err(Box::new(
                Diagnostic::new(format!("{error}: {}", error.source))
                    .help("name a file of settings that can be read"),
            ));
        }
        Err(Unreadable::Large(size)) => {
            return Err(Box::new(Diagnostic::new(format!(
                "`{}` has {}; a file of settings has at most {}",
                shown(path),
                ByteSize(size),
                ByteSize(MAX)
            ))));
        }
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            return Err(Box::new(
                Diagnostic::new(format!("`{}` is not text in UTF-8", shown(path)))
                    .at(in_bytes(path, &bytes, at..at + 1), "this byte"),
            ));
        }
    };
    let mut reader = Reader { path, text, seen: Vec::new(), content: Content::default() };
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml")) {
        reader.toml();
    } else {
        reader.ini();
    }
    reader.guard_secrets();
    Ok(Some(reader.content))
}

enum Unreadable {
    File(FileError),
    Large(u64),
}

fn open(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let size = std::fs::metadata(path).at("read", path).map_err(Unreadable::File)?;
    if size.is_file() && size.len() > MAX {
        return Err(Unreadable::Large(size.len()));
    }
    fs::read(path).map_err(Unreadable::File)
}

fn is_absent(error: &FileError) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// The settings that were set, and where.
    seen: Vec<(usize, Place)>,
    content: Content,
}

impl Reader<'_> {
    fn ini(&mut self) {
        let text = self.text.trim_start_matches('\u{feff}');
        let base = self.text.len() - text.len();
        let at = |part: &str| {
            let start = base + (part.as_ptr() as usize - text.as_ptr() as usize);
            start..start + part.len()
        };
        let mut section: Option<&str> = None;
        let mut known = true;
        for item in Parser::new(text) {
            match item {
                Item::Error(raw) => self.mistake(
                    at(raw),
                    "this is no section and no setting",
                    "expected `[section]`, `key = value`, or `# a comment`",
                ),
                Item::Section { name, raw } => {
                    section = Some(name);
                    known = self.section(name, at(raw.trim()));
                }
                Item::Property { key, val: None, raw: _ } => self.mistake(
                    at(key),
                    &format!("`{}` has no value", crate::base::text::shown(key.as_bytes())),
                    "expected `=` and a value behind it",
                ),
                Item::Property { key, val: Some(value), raw: _ } if known => {
                    self.set(section, (key, at(key)), (unquoted(value), at(value)));
                }
                Item::Property { .. }
                | Item::SectionEnd
                | Item::Comment { .. }
                | Item::Blank { .. } => {}
            }
        }
    }

    fn toml(&mut self) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.mistake(span, error.message(), "this is not TOML");
        }
        for (key, value) in table.get_ref() {
            match value.get_ref() {
                DeValue::Table(inner) => {
                    if self.section(key.get_ref(), key.span()) {
                        for (inner_key, inner_value) in inner {
                            self.toml_value(Some(key.get_ref()), inner_key, inner_value);
                        }
                    }
                }
                _ => self.toml_value(None, key, value),
            }
        }
    }

    fn toml_value(
        &mut self,
        section: Option<&str>,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                i128::from_str_radix(&digits, number.radix())
                    .map_or_else(|_| number.to_string(), |number| number.to_string())
            }
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            DeValue::Array(_) | DeValue::Table(_) => {
                return self.mistake(
                    value.span(),
                    &format!("`{}` is a list or a table", key.get_ref()),
                    "expected one value",
                );
            }
        };
        self.set(section, (key.get_ref(), key.span()), (&text, value.span()));
    }

    /// Whether the section exists; otherwise it is told.
    fn section(&mut self, name: &str, at: Range<usize>) -> bool {
        if lookup::section_exists(name) {
            return true;
        }
        let mut warning = Diagnostic::new(format!("there is no section `{name}`"))
            .at(self.place(at), "what stands in it is passed over");
        if let Some(nearest) = lookup::nearest_section(name) {
            warning = warning.help(format!("there is a section `{nearest}`"));
        }
        self.content.warnings.push(warning);
        false
    }

    fn set(
        &mut self,
        section: Option<&str>,
        (key, key_at): (&str, Range<usize>),
        (value, value_at): (&str, Range<usize>),
    ) {
        let found = match section {
            Some(section) => lookup::in_section(section, key),
            None => lookup::find(key),
        };
        let index = match found {
            Find::Known(index) => index,
            Find::Unknown { nearest } => return self.unknown(section, key, nearest, key_at),
            Find::Ambiguous(names) => {
                return self.mistake(
                    key_at,
                    &format!("`{key}` could be any of {}", names.join(", ")),
                    "write it with its section",
                );
            }
        };
        let secret = settings().nth(index).is_some_and(|setting| setting.secret);
        let mut place = self.place(if value.is_empty() { key_at } else { value_at });
        if secret {
            // The line would show it.
            place.text = format!("{key} = {HIDDEN}");
            (place.start, place.end) = (key.len() + 3, place.text.len());
        }
        if let Some((_, earlier)) = self.seen.iter().find(|(seen, _)| *seen == index) {
            self.content.warnings.push(
                Diagnostic::new(format!("`{key}` is set twice"))
                    .at(place.clone(), "this one counts")
                    .also(earlier.clone(), "this one does not"),
            );
        }
        self.seen.push((index, place.clone()));
        let origin = Origin::File { path: self.path.to_path_buf(), line: place.line };
        let text = value.to_owned();
        self.content.entries.push(Entry { setting: index, text, origin, place: Some(place) });
    }

    fn unknown(
        &mut self,
        section: Option<&str>,
        key: &str,
        nearest: Option<String>,
        at: Range<usize>,
    ) {
        let what = match section {
            Some(section) => format!("there is no setting `{key}` in the section `{section}`"),
            None => format!("there is no setting `{key}`"),
        };
        // What is unknown could be a mistyped secret: the line is shown without its value.
        let mut place = self.place(at);
        place.text.truncate(place.end);
        let mut warning = Diagnostic::new(what).at(place, "it is passed over");
        if let Some(nearest) = nearest {
            warning = warning.help(format!("there is a setting `{nearest}`"));
        }
        self.content.warnings.push(warning);
    }

    fn mistake(&mut self, at: Range<usize>, what: &str, expected: &str) {
        let place = self.place(at);
        self.content.mistakes.push(Diagnostic::new(what).at(place, expected));
    }

    fn place(&self, at: Range<usize>) -> Place {
        in_bytes(self.path, self.text.as_bytes(), at)
    }

    /// A secret in a file that others may read is none.
    fn guard_secrets(&mut self) {
        let secret = self.content.entries.iter().find(|entry| {
            !entry.text.is_empty()
                && settings().nth(entry.setting).is_some_and(|setting| setting.secret)
        });
        let Some(place) = secret.and_then(|entry| entry.place.clone()) else { return };
        let Ok(meta) = std::fs::metadata(self.path) else { return };
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return;
        }
        let path = shown(self.path);
        self.content.mistakes.push(
            Diagnostic::new(format!("`{path}` holds a secret, and others may read it"))
                .at(place, format!("the file has mode {mode:03o}"))
                .help(format!("make it yours alone: chmod 600 {path}"))
                .help("then change the secret, if anyone else has been on this machine"),
        );
    }
}

/// A value in double quotes is what is between them.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}
