//! A run with few changes: only the tasks that they can concern are read and looked at, from the
//! manifest as it was last understood. All others stand as the first look found them.
//!
//! Whatever is not as expected leaves the run to the long way, before anything was told or done.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use super::Seen;
use super::standing::{Part, place};
use crate::base::TaskName;
use crate::base::clock::Stopwatch;
use crate::cache::compiled::{Compiled, Source};
use crate::cache::standing::{Differences, Standing};
use crate::cache::state::{Phase, State, Wanted};
use crate::engine::missing_inputs;
use crate::event::{Emitter, Observer};
use crate::graph::{Graph, TaskId};
use crate::home::{Home, Lock};
use crate::manifest::{Input, Manifest, Task};
use crate::ops::build::{Ready, run_id};
use crate::ops::danger::dangers;
use crate::ops::project::Project;
use crate::ops::types::{BuildOptions, Error, Location, Report};

/// Of so many tasks or fewer any number may be concerned; of more, every fourth.
const FEW: usize = 64;
/// A journal of more bytes, and of more than this part of the state's, is worth a run the long way,
/// which writes the state anew: each run reads all of the journal, which takes 2 ms for 700 KB.
const LONG_JOURNAL: u64 = 64 << 10;
const LONG_PART: u64 = 32;

/// The part of a project that changes can concern, ready to run.
#[derive(Debug)]
pub struct Slice {
    project: Project,
    home: Home,
    lock: Lock,
    state: State,
    part: Part,
}

/// Tasks of the whole manifest: those that changes can concern, and those that they depend on.
struct Reach {
    concerned: BTreeSet<TaskId>,
    all: BTreeSet<TaskId>,
}

impl Slice {
    /// What the differences that were seen can concern. None: it is not known, or too much.
    pub fn find(location: &Location, options: &BuildOptions, seen: &Seen) -> Option<Self> {
        let differences = seen.0.as_ref()?;
        let watch = Stopwatch::start();
        let manifest = location.path();
        let home = Home::new(Some(&options.config.cache.cache_dir));
        let (_, basis) = place(&home, manifest, options);
        let (before, done) = Standing::parse(&differences.written, &basis)?;
        let compiled = Compiled::open(&home.compiled(manifest))?;
        let stands = |(path, sig): &Source| before.has(&[path, &b"\0"[..]].concat(), sig);
        if !compiled.sources.iter().all(stands) {
            return None;
        }
        let reach = reach(&compiled, differences, &before, options)?;
        let (project, stands) = cut(&compiled, &reach, manifest, watch)?;
        let wanted = wanted(&project, &before, &stands);
        let journal = home.journal(manifest);
        let length = |path: &Path| std::fs::symlink_metadata(path).map_or(0, |meta| meta.len());
        if length(&journal) > LONG_JOURNAL.max(length(&home.state(manifest)) / LONG_PART) {
            return None;
        }
        // Who has to wait says for whom, and finds other files than these.
        let lock = home.lock(&options.command, |_| Duration::ZERO).ok()?;
        let stage = Some(home.stage());
        let state = State::load_part(home.state(manifest), journal, stage, &wanted)?;
        if !before.has_now(&home.state(manifest)) || !before.has_now(&home.journal(manifest)) {
            return None;
        }
        state.files.settle_all_but(&differences.paths);
        state.files.look_at_all(1);
        let durations = durations(&project, &state, &stands)?;
        let needed = vec![true; stands.len()];
        let part = Part { stands, before, tasks: done.tasks, saved_ms: done.saved_ms, durations };
        let slice = Self { project, home, lock, state, part };
        missing_inputs(slice.project.plan(&needed), &slice.state.files).is_empty().then_some(slice)
    }

    /// Runs what must run, as [`Project::build`] does.
    pub fn build(
        self,
        options: &BuildOptions,
        observers: Vec<Box<dyn Observer>>,
    ) -> Result<Report, Error> {
        let Self { project, home, lock, state, part } = self;
        let id = run_id();
        let _span = tracing::error_span!("run", %id).entered();
        let emitter = Emitter::new(id, observers);
        let needed = vec![true; part.stands.len()];
        tracing::debug!(tasks = needed.len(), "only these tasks are looked at");
        let ready = Ready { needed, home, state, part: Some(part), _lock: Some(lock) };
        let report = project.perform(ready, options, &emitter);
        project.after(report, options)
    }
}

