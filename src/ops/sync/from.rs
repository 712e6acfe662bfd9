//! What the remote store has for the tasks of a manifest. Their keys are formed as in a run, one
//! wave of tasks after the other: what the record of a task says is what those after it would read.

use std::collections::{BTreeMap, BTreeSet};

use super::pool::each;
use super::{Direction, Refused, Synced, open, record_bytes};
use crate::base::relpath::is_in;
use crate::base::{Digest, FileError};
use crate::cache::record::{Found, Look, Record, Records};
use crate::engine::{self, Bench, Fate, Forecast, Options, Results};
use crate::event::{Emitter, MissReason};
use crate::graph::TaskId;
use crate::home::Home;
use crate::manifest::Task;
use crate::ops::build::{quiet_options, threads};
use crate::ops::explain::problem;
use crate::ops::project::Project;
use crate::ops::types::{BuildOptions, Error};
use crate::ops::upkeep::note_added;
use crate::ops::{earlier, figures, security};
use crate::store::remote::{Name, Presence, Remote};
use crate::store::{self, DiskStore, Packing, User};

impl Project {
    /// Fetches the results that the remote store has for the tasks that the targets need.
    pub fn sync_from(&self, options: &BuildOptions) -> Result<Synced, Error> {
        let opened = open(&options.config.remote_cas, Direction::FromRemote)?;
        let needed = self.needed(&options.targets)?;
        let home = Home::new(Some(&options.config.cache.cache_dir));
        let emitter = Emitter::new(String::new(), Vec::new());
        security::refuse_exposed(&home, &emitter)?;
        let state = earlier::load(&home, &self.path, options, true);
        state.files.look_at_all(threads());
        let packing = Packing::of(&options.config.compression);
        let (store, records) = (DiskStore::new(&home).packing(packing), Records::new(&home));
        let bench = Bench {
            plan: self.plan(&needed),
            options: Options { force: false, ..quiet_options(options) },
            home: &home,
            state: &state,
            store: &store,
            records: &records,
            leases: None,
            began_ns: 0,
            environment: &options.environment,
            emitter: &emitter,
            results: Results::new(self.graph.len()),
        };
        let done = Synced::new(Direction::FromRemote, &opened, options.dry_run);
        let dry_run = options.dry_run;
        let remote = &opened.remote;
        let mut fetcher = Fetcher { bench: &bench, remote, dry_run, done, user: None };
        let fetched = fetcher.all();
        if !dry_run {
            figures::keep_requests(&home, &opened.remote.measures());
            note_added(&home, store.added().get().1 + records.added().get().1);
        }
        fetched?;
        fetcher.done.requests = remote.requests();
        Ok(fetcher.done.sorted())
    }
}

/// What is to be done for a task.
enum Step {
    /// Its result is known: nothing more.
    Settled,
    /// The cache has it.
    Here(Digest, Box<Record>),
    /// The remote store has a record.
    Wanted(Digest, Box<Record>),
    Missing,
    Refused(Refused),
    LeftOut(String),
}

/// What came of an object.
enum Got {
    Now,
    Absent,
    Refused(Refused),
}

struct Fetcher<'a> {
    bench: &'a Bench<'a>,
    remote: &'a dyn Remote,
    dry_run: bool,
    done: Synced,
    user: Option<User>,
}

