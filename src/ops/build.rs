//! Building: what is needed, what of it must run, and the running of it.

use std::path::Path;
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use super::backup;
use super::earlier::{self, Part};
use super::figures;
use super::limits;
use super::project::Project;
use super::security;
use super::types::{BuildOptions, Error, Report};
use super::upkeep;
use crate::base::clock;
use crate::base::fs::shared::shared_file_system;
use crate::base::{Diagnostic, Digest};
use crate::cache::record::Records;
use crate::cache::state::State;
use crate::config::{Cache, Wait};
use crate::engine::{self, Bench, Inbox, Options, Results, Settled};
use crate::event::{Emitter, Event, FolderOn, Holder, Observer};
use crate::exec::Runner;
use crate::home::{self, Home, Lock, LockError};
use crate::store::{DiskStore, Leases, Packing, User};

/// What a run has in hand when it begins.
pub(super) struct Ready {
    pub needed: Vec<bool>,
    pub home: Home,
    pub state: State,
    /// Where only a part of all tasks is looked at.
    pub part: Option<Part>,
    pub _lock: Option<Lock>,
}

impl Project {
    /// Runs what must run; the observers are told. In a dry run nothing is written.
    pub fn build(
        &self,
        options: &BuildOptions,
        observers: Vec<Box<dyn Observer>>,
    ) -> Result<Report, Error> {
        let report = self.build_locked(options, observers);
        self.after(report, options)
    }

    /// The workspace is free again: a backup of its results needs no more than the cache.
    pub(super) fn after(
        &self,
        report: Result<Report, Error>,
        options: &BuildOptions,
    ) -> Result<Report, Error> {
        let mut report = report?;
        report.problems.extend(backup::automatic(&report.summary, &options.config));
        Ok(report)
    }

    fn build_locked(
        &self,
        options: &BuildOptions,
        observers: Vec<Box<dyn Observer>>,
    ) -> Result<Report, Error> {
        let needed = self.needed(&options.targets)?;
        let home = Home::new(Some(&options.config.cache.cache_dir));
        let id = run_id();
        let _span = tracing::error_span!("run", %id).entered();
        let emitter = Emitter::new(id, observers);
        if options.config.security.deny_dangerous {
            self.refuse_dangers(&emitter)?;
        }
        security::refuse_exposed(&home, &emitter)?;
        let lock = lock(&home, options, &emitter)?;
        let state = self.state(&home, options);
        self.refuse_missing(&needed, &state)?;
        self.perform(Ready { needed, home, state, part: None, _lock: lock }, options, &emitter)
    }

    /// The run itself, once nothing speaks against it.
    pub(super) fn perform(
        &self,
        ready: Ready,
        options: &BuildOptions,
        emitter: &Emitter,
    ) -> Result<Report, Error> {
        let Ready { needed, home, state, part, _lock } = ready;
        tell_shared(&home, emitter);
        let plan = self.plan(&needed);
        let packing = Packing::of(&options.config.compression);
        let (store, records) = (DiskStore::new(&home).packing(packing), Records::new(&home));
        let leases = leases(&home, options);
        let bench = Bench {
            plan,
            options: engine_options(options),
            home: &home,
            state: &state,
            store: &store,
            records: &records,
            leases: leases.as_ref(),
            began_ns: clock::now_ns(),
            environment: &options.environment,
            emitter,
            results: Results::new(self.graph.len()),
        };
        let settled = engine::settle(&bench, part.as_ref().map(|part| &part.stands[..]));
        let is_done = plan.in_order().all(|id| settled.is_settled[id.index()]);
        let means = if options.dry_run || is_done { None } else { Some(means(&bench, options)?) };
        let totals = Totals::new(&bench, &settled, part.as_ref());
        self.announce(&bench, options, &totals, means.as_ref().map(|(runner, _)| runner));
        bench.replay_settled(&settled);
        self.tell_dangers(&bench, &settled);
        // Until the state is saved.
        let at_work = match means {
            Some((runner, inbox)) => {
                limits::tell(&bench, &runner);
                Some((run(&bench, &settled, runner, &inbox, options)?, inbox))
            }
            None => {
                if options.dry_run {
                    engine::dry_run(&bench, &settled);
                }
                None
            }
        };
        let mut problems = Vec::new();
        if !options.dry_run {
            match (state.save(), part) {
                // What was done stands; the next run looks at the files again.
                (Err(error), _) => problems.push(format!("{error}: {}", error.source)),
                (Ok(()), None) => self.keep_standing(&needed, &home, &state, options),
                (Ok(()), Some(part)) => {
                    self.keep_part(part, &home, &state, options);
                }
            }
        }
        if let Some((_user, inbox)) = &at_work {
            self.look_after_cache(&bench, &options.config.cache, inbox);
        }
        let summary = emitter.summary(self.watch.elapsed());
        emitter.emit(Event::RunFinished { summary: summary.clone() });
        if !options.dry_run {
            figures::keep(&home, &summary, &emitter.measures());
        }
        problems.extend(emitter.finish());
        Ok(Report { summary, problems })
    }