/// The tasks that the differences can concern, all that depend on those, and what they read.
fn reach(
    compiled: &Compiled,
    differences: &Differences,
    before: &Standing,
    options: &BuildOptions,
) -> Option<Reach> {
    let needed = needed(compiled, &options.targets)?;
    let mut open: Vec<TaskId> = Vec::new();
    for path in &differences.paths {
        let path = path.strip_suffix(&[0]).unwrap_or(path);
        let is_source = compiled.sources.iter().any(|(source, _)| source == path);
        let is_tool =
            before.tools.iter().any(|tool| tool.found.as_os_str().as_encoded_bytes() == path);
        let concerned = compiled.concerned(path)?;
        if is_source || is_tool || concerned.is_empty() {
            return None;
        }
        open.extend(concerned);
    }
    let limit = FEW.max(compiled.len() / 4);
    let mut concerned = BTreeSet::new();
    while let Some(id) = open.pop() {
        if needed.as_ref().is_some_and(|needed| !needed.contains(&id)) || !concerned.insert(id) {
            continue;
        }
        if concerned.len() > limit {
            return None;
        }
        open.extend(compiled.dependents(id)?);
    }
    let mut all = concerned.clone();
    let mut open: Vec<TaskId> = concerned.iter().copied().collect();
    while let Some(id) = open.pop() {
        for dep in compiled.deps(id)? {
            // The result of a task that groups others is made of theirs.
            if all.insert(dep) && compiled.task(dep)?.command.is_none() {
                open.push(dep);
            }
        }
    }
    (!concerned.is_empty()).then_some(Reach { concerned, all })
}

/// What the targets need; none where that is all.
fn needed(compiled: &Compiled, targets: &[String]) -> Option<Option<HashSet<TaskId>>> {
    if targets.is_empty() {
        return Some(None);
    }
    let mut needed = HashSet::new();
    let mut open = Vec::new();
    for target in targets {
        open.push(compiled.id_of(&TaskName::parse(target).ok()?)?);
    }
    while let Some(id) = open.pop() {
        if needed.insert(id) {
            open.extend(compiled.deps(id)?);
        }
    }
    Some(Some(needed))
}

/// A project of the reached tasks alone, and which of them stand.
fn cut(
    compiled: &Compiled,
    reach: &Reach,
    path: &std::path::Path,
    watch: Stopwatch,
) -> Option<(Project, Vec<bool>)> {
    let ids: Vec<TaskId> = reach.all.iter().copied().collect();
    let number = |id: &TaskId| ids.binary_search(id).ok().map(|at| TaskId(at as u32));
    let mut manifest = Manifest { pools: compiled.pools.clone(), ..Manifest::default() };
    let mut deps = Vec::with_capacity(ids.len());
    let mut stands = Vec::with_capacity(ids.len());
    for id in &ids {
        let task = compiled.task(*id)?;
        let concerned = reach.concerned.contains(id);
        // To warn of a command takes the place where it stands.
        if concerned && task.command.as_deref().is_some_and(|text| !dangers(text).is_empty()) {
            return None;
        }
        let reads = concerned || task.command.is_none();
        let of = if reads { compiled.deps(*id)? } else { Vec::new() };
        deps.push(of.iter().map(number).collect::<Option<Vec<_>>>()?);
        stands.push(!concerned);
        manifest.tasks.push(task);
    }
    let graph = Graph::of_tasks(&manifest, deps);
    let order = graph.order().ok()?;
    Some((Project::of_parts(path, manifest, graph, order, watch), stands))
}

/// What of the state is needed for these tasks.
fn wanted(project: &Project, before: &Standing, stands: &[bool]) -> Wanted {
    let mut wanted = Wanted::default();
    for tool in &before.tools {
        wanted.paths.insert(tool.found.as_os_str().as_encoded_bytes().to_vec());
    }
    for (task, &stands) in project.manifest.tasks.iter().zip(stands) {
        wanted.tasks.insert(task.name.clone());
        if !stands {
            wanted.paths.extend(paths(task));
        }
    }
    wanted
}

/// What a task names, patterns by the folder that they begin in.
fn paths(task: &Task) -> impl Iterator<Item = Vec<u8>> {
    let outputs = task.outputs.iter().map(|output| output.value.as_bytes().to_vec());
    let inputs = task.inputs.iter().filter_map(|input| match &input.value {
        Input::Path(path) => Some(path.as_bytes().to_vec()),
        Input::Glob(text) => crate::base::Pattern::parse(text).ok().map(|glob| glob.base()),
        Input::Exclude(_) => None,
    });
    outputs.chain(inputs)
}

/// What the concerned tasks took when they last ran. None where a task that stands did not end
/// well.
fn durations(project: &Project, state: &State, stands: &[bool]) -> Option<u64> {
    let mut sum = 0;
    for (task, &stands) in project.manifest.tasks.iter().zip(stands) {
        if task.command.is_none() {
            continue;
        }
        let took = state.with_row(&task.name, |row| {
            row.filter(|row| row.phase == Phase::Done).map(|row| row.duration_ms)
        });
        match took {
            Some(took) if !stands => sum += took,
            None if stands => return None,
            _ => {}
        }
    }
    Some(sum)
}
