//! Reads the manifest and what it includes, and takes the texts through all steps to tasks.
//!
//! Knows where files come from only through a function, so that tests need none.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::lower::Lowering;
use super::mistake::{Mistake, Mistakes, quoted};
use super::raw::Statement;
use super::source::Sources;
use super::text::Budget;
use super::{LoadError, Manifest, Spanned, check, dsl, toml};
use crate::base::fs::Context as _;
use crate::base::place::{in_bytes, shown};
use crate::base::{Diagnostic, FileError};

/// The most bytes of text, all files together.
const TEXT_MAX: usize = 24 << 20;
/// The most files.
const FILES_MAX: usize = 1000;
/// The longest chain of files that include each other.
const DEPTH_MAX: usize = 32;
/// What tasks may take in memory; see [`Budget`].
const MEMORY_MAX: usize = 160 << 20;

/// A file as it was found: what tells it from others under whatever name, and at most `limit + 1`
/// of its bytes.
pub(super) type Reader<'a> = &'a mut dyn FnMut(&Path, usize) -> io::Result<(PathBuf, Vec<u8>)>;

/// What became of a file.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// It is being read, and so are those that it includes.
    Open(u32),
    Done,
}

struct Loader<'r> {
    reader: Reader<'r>,
    sources: Sources,
    mistakes: Mistakes,
    budget: Budget,
    seen: HashMap<PathBuf, Seen>,
    /// The sources that lead to the one being read, each included by the one before.
    chain: Vec<u32>,
    /// For each source the one that includes it.
    parents: Vec<Option<u32>>,
    left: usize,
    statements: Vec<(u32, Statement)>,
    /// Places of texts that could not be taken in.
    unread: Vec<Diagnostic>,
}

/// The manifest at `path`, and what it includes, through `reader`.
pub(super) fn load_with(path: &Path, reader: Reader<'_>) -> Result<Manifest, LoadError> {
    let mut loader = Loader {
        reader,
        sources: Sources::default(),
        mistakes: Mistakes::new(),
        budget: Budget::new(MEMORY_MAX),
        seen: HashMap::new(),
        chain: Vec::new(),
        parents: Vec::new(),
        left: TEXT_MAX,
        statements: Vec::new(),
        unread: Vec::new(),
    };
    let (identity, bytes) = (loader.reader)(path, loader.left).at("read", path)?;
    loader.take(path.to_path_buf(), identity, bytes);
    loader.finish()
}

