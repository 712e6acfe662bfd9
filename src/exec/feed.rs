//! One command beside a run: it reads a text, has a limit of time, and of what it writes the end
//! is kept. All that it started is ended with it.
//!
//! Knows nothing of what the text says.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::guard::shared_memory;
use super::runner::{Command, Ended, Runner};
use crate::base::{CancelLevel, clock};

/// How much of what it writes is kept.
const KEPT: usize = 4 << 10;
/// How often it is asked whether to go on.
const BEAT: Duration = Duration::from_millis(20);

/// The command.
#[derive(Debug)]
pub struct Feed<'a> {
    /// As a shell reads it.
    pub text: &'a str,
    /// All that it sees of an environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it reads.
    pub input: &'a [u8],
    pub timeout: Duration,
}

/// How it ended.
#[derive(Debug)]
pub struct Fed {
    pub ended: Ended,
    /// The end of what it wrote.
    pub output: Vec<u8>,
}

/// Whether something that goes on is not wanted any more.
pub type GiveUp<'a> = &'a (dyn Fn() -> bool + Sync);

/// Runs the command to its end, or until it is to be given up. An error: it cannot be started.
pub fn feed(feed: &Feed<'_>, give_up: GiveUp<'_>) -> io::Result<Fed> {
    let mut input = shared_memory(0)?;
    input.write_all(feed.input)?;
    input.rewind()?;
    let (reader, writer) = io::pipe()?;
    let log = File::from(OwnedFd::from(writer));
    let runner = Runner::new(1, Duration::ZERO)?;
    let (over, until) = mpsc::channel::<()>();
    let fed = thread::scope(|scope| {
        let reading = scope.spawn(|| last_of(reader));
        let looking_after = &runner;
        scope.spawn(move || look_after(looking_after, &until, give_up));
        let ran = {
            // The last end of the pipe but those of the command.
            let log = log;
            let command = Command {
                task: "notification",
                text: feed.text,
                shell: None,
                cwd: PathBuf::new(),
                env: feed.env.clone(),
                timeout: Some(feed.timeout),
                stdin: Some(&input),
                log: &log,
            };
            runner.run(0, &command)
        };
        drop(over);
        let output = reading.join().unwrap_or_default();
        ran.map(|(ended, _)| Fed { ended, output })
    });
    runner.finish();
    fed
}

/// Ends the command where its time is over, or where it is given up.
fn look_after(runner: &Runner, until: &Receiver<()>, give_up: &dyn Fn() -> bool) {
    loop {
        if give_up() {
            runner.cancel(CancelLevel::Now);
        }
        runner.tick(clock::instant());
        if until.recv_timeout(BEAT) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Reads all, so that nobody waits for room, and keeps the end.
fn last_of(mut reader: PipeReader) -> Vec<u8> {
    let mut kept = VecDeque::with_capacity(KEPT);
    let mut part = [0; KEPT];
    while let Ok(count @ 1..) = reader.read(&mut part) {
        kept.extend(&part[..count]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, timeout: Duration, give_up: bool) -> Fed {
        let env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let input = "one\ntwo\n".repeat(50_000);
        let it = Feed { text, env, input: input.as_bytes(), timeout };
        feed(&it, &|| give_up).expect("a shell")
    }

    #[test]
    fn a_command_reads_its_text_and_the_end_of_what_it_writes_is_kept() {
        let long = Duration::from_secs(60);
        let fed = run("wc -l; echo done", long, false);
        assert_eq!(String::from_utf8_lossy(&fed.output).trim(), "100000\ndone");
        assert_eq!(fed.ended, Ended::Exit(0));
        let fed = run("yes | head -c 1000000; echo the end; exit 3", long, false);
        assert_eq!((fed.ended, fed.output.len()), (Ended::Exit(3), KEPT));
        assert!(fed.output.ends_with(b"the end\n"));
        // One that does not read is none the worse.
        assert_eq!(run("true", long, false).ended, Ended::Exit(0));
    }

    #[test]
    fn what_takes_too_long_or_is_given_up_is_killed_with_all_that_it_started() {
        let fed =
            run("sleep 100 & setsid sleep 100; echo never", Duration::from_millis(200), false);
        assert_eq!((fed.ended, fed.output), (Ended::TimedOut, Vec::new()));
        let fed = run("trap '' TERM; sleep 100", Duration::from_secs(100), true);
        assert_eq!(fed.ended, Ended::Cancelled);
    }
}