    /// After a run: pins go with what it has made, and the cache becomes smaller where the run may
    /// have made it too large.
    fn look_after_cache(&self, bench: &Bench<'_>, settings: &Cache, inbox: &Inbox) {
        upkeep::follow_pins(bench.home, &self.path, bench.state);
        let bytes = bench.store.added().get().1 + bench.records.added().get().1;
        let interrupted = || inbox.is_interrupted();
        let ran = upkeep::collect_after_run(bench.home, settings, bytes, &interrupted);
        if let Some(collected) = ran {
            bench.emitter.emit(Event::GcRan { collected });
        }
    }

    /// The state with all its files looked at: as it was read ahead, if that still holds.
    fn state(&self, home: &Home, options: &BuildOptions) -> State {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        ahead.and_then(|ahead| ahead.if_current(home, &self.path)).unwrap_or_else(|| {
            let state = earlier::load(home, &self.path, options, options.dry_run);
            state.files.look_at_all(threads());
            state
        })
    }

    /// An error where an input is not there and nothing makes it.
    fn refuse_missing(&self, needed: &[bool], state: &State) -> Result<(), Error> {
        let missing = engine::missing_inputs(self.plan(needed), &state.files);
        if missing.is_empty() {
            return Ok(());
        }
        let diagnostics = missing.iter().map(|(task, input, path)| {
            Diagnostic::new(format!("input `{path}` of task `{}` is missing", task.name))
                .at(self.manifest.place(input.span), "no such file, and no task makes it")
                .help(format!(
                    "create `{path}`, or declare it in the outputs of the task that makes it"
                ))
        });
        Err(Error::MissingInputs(diagnostics.collect()))
    }

    fn announce(
        &self,
        bench: &Bench<'_>,
        options: &BuildOptions,
        totals: &Totals,
        runner: Option<&Runner>,
    ) {
        let project = std::env::current_dir().unwrap_or_default();
        bench.emitter.emit(Event::RunStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            manifest: self.path.display().to_string(),
            project: project.display().to_string(),
            jobs: bench.options.jobs,
            targets: options.targets.clone(),
            tasks: totals.tasks,
            dry_run: options.dry_run,
            force: bench.options.force,
            containment: runner.map(Runner::containment).unwrap_or_default(),
        });
        if totals.up_to_date > 0 {
            let (count, saved_ms) = (totals.up_to_date, totals.saved_ms);
            bench.emitter.emit(Event::TasksUpToDate { count, saved_ms });
        }
    }
}

/// What a run is told to be about: all that is needed, also where only a part is looked at.
struct Totals {
    tasks: usize,
    up_to_date: usize,
    /// What those took earlier.
    saved_ms: u64,
}

impl Totals {
    fn new(bench: &Bench<'_>, settled: &Settled, part: Option<&Part>) -> Self {
        let planned = bench.plan.in_order().count();
        let Settled { count, saved_ms, .. } = *settled;
        let Some(part) = part else {
            return Self { tasks: planned, up_to_date: count, saved_ms };
        };
        let open = planned - part.stands.iter().filter(|stands| **stands).count();
        let (outside, earlier_ms) = part.outside(open);
        let tasks = open + outside;
        Self { tasks, up_to_date: count + outside, saved_ms: saved_ms + earlier_ms }
    }
}

/// A warning where our folders lie on a file system of a network or of a program.
fn tell_shared(home: &Home, emitter: &Emitter) {
    let (cache, workspace) = on_shared(home);
    if cache.is_some() || workspace.is_some() {
        emitter.emit(Event::SharedFileSystem { cache, workspace });
    }
}

/// Which of the folders of the cache and of the workspace lie on such a file system.
pub(super) fn on_shared(home: &Home) -> (Option<FolderOn>, Option<FolderOn>) {
    let look = |folder: &Path| {
        let file_system = shared_file_system(folder)?.to_owned();
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        Some(FolderOn { path: path.display().to_string(), file_system })
    };
    (look(home.cache_dir()), look(home.root()))
}

/// The lock of the workspace; none for a run that writes nothing.
fn lock(home: &Home, options: &BuildOptions, emitter: &Emitter) -> Result<Option<Lock>, Error> {
    if options.dry_run {
        return Ok(None);
    }
    let busy = |holder: Option<&Holder>| {
        emitter.emit(Event::WorkspaceBusy { holder: holder.cloned() });
    };
    let patience = options.config.execution.lock_wait_seconds;
    let lock = take_lock(home, &options.command, patience, busy);
    lock.map(Some).inspect_err(|error| security::tell_refused(error, emitter))
}

/// Who else may execute the keys of this run: nobody in the cache of a workspace that is locked.
fn leases(home: &Home, options: &BuildOptions) -> Option<Leases> {
    let project = std::env::current_dir().unwrap_or_default();
    (!home.owns_cache() && !options.dry_run).then(|| Leases::new(home, &project))
}