impl Fetcher<'_> {
    /// Wave after wave: those whose dependencies all have their results.
    fn all(&mut self) -> Result<(), Error> {
        let plan = self.bench.plan;
        let mut unmet: BTreeMap<TaskId, usize> =
            plan.in_order().map(|id| (id, plan.graph.deps(id).len())).collect();
        let mut wave: Vec<TaskId> = plan.in_order().filter(|id| unmet[id] == 0).collect();
        let mut prepared = self.dry_run;
        while !wave.is_empty() {
            self.wave(&wave, &mut prepared)?;
            let mut next = Vec::new();
            for id in wave {
                unmet.remove(&id);
                if self.bench.results.get(id).is_none() {
                    continue;
                }
                for dependent in plan.graph.dependents(id) {
                    if let Some(count) = unmet.get_mut(dependent) {
                        *count -= 1;
                        if *count == 0 {
                            next.push(*dependent);
                        }
                    }
                }
            }
            wave = next;
        }
        for id in unmet.into_keys() {
            let open = |dep: &&TaskId| self.bench.results.get(**dep).is_none();
            let first = plan.graph.deps(id).iter().find(open);
            let name = first.map_or("", |dep| plan.task(*dep).name.as_str());
            let task = format!("task `{}`", plan.task(id).name);
            self.done.leave_out(task, format!("the result of `{name}` is not known"));
        }
        Ok(())
    }

    fn wave(&mut self, wave: &[TaskId], prepared: &mut bool) -> Result<(), Error> {
        let steps = each(wave, |id| self.step(*id))?;
        let mut wanted = Vec::new();
        for (&id, step) in wave.iter().zip(steps) {
            match step {
                Step::Settled => {}
                Step::Here(key, record) => {
                    self.done.records_there += 1;
                    engine::foresee(self.bench, id, &key, &record);
                }
                Step::Wanted(key, record) => wanted.push((id, key, record)),
                Step::Missing => self.done.missing += 1,
                Step::Refused(what) => {
                    self.done.missing += 1;
                    self.done.refused.push(what);
                }
                Step::LeftOut(why) => {
                    let name = &self.bench.plan.task(id).name;
                    self.done.leave_out(format!("task `{name}`"), why);
                }
            }
        }
        if !wanted.is_empty() && !std::mem::replace(prepared, true) {
            self.bench.home.prepare()?;
            // What is fetched is not collected before the record that names it is there.
            self.user = User::enter(self.bench.home).ok();
        }
        let lost = self.objects(&wanted)?;
        for (id, key, record) in wanted {
            self.keep(id, &key, &record, &lost)?;
        }
        Ok(())
    }

    fn step(&self, id: TaskId) -> Result<Step, Error> {
        let bench = self.bench;
        let task = bench.plan.task(id);
        let (key, fate) = match engine::forecast(bench, id) {
            Forecast::Waits(_) => return Ok(Step::LeftOut("its dependencies are open".into())),
            Forecast::Blocked(failure) => return Ok(Step::LeftOut(problem(&failure))),
            Forecast::Known { .. } if task.command.is_none() => return Ok(Step::Settled),
            Forecast::Known { key, fate, .. } => (key, fate),
        };
        if fate == Fate::Runs(vec![MissReason::CacheOff]) {
            return Ok(Step::LeftOut("it is never cached".into()));
        }
        // A record of which an object is lost is as good as none.
        let here = match bench.records.find(&key, Look::Only) {
            Found::Record(record) if self.has_objects(&record) => Some(record),
            _ => None,
        };
        match (here, fate) {
            (Some(_), Fate::UpToDate) => Ok(Step::Settled),
            (Some(record), _) => Ok(Step::Here(key, record)),
            (None, fate) => match self.ask(task, key)? {
                // Nothing is missing where the workspace has the result.
                Step::Missing if fate == Fate::UpToDate => Ok(Step::Settled),
                step => Ok(step),
            },
        }
    }

    fn has_objects(&self, record: &Record) -> bool {
        record.objects().all(|(digest, size)| self.bench.store.has(&digest, size))
    }

    fn ask(&self, task: &Task, key: Digest) -> Result<Step, Error> {
        let name = Name::record(key);
        let bytes = match record_bytes(self.remote, &name)? {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Step::Missing),
            Err(problem) => return Ok(Step::Refused(self.refused(&name, problem))),
        };
        let record = Record::parse(&bytes, &key).and_then(|record| match of_task(task, &record) {
            true => Ok(record),
            false => Err("its outputs are not those of the task"),
        });
        Ok(match record {
            Ok(record) => Step::Wanted(key, Box::new(record)),
            Err(problem) => Step::Refused(self.refused(&name, problem)),
        })
    }

    fn refused(&self, name: &Name, problem: impl Into<String>) -> Refused {
        Refused { url: self.remote.address(name), problem: problem.into() }
    }

    /// Fetches the objects of these records that are not here; those that could not be had.
    fn objects(
        &mut self,
        wanted: &[(TaskId, Digest, Box<Record>)],
    ) -> Result<BTreeSet<(Digest, u64)>, Error> {
        let all: BTreeSet<(Digest, u64)> =
            wanted.iter().flat_map(|(_, _, record)| record.objects()).collect();
        let store = self.bench.store;
        // Who only looks makes nothing young.
        let look = if self.dry_run { DiskStore::has } else { DiskStore::keep };
        let (here, away): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(digest, size)| look(store, digest, *size));
        self.done.objects_there += here.len();
        let got = each(&away, |(digest, size)| self.object(digest, *size))?;
        let mut lost = BTreeSet::new();
        for (object, got) in away.into_iter().zip(got) {
            match got {
                Got::Now => {
                    self.done.objects += 1;
                    self.done.bytes += object.1;
                    continue;
                }
                Got::Absent => {}
                Got::Refused(what) => self.done.refused.push(what),
            }
            lost.insert(object);
        }
        Ok(lost)
    }

    fn object(&self, digest: &Digest, size: u64) -> Result<Got, Error> {
        let name = Name::object(*digest);
        if self.dry_run {
            let there = self.remote.look_for(&name)?;
            return Ok(if there == Presence::Absent { Got::Absent } else { Got::Now });
        }
        let mut incoming = self.bench.store.receive(digest, size)?;
        let there = self.remote.get(&name, size, &mut incoming);
        let refusal = match (incoming.stopped(), there) {
            (Some(refusal), _) => refusal,
            (None, Ok(false)) => return Ok(Got::Absent),
            (None, Ok(true)) => match incoming.finish() {
                Ok(()) => return Ok(Got::Now),
                Err(refusal) => refusal,
            },
            (None, Err(error)) => return Err(error.into()),
        };
        match refusal {
            store::Refused::Wrong(problem) => Ok(Got::Refused(self.refused(&name, problem))),
            store::Refused::File(error) => Err(error.into()),
        }
    }

    /// Keeps a record whose objects are all here.
    fn keep(
        &mut self,
        id: TaskId,
        key: &Digest,
        record: &Record,
        lost: &BTreeSet<(Digest, u64)>,
    ) -> Result<(), FileError> {
        if let Some((digest, _)) = record.objects().find(|object| lost.contains(object)) {
            self.done.missing += 1;
            let task = format!("task `{}`", self.bench.plan.task(id).name);
            let why = format!("the store has its record, and no usable object {}", digest.short());
            self.done.leave_out(task, why);
            return Ok(());
        }
        if !self.dry_run {
            self.bench.records.put(key, record)?;
        }
        self.done.records += 1;
        // What is in the workspace already stays as it is.
        if self.bench.results.get(id).is_none() {
            engine::foresee(self.bench, id, key, record);
        }
        Ok(())
    }
}

/// Whether a record has the outputs of a task, and none beside them: a run would write them all.
fn of_task(task: &Task, record: &Record) -> bool {
    let declared = || task.outputs.iter().map(|output| output.value.as_bytes());
    let made = || record.outputs.iter().map(|output| output.path.as_bytes());
    made().all(|path| declared().any(|output| is_in(path, output)))
        && declared().all(|output| made().any(|path| path == output))
}
