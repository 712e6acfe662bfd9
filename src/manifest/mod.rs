//! Text (our language, or TOML) into checked tasks, with diagnostics that point at the place.
//!
//! Knows nothing of running or hashing. Globs stay patterns here; the cache expands them.

mod check;
mod dsl;
mod fields;
mod list;
mod load;
mod lower;
mod mistake;
mod paths;
mod raw;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod toml;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Diagnostic, FileError, Place, RelPath, TaskName};

pub use source::Sources;

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file itself is not there or cannot be read.
    #[error(transparent)]
    File(FileError),
    /// Mistakes in the text or between tasks: all of them, in the order of their places.
    #[error("the manifest has mistakes")]
    Diagnostics(Vec<Diagnostic>),
}

/// Reads the manifest at `path`, and what it includes, and checks it. The project is the folder
/// that the process stands in. A file named `*.toml` is TOML, any other our own language.
pub fn load(path: &Path) -> Result<Manifest, LoadError> {
    load::load(path)
}

/// The manifest that `bytes` are, as if read from `path`. Includes are not found.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Manifest, Vec<Diagnostic>> {
    parse_files(&[(path, bytes)])
}

/// The manifest that the first of these files is, with the others to include.
pub fn parse_files(files: &[(&Path, &[u8])]) -> Result<Manifest, Vec<Diagnostic>> {
    let Some((first, _)) = files.first() else { return Ok(Manifest::default()) };
    let found = load::load_with(first, &mut |path, limit| {
        let (path, bytes) = files
            .iter()
            .find(|(name, _)| *name == path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok((path.to_path_buf(), bytes[..bytes.len().min(limit + 1)].to_vec()))
    });
    match found {
        Ok(manifest) => Ok(manifest),
        Err(LoadError::Diagnostics(all)) => Err(all),
        Err(LoadError::File(error)) => Err(vec![Diagnostic::new(error.to_string())]),
    }
}

/// All that the manifest and the files that it includes say, checked.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// In the order of the text.
    pub tasks: Vec<Task>,
    pub pools: Vec<Pool>,
    /// The files read, the manifest first; relative to the project where they lie in it.
    pub sources: Vec<PathBuf>,
    /// Their texts, for places.
    pub texts: Sources,
}

impl Manifest {
    /// Where a span stands, with the line as it was read.
    pub fn place(&self, span: Span) -> Place {
        self.texts.place(span)
    }
}

/// At most `depth` tasks of a pool run at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub name: String,
    pub depth: u32,
}

/// Where a thing stands: which of the sources, and the bytes from `start` to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Span {
    pub source: u32,
    pub start: u32,
    pub end: u32,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

/// One entry of `inputs`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Input {
    /// A file, or a folder with all that is in it.
    Path(RelPath),
    /// A pattern such as `src/**/*.c`, normalised as a path is.
    Glob(String),
    /// `!pattern`: what it matches, files or whole folders, is left out of this task's globs and
    /// folders.
    Exclude(String),
}

/// One task, every field checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    pub name: TaskName,
    pub span: Span,
    pub description: String,
    /// None: the task only groups its dependencies.
    pub command: Option<String>,
    /// Where the command stands; of a task without one, nothing.
    pub command_at: Span,
    /// The program and arguments that the command's text is appended to; none means `/bin/sh -c`.
    pub shell: Option<Vec<String>>,
    /// Relative to the project.
    pub cwd: RelPath,
    pub inputs: Vec<Spanned<Input>>,
    pub outputs: Vec<Spanned<RelPath>>,
    pub deps: Vec<Spanned<TaskName>>,
    pub env: BTreeMap<String, String>,
    pub pass_env: BTreeSet<String>,
    pub inherit_env: bool,
    pub tools: Vec<Spanned<String>>,
    pub timeout: Option<Duration>,
    pub retries: Option<u32>,
    /// Index into the manifest's pools.
    pub pool: Option<u32>,
    pub cache: bool,
}
