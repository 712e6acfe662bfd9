//! Tasks as dense ids, the edges between them (declared, and inferred from files), cycles, and
//! what a target needs.
//!
//! Knows nothing of commands.

use std::collections::HashMap;

use crate::base::pattern::folder_ends;
use crate::base::{Diagnostic, Pattern, RelPath, TaskName};
use crate::manifest::{Input, Manifest, Task};

/// A task: its index in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

impl TaskId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What depends on what. Without cycles once [`Graph::order`] has succeeded.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Sorted, each once.
    deps: Vec<Vec<TaskId>>,
    /// Sorted, each once.
    dependents: Vec<Vec<TaskId>>,
    names: HashMap<TaskName, TaskId>,
}

impl Graph {
    /// All edges of the manifest. Names and outputs have been checked.
    pub fn new(manifest: &Manifest) -> Self {
        let names: HashMap<TaskName, TaskId> = ids(manifest.tasks.len())
            .map(|id| (manifest.tasks[id.index()].name.clone(), id))
            .collect();
        let producers = Producers::new(manifest);
        let mut deps = Vec::with_capacity(manifest.tasks.len());
        for id in ids(manifest.tasks.len()) {
            let task = &manifest.tasks[id.index()];
            let mut of: Vec<TaskId> =
                task.deps.iter().filter_map(|dep| names.get(&dep.value).copied()).collect();
            producers.of_inputs(task, id, &mut of);
            of.sort_unstable();
            of.dedup();
            deps.push(of);
        }
        Self { names, ..Self::from_deps(deps) }
    }

    /// As [`Graph::new`], where the dependencies of each task are known, sorted and each once.
    pub fn of_tasks(manifest: &Manifest, deps: Vec<Vec<TaskId>>) -> Self {
        let names = manifest.tasks.iter().map(|task| task.name.clone());
        Self { names: names.zip(ids(deps.len())).collect(), ..Self::from_deps(deps) }
    }

    /// From the dependencies of each task, sorted and each once.
    pub fn from_deps(deps: Vec<Vec<TaskId>>) -> Self {
        let mut dependents = vec![Vec::new(); deps.len()];
        for (id, of) in ids(deps.len()).zip(&deps) {
            for dep in of {
                dependents[dep.index()].push(id);
            }
        }
        Self { deps, dependents, names: HashMap::new() }
    }

    pub fn id_of(&self, name: &TaskName) -> Option<TaskId> {
        self.names.get(name).copied()
    }

    pub fn len(&self) -> usize {
        self.deps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.deps.is_empty()
    }

    pub fn deps(&self, id: TaskId) -> &[TaskId] {
        &self.deps[id.index()]
    }

    pub fn dependents(&self, id: TaskId) -> &[TaskId] {
        &self.dependents[id.index()]
    }

    /// Which tasks `targets` need, themselves included.
    pub fn needed(&self, targets: &[TaskId]) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        let mut open = targets.to_vec();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut needed[id.index()], true) {
                open.extend(self.deps(id));
            }
        }
        needed
    }

    /// All tasks, dependencies first, otherwise as the manifest has them; or a cycle, its first
    /// task not repeated.
    pub fn order(&self) -> Result<Vec<TaskId>, Vec<TaskId>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            /// On the path from the task that the search began with.
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.len()];
        let mut order = Vec::with_capacity(self.len());
        let mut path: Vec<(TaskId, usize)> = Vec::new();
        for start in ids(self.len()) {
            if marks[start.index()] != Mark::New {
                continue;
            }
            marks[start.index()] = Mark::Open;
            path.push((start, 0));
            while let Some((id, next)) = path.last_mut() {
                let id = *id;
                let Some(&dep) = self.deps(id).get(*next) else {
                    marks[id.index()] = Mark::Done;
                    order.push(id);
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[dep.index()] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[dep.index()] = Mark::Open;
                        path.push((dep, 0));
                    }
                    Mark::Open => {
                        let at = path.iter().position(|&(id, _)| id == dep).unwrap_or(0);
                        return Err(path[at..].iter().map(|&(id, _)| id).collect());
                    }
                }
            }
        }
        Ok(order)
    }
}

/// Ids `0..count`.
pub fn ids(count: usize) -> impl Iterator<Item = TaskId> {
    (0..u32::try_from(count).unwrap_or(u32::MAX)).map(TaskId)
}

