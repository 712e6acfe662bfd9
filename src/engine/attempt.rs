//! One task's command: its environment, its log, its attempts, and how it ended.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Bench;
use super::gate::{Pass, Refused};
use super::laps::Laps;
use super::lookup::chain;
use super::task::Worker;
use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError, clock};
use crate::event::{Event, Failure, Output as Log, Usage, Work};
use crate::exec::{Command, Ended, EnvRules, Full, MAKEFLAGS, task_env, withheld};
use crate::manifest::Task;
use crate::store::{DiskStore, Form};

/// Up to this size what a command wrote goes to the listeners as bytes.
pub(super) const SHOWN_WHOLE: u64 = 1 << 20;
/// How much of the end of a log is searched for names of variables.
const TAIL: u64 = 64 << 10;

/// What came of all attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    pub end: Result<(), Failed>,
    pub usage: Usage,
    /// What was written by the last attempt.
    pub log: Option<File>,
}

#[derive(Debug)]
pub(super) enum Failed {
    Failure(Failure),
    Cancelled,
}

pub(super) fn disk_full(full: &Full) -> Failure {
    let path = full.path.display().to_string();
    Failure::DiskFull { path, percent: full.percent, ceiling: full.ceiling }
}

/// Lets a wait end early when nothing more is to start.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Alarm {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    /// Waits so long; false where the alarm rang.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (rung, _) = self
            .bell
            .wait_timeout_while(rung, time, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        !*rung
    }
}

impl Worker<'_> {
    /// Runs the command until it succeeds or its retries are used up, each attempt with a place of
    /// its own. `between` clears the remains of an attempt away.
    pub(super) fn attempts(
        &self,
        task: &Task,
        mut pass: Pass<'_>,
        between: &dyn Fn() -> Result<(), FileError>,
        laps: &mut Laps,
    ) -> Attempts {
        let bench = self.bench;
        let retries = task.retries.unwrap_or(bench.options.retries);
        let mut usage = Usage::default();
        let mut delay = bench.options.retry_delay;
        loop {
            usage.attempts += 1;
            let ran = self.attempt(task, pass.slot, usage.attempts, &mut usage);
            laps.lap(Work::Command);
            let may_retry = usage.attempts <= retries;
            let failed = !matches!(ran, Ok((Ok(()) | Err(Failed::Cancelled), _)));
            if failed && !may_retry && bench.options.fail_fast {
                // Before the place is another's.
                self.halt();
            }
            pass.leave();
            let (end, log) = match ran {
                Ok(done) => done,
                Err(error) => {
                    let failure = Failure::Files { problem: chain(&error) };
                    return Attempts { end: Err(Failed::Failure(failure)), usage, log: None };
                }
            };
            let failure = match end {
                Err(Failed::Failure(failure)) if may_retry => failure,
                end => return Attempts { end, usage, log: Some(log) },
            };
            let wait = jittered(delay);
            bench.emitter.emit(Event::TaskRetrying {
                task: task.name.clone(),
                attempt: usage.attempts,
                delay_ms: millis(wait),
                because: failure.clone(),
            });
            delay = delay.saturating_mul(2);
            let cleared = between();
            let waited = self.alarm.wait(wait);
            laps.lap(Work::Pause);
            if !waited {
                return Attempts { end: Err(self.cut_short(failure)), usage, log: Some(log) };
            }
            if let Err(error) = cleared {
                let failure = Failure::Files { problem: chain(&error) };
                return Attempts { end: Err(Failed::Failure(failure)), usage, log: Some(log) };
            }
            let entered = pass.again();
            laps.lap(Work::Wait);
            if let Err(refused) = entered {
                let failed = match refused {
                    Refused::Closed => self.cut_short(failure),
                    Refused::Full(full) => Failed::Failure(disk_full(&full)),
                };
                return Attempts { end: Err(failed), usage, log: Some(log) };
            }
        }
    }

    /// How a task ends that would have been tried again, were not all to end: without its own
    /// doing, or as its last attempt did.
    fn cut_short(&self, last: Failure) -> Failed {
        if self.runner.is_cancelled() { Failed::Cancelled } else { Failed::Failure(last) }
    }

    fn attempt(
        &self,
        task: &Task,
        slot: usize,
        attempt: u32,
        usage: &mut Usage,
    ) -> Result<(Result<(), Failed>, File), FileError> {
        let bench = self.bench;
        let text = task.command.as_deref().unwrap_or_default();
        let log = fs::unnamed(&bench.home.stage())?;
        let timeout = task.timeout.or(bench.options.timeout);
        let rules = rules(task);
        bench.emitter.emit(Event::TaskStarted {
            task: task.name.clone(),
            attempt,
            command: text.to_owned(),
        });
        let ran = self.runner.run(
            slot,
            &Command {
                task: task.name.as_str(),
                text,
                shell: task.shell.as_deref(),
                cwd: task.cwd.as_path().to_path_buf(),
                env: self.env(&rules),
                timeout,
                stdin: None,
                log: &log,
            },
        );
        let failure = match ran {
            Err(error) => Failure::Start { problem: error.to_string() },
            Ok((ended, cost)) => {
                usage.duration_ms += cost.duration_ms;
                usage.user_ms += cost.user_ms;
                usage.system_ms += cost.system_ms;
                usage.peak_rss_bytes = usage.peak_rss_bytes.max(cost.peak_rss_bytes);
                match ended {
                    Ended::Exit(0) => return Ok((Ok(()), log)),
                    Ended::Cancelled => return Ok((Err(Failed::Cancelled), log)),
                    Ended::Exit(code) => {
                        let tail = tail(&log).unwrap_or_default();
                        let withheld = withheld(text, &tail, bench.environment, &rules);
                        Failure::Exit { code, withheld }
                    }
                    Ended::Signal { signal, core_dumped } => {
                        Failure::Signal { signal, core_dumped }
                    }
                    Ended::OutOfMemory(limit) => Failure::OutOfMemory { limit },
                    Ended::TimedOut => {
                        Failure::TimedOut { after_ms: millis(timeout.unwrap_or_default()) }
                    }
                }
            }
        };
        Ok((Err(Failed::Failure(failure)), log))
    }
}

