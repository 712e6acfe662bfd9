//! One task's life: settle its inputs, form the key, look it up, else run and save.

use super::Bench;
use super::attempt::{Alarm, Attempts, Failed, disk_full};
use super::gate::{Gate, Pass, Refused, Throttle};
use super::laps::Laps;
use super::lookup::{Lookup, Restored, chain};
use super::refusal::{input_failure, output_failure};
use super::right::Right;
use super::schedule::End;
use super::settle::group_result;
use crate::base::{Digest, FileError, Kind, clock};
use crate::cache::files::{Entry, FileId, Since};
use crate::cache::inputs::{self, Effort, InputError, Member, Tools};
use crate::cache::outputs::{self, Before};
use crate::cache::recipe::Recipe;
use crate::cache::record::Record;
use crate::cache::state::{Phase, TaskRow};
use crate::event::{Event, Failure, InputChange, MissReason, Outcome, Usage, Work};
use crate::exec::Runner;
use crate::graph::TaskId;
use crate::manifest::Task;

/// What a thread of the pool works with.
#[derive(Clone, Copy)]
pub(super) struct Worker<'a> {
    pub bench: &'a Bench<'a>,
    pub runner: &'a Runner,
    pub alarm: &'a Alarm,
    pub gate: &'a Gate<'a>,
    pub throttle: &'a Throttle<'a>,
}

/// A task with everything that decides its result.
struct Job<'a> {
    id: TaskId,
    task: &'a Task,
    members: Vec<Member>,
    tools: Tools,
    recipe: Recipe,
    key: Digest,
    row: TaskRow,
    reasons: Vec<MissReason>,
    laps: Laps,
}

/// What tells a record from the one that lay in its place before.
type Stamp = Option<(u64, i64, i64)>;

/// What came of looking for a result.
enum Looked<'a> {
    UpToDate,
    Restored {
        record: Box<Record>,
        restored: Restored,
    },
    Blocked(Failure),
    /// Nothing more is to start.
    Withdrawn,
    /// It is not there, and its command may run.
    Miss(Right, Pass<'a>),
}

impl From<Refused> for Looked<'_> {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => Self::Withdrawn,
            Refused::Full(full) => Self::Blocked(disk_full(&full)),
        }
    }
}

impl<'a> Worker<'a> {
    /// The task from its readiness to its end; everything is told by events.
    pub(super) fn perform(&self, id: TaskId, slot: usize) -> End {
        let bench = self.bench;
        let task = bench.plan.task(id);
        bench.environment.panic_point(task.name.as_str());
        if task.command.is_none() {
            bench.results.set(id, group_result(bench, id));
            return self.end(task, Outcome::UpToDate, Usage::default(), Vec::new());
        }
        let mut job = match self.job(id, task, Laps::start(slot)) {
            Ok(job) => job,
            Err(error) => {
                let failure = input_failure(&error);
                bench.tell_input(task, &failure);
                return self.end(task, Outcome::Failed { failure }, Usage::default(), Vec::new());
            }
        };
        let asks = task.cache && !bench.options.force;
        let passed = !asks || self.throttle.pass(self.alarm);
        job.laps.lap(Work::Wait);
        if !passed {
            return End::Withdrawn;
        }
        match self.look(&mut job) {
            Looked::UpToDate => {
                bench.results.set(id, job.row.result);
                bench.replay_key(&task.name, &job.key);
                bench.emitter.emit(Event::CacheHit {
                    task: task.name.clone(),
                    key: job.key,
                    from: Bench::source(0),
                    saved_ms: job.row.duration_ms,
                    restored: 0,
                    restore_us: 0,
                });
                self.end_job(&job, Outcome::UpToDate, Usage::default())
            }
            Looked::Restored { record, restored } => {
                self.throttle.owe();
                self.hit(&job, &record, restored)
            }
            Looked::Blocked(failure) => {
                self.end_job(&job, Outcome::Failed { failure }, Usage::default())
            }
            Looked::Withdrawn => End::Withdrawn,
            Looked::Miss(right, pass) => {
                let end = self.miss(&mut job, pass);
                // Until the record is there: who waits for it finds it.
                drop(right);
                end
            }
        }
    }

