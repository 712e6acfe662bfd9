//! The short way through a run that has nothing to do, and what it needs to be found again.
//!
//! Knows nothing of how it is compared; that is in `cache::standing`.

use std::path::Path;

use super::build::{run_id, threads};
use super::figures;
use super::project::{DEFAULT, Project};
use super::types::{BuildOptions, Location, Report};
use crate::base::clock::Stopwatch;
use crate::base::{Digest, Sig, stat};
use crate::cache::inputs::{self, Effort};
use crate::cache::standing::{Basis, Differences, Done, Standing, Tool, Verdict, look};
use crate::cache::state::{Phase, State};
use crate::event::{Emitter, Event, Observer};
use crate::home::Home;
use crate::manifest::{Input, Task};

/// A text that was written to so shortly before it was read may have been written to since.
const TICK_NS: i64 = 2_000_000_000;

/// A run that has nothing to do: everything stands as an earlier run left it.
#[derive(Debug)]
pub struct Unchanged {
    done: Done,
    manifest: String,
    watch: Stopwatch,
}

/// What a first look tells of a run.
#[derive(Debug)]
pub enum FirstLook {
    Unchanged(Unchanged),
    /// The manifest has to be read; there may be something to do or not. What was seen saves
    /// looking again.
    Changed(Seen),
}

/// What was seen of the files.
#[derive(Debug, Default)]
pub struct Seen(pub(super) Option<Differences>);

/// Looks whether a run has anything to do, without reading the manifest.
pub fn first_look(location: &Location, options: &BuildOptions) -> FirstLook {
    let config = &options.config;
    let asks = options.dry_run
        || config.execution.force
        || config.output.replay
        || config.security.validate_checksums;
    if asks {
        return FirstLook::Changed(Seen::default());
    }
    let watch = Stopwatch::start();
    let manifest = location.manifest.as_deref().unwrap_or(Path::new(DEFAULT));
    let home = Home::new(Some(&config.cache.cache_dir));
    // What others may have written is not believed; the long way says so.
    if config.security.deny_dangerous || !matches!(home.exposed(), Ok(None)) {
        return FirstLook::Changed(Seen::default());
    }
    let (path, basis) = place(&home, manifest, options);
    match look(&path, &basis, &options.environment, threads()) {
        Verdict::Stands(done) => {
            let manifest = manifest.display().to_string();
            FirstLook::Unchanged(Unchanged { done, manifest, watch })
        }
        Verdict::Differs(differences) => {
            // Of another state than was looked at then, nothing is known.
            let state = [home.state(manifest), home.journal(manifest)];
            let same = state
                .iter()
                .all(|path| !differences.paths.contains(path.as_os_str().as_encoded_bytes()));
            FirstLook::Changed(Seen(Some(differences).filter(|all| same && all.is_whole)))
        }
        Verdict::Unknown => FirstLook::Changed(Seen::default()),
    }
}

impl Unchanged {
    /// Tells the observers what the long way would tell them.
    pub fn report(&self, options: &BuildOptions, observers: Vec<Box<dyn Observer>>) -> Report {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let id = run_id();
        let _span = tracing::error_span!("run", %id).entered();
        let emitter = Emitter::new(id, observers);
        let project = std::env::current_dir().unwrap_or_default();
        emitter.emit(Event::RunStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            manifest: self.manifest.clone(),
            project: project.display().to_string(),
            jobs: super::build::jobs(options),
            targets: options.targets.clone(),
            tasks: number(self.done.tasks),
            dry_run: false,
            force: false,
            containment: String::new(),
        });
        if self.done.tasks > 0 {
            let (count, saved_ms) = (number(self.done.tasks), self.done.saved_ms);
            emitter.emit(Event::TasksUpToDate { count, saved_ms });
        }
        let summary = emitter.summary(self.watch.elapsed());
        emitter.emit(Event::RunFinished { summary: summary.clone() });
        figures::note(&Home::new(None), &summary);
        Report { summary, problems: emitter.finish() }
    }
}

/// Where the file lies for these targets, and what else decides whether it can be used.
fn place(home: &Home, manifest: &Path, options: &BuildOptions) -> (std::path::PathBuf, Digest) {
    let targets = options
        .targets
        .iter()
        .fold(Basis::default(), |basis, target| basis.with(target.as_bytes()));
    let targets = targets.finish();
    let basis = Basis::default()
        .with(env!("CARGO_PKG_VERSION").as_bytes())
        .with(manifest.as_os_str().as_encoded_bytes())
        .with(targets.as_bytes())
        .with(format!("{:?}", options.config.security).as_bytes());
    (home.standing(manifest, &targets), basis.finish())
}

