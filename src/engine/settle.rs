//! Before anything starts: what is missing, and what did not change since it was last done.

use super::{Bench, Plan};
use crate::base::{Digest, Hasher, Kind, RelPath};
use crate::cache::files::Files;
use crate::cache::inputs::{self, Effort};
use crate::cache::restore::is_as;
use crate::cache::state::Phase;
use crate::graph::{Producers, TaskId};
use crate::manifest::{Input, Spanned, Task};

/// The tasks that are up to date.
#[derive(Debug)]
pub struct Settled {
    /// By task.
    pub is_settled: Vec<bool>,
    pub count: usize,
    /// What they took when they ran.
    pub saved_ms: u64,
}

/// The inputs that are not there and that no task makes, in the order of the plan.
pub fn missing_inputs<'a>(
    plan: Plan<'a>,
    files: &Files,
) -> Vec<(&'a Task, &'a Spanned<Input>, &'a RelPath)> {
    let mut producers = None;
    let mut missing = Vec::new();
    for id in plan.in_order() {
        let task = plan.task(id);
        for input in &task.inputs {
            let Input::Path(path) = &input.value else { continue };
            let file = files.intern(path.as_bytes());
            // A link that is as it was may lead nowhere now.
            let is_there = files.settled(file).is_some_and(|entry| entry.kind() != Kind::Link);
            if is_there || files.exists(file) {
                continue;
            }
            let producers = producers.get_or_insert_with(|| Producers::new(plan.manifest));
            if !producers.makes(path) {
                missing.push((task, input, path));
            }
        }
    }
    missing
}

/// Finds what is up to date without hashing or starting anything. The tasks that stand, by task,
/// are known to be; they are not counted.
pub fn settle(bench: &Bench<'_>, stands: Option<&[bool]>) -> Settled {
    let plan = bench.plan;
    let mut settled = Settled { is_settled: vec![false; plan.graph.len()], count: 0, saved_ms: 0 };
    for id in plan.in_order() {
        let deps = plan.graph.deps(id);
        if !deps.iter().all(|dep| settled.is_settled[dep.index()]) {
            continue;
        }
        let task = plan.task(id);
        if stands.is_some_and(|stands| stands[id.index()]) {
            let result = match task.command {
                None => group_result(bench, id),
                Some(_) => bench
                    .state
                    .with_row(&task.name, |row| row.map(|row| row.result))
                    .unwrap_or_default(),
            };
            bench.results.set(id, result);
            settled.is_settled[id.index()] = true;
            continue;
        }
        let found = if task.command.is_none() {
            Some((group_result(bench, id), 0))
        } else if bench.options.force || !task.cache {
            None
        } else {
            current(bench, task)
        };
        if let Some((result, duration_ms)) = found {
            bench.results.set(id, result);
            settled.is_settled[id.index()] = true;
            settled.count += 1;
            settled.saved_ms += duration_ms;
        }
    }
    settled
}

/// The result of a task that groups others: theirs.
pub(super) fn group_result(bench: &Bench<'_>, id: TaskId) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"rvmgrp\0\x01");
    for &dep in bench.plan.graph.deps(id) {
        let result = bench.results.get(dep).unwrap_or_default();
        hasher.update(result.as_bytes());
    }
    hasher.finish()
}

/// The result and duration of a task whose inputs, outputs and settings are known to be as when
/// it was last done.
fn current(bench: &Bench<'_>, task: &Task) -> Option<(Digest, u64)> {
    let files = &bench.state.files;
    if !bench.state.with_row(&task.name, |row| row.is_some_and(|row| row.phase == Phase::Done)) {
        return None;
    }
    let members = inputs::members(task, files, Effort::Known, bench.options.max_input).ok()??;
    let tools = inputs::tools(task, bench.environment, files, Effort::Known).ok()??;
    let recipe =
        inputs::recipe(task, bench.environment, &tools, &members, |dep| bench.result_of(dep));
    let key = recipe.key();
    let found = bench.state.with_row(&task.name, |row| {
        let row = row.filter(|row| row.key == key)?;
        let as_made = row
            .made
            .iter()
            .all(|made| files.settled(made.file).is_some_and(|entry| is_as(&entry, &made.output)));
        as_made.then_some((row.result, row.duration_ms))
    })?;
    if bench.options.replay && !bench.has_log(&key) {
        return None;
    }
    Some(found)
}

impl Bench<'_> {
    /// Shows what the settled tasks wrote when they ran, if that was asked for.
    pub fn replay_settled(&self, settled: &Settled) {
        if !self.options.replay {
            return;
        }
        for id in self.plan.in_order().filter(|id| settled.is_settled[id.index()]) {
            let name = &self.plan.task(id).name;
            if let Some(row) = self.state.row(name) {
                self.replay_key(name, &row.key);
            }
        }
    }

    /// The result of a dependency by its name; it is settled when this is asked.
    pub(super) fn result_of(&self, name: &crate::base::TaskName) -> Digest {
        self.plan.graph.id_of(name).and_then(|id| self.results.get(id)).unwrap_or_default()
    }
}
