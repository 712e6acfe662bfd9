//! The short way through a run that has nothing to do, and what it needs to be found again.
//!
//! Knows nothing of how it is compared; that is in `cache::standing`.

use std::collections::HashSet;
use std::ffi::CString;
use std::path::Path;

use crate::base::clock::Stopwatch;
use crate::base::{Digest, Sig, stat};
use crate::cache::compiled::{self, Source};
use crate::cache::files;
use crate::cache::inputs::{self, Effort};
use crate::cache::standing::{Basis, Differences, Done, Standing, Tool, Verdict, look};
use crate::cache::state::{Phase, State};
use crate::event::{Emitter, Event, Observer};
use crate::home::Home;
use crate::manifest::{Input, Task};
use crate::ops::build::{run_id, threads};
use crate::ops::figures;
use crate::ops::project::Project;
use crate::ops::types::{BuildOptions, Location, Report};

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
    let manifest = location.path();
    let home = Home::new(Some(&config.cache.cache_dir));
    // What others may have written is not believed; the long way says so.
    if config.security.deny_dangerous || !matches!(home.exposed(), Ok(None)) {
        return FirstLook::Changed(Seen::default());
    }
    let (path, basis) = place(&home, manifest, options);
    match look(&path, &basis, &options.environment, threads) {
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
            jobs: crate::ops::build::jobs(options),
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
pub(super) fn place(
    home: &Home,
    manifest: &Path,
    options: &BuildOptions,
) -> (std::path::PathBuf, Digest) {
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

/// What a run of a part of the project begins with.
#[derive(Debug)]
pub(in crate::ops) struct Part {
    /// The tasks that stand: what they made is read by those that may run.
    pub(in crate::ops) stands: Vec<bool>,
    pub(super) before: Standing,
    /// Of all that is needed.
    pub(super) tasks: u64,
    pub(super) saved_ms: u64,
    /// What the tasks of the part took before.
    pub(super) durations: u64,
}

impl Part {
    /// How many tasks are up to date beside `count` that may not be, and what they took.
    pub(in crate::ops) fn outside(&self, count: usize) -> (usize, u64) {
        let tasks = usize::try_from(self.tasks).unwrap_or(usize::MAX);
        (tasks.saturating_sub(count), self.saved_ms.saturating_sub(self.durations))
    }
}

impl Project {
    /// Keeps what must stand for the next run to take the short way, if all that is needed is up
    /// to date now. The state has been saved. That it cannot be kept costs the next run time, and
    /// nothing else.
    pub(in crate::ops) fn keep_standing(
        &self,
        needed: &[bool],
        home: &Home,
        state: &State,
        options: &BuildOptions,
    ) {
        let Some((mut standing, done)) = self.standing(needed, state, options) else { return };
        let Some(sources) = self.sources() else { return };
        for (path, sig) in &sources {
            let mut path = path.clone();
            path.push(0);
            standing.files.push((path.into(), *sig));
        }
        let (path, basis) = place(home, &self.path, options);
        if standing.add(self.state_files(home)).is_some() {
            let _ = standing.write(&path, &basis, done);
            let _ =
                compiled::write(&home.compiled(&self.path), &self.manifest, &self.graph, &sources);
        }
    }

    /// As [`Project::keep_standing`], where only a part of all was looked at: the rest is as it
    /// was.
    pub(in crate::ops) fn keep_part(
        &self,
        part: Part,
        home: &Home,
        state: &State,
        options: &BuildOptions,
    ) -> Option<()> {
        let concerned: Vec<bool> = part.stands.iter().map(|stands| !stands).collect();
        let (fresh, now) = self.standing(&concerned, state, options)?;
        let tasks = || self.manifest.tasks.iter().zip(&concerned).filter(|(_, is)| **is);
        // What the concerned tasks made and is not there any more.
        let made = |path: &[u8]| {
            let mut outputs = tasks().flat_map(|(task, _)| &task.outputs);
            outputs.any(|output| {
                let output = output.value.as_bytes();
                path.strip_prefix(output).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
            })
        };
        let known: HashSet<&[u8]> = fresh.files.iter().map(|(path, _)| &path[..]).collect();
        let mut standing = part.before;
        let home_files = self.state_files(home);
        standing.files.retain(|(path, _)| {
            let is_gone = state.files.has(path) && made(path);
            !known.contains(&path[..])
                && !is_gone
                && !home_files.iter().any(|file| *file == path[..])
        });
        drop(known);
        standing.files.extend(fresh.files);
        standing.is_whole &= fresh.is_whole;
        standing.add(home_files)?;
        let saved_ms = part.saved_ms.saturating_sub(part.durations) + now.saved_ms;
        let (path, basis) = place(home, &self.path, options);
        standing.write(&path, &basis, Done { tasks: part.tasks, saved_ms }).ok()
    }

    /// With another state, or a journal of a run that did not come to its end, nothing is known.
    fn state_files(&self, home: &Home) -> [Vec<u8>; 2] {
        [home.state(&self.path), home.journal(&self.path)]
            .map(|path| path.as_os_str().as_encoded_bytes().to_vec())
    }

    fn standing(
        &self,
        needed: &[bool],
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
        Some((standing, done))
    }

    /// The texts of the manifest; none where they could have been written to since they were read.
    fn sources(&self) -> Option<Vec<Source>> {
        let look = |source: &std::path::PathBuf| {
            let path = source.as_os_str().as_encoded_bytes().to_vec();
            let sig = sig_of(&path, stat::follow_at)?;
            files::is_older(&sig, self.loaded_ns).then_some((path, sig))
        };
        self.manifest.sources.iter().map(look).collect()
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

/// A look at what a name in a folder leads to.
type Look = fn(std::os::fd::RawFd, &std::ffi::CStr) -> std::io::Result<Sig>;

fn sig_of(path: &[u8], look: Look) -> Option<Sig> {
    look(stat::HERE, &CString::new(path).ok()?).ok()
}

impl Standing {
    /// Adds files as they are now.
    fn add(&mut self, paths: [Vec<u8>; 2]) -> Option<()> {
        for path in paths {
            let sig = sig_of(&path, stat::lstat_at)?;
            self.files.push((path.into(), sig));
        }
        Some(())
    }

    /// Whether a file was so.
    pub(super) fn has(&self, path: &[u8], sig: &Sig) -> bool {
        self.files.iter().any(|(known, then)| known[..] == *path && then == sig)
    }

    /// Whether a file is now as it was.
    pub(super) fn has_now(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_encoded_bytes();
        sig_of(path, stat::lstat_at).is_some_and(|sig| self.has(path, &sig))
    }
}
