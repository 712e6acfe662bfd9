//! What would happen, without anything happening: nothing is written, not even what was hashed.

use super::Bench;
use super::refusal::input_failure;
use super::settle::Settled;
use crate::base::{Digest, Kind, TaskName};
use crate::cache::files::Expectation;
use crate::cache::inputs::{self, Effort};
use crate::cache::recipe::Recipe;
use crate::cache::record::{Found, Look, Record};
use crate::cache::state::{Phase, TaskRow};
use crate::event::{Event, Failure, MissReason, Outcome, Usage};
use crate::graph::TaskId;
use crate::manifest::Task;
use crate::store::FetchError;

/// What can be said of a task before anything runs.
#[derive(Debug)]
pub enum Forecast {
    /// Its dependencies decide: these have to run first.
    Waits(Vec<TaskName>),
    /// Its inputs cannot be read.
    Blocked(Failure),
    Known {
        recipe: Recipe,
        key: Digest,
        fate: Fate,
    },
}

/// What would become of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    UpToDate,
    Restored(Vec<MissReason>),
    Runs(Vec<MissReason>),
}

/// Tells what each task that is not settled would do.
pub fn dry_run(bench: &Bench<'_>, settled: &Settled) {
    let plan = bench.plan;
    for id in plan.in_order().filter(|id| !settled.is_settled[id.index()]) {
        let name = plan.task(id).name.clone();
        let planned = |reasons, restore, waits_for| Event::TaskPlanned {
            task: name.clone(),
            reasons,
            restore,
            waits_for,
        };
        let event = match forecast(bench, id) {
            Forecast::Waits(waits_for) => planned(Vec::new(), false, waits_for),
            Forecast::Known { fate: Fate::Runs(reasons), .. } => {
                planned(reasons, false, Vec::new())
            }
            Forecast::Known { fate: Fate::Restored(reasons), .. } => {
                planned(reasons, true, Vec::new())
            }
            Forecast::Known { fate: Fate::UpToDate, .. } => Event::TaskFinished {
                task: name,
                outcome: Outcome::UpToDate,
                usage: Usage::default(),
                reasons: Vec::new(),
            },
            Forecast::Blocked(failure) => Event::TaskFinished {
                task: name,
                outcome: Outcome::Failed { failure },
                usage: Usage::default(),
                reasons: Vec::new(),
            },
        };
        bench.emitter.emit(event);
    }
}

/// What can be said of one task; of its dependencies it has been asked before.
pub fn forecast(bench: &Bench<'_>, id: TaskId) -> Forecast {
    let plan = bench.plan;
    let task = plan.task(id);
    let open = |dep: &&TaskId| bench.results.get(**dep).is_none();
    let waits: Vec<TaskName> =
        plan.graph.deps(id).iter().filter(open).map(|&dep| plan.task(dep).name.clone()).collect();
    if !waits.is_empty() {
        return Forecast::Waits(waits);
    }
    if task.command.is_none() {
        bench.results.set(id, super::settle::group_result(bench, id));
        let (recipe, key) = (Recipe::default(), Digest::default());
        return Forecast::Known { recipe, key, fate: Fate::UpToDate };
    }
    let files = &bench.state.files;
    let tools = inputs::tools(task, bench.environment, files, Effort::Full);
    let both = inputs::members(task, files, Effort::Full, bench.options.max_input)
        .and_then(|members| Ok((members.unwrap_or_default(), tools?.unwrap_or_default())));
    let (members, tools) = match both {
        Ok(both) => both,
        Err(error) => {
            let failure = input_failure(&error);
            bench.tell_input(task, &failure);
            return Forecast::Blocked(failure);
        }
    };
    let recipe =
        inputs::recipe(task, bench.environment, &tools, &members, |dep| bench.result_of(dep));
    let key = recipe.key();
    let fate = bench.fate(task, &recipe, &key);
    if let Some(result) = bench.known_result(task, &key, &fate) {
        bench.results.set(id, result);
    }
    Forecast::Known { recipe, key, fate }
}

/// Takes for granted that a run would give the task this record: its result, and the files that
/// others read. Nothing is put into place.
pub fn foresee(bench: &Bench<'_>, id: TaskId, key: &Digest, record: &Record) {
    bench.results.set(id, Record::result(&record.outputs, key));
    let files = &bench.state.files;
    let row = bench.state.row(&bench.plan.task(id).name).unwrap_or_default();
    let own = row.made.iter().filter(|made| made.owned);
    for path in own.map(|made| made.output.path.as_bytes()) {
        files.expect(path, Expectation::GONE);
    }
    for output in &record.outputs {
        let (kind, digest, size) = (output.kind, output.digest, output.size);
        // A link is kept as its target; one whose bytes are not here leads nowhere.
        let target =
            (kind == Kind::Link).then(|| bench.store.fetch_bytes(&digest, size).ok()).flatten();
        let what = Expectation { kind, digest, size, target: target.as_deref() };
        files.expect(output.path.as_bytes(), what);
    }
}

impl Bench<'_> {
    fn fate(&self, task: &Task, recipe: &Recipe, key: &Digest) -> Fate {
        let row = self.state.row(&task.name).unwrap_or_default();
        if !task.cache {
            return Fate::Runs(vec![MissReason::CacheOff]);
        }
        if self.options.force {
            return Fate::Runs(vec![MissReason::Forced]);
        }
        let done = row.phase == Phase::Done && row.key == *key;
        let wrong = if done { self.wrong_output(&row) } else { None };
        if done && wrong.is_none() {
            return Fate::UpToDate;
        }
        let reasons = match &wrong {
            Some(wrong) => vec![wrong.clone()],
            None => self.why(recipe, &row),
        };
        match self.records.find(key, Look::Only) {
            Found::Record(record) => match self.lost_object(&record) {
                None => Fate::Restored(reasons),
                Some(what) => Fate::Runs(vec![MissReason::StoreDamaged { what }]),
            },
            Found::Damaged { .. } => {
                Fate::Runs(vec![MissReason::StoreDamaged { what: "record".into() }])
            }
            Found::Nothing => Fate::Runs(reasons),
        }
    }

    /// The first object of a record that cannot be there as it should be, in words. What is there
    /// is read by the run itself only.
    fn lost_object(&self, record: &Record) -> Option<String> {
        let files = record.outputs.iter().filter(|output| output.kind != Kind::Dir);
        let lost = files.into_iter().find(|out| !self.store.has(&out.digest, out.size))?;
        Some(if self.store.is_occupied(&lost.digest) {
            format!("object {}", lost.digest.short())
        } else {
            FetchError::Missing(lost.digest).to_string()
        })
    }

    /// The result that a task has already or would get back.
    fn known_result(&self, task: &Task, key: &Digest, fate: &Fate) -> Option<Digest> {
        match fate {
            Fate::Runs(_) => None,
            Fate::UpToDate => {
                self.state.with_row(&task.name, |row: Option<&TaskRow>| row.map(|row| row.result))
            }
            Fate::Restored(_) => match self.records.find(key, Look::Only) {
                Found::Record(record) => Some(Record::result(&record.outputs, key)),
                Found::Nothing | Found::Damaged { .. } => None,
            },
        }
    }
}