impl Project {
    /// Keeps what must stand for the next run to take the short way, if all that is needed is up
    /// to date now. The state has been saved. That it cannot be kept costs the next run time, and
    /// nothing else.
    pub(super) fn keep_standing(
        &self,
        needed: &[bool],
        home: &Home,
        state: &State,
        options: &BuildOptions,
    ) {
        if let Some((standing, done)) = self.standing(needed, home, state, options) {
            let (path, basis) = place(home, &self.path, options);
            let _ = standing.write(&path, &basis, done);
        }
    }

    fn standing(
        &self,
        needed: &[bool],
        home: &Home,
        state: &State,
        options: &BuildOptions,
    ) -> Option<(Standing, Done)> {
        if state.files.is_disturbed() {
            return None;
        }
        let mut standing = Standing::default();
        let mut done = Done { tasks: 0, saved_ms: 0 };
        for id in self.plan(needed).in_order() {
            let task = &self.manifest.tasks[id.index()];
            done.tasks += 1;
            done.saved_ms += add_task(&mut standing, task, state, options)?;
        }
        let (files, is_whole) = state.files.all_settled()?;
        (standing.files, standing.is_whole) = (files, is_whole);
        for (folder, entry) in state.files.listed().iter() {
            let mut path = folder.clone();
            path.push(0);
            standing.files.push((path.into(), entry.trusted.then_some(entry.sig)?));
        }
        for source in &self.manifest.sources {
            let mut path = source.as_os_str().as_encoded_bytes().to_vec();
            path.push(0);
            let sig = sig_of(&path)?;
            (sig.newest() < self.loaded_ns - TICK_NS).then_some(())?;
            standing.files.push((path.into(), sig));
        }
        // With another state, or a journal of a run that did not come to its end, nothing of this
        // is known.
        for path in [home.state(&self.path), home.journal(&self.path)] {
            let path = path.as_os_str().as_encoded_bytes().to_vec();
            let sig = sig_of(&path)?;
            standing.files.push((path.into(), sig));
        }
        Some((standing, done))
    }
}

/// Adds what the files do not tell of a task. Returns what running it took; none where it is not
/// up to date, or not sure to be.
fn add_task(
    standing: &mut Standing,
    task: &Task,
    state: &State,
    options: &BuildOptions,
) -> Option<u64> {
    if task.command.is_none() {
        return Some(0);
    }
    let files = &state.files;
    let duration_ms = state.with_row(&task.name, |row| {
        let row = row.filter(|row| row.phase == Phase::Done && task.cache)?;
        let made = row.made.iter().all(|made| files.settled(made.file).is_some());
        made.then_some(row.duration_ms)
    })?;
    if task.inputs.iter().any(|input| !is_plain(&input.value, state)) {
        inputs::members(task, files, Effort::Known, None).ok()??;
    }
    for name in &task.pass_env {
        let value = options.environment.get(name).map(|value| value.as_encoded_bytes().to_vec());
        standing.env.insert(name.clone(), value);
    }
    for tool in &task.tools {
        let own_path = task.env.get("PATH").cloned();
        let (cwd, name) = (task.cwd.clone(), tool.value.clone());
        let found =
            inputs::find_tool(cwd.as_path(), own_path.as_deref(), &name, &options.environment)?;
        let tool = Tool { cwd, own_path, name, found };
        if !standing.tools.contains(&tool) {
            standing.tools.push(tool);
        }
    }
    Some(duration_ms)
}

/// Whether an input is one file that is known to be there.
fn is_plain(input: &Input, state: &State) -> bool {
    let Input::Path(path) = input else { return false };
    let file = state.files.intern(path.as_bytes());
    state.files.settled(file).is_some_and(|entry| entry.kind().is_file())
}

fn sig_of(path: &[u8]) -> Option<Sig> {
    let followed = path.last() == Some(&0);
    let name = std::ffi::CString::new(path.strip_suffix(&[0]).unwrap_or(path)).ok()?;
    let look = if followed { stat::follow_at } else { stat::lstat_at };
    look(stat::HERE, &name).ok()
}