    /// Looks for the result until it is found, or it is this run's turn to make it.
    fn look(&self, job: &mut Job<'_>) -> Looked<'a> {
        let bench = self.bench;
        // Of an earlier look, which set the damaged thing aside: the next finds nothing there.
        let mut damaged = None;
        loop {
            let stamp = self.stamp(job);
            let found = bench.lookup(job.task, &job.recipe, &job.key, &job.row);
            match &found {
                Lookup::Restored { restored, .. } => {
                    job.laps.laps(Work::Lookup, Work::Restore, restored.took);
                }
                Lookup::UpToDate | Lookup::Miss(_) | Lookup::Blocked(_) => {
                    job.laps.lap(Work::Lookup);
                }
            }
            let reasons = match found {
                Lookup::UpToDate => return Looked::UpToDate,
                Lookup::Restored { record, restored } => {
                    bench.records.used(&job.key, bench.began_ns);
                    return Looked::Restored { record, restored };
                }
                Lookup::Blocked(failure) => return Looked::Blocked(failure),
                Lookup::Miss(reasons) => reasons,
            };
            // A restore that failed half-way has noted what it may have left.
            job.row = bench.state.row(&job.task.name).unwrap_or_default();
            let placed = self.place(job, stamp);
            job.laps.lap(Work::Wait);
            match placed {
                Ok(Some((right, pass))) => {
                    job.reasons = damaged.unwrap_or(reasons);
                    return Looked::Miss(right, pass);
                }
                Ok(None) if is_damage(&reasons) => damaged = Some(reasons),
                Ok(None) => {}
                Err(refused) => {
                    job.reasons = damaged.unwrap_or(reasons);
                    return refused.into();
                }
            }
        }
    }

    /// Waits until the command may run, with the right to its key. None: it has to be looked for
    /// again, whoever had the right meanwhile may have left a result.
    fn place(&self, job: &Job<'_>, stamp: Stamp) -> Result<Option<(Right, Pass<'a>)>, Refused> {
        let right = self.right(job.task, &job.key).ok_or(Refused::Closed)?;
        if self.stamp(job) != stamp {
            return Ok(None);
        }
        let (slot, expected) = (job.laps.slot(), || self.expected_memory(job));
        if !right.is_exclusive() {
            return Ok(Some((right, self.gate.enter(slot, expected)?)));
        }
        if let Some(pass) = self.gate.enter_at_once(slot, expected)? {
            return Ok(Some((right, pass)));
        }
        // Nobody has to wait for one who waits.
        drop(right);
        let pass = self.gate.enter(slot, expected)?;
        let right = self.right_at_once(job.task, &job.key);
        let right = right.filter(|_| self.stamp(job) == stamp);
        Ok(right.map(|right| (right, pass)))
    }

    /// Of the record, where others may write one meanwhile.
    fn stamp(&self, job: &Job<'_>) -> Stamp {
        self.bench.leases.and_then(|_| self.bench.records.stamp(&job.key))
    }

    fn job<'t>(&self, id: TaskId, task: &'t Task, mut laps: Laps) -> Result<Job<'t>, InputError> {
        let bench = self.bench;
        let files = &bench.state.files;
        let limit = bench.options.max_input;
        let members = inputs::members(task, files, Effort::Full, limit)?.unwrap_or_default();
        let tools =
            inputs::tools(task, bench.environment, files, Effort::Full)?.unwrap_or_default();
        let recipe =
            inputs::recipe(task, bench.environment, &tools, &members, |dep| bench.result_of(dep));
        let key = recipe.key();
        let row = bench.state.row(&task.name).unwrap_or_default();
        laps.lap(Work::Key);
        Ok(Job { id, task, members, tools, recipe, key, row, reasons: Vec::new(), laps })
    }

    fn hit(&self, job: &Job<'_>, record: &Record, put: Restored) -> End {
        let bench = self.bench;
        let name = &job.task.name;
        let result = Record::result(&record.outputs, &job.key);
        let Restored { made, files: restored, took } = put;
        bench.state.set_row(
            name,
            TaskRow {
                key: job.key,
                result,
                duration_ms: record.usage.duration_ms,
                peak_rss_bytes: record.usage.peak_rss_bytes,
                phase: Phase::Done,
                made,
                ..TaskRow::default()
            },
        );
        bench.results.set(job.id, result);
        bench.replay(name, record);
        bench.emitter.emit(Event::CacheHit {
            task: name.clone(),
            key: job.key,
            from: Bench::source(restored),
            saved_ms: record.usage.duration_ms,
            restored,
            restore_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
        let outcome = if restored == 0 { Outcome::UpToDate } else { Outcome::Cached };
        self.end_job(job, outcome, Usage::default())
    }

    fn miss(&self, job: &mut Job<'_>, pass: Pass<'_>) -> End {
        let bench = self.bench;
        let task = job.task;
        bench.emitter.emit(Event::CacheMiss {
            task: task.name.clone(),
            key: job.key,
            reasons: job.reasons.clone(),
        });
        let prepared = self.prepare(job);
        job.laps.lap(Work::Prepare);
        let before = match prepared {
            Ok(before) => before,
            Err(error) => {
                let failure = Failure::Files { problem: chain(&error) };
                return self.end_job(job, Outcome::Failed { failure }, Usage::default());
            }
        };
        let started_ns = clock::now_ns();
        let running = TaskRow {
            key: job.row.key,
            phase: Phase::Running,
            duration_ms: job.row.duration_ms,
            peak_rss_bytes: job.row.peak_rss_bytes,
            listed: before.paths().map(<[u8]>::to_vec).collect(),
            started_ns,
            ..TaskRow::default()
        };
        bench.state.set_row(&task.name, running.clone());
        let clear = || {
            let remains = outputs::remains(task, &before, started_ns)?;
            outputs::clear(task, &remains, &bench.state.files)
        };
        let Attempts { end, usage, log } = self.attempts(task, pass, &clear, &mut job.laps);
        // A cancelled command's words are of no use to anyone.
        let log = match (&end, log) {
            (Err(Failed::Cancelled), _) | (_, None) => None,
            (_, Some(log)) => bench.keep_log(task, log),
        };
        let saved = end.map(|()| self.save(job, &before, usage, log));
        job.laps.lap(Work::Store);
        let outcome = match saved {
            Ok(saved) => match saved {
                Ok(()) => return self.end_job(job, Outcome::Executed, usage),
                Err(failure) => Outcome::Failed { failure },
            },
            Err(Failed::Failure(failure)) => Outcome::Failed { failure },
            Err(Failed::Cancelled) => Outcome::Cancelled,
        };
        let left = outputs::remains(task, &before, started_ns);
        let failed = match left {
            Ok(listed) => TaskRow { phase: Phase::Failed, listed, ..running },
            Err(_) => running,
        };
        bench.state.set_row(&task.name, failed);
        self.end_job(job, outcome, usage)
    }

    /// Nothing more starts: who waits for anything is sent away.
    pub(super) fn halt(&self) {
        self.gate.close();
        self.alarm.ring();
    }

    /// The bytes that the command will use: what its largest process had when it last succeeded,
    /// else an equal share of what all may use.
    fn expected_memory(&self, job: &Job<'_>) -> u64 {
        let options = &self.bench.options;
        let Some(all) = options.limits.memory else { return 0 };
        match job.row.peak_rss_bytes {
            0 => all / options.jobs.max(1) as u64,
            known => known,
        }
    }

    /// Clears away what the task made before, and takes stock of what is left.
    fn prepare(&self, job: &Job<'_>) -> Result<Before, FileError> {
        let bench = self.bench;
        let mut own = bench.remains(job.task, &job.row)?;
        let made = job.row.made.iter().filter(|made| made.owned);
        own.extend(made.map(|made| made.output.path.as_bytes().to_vec()));
        outputs::clear(job.task, &own, &bench.state.files)?;
        let before = outputs::take_stock(job.task)?;
        let mut files = job.row.made.iter().map(|made| &made.output);
        match files
            .find(|file| file.kind != Kind::Dir && before.kind(file.path.as_bytes()) == Kind::Dir)
        {
            Some(file) => Err(outputs::folder_in_the_way(&file.path)),
            None => Ok(before),
        }
    }

    /// After the command succeeded: collects the outputs, keeps them and the record, and notes
    /// what the task did.
    fn save(
        &self,
        job: &Job<'_>,
        before: &Before,
        usage: Usage,
        log: Option<(Digest, u64)>,
    ) -> Result<(), Failure> {
        let bench = self.bench;
        let task = job.task;
        let store = (task.cache).then_some(bench.store);
        let (made, trouble) = outputs::collect(task, before, &bench.state.files, store)
            .inspect_err(|error| bench.tell_output(task, error))
            .map_err(|error| output_failure(&error))?;
        let outputs: Vec<_> = made.iter().map(|made| made.output.clone()).collect();
        let result = Record::result(&outputs, &job.key);
        let changes = self.changes(job);
        let phase = if changes.is_empty() { Phase::Done } else { Phase::Unproven };
        if !changes.is_empty() {
            bench.emitter.emit(Event::TaskNotSaved { task: task.name.clone(), changes });
        } else if let Some(error) = trouble {
            bench.degraded(&error);
        } else if let Some((log, log_size)) = log
            && task.cache
        {
            // Who is asked to end still keeps what is done.
            self.throttle.pass(self.alarm);
            let recipe = job.recipe.clone();
            let record = Record { recipe, outputs, log, log_size, usage };
            bench.keep_record(task, &job.key, &record);
        }
        let Usage { duration_ms, peak_rss_bytes, .. } = usage;
        let key = job.key;
        let row =
            TaskRow { key, result, duration_ms, peak_rss_bytes, phase, made, ..TaskRow::default() };
        bench.state.set_row(&task.name, row);
        bench.results.set(job.id, result);
        Ok(())
    }

    /// What happened to the inputs since the key was formed.
    fn changes(&self, job: &Job<'_>) -> Vec<InputChange> {
        let files = &self.bench.state.files;
        let mut changes = Vec::new();
        for member in &job.members {
            // The times of a folder change with its members, which are looked at themselves.
            let is_dir = member.entry.kind() == Kind::Dir;
            if !is_dir {
                changes.extend(self.change(member.file, &member.entry, shown(&member.path)));
            }
        }
        for (name, (file, entry)) in &job.tools {
            changes.extend(self.change(*file, entry, name.clone()));
        }
        let listed = inputs::paths(job.task, files).unwrap_or_default();
        let known = |path: &Vec<u8>| job.members.binary_search_by(|m| m.path.cmp(path)).is_ok();
        let added = listed.iter().filter(|path| !known(path));
        changes.extend(added.map(|path| InputChange::Added { path: shown(path) }));
        changes
    }

    /// What happened to one file since the key was formed. What cannot be read has changed.
    fn change(&self, file: FileId, entry: &Entry, path: String) -> Option<InputChange> {
        match self.bench.state.files.since(file, entry).unwrap_or(Since::Changed) {
            Since::Same => None,
            Since::Touched => Some(InputChange::Touched { path }),
            Since::Changed => Some(InputChange::Changed { path }),
        }
    }

    fn end_job(&self, job: &Job<'_>, outcome: Outcome, usage: Usage) -> End {
        let (task, turn) = (job.task.name.clone(), job.laps.turn());
        self.bench.emitter.emit(Event::TaskTimed { task, turn });
        self.end(job.task, outcome, usage, job.reasons.clone())
    }

    fn end(&self, task: &Task, outcome: Outcome, usage: Usage, reasons: Vec<MissReason>) -> End {
        let end = match outcome {
            Outcome::Executed | Outcome::Cached | Outcome::UpToDate => End::Good,
            Outcome::Failed { .. } => End::Bad,
            Outcome::Cancelled => End::Cancelled,
        };
        let task = task.name.clone();
        self.bench.emitter.emit(Event::TaskFinished { task, outcome, usage, reasons });
        end
    }
}

fn is_damage(reasons: &[MissReason]) -> bool {
    reasons.iter().any(|reason| matches!(reason, MissReason::StoreDamaged { .. }))
}

fn shown(path: &[u8]) -> String {
    crate::base::text::shown(path).into_owned()
}
