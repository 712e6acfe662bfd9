//! Runs commands in slots: starts each, waits for it, and ends all that it left behind.
//!
//! Knows nothing of why a command runs or what its end means.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use libc::pid_t;

use crate::base::clock::{self, Stopwatch};
use crate::base::{Cancel, CancelLevel, Digest};
use crate::event::Usage;

use super::caps::{Caps, Kept};
use super::cgroup::{self, RunGroup};
use super::env::{self, TAG};
use super::family::{self, FAMILY, Family, Member, Whose};
use super::guard::{self, Guard};
use super::jobserver::Jobserver;
use super::process::mark::Mark;
use super::process::spawn::{self, Role, Stage, Start, StartError};
use super::process::{descriptors, proc, wait};
use super::program::Launch;
use super::slots::{Order, Slot, Why};

/// What a command leaves behind has so long to end by itself when the command ends in peace: a
/// `tee` that its shell fed may still hold the last lines.
const LEFTOVERS: Duration = Duration::from_millis(200);
/// How long we wait for what was killed: it ends at once, or hangs in the kernel.
const KILLED: Duration = Duration::from_secs(10);
/// `tick` wants to be called so often: a command that starts meanwhile sets a deadline that the
/// caller does not know of.
const BEAT: Duration = Duration::from_millis(100);

/// A command, ready to run.
#[derive(Debug)]
pub struct Command<'a> {
    /// For the tag in the environment by which stray processes are found.
    pub task: &'a str,
    /// The command's text, any number of lines.
    pub text: &'a str,
    /// The program and arguments that the text is appended to; none means `/bin/sh -c`.
    pub shell: Option<&'a [String]>,
    /// Where it runs; relative to this process's folder.
    pub cwd: PathBuf,
    /// All that it sees, but for `PWD` and the tag.
    pub env: Vec<(OsString, OsString)>,
    pub timeout: Option<Duration>,
    /// What it reads; none: nothing.
    pub stdin: Option<&'a File>,
    /// Both streams are appended to this file, in the order of writing.
    pub log: &'a File,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal {
        signal: i32,
        core_dumped: bool,
    },
    TimedOut,
    /// The kernel killed a process of it: all tasks together had so many bytes.
    OutOfMemory(u64),
    /// We ended it because the run was cancelled.
    Cancelled,
}

impl Ended {
    /// Where the kernel killed something of it because all had so many bytes. A command that
    /// succeeded all the same, or that we ended, has not failed for that.
    pub(super) fn for_want_of(self, bytes: Option<u64>) -> Self {
        match (self, bytes) {
            (Self::Exit(code), Some(bytes)) if code != 0 => Self::OutOfMemory(bytes),
            (Self::Signal { .. }, Some(bytes)) => Self::OutOfMemory(bytes),
            (ended, _) => ended,
        }
    }
}

/// Runs commands, at most one a slot at a time. Shared by reference between threads.
#[derive(Debug)]
pub struct Runner {
    id: String,
    slots: Vec<Mutex<Slot>>,
    grace: Duration,
    cancel: Cancel,
    null: File,
    /// What all that we start is marked with; none: the kernel leaves no room for it.
    mark: Option<Mark>,
    /// The guard's program; none: no guard.
    program: Option<CString>,
    guard: OnceLock<Option<Guard>>,
    use_cgroup: bool,
    caps: Caps,
    cgroup: OnceLock<Option<RunGroup>>,
    jobserver: Option<Jobserver>,
    member: Member,
}

impl Runner {
    /// For `slots` commands at a time; after TERM a command has `grace` until KILL.
    pub fn new(slots: usize, grace: Duration) -> io::Result<Self> {
        Self::with(slots, grace, guard::program(), cgroup::is_granted())
    }

    pub(super) fn with(
        slots: usize,
        grace: Duration,
        program: Option<CString>,
        use_cgroup: bool,
    ) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        descriptors::raise_limit();
        Family::adopt_orphans();
        let (pid, now) = (std::process::id(), clock::now_ns());
        let id = format!("{pid:x}-{now:x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed));
        let random = Digest::of(id.as_bytes());
        let random = random.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        Ok(Self {
            id,
            mark: Mark::new(random),
            slots: (0..slots).map(|_| Mutex::default()).collect(),
            grace,
            cancel: Cancel::new(),
            null: File::open("/dev/null")?,
            program,
            guard: OnceLock::new(),
            use_cgroup,
            caps: Caps::default(),
            cgroup: OnceLock::new(),
            jobserver: None,
            member: FAMILY.join(),
        })
    }

