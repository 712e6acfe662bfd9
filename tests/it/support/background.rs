//! A program that runs beside the test, and waiting for a condition: the one place that polls.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{PATIENCE, Run};

/// Waits until the condition holds. Fails the test, naming `what`, when patience ends.
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, condition), "waited in vain for {what}");
}

/// Whether the condition came to hold in time.
pub(super) fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > patience {
            return false;
        }
        thread::park_timeout(Duration::from_micros(500));
    }
    true
}

/// A started program in a process group of its own. What is dropped unfinished is killed.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    line: String,
    // Files, not pipes: a process that outlives the program cannot keep the test waiting.
    stdout: File,
    stderr: File,
    started: Instant,
    ended: Option<(ExitStatus, Duration)>,
}

impl Background {
    pub(super) fn start(mut command: Command) -> Self {
        let stdout = tempfile::tempfile().expect("a file for stdout");
        let stderr = tempfile::tempfile().expect("a file for stderr");
        let line = format!("{command:?}");
        command
            .stdout(Stdio::from(stdout.try_clone().expect("a second handle")))
            .stderr(Stdio::from(stderr.try_clone().expect("a second handle")))
            .process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        Self { child, line, stdout, stderr, started: Instant::now(), ended: None }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        if self.ended.is_none() {
            let status = self.child.try_wait().expect("a child of ours");
            self.ended = status.map(|status| (status, self.started.elapsed()));
        }
        self.ended.is_some()
    }

    /// What it has written to stdout so far.
    pub(crate) fn stdout_so_far(&self) -> Vec<u8> {
        content(&self.stdout)
    }

    /// What it has written to stderr so far.
    pub(crate) fn stderr_so_far(&self) -> Vec<u8> {
        content(&self.stderr)
    }

    /// How many bytes it has written to stderr so far.
    pub(crate) fn stderr_len(&self) -> u64 {
        self.stderr.metadata().expect("an open file").len()
    }

    /// Waits until it has told an event that holds both, as JSON lines on stdout.
    #[track_caller]
    pub(crate) fn wait_for_event(&mut self, kind: &str, part: &str) {
        let kind = format!("\"type\":\"{kind}\"");
        wait_until(&format!("an event with {kind} and {part}"), || {
            let told = String::from_utf8_lossy(&self.stdout_so_far()).into_owned();
            told.lines().any(|line| line.contains(&kind) && line.contains(part))
        });
    }

    /// Sends a signal to the program alone; nothing happens if it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        // Until it is waited for, the id is its own.
        if !self.is_over() {
            let _ = kill(Pid::from_raw(self.pid()), signal);
        }
        self
    }

    /// Sends a signal to its process group, as a terminal does.
    pub(crate) fn signal_group(&mut self, signal: Signal) -> &mut Self {
        if !self.is_over() {
            let _ = killpg(Pid::from_raw(self.pid()), signal);
        }
        self
    }

    /// Waits for the end. What does not end in time is killed and fails the test.
    #[track_caller]
    pub(crate) fn wait(self) -> Run {
        self.wait_within(PATIENCE)
    }

    #[track_caller]
    pub(crate) fn wait_within(mut self, patience: Duration) -> Run {
        let (mut looks, mut peak) = (0_u64, 0);
        // Its own account to the last; what `wait4` tells holds what the test had when it began.
        let over = holds_within(patience, || {
            looks += 1;
            if looks % 4 == 1 {
                peak = peak.max(peak_kib(self.pid()));
            }
            self.is_over()
        });
        if !over {
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
            panic!(
                "{} still ran after {patience:?}\n--- stdout\n{}\n--- stderr\n{}",
                self.line,
                String::from_utf8_lossy(&self.stdout_so_far()),
                String::from_utf8_lossy(&self.stderr_so_far())
            );
        }
        let (status, took) = self.ended.expect("it is over");
        Run {
            line: self.line.clone(),
            code: status.code(),
            signal: status.signal(),
            took,
            peak_kib: peak,
            stdout: self.stdout_so_far(),
            stderr: self.stderr_so_far(),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if !self.is_over() {
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// The most memory that a process has had, in KiB; 0 where it has ended.
fn peak_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// All of a file that another process appends to, without moving the place where it writes.
fn content(file: &File) -> Vec<u8> {
    let length = file.metadata().expect("an open file").len();
    let mut bytes = vec![0; usize::try_from(length).expect("it fits into memory")];
    file.read_exact_at(&mut bytes, 0).expect("what was written can be read");
    bytes
}