/// What runs commands, and what hears of their ends and of signals.
fn means(bench: &Bench<'_>, options: &BuildOptions) -> Result<(Runner, Inbox), Error> {
    let inbox = Inbox::open(options.stop.clone()).map_err(engine_error)?;
    let runner = Runner::new(bench.options.jobs, bench.options.grace).map_err(|source| {
        Error::System { what: "prepare for running commands".to_owned(), source }
    })?;
    Ok((runner.capped(limits::caps(&bench.options.limits)), inbox))
}

fn engine_error(error: engine::EngineError) -> Error {
    Error::System { what: error.what.to_owned(), source: error.source }
}

/// Runs what must run. The run is known to be at work until what is returned is dropped.
fn run(
    bench: &Bench<'_>,
    settled: &Settled,
    mut runner: Runner,
    inbox: &Inbox,
    options: &BuildOptions,
) -> Result<Option<User>, Error> {
    let is_new = !bench.home.records().is_dir();
    bench.home.prepare().map_err(|error| {
        security::tell_denied(&error, bench.emitter);
        cache_error(bench.home.cache_dir(), &error)
    })?;
    if is_new {
        upkeep::note_new_cache(bench.home);
    }
    // Where it cannot be known, what this run puts there is protected by its age alone.
    let user = User::enter(bench.home)
        .inspect_err(|error| tracing::info!(%error, source = %error.source, "run is not known"))
        .ok();
    bench.home.sweep();
    if let Some(jobserver) =
        limits::jobserver(options, bench.home, bench.options.jobs, bench.emitter)
    {
        runner.share(jobserver);
    }
    bench.emitter.go_async();
    engine::execute(bench, settled, runner, inbox).map_err(engine_error)?;
    Ok(user)
}

fn cache_error(cache: &Path, error: &crate::base::FileError) -> Error {
    Error::Cache {
        path: cache.to_path_buf(),
        problem: format!("{error}: {}", error.source),
        help: vec!["make the folder writable, or name another with `--cache-dir`".to_owned()],
    }
}

/// The lock of the workspace for a run with this command. `busy` is told of whom is waited for.
pub(super) fn take_lock(
    home: &Home,
    command: &str,
    Wait(patience): Wait,
    busy: impl FnOnce(Option<&Holder>),
) -> Result<Lock, Error> {
    let patience = patience.map_or(Duration::MAX, Duration::from_secs);
    let mut inside = None;
    let lock = home.lock(command, |holder| {
        // On another machine, or in another container, the number is another process's.
        let near = holder.filter(|holder| holder.host == home::host());
        let ancestor = near.map(|holder| holder.pid).filter(|&pid| crate::exec::is_ancestor(pid));
        if let Some(pid) = ancestor {
            inside = Some(pid);
            return Duration::ZERO;
        }
        if !patience.is_zero() {
            busy(holder);
        }
        patience
    });
    match (lock, inside) {
        (Ok(lock), _) => Ok(lock),
        (Err(LockError::Busy(_)), Some(pid)) => Err(Error::Nested { pid }),
        (Err(LockError::Busy(holder)), None) => Err(Error::Busy { holder }),
        (Err(LockError::File(error)), _) => Err(Error::File(error)),
    }
}

fn engine_options(options: &BuildOptions) -> Options {
    let execution = &options.config.execution;
    let timeout = Duration::from_secs(execution.timeout_seconds);
    Options {
        jobs: jobs(options),
        force: execution.force,
        fail_fast: execution.fail_fast,
        replay: options.config.output.replay,
        timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
        retries: u32::try_from(execution.retry_attempts).unwrap_or(u32::MAX),
        retry_delay: Duration::from_millis(execution.retry_delay_ms),
        grace: Duration::from_secs(execution.grace_seconds),
        max_input: options.config.security.max_input_size_mb.0.map(|mib| mib << 20),
        limits: limits::limits(&options.config),
    }
}

/// How many tasks run at a time.
pub(super) fn jobs(options: &BuildOptions) -> usize {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let most = options.config.rate_limiting.max_concurrent_tasks.0.map_or(usize::MAX, number);
    let set = options.config.execution.parallel_jobs.0.map(number);
    let jobs = set.or_else(|| limits::offered_jobs(options)).unwrap_or_else(threads);
    jobs.min(most).min(Runner::most_slots()).max(1)
}

/// How many cores there are for us.
pub(super) fn threads() -> usize {
    // To ask takes the reading of a control group's files each time.
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// 16 hex digits that no other run has.
pub(super) fn run_id() -> String {
    let seed =
        format!("{} {} {}", clock::now_ns(), std::process::id(), crate::base::fs::unique_name());
    let mut hex = Digest::of(seed.as_bytes()).hex();
    hex.truncate(16);
    hex
}

/// What `explain` and `build` share: the options of a run that runs nothing.
pub(super) fn quiet_options(options: &BuildOptions) -> Options {
    Options { replay: false, ..engine_options(options) }
}