    /// All commands together may use only so much, where the kernel can see to that.
    pub fn capped(self, caps: Caps) -> Self {
        Self { caps, ..self }
    }

    /// Which of the caps the kernel keeps.
    pub fn kept(&self) -> Kept {
        // A group that nobody asked for so far is not made for this.
        let asks = self.caps != Caps::default();
        asks.then(|| self.cgroup()).flatten().map(RunGroup::kept).unwrap_or_default()
    }

    /// From here on commands inherit what a jobserver needs.
    pub fn share(&mut self, jobserver: Jobserver) {
        self.jobserver = Some(jobserver);
    }

    pub fn jobserver(&self) -> Option<&Jobserver> {
        self.jobserver.as_ref()
    }

    /// The bytes that all that runs has now. What processes share counts for each.
    pub fn memory(&self) -> u64 {
        let leaders = self.slots.iter().filter_map(|cell| lock(cell).leader());
        leaders
            .flat_map(|leader| [leader].into_iter().chain(proc::descendants(leader)))
            .map(proc::resident)
            .fold(0, u64::saturating_add)
    }

    /// How many slots the limit of open files carries: more would have commands wait for
    /// descriptors.
    pub fn most_slots() -> usize {
        descriptors::most_slots()
    }

    /// How everything that was started is ended if this process is killed with -9, for `-V`.
    pub fn containment(&self) -> String {
        let mut means = Vec::new();
        if self.cgroup().is_some() {
            means.push("a control group that the kernel kills as one");
        }
        means.extend(["process groups", "parent-death signals", "a subreaper"]);
        if self.mark.is_some() {
            means.push("an inherited mark");
        }
        if self.program.is_some() {
            means.push("a guard process");
        }
        let last = means.pop().unwrap_or_default();
        format!("{} and {last}", means.join(", "))
    }

    /// Runs the command in the slot and waits until it and all that it started have ended. The
    /// attempt's cost is in the usage (`attempts` 1); its peak of memory is not less than what
    /// this process had at the start, because the kernel counts that in. An error: it could not
    /// be started.
    pub fn run(&self, slot: usize, command: &Command<'_>) -> io::Result<(Ended, Usage)> {
        let cell = self.slots.get(slot).ok_or_else(|| io::Error::other("there is no such slot"))?;
        let outer = env::lookup(&command.env, TAG).and_then(OsStr::to_str);
        let (own_tag, tag) = family::tag(outer, &self.id, command.task);
        let launch = Launch::of(command, &tag)?;
        let kills = || self.cgroup().map_or(0, |group| group.oom_kills(slot));
        let kills_before = kills();
        let watch = Stopwatch::start();
        let Some(pid) = self.start(slot, cell, command, &launch)? else {
            return Ok((Ended::Cancelled, Usage { attempts: 1, ..Usage::default() }));
        };
        let waited = wait::until_ended(pid);
        let duration = watch.elapsed();
        let starved = kills() > kills_before;
        let why = lock(cell).ended();
        let patience = if why.is_none() { LEFTOVERS } else { Duration::ZERO };
        let mark = self.mark.map(|mark| (mark, slot));
        self.end_leftovers(slot, Whose::Task { group: pid, tag: &own_tag, mark }, patience);
        if let Some(group) = self.group_word(slot) {
            group.store(0, Ordering::SeqCst);
        }
        let reaped = waited.and_then(|()| FAMILY.reap(pid));
        *lock(cell) = Slot::Idle;
        let (status, used) = reaped?;
        let bytes = self.caps.memory().filter(|_| starved);
        Ok((how_ended(status, why).for_want_of(bytes), usage(duration, &used)))
    }