impl Loader<'_> {
    fn take(&mut self, path: PathBuf, identity: PathBuf, bytes: Vec<u8>) {
        if bytes.len() > self.left {
            let problem = format!("the manifest has more than {} MiB of text", TEXT_MAX >> 20);
            self.unread.push(
                Diagnostic::new(problem)
                    .at(in_bytes(&path, &bytes, 0..0), "with the files that it includes"),
            );
            self.left = 0;
            self.seen.insert(identity, Seen::Done);
            return;
        }
        self.left -= bytes.len();
        let Some(text) = self.text(&path, bytes) else {
            self.seen.insert(identity, Seen::Done);
            return;
        };
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        let source = self.sources.add(path, text);
        self.parents.push(self.chain.last().copied());
        self.chain.push(source);
        self.seen.insert(identity.clone(), Seen::Open(source));
        let statements = self.parse(source, is_toml);
        self.statements.reserve(statements.len());
        for statement in statements {
            match statement {
                Statement::Include(path) => self.include(source, &path),
                other => self.statements.push((source, other)),
            }
        }
        self.seen.insert(identity, Seen::Done);
        self.chain.pop();
    }

    /// The bytes as text, if they are.
    fn text(&mut self, path: &Path, bytes: Vec<u8>) -> Option<String> {
        let nul = bytes.iter().position(|&b| b == 0).unwrap_or(usize::MAX);
        match String::from_utf8(bytes) {
            Ok(text) if nul == usize::MAX => return Some(text),
            Ok(text) => self.not_text(path, text.as_bytes(), nul),
            Err(error) => {
                let at = error.utf8_error().valid_up_to().min(nul);
                self.not_text(path, error.as_bytes(), at);
            }
        }
        None
    }

    fn not_text(&mut self, path: &Path, bytes: &[u8], at: usize) {
        let what = if bytes[at] == 0 { "a NUL byte" } else { "a byte that is not UTF-8" };
        self.mistakes.names_missing = true;
        self.unread.push(
            Diagnostic::new(format!("`{}` is not a text", shown(path)))
                .at(in_bytes(path, bytes, at..at + 1), what)
                .help("a manifest is UTF-8; other bytes of a path are written `\"\\xff\"`"),
        );
    }

    fn parse(&mut self, source: u32, is_toml: bool) -> Vec<Statement> {
        let file = Arc::clone(self.sources.get(source).expect("just added"));
        let text = &file.text;
        let from = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let parse = if is_toml { toml::parse } else { dsl::parse };
        parse(source, text, from, &mut self.mistakes, &mut self.budget)
    }

    fn include(&mut self, source: u32, include: &Spanned<Vec<u8>>) {
        let span = include.span;
        let including = self.sources.get(source).expect("it is being read").path.clone();
        let path = joined(&including, &include.value);
        let name = shown(&path);
        let quoted = quoted(&name);
        if self.left == 0 {
            return;
        }
        if self.chain.len() >= DEPTH_MAX || self.sources.len() >= FILES_MAX {
            self.mistakes.add(
                Mistake::new(span, format!("`{quoted}` is one file too many"))
                    .label(format!("at most {FILES_MAX} files, {DEPTH_MAX} inside each other")),
            );
            return;
        }
        let (identity, bytes) = match (self.reader)(&path, self.left) {
            Ok(found) => found,
            Err(error) => {
                self.mistakes.names_missing = true;
                self.mistakes.add(
                    Mistake::new(span, format!("cannot read `{quoted}`"))
                        .label(error.to_string())
                        .help("a path in `include` is relative to the file that it stands in"),
                );
                return;
            }
        };
        match self.seen.get(&identity) {
            None => self.take(path, identity, bytes),
            Some(Seen::Done) => {}
            Some(&Seen::Open(first)) => {
                let at = self.chain.iter().position(|&open| open == first).unwrap_or(0);
                let mut names: Vec<String> =
                    self.chain[at..].iter().map(|&open| self.sources.name(open)).collect();
                names.push(self.sources.name(first));
                self.mistakes.add(
                    Mistake::new(span, format!("files include each other: {}", names.join(" -> ")))
                        .label("includes a file that is being read")
                        .help("take one of these lines out"),
                );
            }
        }
    }

    fn finish(mut self) -> Result<Manifest, LoadError> {
        let mut lowering = Lowering::new(&self.sources, &self.parents, self.budget, self.mistakes);
        let manifest = lowering.manifest(std::mem::take(&mut self.statements));
        let mut mistakes = lowering.mistakes;
        check::check(&manifest, &mut mistakes);
        if mistakes.is_empty() && self.unread.is_empty() {
            return Ok(manifest);
        }
        let mut all = self.unread;
        all.extend(mistakes.into_diagnostics(&self.sources));
        Err(LoadError::Diagnostics(all))
    }
}

/// The path that an `include` names, relative to the folder of the file that it stands in.
fn joined(including: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = including.parent().unwrap_or(Path::new(""));
    clean(&folder.join(std::ffi::OsStr::from_bytes(path)))
}

/// Without `.`; `..` stays, since the folder before it may be a link.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

/// The manifest on disk. Its path stays as given, but one that is absolute and lies in the
/// project becomes relative.
pub(super) fn load(path: &Path) -> Result<Manifest, LoadError> {
    let here = std::fs::canonicalize(".").ok();
    let inside = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    let path = clean(inside.unwrap_or(path));
    load_with(&path, &mut |path, limit| {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok((std::fs::canonicalize(path)?, bytes))
    })
}

impl From<FileError> for LoadError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}
