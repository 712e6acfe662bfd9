//! Every event, as data; words are made of it in one place (`observe::words`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::figures::Summary;
use super::held::HeldFile;
use super::history::Turn;
use super::limits::{Held, InForce, Limit};
use super::reasons::{Failure, InputChange, MissReason, SkipReason};
use super::security::{Access, Violation};
use super::sharing::{Collected, LeaseHolder};
use crate::base::{Digest, TaskName};

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
        /// The task whose end it waited for last; none: for nothing in this run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<TaskName>,
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
    /// Another run that shares the cache executes the same key, the holder's if it says so; this
    /// one waits for its result.
    TaskWaits {
        task: TaskName,
        key: Digest,
        holder: Option<LeaseHolder>,
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
    /// What the time of a task went to that had its turn and has a command; it ends next.
    TaskTimed {
        task: TaskName,
        turn: Turn,
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
    /// The task's result was saved under its key.
    CacheStored {
        task: TaskName,
        key: Digest,
        outputs: usize,
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
    /// The cache was made smaller at the end of the run.
    GcRan {
        collected: Collected,
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
    /// The run has limits; each with how it is kept.
    LimitsInForce {
        limits: Vec<InForce>,
    },
    /// From here on a limit holds back what could go on. Told once, until it is lifted.
    LimitHit {
        #[serde(flatten)]
        held: Held,
    },
    /// The limit holds nothing back any more.
    LimitLifted {
        limit: Limit,
        held_ms: u64,
    },
    /// The slots are not shared with the `make` around this run, or not with tasks.
    JobserverUnused {
        problem: String,
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

/// What a command wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output {
    /// All of it. In JSON as text, bytes that are not UTF-8 replaced.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    Bytes(Arc<[u8]>),
    /// It is large; the file holds it until the event has been delivered, and the store under
    /// `object` as long as it likes.
    File {
        path: String,
        len: u64,
        object: Digest,
        /// Where the file has no name and would be gone.
        #[serde(skip)]
        held: Option<HeldFile>,
    },
    /// Of an earlier run: how it began and ended; the store may have all of it.
    Clipped { begin: String, end: String, len: u64, object: Digest },
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
