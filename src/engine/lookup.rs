//! Whether a task's result is there already: in the workspace, or under its key.

use std::path::Path;
use std::time::Duration;

use super::Bench;
use super::attempt::{SHOWN_WHOLE, bare_log};
use crate::base::clock::Stopwatch;
use crate::base::{Digest, Kind, TaskName, fs};
use crate::cache::outputs::{self, Made};
use crate::cache::recipe::Recipe;
use crate::cache::record::{Found, Look, Record};
use crate::cache::restore::{self, Means, RestoreError};
use crate::cache::state::{Phase, TaskRow};
use crate::event::{Event, Failure, HitSource, MissReason, Output as Log, Violation};
use crate::manifest::Task;
use crate::store::{DiskStore, FetchError};

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Lookup {
    UpToDate,
    Restored {
        record: Box<Record>,
        restored: Restored,
    },
    Miss(Vec<MissReason>),
    /// Neither can the result be put in place, nor may the command run.
    Blocked(Failure),
}

/// What putting a result in place did.
#[derive(Debug)]
pub(super) struct Restored {
    pub made: Vec<Made>,
    /// How many files had to be put right.
    pub files: usize,
    pub took: Duration,
}

/// Why a record did not become files.
enum NotRestored {
    Because(MissReason),
    Blocked(Failure),
}

