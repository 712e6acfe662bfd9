//! What goes into the verbs, and what comes out.

use std::path::{Path, PathBuf};

use super::backup::BackupError;
use crate::base::http::HttpError;
use crate::base::{Cancel, Diagnostic, Digest, FileError, TaskName};
use crate::config::{Config, Environment};
use crate::event::{Holder, MissReason, Summary};

/// What is used where no manifest is named.
pub(super) const DEFAULT: &str = "manifest.txt";

/// Where the manifest is. The project is the folder that the process stands in.
#[derive(Debug, Clone, Default)]
pub struct Location {
    /// None: `manifest.txt` of the project.
    pub manifest: Option<PathBuf>,
}

impl Location {
    pub(super) fn path(&self) -> &Path {
        self.manifest.as_deref().unwrap_or(Path::new(DEFAULT))
    }
}

/// How to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    pub targets: Vec<String>,
    /// Say what would run and why; write nothing.
    pub dry_run: bool,
    /// The command line, for whoever waits for this run; without secrets.
    pub command: String,
    pub config: Config,
    pub environment: Environment,
    /// Raised by a listener without which the run may not go on: nothing new is started then.
    pub stop: Cancel,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Report {
    pub summary: Summary,
    /// Listeners that failed and the like, a sentence each.
    pub problems: Vec<String>,
}

/// A task, for lists and graphs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TaskInfo {
    pub name: TaskName,
    pub description: String,
    /// Empty: the task only groups its dependencies.
    pub command: String,
    /// As the manifest writes them, sorted.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// Declared and inferred from files, sorted.
    pub dependencies: Vec<TaskName>,
}

/// What is in a task's key and what differs from the last run.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Explanation {
    pub task: TaskName,
    /// None while `waits_for` is not empty, or the key cannot be formed (see `problem`).
    pub key: Option<Digest>,
    /// The key of the task's last success here.
    pub last_key: Option<Digest>,
    /// What is in the key, in its order; the value of an input is its digest.
    pub parts: Vec<KeyPart>,
    /// What differs from the last run; empty where nothing does.
    pub differences: Vec<MissReason>,
    /// Whether running the build now would not need to run it.
    pub up_to_date: bool,
    /// Whether it would be taken from the cache.
    pub restored: bool,
    /// Dependencies that must run first: until then the key is not known.
    pub waits_for: Vec<TaskName>,
    /// Why there is no key: a missing input, say.
    pub problem: Option<String>,
}

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyPart {
    /// `command`, `shell`, `directory`, `env`, `output`, `input`, `dependency`, `tool`, `platform`.
    pub what: String,
    /// Of an input its path, of a variable its name; may be empty.
    pub name: String,
    pub value: String,
}

/// Why a verb could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such manifest.
    #[error("no manifest at `{}`", path.display())]
    NoManifest { path: PathBuf, help: Vec<String> },
    /// Mistakes in the text, or between tasks.
    #[error("the manifest has mistakes")]
    Manifest(Vec<Diagnostic>),
    /// Tasks that need each other.
    #[error("tasks depend on each other in a cycle")]
    Cycle(Vec<Diagnostic>),
    /// Inputs that neither exist nor are made by a task.
    #[error("inputs are missing")]
    MissingInputs(Vec<Diagnostic>),
    /// A target that is no task.
    #[error("there is no task `{name}` in `{manifest}`")]
    UnknownTarget { name: String, manifest: String, nearest: Option<String> },
    /// Values of settings that are not allowed, and files of settings that cannot be read.
    #[error("the settings have mistakes")]
    Config(Vec<Diagnostic>),
    #[error(transparent)]
    File(#[from] FileError),
    /// The store or the records cannot be used at all.
    #[error("the cache at `{}` cannot be used: {problem}", path.display())]
    Cache { path: PathBuf, problem: String, help: Vec<String> },
    /// A manifest with commands that are known to be dangerous, where the settings refuse them.
    #[error("the manifest has dangerous commands")]
    Dangerous(Vec<Diagnostic>),
    /// Others may write to a folder of the cache or of the workspace.
    #[error("the folder `{}` is not safe to use: {problem}", path.display())]
    Exposed { path: PathBuf, problem: String, help: Vec<String> },
    /// A task of a run in this project started this run, which would wait for its own end.
    #[error("a task of process {pid} runs reprovm in the project that this process is building")]
    Nested { pid: u32 },
    /// Another run has the workspace, and did not end in time.
    #[error("another run is at work in this project")]
    Busy { holder: Option<Holder> },
    /// Neither a pinned task of this project nor the id of a pin.
    #[error("`{name}` is not pinned")]
    NotPinned { name: String },
    /// No run of the history is meant.
    #[error("{message}")]
    NoRun { message: String, help: Vec<String> },
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The remote store could not be asked, or did not take what it was sent.
    #[error(transparent)]
    Remote(#[from] HttpError),
    /// The machine refused something that a run needs.
    #[error("cannot {what}")]
    System {
        what: String,
        #[source]
        source: std::io::Error,
    },
}