/// The mistake that a cycle is, with the places of its tasks.
pub fn cycle_diagnostic(manifest: &Manifest, cycle: &[TaskId]) -> Diagnostic {
    const SHOWN: usize = 20;
    let task = |id: TaskId| &manifest.tasks[id.index()];
    let mut names: Vec<&str> = cycle.iter().map(|&id| task(id).name.as_str()).collect();
    let first = names[0];
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("...");
    }
    names.push(first);
    let mut diagnostic =
        Diagnostic::new(format!("tasks depend on each other in a cycle: {}", names.join(" -> ")));
    for (at, &id) in cycle.iter().enumerate().take(SHOWN) {
        let next = task(cycle[(at + 1) % cycle.len()]);
        let (span, label) = match task(id).deps.iter().find(|dep| dep.value == next.name) {
            Some(dep) => (dep.span, format!("`{}` depends on `{}`", task(id).name, next.name)),
            None => (
                edge_span(task(id), next),
                format!("`{}` reads what `{}` makes", task(id).name, next.name),
            ),
        };
        let place = manifest.place(span);
        diagnostic =
            if at == 0 { diagnostic.at(place, label) } else { diagnostic.also(place, label) };
    }
    diagnostic.help("take one of these dependencies out")
}

/// Where the task names what the other makes.
fn edge_span(task: &Task, producer: &Task) -> crate::manifest::Span {
    let makes = |path: &RelPath| {
        producer.outputs.iter().any(|out| path.is_in(&out.value) || out.value.is_in(path))
    };
    task.inputs
        .iter()
        .find(|input| match &input.value {
            Input::Path(path) => makes(path),
            Input::Glob(_) | Input::Exclude(_) => false,
        })
        .or_else(|| task.inputs.iter().find(|input| matches!(input.value, Input::Glob(_))))
        .map_or(task.span, |input| input.span)
}

/// Who makes what, sorted by path.
#[derive(Debug)]
pub struct Producers<'a> {
    outputs: Vec<(&'a [u8], TaskId)>,
}

impl<'a> Producers<'a> {
    pub fn new(manifest: &'a Manifest) -> Self {
        let mut outputs: Vec<(&[u8], TaskId)> = Vec::new();
        for id in ids(manifest.tasks.len()) {
            let task = &manifest.tasks[id.index()];
            outputs.extend(task.outputs.iter().map(|out| (out.value.as_bytes(), id)));
        }
        outputs.sort_unstable();
        Self { outputs }
    }

    /// Whether a task makes the path: it is an output, lies in one, or holds one.
    pub fn makes(&self, path: &RelPath) -> bool {
        let path = path.as_bytes();
        folder_ends(path).any(|end| self.at(&path[..end]).next().is_some())
            || self.below(path).next().is_some()
    }

    /// The tasks whose outputs the inputs of `task` are, hold, lie in, or may match.
    fn of_inputs(&self, task: &Task, id: TaskId, into: &mut Vec<TaskId>) {
        let excludes: Vec<Pattern> = task
            .inputs
            .iter()
            .filter_map(|input| match &input.value {
                Input::Exclude(text) => Pattern::parse(text).ok(),
                _ => None,
            })
            .collect();
        for input in &task.inputs {
            match &input.value {
                Input::Path(path) => self.of_path(path.as_bytes(), into),
                Input::Glob(glob) => self.of_glob(glob, &excludes, into),
                Input::Exclude(_) => {}
            }
        }
        into.retain(|&producer| producer != id);
    }

    fn of_path(&self, path: &[u8], into: &mut Vec<TaskId>) {
        for end in folder_ends(path) {
            into.extend(self.at(&path[..end]));
        }
        into.extend(self.below(path).map(|(_, id)| id));
    }

    /// Outputs strictly below a folder.
    fn below(&self, folder: &[u8]) -> impl Iterator<Item = (&'a [u8], TaskId)> {
        let mut start = folder.to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        let at = self.outputs.partition_point(|&(out, _)| out < start.as_slice());
        self.outputs[at..].iter().copied().take_while(move |&(out, _)| out.starts_with(&start))
    }

    fn at(&self, path: &[u8]) -> impl Iterator<Item = TaskId> {
        let start = self.outputs.partition_point(|&(out, _)| out < path);
        let end = self.outputs.partition_point(|&(out, _)| out <= path);
        self.outputs[start..end].iter().map(|&(_, id)| id)
    }

    fn of_glob(&self, glob: &str, excludes: &[Pattern], into: &mut Vec<TaskId>) {
        // One that cannot be read was refused with the manifest.
        let Ok(pattern) = Pattern::parse(glob) else { return };
        let base = pattern.base();
        // The folders of the literal part: what lies in one is made with it.
        for end in folder_ends(&base) {
            into.extend(self.at(&base[..end]));
        }
        for (out, id) in self.below(&base) {
            let wanted = pattern.is_match(out) || pattern.may_match_below(out);
            if wanted && !excludes.iter().any(|exclude| exclude.covers(out)) {
                into.push(id);
            }
        }
    }
}