impl Bench<'_> {
    /// Looks for the result under the key, and puts it in place where it is found.
    pub(super) fn lookup(
        &self,
        task: &Task,
        recipe: &Recipe,
        key: &Digest,
        row: &TaskRow,
    ) -> Lookup {
        if !task.cache {
            return Lookup::Miss(vec![MissReason::CacheOff]);
        }
        if self.options.force {
            return Lookup::Miss(vec![MissReason::Forced]);
        }
        let done = row.phase == Phase::Done && row.key == *key;
        let wrong = if done { self.wrong_output(row) } else { None };
        let log_there = !self.options.replay || self.has_log(key);
        if done && wrong.is_none() && log_there {
            return Lookup::UpToDate;
        }
        let (mut reasons, found) = match self.records.find(key, Look::AndRepair) {
            Found::Record(record) if log_there => match self.restore(task, &record, row) {
                Ok(restored) => return Lookup::Restored { record, restored },
                Err(NotRestored::Because(reason)) => (vec![reason], true),
                Err(NotRestored::Blocked(failure)) => return Lookup::Blocked(failure),
            },
            Found::Record(_) => (vec![MissReason::StoreDamaged { what: "log".into() }], true),
            Found::Damaged { path, problem } => {
                self.say_damaged("record", path.display().to_string(), problem);
                (vec![MissReason::StoreDamaged { what: "record".into() }], true)
            }
            Found::Nothing => (Vec::new(), false),
        };
        if found {
            return Lookup::Miss(reasons);
        }
        reasons.extend(wrong);
        if reasons.is_empty() {
            reasons = self.why(recipe, row);
        }
        Lookup::Miss(reasons)
    }

    /// Why a task without a usable record has to run.
    pub(super) fn why(&self, recipe: &Recipe, row: &TaskRow) -> Vec<MissReason> {
        match row.phase {
            Phase::New => vec![MissReason::NoRecord],
            Phase::Running | Phase::Failed => vec![MissReason::LastRunFailed],
            Phase::Unproven => vec![MissReason::LastRunUnproven],
            Phase::Done => match self.records.find(&row.key, Look::Only) {
                Found::Record(record) => {
                    let differences = recipe.differences(&record.recipe);
                    if differences.is_empty() { vec![MissReason::NoRecord] } else { differences }
                }
                Found::Nothing | Found::Damaged { .. } => vec![MissReason::NoRecord],
            },
        }
    }

    /// The first output that is not as the task left it.
    pub(super) fn wrong_output(&self, row: &TaskRow) -> Option<MissReason> {
        row.made.iter().find_map(|made| {
            let path = made.output.path.to_string();
            match self.state.files.get(made.file) {
                Ok(entry) if restore::is_as(&entry, &made.output) => None,
                Ok(entry) if entry.kind() != Kind::Absent => {
                    Some(MissReason::OutputEdited { path })
                }
                _ => Some(MissReason::OutputMissing { path }),
            }
        })
    }

    /// Whether what the task wrote under this key can be shown.
    pub(super) fn has_log(&self, key: &Digest) -> bool {
        match self.records.find(key, Look::Only) {
            Found::Record(record) => {
                record.log_size == 0 || self.store.has(&record.log, record.log_size)
            }
            Found::Nothing | Found::Damaged { .. } => false,
        }
    }

    fn restore(
        &self,
        task: &Task,
        record: &Record,
        row: &TaskRow,
    ) -> Result<Restored, NotRestored> {
        let watch = Stopwatch::start();
        let files = &self.state.files;
        let stage = self.home.stage();
        let means = Means { files, store: self.store, stage: &stage };
        let remains = self.remains(task, row).unwrap_or_default();
        // Where we are killed between the first file and the last, the next run knows what is ours.
        let announce = |listed| {
            let row = TaskRow { phase: Phase::Failed, listed, ..row.clone() };
            self.state.set_row(&task.name, row);
        };
        let restored = restore::restore(record, &row.made, &remains, means, &announce);
        let put = restored.map(|(made, files)| Restored { made, files, took: watch.elapsed() });
        put.map_err(|error| {
            NotRestored::Because(match error {
                RestoreError::Blocked(error) => {
                    return NotRestored::Blocked(Failure::Files { problem: chain(&error) });
                }
                RestoreError::Fetch(FetchError::Missing(_)) => {
                    MissReason::StoreDamaged { what: error.to_string() }
                }
                RestoreError::Fetch(FetchError::Damaged { digest, path, problem }) => {
                    self.say_damaged("object", path.display().to_string(), problem);
                    MissReason::StoreDamaged { what: format!("object {}", digest.short()) }
                }
                RestoreError::NotOurs(path) => MissReason::OutputEdited { path },
                RestoreError::LeadsOut(ref output) => {
                    self.violation(task, Violation::LinkLeadsOut { path: output.clone() });
                    let path = self.records.path(&record.recipe.key());
                    self.say_damaged("record", path.display().to_string(), error.to_string());
                    MissReason::StoreDamaged { what: "record".into() }
                }
                RestoreError::Fetch(FetchError::File(error)) | RestoreError::File(error) => {
                    MissReason::NotRestored { problem: chain(&error) }
                }
            })
        })
    }

    /// What an earlier run that did not succeed left at the outputs.
    pub(super) fn remains(
        &self,
        task: &Task,
        row: &TaskRow,
    ) -> Result<Vec<Vec<u8>>, crate::base::FileError> {
        match row.phase {
            Phase::Running => outputs::remains(
                task,
                &outputs::Before::from_paths(row.listed.iter().cloned()),
                row.started_ns,
            ),
            Phase::Failed => Ok(row.listed.clone()),
            Phase::New | Phase::Done | Phase::Unproven => Ok(Vec::new()),
        }
    }

    fn say_damaged(&self, what: &str, path: String, problem: String) {
        self.emitter.emit(Event::CacheDamaged { what: what.to_owned(), path, problem });
    }

    /// Shows what the task wrote when it ran, if that was asked for.
    pub(super) fn replay(&self, name: &TaskName, record: &Record) {
        if !self.options.replay || record.log_size == 0 {
            return;
        }
        let stage = self.home.stage();
        let output = match kept_output(self.store, &stage, &record.log, record.log_size) {
            Ok(output) => output,
            Err(FetchError::Damaged { path, problem, .. }) => {
                return self.say_damaged("log", path.display().to_string(), problem);
            }
            Err(_) => return,
        };
        self.emitter.emit(Event::TaskOutput { task: name.clone(), replayed: true, output });
    }

    /// As [`Bench::replay`] for a task of which only the key is at hand.
    pub(super) fn replay_key(&self, name: &TaskName, key: &Digest) {
        if self.options.replay
            && let Found::Record(record) = self.records.find(key, Look::Only)
        {
            self.replay(name, &record);
        }
    }

    /// Where a hit came from.
    pub(super) fn source(restored: usize) -> HitSource {
        if restored == 0 { HitSource::Workspace } else { HitSource::Local }
    }
}

/// What a command wrote, verified, as the listeners take it. Where it is large and the store has it
/// compressed, it goes through a file in `stage`.
pub fn kept_output(
    store: &DiskStore,
    stage: &Path,
    object: &Digest,
    len: u64,
) -> Result<Log, FetchError> {
    if len <= SHOWN_WHOLE {
        return store.fetch_bytes(object, len).map(|bytes| Log::Bytes(bytes.into()));
    }
    if let Some(log) = bare_log(store, object, len) {
        store.fetch(object, len, &mut std::io::sink())?;
        return Ok(log);
    }
    let mut file = fs::unnamed(stage)?;
    store.fetch(object, len, &mut file)?;
    Ok(Log::held(file, len, *object))
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
