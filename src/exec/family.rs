//! The children of this process: the leaders that we started, and strays, which the kernel hands
//! to us when their parents end.
//!
//! Knows nothing of slots or of when to end what.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use libc::{c_int, pid_t, rusage};

use super::env::TAG;
use super::process::mark::Mark;
use super::process::{proc, wait};

/// There is one for the process, however many runners it has.
pub(super) static FAMILY: Family = Family {
    gate: RwLock::new(()),
    started: Mutex::new(BTreeSet::new()),
    runners: AtomicUsize::new(0),
};

/// Tells what we started from what was handed to us, so that each is reaped by its owner.
pub(super) struct Family {
    /// Held for reading where a leader is born or reaped, for writing where strays are: a process
    /// id means the same process from the look at it to the signal.
    gate: RwLock<()>,
    started: Mutex<BTreeSet<pid_t>>,
    /// How many runners may have something that runs.
    runners: AtomicUsize,
}

/// One runner among those of this process, until it is dropped.
#[derive(Debug)]
pub(super) struct Member(());

impl Drop for Member {
    fn drop(&mut self) {
        FAMILY.runners.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whose strays.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Of one task: those in its group, with its tag, or with the mark of its slot.
    Task { group: pid_t, tag: &'a str, mark: Option<(Mark, usize)> },
    /// Of one run: those with its mark or its id in the tag. Those without any tag belong to the
    /// last one that ends: until then they may be what another run's tasks started.
    Run { id: &'a str, mark: Option<Mark> },
    /// Only those that have ended already.
    Nobody,
}

impl Family {
    /// From here on the runner that holds it may have started what is without a tag.
    pub(super) fn join(&self) -> Member {
        self.runners.fetch_add(1, Ordering::SeqCst);
        Member(())
    }

    /// From here on orphans among our descendants become our children.
    pub(super) fn adopt_orphans() {
        // SAFETY: sets a flag of this process.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        // With SIGCHLD ignored, as some parents leave it, the kernel would reap for us and lose
        // the exit codes.
        // SAFETY: the structure is valid and all-zero means the default disposition.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action);
            if action.sa_sigaction == libc::SIG_IGN {
                libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            }
        }
    }

    /// Starts a child that is no stray. `start` returns its id.
    pub(super) fn start<E>(&self, start: impl FnOnce() -> Result<pid_t, E>) -> Result<pid_t, E> {
        let _gate = self.pass();
        let pid = start()?;
        self.started().insert(pid);
        Ok(pid)
    }

    /// Reaps a child that we started and that has ended.
    pub(super) fn reap(&self, pid: pid_t) -> io::Result<(c_int, rusage)> {
        wait::until_ended(pid)?;
        let _gate = self.pass();
        self.started().remove(&pid);
        wait::reap(pid)
    }

    /// Reaps strays that have ended, ends those of `whose` if told to, and returns those of
    /// `whose` that were alive.
    pub(super) fn sweep(&self, whose: Whose<'_>, kill: bool) -> Vec<pid_t> {
        if self.suspects().is_empty() {
            return Vec::new();
        }
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: this call has no conditions.
        let own_group = unsafe { libc::getpgrp() };
        // Whoever joins from here on starts nothing before the gate is open again.
        let is_last = self.runners.load(Ordering::SeqCst) == 0;
        let mut alive = Vec::new();
        for pid in self.suspects() {
            let Some(process) = proc::process(pid) else { continue };
            // What another part of this program started stays in our group: not ours to reap.
            if process.group == own_group || (process.zombie && wait::try_reap(pid)) {
                continue;
            }
            if !whose.owns(&process, is_last) {
                continue;
            }
            if kill {
                // Its children first, while it can be seen that they are its children.
                for descendant in proc::descendants(pid) {
                    wait::signal(descendant, libc::SIGKILL);
                }
                wait::signal(pid, libc::SIGKILL);
            }
            alive.push(pid);
        }
        alive
    }

    /// Children that we did not start. Orphans are handed to the first thread, while leaders
    /// belong to the thread that started them, so this list is nearly always empty.
    fn suspects(&self) -> Vec<pid_t> {
        let own = pid_t::try_from(std::process::id()).expect("process ids fit their type");
        let mut children = proc::children_of_thread(own, own);
        if !children.is_empty() {
            let started = self.started();
            children.retain(|pid| !started.contains(pid));
        }
        children
    }

    fn pass(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self) -> MutexGuard<'_, BTreeSet<pid_t>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Whose<'_> {
    fn owns(&self, process: &proc::Process, is_last: bool) -> bool {
        let tag = || proc::variable(process.pid, TAG);
        match self {
            Self::Task { group, tag: own, mark } => {
                process.group == *group
                    || mark.is_some_and(|(mark, slot)| mark.is_on_in_slot(process.pid, slot))
                    || tag().is_some_and(|tag| has_task(&tag, own))
            }
            Self::Nobody => false,
            Self::Run { id, mark } => {
                mark.is_some_and(|mark| mark.is_on(process.pid))
                    || tag().map_or(is_last, |tag| has_run(&tag, id))
            }
        }
    }
}

/// The tag of a task of a run; `outer` is the tag of the run around ours.
pub(super) fn tag(outer: Option<&str>, run: &str, task: &str) -> (String, String) {
    let own = format!("{run}/{}", task.replace(',', "_"));
    let whole = outer.map_or_else(|| own.clone(), |outer| format!("{outer},{own}"));
    (own, whole)
}

fn has_task(tag: &[u8], own: &str) -> bool {
    tag.split(|&b| b == b',').any(|part| part == own.as_bytes())
}

/// Whether a tag names a run, at whatever depth.
pub(super) fn has_run(tag: &[u8], id: &str) -> bool {
    tag.split(|&b| b == b',')
        .any(|part| part.strip_prefix(id.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_task_and_the_runs_around_it() {
        let (own, whole) = tag(Some("out/a"), "in", "b,c");
        assert_eq!((own.as_str(), whole.as_str()), ("in/b_c", "out/a,in/b_c"));
        assert!(has_task(whole.as_bytes(), "out/a") && has_task(whole.as_bytes(), &own));
        assert!(has_run(whole.as_bytes(), "out") && has_run(whole.as_bytes(), "in"));
        assert!(!has_task(whole.as_bytes(), "in/b") && !has_run(whole.as_bytes(), "ou"));
    }
}