    /// Starts the command, unless the run is cancelled. The slot is locked meanwhile, so that a
    /// cancelling finds it either not begun or running.
    fn start(
        &self,
        slot: usize,
        cell: &Mutex<Slot>,
        command: &Command<'_>,
        launch: &Launch,
    ) -> io::Result<Option<pid_t>> {
        let mut state = lock(cell);
        if *state != Slot::Idle {
            return Err(io::Error::other("the slot is taken"));
        }
        if self.cancel.is_raised() {
            return Ok(None);
        }
        let pid = self.launch(slot, command, launch).map_err(|(error, program)| {
            let (kind, why) = (error.source.kind(), error.source);
            let what = match error.stage {
                Stage::Process => "cannot start a process".into(),
                Stage::Setup => "cannot set up a process".into(),
                Stage::Folder => format!("cannot enter the folder `{}`", command.cwd.display()),
                Stage::Program => format!("cannot execute `{program}`"),
            };
            io::Error::new(kind, format!("{what}: {why}"))
        })?;
        let deadline = command.timeout.and_then(|timeout| clock::instant().checked_add(timeout));
        *state = Slot::Running { pid, deadline };
        Ok(Some(pid))
    }

    /// Tries the programs in turn.
    fn launch(
        &self,
        slot: usize,
        command: &Command<'_>,
        launch: &Launch,
    ) -> Result<pid_t, (StartError, String)> {
        let cgroup = self.cgroup().and_then(|group| group.open(slot).ok());
        let announce = self.group_word(slot);
        let (stdin, log) = (command.stdin.unwrap_or(&self.null), command.log);
        let mut failed = None;
        for program in &launch.programs {
            let start = Start {
                path: &program.path,
                argv: &program.argv,
                env: &launch.env,
                cwd: &launch.cwd,
                stdio: [stdin.as_fd(), log.as_fd(), log.as_fd()],
                role: Role::Task,
                announce,
                inherited: self.jobserver.as_ref().and_then(Jobserver::inherited),
                mark: self.mark.map(|mark| mark.limit(slot)),
                cgroup: cgroup.as_ref().map(File::as_fd),
            };
            match start_patiently(start) {
                Ok(pid) => return Ok(pid),
                Err(error) => {
                    let stage = error.stage;
                    failed = Some((error, program.path.to_string_lossy().into_owned()));
                    if stage != Stage::Program {
                        break;
                    }
                }
            }
        }
        if let Some(word) = announce {
            word.store(0, Ordering::SeqCst);
        }
        Err(failed.expect("there is at least one program to try"))
    }

    /// The leader has ended, but is not reaped, so that its group's number is nobody else's. Ends
    /// the rest of the group, and what left it.
    fn end_leftovers(&self, slot: usize, whose: Whose<'_>, patience: Duration) {
        if let Some(group) = self.cgroup() {
            group.clear(slot, patience, KILLED);
        }
        let watch = Stopwatch::start();
        while watch.elapsed() < KILLED {
            let left = patience.saturating_sub(watch.elapsed());
            let alive = FAMILY.sweep(whose, left.is_zero());
            if left.is_zero()
                && let Whose::Task { group, .. } = whose
            {
                wait::signal_group(group, libc::SIGKILL);
            }
            let Some(&first) = alive.first() else { break };
            wait::until_gone(first, if left.is_zero() { BEAT } else { left });
        }
    }

    /// Sends what is due (TERM at a deadline, KILL after the grace) and reaps strays. Returns
    /// when it wants to be called again at the latest, which is never far away. Any thread may
    /// call it, whenever it likes.
    pub fn tick(&self, now: Instant) -> Option<Instant> {
        let mut soonest = now + BEAT;
        for cell in &self.slots {
            let mut slot = lock(cell);
            if let Some(pid) = slot.leader() {
                // One that has just ended by itself has not timed out.
                if slot.next().is_some_and(|due| due <= now) && !wait::has_ended(pid) {
                    let order = slot.tick(now, self.grace);
                    send(pid, order);
                }
                soonest =
                    slot.next().filter(|&due| due > now).map_or(soonest, |due| due.min(soonest));
            }
        }
        FAMILY.sweep(Whose::Nobody, false);
        Some(soonest)
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_raised()
    }

    /// Ends everything that runs: gracefully (TERM, later KILL by `tick`), or now (KILL).
    /// Commands that start later are ended at once.
    pub fn cancel(&self, level: CancelLevel) {
        while self.cancel.level() < level {
            self.cancel.raise();
        }
        for cell in &self.slots {
            let mut slot = lock(cell);
            if let Some(pid) = slot.leader()
                && !wait::has_ended(pid)
            {
                let order = slot.cancel(level, clock::instant(), self.grace);
                send(pid, order);
            }
        }
    }

