//! Why a task ran, failed, was skipped or was not saved.

use serde::{Deserialize, Serialize};

use crate::base::{Kind, TaskName};

/// Why a task had to run: the difference of its recipe from that of its last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum MissReason {
    /// It never ran here, and no record has its key.
    NoRecord,
    /// The user asked for it.
    Forced,
    /// `cache = off`.
    CacheOff,
    /// The last run of the task failed or was interrupted.
    LastRunFailed,
    /// An input changed while the task last ran, so that its result belongs to no key.
    LastRunUnproven,
    CommandChanged,
    ShellChanged,
    DirectoryChanged,
    OutputsChanged,
    PlatformChanged,
    InputChanged {
        path: String,
    },
    InputAdded {
        path: String,
    },
    InputRemoved {
        path: String,
    },
    /// What a path is (file, executable, link, folder) changed.
    KindChanged {
        path: String,
        was: Kind,
        now: Kind,
    },
    EnvChanged {
        name: String,
        was: Option<String>,
        now: Option<String>,
    },
    /// A variable that is not set was named in the manifest, or is no longer named there.
    EnvDeclared {
        name: String,
        declared: bool,
    },
    ToolChanged {
        name: String,
    },
    /// The result of a dependency changed.
    DependencyChanged {
        task: TaskName,
    },
    /// An output is not there, or not as the task left it, and the store cannot give it back.
    OutputMissing {
        path: String,
    },
    OutputEdited {
        path: String,
    },
    /// The record or an object of it was damaged or gone.
    StoreDamaged {
        what: String,
    },
    /// It was found, but its files could not be read or put into place.
    NotRestored {
        problem: String,
    },
    /// The form of keys changed with the program's version.
    KeyVersionChanged,
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// The command ended with this code.
    Exit {
        code: i32,
        withheld: Vec<String>,
    },
    /// The command was ended by this signal.
    Signal {
        signal: i32,
        core_dumped: bool,
    },
    TimedOut {
        after_ms: u64,
    },
    /// The command could not be started.
    Start {
        problem: String,
    },
    /// The command succeeded but these declared outputs are not there.
    OutputsMissing {
        paths: Vec<String>,
    },
    /// An output is something that cannot be kept: a fifo, a link that leads outside.
    OutputRefused {
        path: String,
        problem: String,
    },
    /// An input is not there although the task that should make it has ended, or cannot be read.
    Input {
        path: String,
        problem: String,
    },
    /// An input has more bytes than the settings allow. It was not read.
    InputTooLarge {
        path: String,
        size: u64,
        limit: u64,
    },
    /// The system does not let us read an input.
    InputDenied {
        path: String,
        problem: String,
    },
    /// A declared tool is not on the PATH.
    ToolMissing {
        name: String,
    },
    /// It was not started: so full is the file system of this folder, in percent, and nothing
    /// runs that could end and make room.
    DiskFull {
        path: String,
        percent: u64,
        ceiling: u64,
    },
    /// The kernel killed a process of it, because all tasks together had this many bytes.
    OutOfMemory {
        limit: u64,
    },
    /// Files could not be prepared or put in place.
    Files {
        problem: String,
    },
}

/// Why a task did not have its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum SkipReason {
    DependencyFailed {
        task: TaskName,
    },
    Cancelled,
    /// `--fail-fast` and another task failed.
    FailFast {
        task: TaskName,
    },
}

/// What happened to an input, or around it, while the task ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum InputChange {
    Changed {
        path: String,
    },
    Added {
        path: String,
    },
    Removed {
        path: String,
    },
    /// It holds the same bytes as before, but the task may have read others in between.
    Touched {
        path: String,
    },
}
