//! Every event, outcome and reason. Reasons are data here and become words in one place
//! (`observe::words`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::security::{Access, Violation};
use crate::base::{Digest, Kind, TaskName};

/// One thing that happened in a run. In JSON the name stands in `type`, in snake case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        version: String,
        manifest: String,
        /// The project's folder, absolute.
        project: String,
        jobs: usize,
        /// What was asked for; empty means all.
        targets: Vec<String>,
        /// How many tasks that needs.
        tasks: usize,
        dry_run: bool,
        force: bool,
        /// How a task's processes are ended when the run is, for `--verbose`.
        containment: String,
    },
    /// So many needed tasks were found unchanged at once, before anything else began.
    TasksUpToDate {
        count: usize,
        /// What running them took earlier.
        saved_ms: u64,
    },
    /// What running the tasks that are not up to date took earlier; those that never ran are not
    /// among them.
    TasksExpected {
        durations_ms: BTreeMap<TaskName, u64>,
    },
    /// The task's dependencies are done; it waits for a slot.
    TaskQueued {
        task: TaskName,
    },
    /// The result was found under the key, and put in place or found there.
    CacheHit {
        task: TaskName,
        key: Digest,
        from: HitSource,
        /// What running it took when it was saved.
        saved_ms: u64,
        /// How many files had to be put right.
        restored: usize,
        /// What that took.
        restore_us: u64,
    },
    CacheMiss {
        task: TaskName,
        key: Digest,
        reasons: Vec<MissReason>,
    },
    TaskStarted {
        task: TaskName,
        attempt: u32,
        command: String,
    },
    /// What the command wrote, both streams in the order of writing.
    TaskOutput {
        task: TaskName,
        replayed: bool,
        output: Output,
    },
    TaskRetrying {
        task: TaskName,
        attempt: u32,
        delay_ms: u64,
        because: Failure,
    },
    TaskFinished {
        task: TaskName,
        outcome: Outcome,
        usage: Usage,
        reasons: Vec<MissReason>,
    },
    TaskSkipped {
        task: TaskName,
        because: SkipReason,
    },
    /// The task succeeded, and its result stands, but it was not saved.
    TaskNotSaved {
        task: TaskName,
        changes: Vec<InputChange>,
    },
    /// The task made these outputs otherwise than the record says that has the same key: not all
    /// that decides its result is declared, or it depends on chance or time.
    TaskNotReproducible {
        task: TaskName,
        key: Digest,
        outputs: Vec<String>,
        /// Whether the record holds the new result now; else it holds that which was there first.
        replaced: bool,
    },
    /// Something in the cache was not as it should be; it was set aside, and the run goes on.
    CacheDamaged {
        what: String,
        path: String,
        problem: String,
    },
    /// The cache could not be written; results stand but are not saved.
    CacheDegraded {
        problem: String,
    },
    /// Folders of ours lie where the file system does not promise all that we build on; the run
    /// goes on. Each with what the file system is called.
    SharedFileSystem {
        cache: Option<FolderOn>,
        workspace: Option<FolderOn>,
    },
    /// A security check struck. Where nothing is refused, it is a warning.
    SecurityViolation {
        task: TaskName,
        violation: Violation,
        refused: bool,
    },
    /// A file or folder may not be used: the system refuses it, or its owner and mode do not
    /// allow to trust it.
    AccessDenied {
        what: Access,
        path: String,
        problem: String,
    },
    /// In a dry run: the task would run, or be restored.
    TaskPlanned {
        task: TaskName,
        reasons: Vec<MissReason>,
        restore: bool,
        /// The tasks whose results decide; while they are open the key is not known.
        waits_for: Vec<TaskName>,
    },
    CancelRequested {
        signal: i32,
    },
    /// Another run has the workspace, the holder's if it says so; this one waits.
    WorkspaceBusy {
        holder: Option<Holder>,
    },
    RunFinished {
        summary: Summary,
    },
}

/// A folder, and what the file system is called on which it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderOn {
    pub path: String,
    pub file_system: String,
}

/// A run that has the workspace, by its own account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// When it began, as `2024-11-16T14:30:00Z`.
    pub since: String,
    pub host: String,
    /// Its command line.
    pub command: String,
}

/// Where a hit came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HitSource {
    /// The workspace already held the result.
    Workspace,
    Local,
    Remote,
}

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

/// How a task that had its turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The command ran and succeeded, or there was none to run.
    Executed,
    /// Taken from the cache.
    Cached,
    /// Nothing to do.
    UpToDate,
    Failed {
        failure: Failure,
    },
    /// The run was cancelled while it was going on.
    Cancelled,
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

/// What a command wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output {
    /// All of it. In JSON as text, bytes that are not UTF-8 replaced.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    Bytes(Arc<[u8]>),
    /// It is large; the file holds it until the event has been delivered.
    File { path: String, len: u64 },
}

fn as_text<S: serde::Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

fn from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    String::deserialize(deserializer).map(|text| text.into_bytes().into())
}

/// What a command cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Wall time of all attempts, waiting between them not counted.
    pub duration_ms: u64,
    pub user_ms: u64,
    pub system_ms: u64,
    /// Peak resident memory of the largest process.
    pub peak_rss_bytes: u64,
    pub attempts: u32,
}

/// The totals of a run: the only figures, from the one fold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Tasks that the run needed.
    pub total: usize,
    pub executed: usize,
    /// Taken from the store.
    pub cached: usize,
    /// Nothing to do.
    pub up_to_date: usize,
    pub failed: usize,
    pub skipped: usize,
    pub cancelled: usize,
    /// In a dry run: tasks that would run, or whose dependencies would.
    pub planned: usize,
    pub cache_hits: usize,
    pub cache_misses: usize,
    pub retries: usize,
    pub timeouts: usize,
    /// Times that the cache was found damaged, or could not be written.
    pub cache_errors: usize,
    /// Times that a file or folder could not be used, or something was refused.
    pub access_errors: usize,
    pub timing: Timing,
    /// What the commands used of all cores.
    pub cpu_ms: u64,
    /// Of the largest process of all commands.
    pub peak_rss_bytes: u64,
    /// Wall time of the run.
    pub elapsed_ms: u64,
    /// What the tasks that did not run took when they last did.
    pub saved_ms: u64,
    /// The signal that ended the run early.
    pub interrupted: Option<i32>,
}

impl Summary {
    /// Every task that did not need to run.
    pub fn settled(&self) -> usize {
        self.cached + self.up_to_date
    }

    /// Hits of all that was asked of the cache, from 0 to 1; nothing was asked: 0.
    pub fn hit_ratio(&self) -> f64 {
        match self.cache_hits + self.cache_misses {
            0 => 0.0,
            asked => self.cache_hits as f64 / asked as f64,
        }
    }

    /// How many cores the commands kept busy on average.
    pub fn busy_cores(&self) -> f64 {
        if self.elapsed_ms == 0 { 0.0 } else { self.cpu_ms as f64 / self.elapsed_ms as f64 }
    }

    /// Milliseconds of an executed task on average; of none it is 0.
    pub fn average_ms(&self) -> f64 {
        match self.executed {
            0 => 0.0,
            executed => self.timing.total_ms as f64 / executed as f64,
        }
    }
}

/// Durations of executed tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    pub total_ms: u64,
    pub min_ms: u64,
    pub max_ms: u64,
}