    /// Nothing runs any more: strays are ended and reaped, the guard is dismissed.
    pub fn finish(self) {
        let Self { id, mark, mut cgroup, mut guard, member, .. } = self;
        // Of two that end at the same time, one finds that it is the last.
        drop(member);
        let watch = Stopwatch::start();
        while watch.elapsed() < KILLED {
            let alive = FAMILY.sweep(Whose::Run { id: &id, mark }, true);
            let Some(&first) = alive.first() else { break };
            wait::until_gone(first, BEAT);
        }
        let group = cgroup.take().flatten();
        if let Some(group) = &group {
            group.remove();
        }
        if let Some(guard) = guard.take().flatten() {
            guard.dismiss();
        }
        // The guard was with us until now.
        if let Some(group) = group {
            group.go_back();
        }
    }

    /// The run's control group, made when it is first asked for.
    fn cgroup(&self) -> Option<&RunGroup> {
        let make = || {
            let group = || RunGroup::create(&self.id, self.slots.len(), self.caps);
            let group = self.use_cgroup.then(group).flatten();
            tracing::debug!(granted = group.is_some(), "control group of the run");
            group
        };
        self.cgroup.get_or_init(make).as_ref()
    }

    /// Where the guard looks for the group of a slot. The guard starts with the first command.
    fn group_word(&self, slot: usize) -> Option<&AtomicI32> {
        let start = || {
            let group = self.cgroup().map(RunGroup::folder);
            let program = self.program.as_deref()?;
            Guard::start(program, &self.id, self.mark, self.slots.len(), group)
                .inspect(|_| tracing::debug!("guard process started"))
                .inspect_err(|error| tracing::warn!(%error, "guard process cannot be started"))
                .ok()
        };
        self.guard.get_or_init(start).as_ref()?.group_of(slot)
    }
}

/// Starts it, once more where a cause passes: no control group to be had after all, or a program
/// that another child of ours, just being born, still has open for writing.
fn start_patiently(mut start: Start<'_>) -> Result<pid_t, StartError> {
    let mut busy = 0;
    loop {
        match FAMILY.start(|| spawn::start(&start)) {
            Err(error) if error.stage == Stage::Process && start.cgroup.is_some() => {
                let error = &error.source;
                tracing::debug!(%error, "process started again, outside of its control group");
                start.cgroup = None;
            }
            Err(error) if error.source.raw_os_error() == Some(libc::ETXTBSY) && busy < 50 => {
                busy += 1;
                tracing::debug!(busy, "program is open for writing; started again");
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

/// To the group; killing takes along what left it.
fn send(leader: pid_t, order: Option<Order>) {
    match order {
        Some(Order::Term) => {
            wait::signal_group(leader, libc::SIGTERM);
            // What is stopped gets no other signal.
            wait::signal_group(leader, libc::SIGCONT);
        }
        Some(Order::Kill) => {
            let escaped = proc::descendants(leader);
            wait::signal_group(leader, libc::SIGKILL);
            for pid in escaped {
                wait::signal(pid, libc::SIGKILL);
            }
        }
        None => {}
    }
}

fn how_ended(status: i32, why: Option<Why>) -> Ended {
    match why {
        Some(Why::TimedOut) => Ended::TimedOut,
        Some(Why::Cancelled) => Ended::Cancelled,
        None if libc::WIFSIGNALED(status) => {
            Ended::Signal { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
        }
        None => Ended::Exit(libc::WEXITSTATUS(status)),
    }
}

fn usage(duration: Duration, used: &libc::rusage) -> Usage {
    let millis = |time: libc::timeval| {
        u64::try_from(time.tv_sec * 1000 + time.tv_usec / 1000).unwrap_or_default()
    };
    Usage {
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        user_ms: millis(used.ru_utime),
        system_ms: millis(used.ru_stime),
        peak_rss_bytes: u64::try_from(used.ru_maxrss).unwrap_or_default().saturating_mul(1024),
        attempts: 1,
    }
}

fn lock(cell: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}