impl Worker<'_> {
    /// What the command sees: beside all that is in its key the jobserver, unless the task has a
    /// `MAKEFLAGS` of its own.
    fn env(&self, rules: &EnvRules<'_>) -> Vec<(OsString, OsString)> {
        let mut env = task_env(self.bench.environment, rules);
        if let Some(jobserver) = self.runner.jobserver()
            && !rules.names(MAKEFLAGS)
        {
            env.push((MAKEFLAGS.into(), jobserver.flags().into()));
        }
        env
    }
}

impl Bench<'_> {
    /// Keeps what a command wrote and hands it to the listeners. Returns its digest and size;
    /// none where it could not be kept.
    pub(super) fn keep_log(&self, task: &Task, mut log: File) -> Option<(Digest, u64)> {
        let stage = self.home.stage();
        let size = log.metadata().map_or(0, |meta| meta.len());
        if size == 0 {
            return Some((Digest::of(b""), 0));
        }
        log.rewind().ok()?;
        let (kept, output) = if size <= SHOWN_WHOLE {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            log.read_to_end(&mut bytes).ok()?;
            let kept = self.store.put_bytes(&bytes).ok().map(|digest| (digest, size));
            (kept, Log::Bytes(bytes.into()))
        } else {
            match self.store.put_file(&mut log, &stage) {
                Ok((digest, size)) => {
                    let kept = bare_log(self.store, &digest, size);
                    let output = kept.unwrap_or_else(|| Log::held(log, size, digest));
                    (Some((digest, size)), output)
                }
                // No room for all of it: the end says most.
                Err(_) => (None, Log::Bytes(tail(&log).unwrap_or_default().into())),
            }
        };
        self.emitter.emit(Event::TaskOutput { task: task.name.clone(), replayed: false, output });
        kept
    }
}

/// A large log as the file of the store that holds it, where that is bare.
pub(super) fn bare_log(store: &DiskStore, object: &Digest, len: u64) -> Option<Log> {
    let (form, path) = store.find(object, len)?;
    let path = path.display().to_string();
    (form == Form::Bare).then_some(Log::File { path, len, object: *object, held: None })
}

fn rules(task: &Task) -> EnvRules<'_> {
    EnvRules { set: &task.env, pass: &task.pass_env, inherit: task.inherit_env }
}

fn tail(mut log: &File) -> Result<Vec<u8>, FileError> {
    let here = std::path::Path::new("the log");
    let size = log.metadata().at("read", here)?.len();
    log.seek(SeekFrom::Start(size.saturating_sub(TAIL))).at("read", here)?;
    let mut bytes = Vec::new();
    log.take(TAIL).read_to_end(&mut bytes).at("read", here)?;
    Ok(bytes)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Up to a quarter more or less, so that tasks that failed together do not come back together.
fn jittered(delay: Duration) -> Duration {
    let hash = Digest::of(&clock::now_ns().to_le_bytes());
    let share = u32::from(hash.as_bytes()[0]);
    delay.mul_f64(0.75 + f64::from(share) / 510.0)
}
