//! The tools, and what a run of one costs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A tool, how it is called, and what it keeps between runs.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    command: Vec<String>,
    state: &'static [&'static str],
}

/// What a run took. The memory is the peak of the largest process of the run, so that of the tool
/// unless a task takes more.
pub(crate) struct Cost {
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) rss_mib: f64,
}

impl Tool {
    pub(crate) fn reprovm(program: &str) -> Self {
        Self::new("reprovm", &[program, "-q", "-j", "2"], &[".reprovm"])
    }

    pub(crate) fn ninja(program: &str) -> Option<Self> {
        let tool = Self::new("ninja", &[program, "--quiet", "-j", "2"], &[".ninja_log"]);
        tool.runs().then_some(tool)
    }

    pub(crate) fn turbo(program: &str) -> Option<Self> {
        let words = [
            program,
            "run",
            "build",
            "--concurrency=2",
            "--output-logs=none",
            "--no-daemon",
            "--no-update-notifier",
        ];
        let tool = Self::new("turbo", &words, &[".turbo"]);
        tool.runs().then_some(tool)
    }

    fn new(name: &'static str, words: &[&str], state: &'static [&'static str]) -> Self {
        Self { name, command: words.iter().map(|&word| word.to_owned()).collect(), state }
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark starts the tools")]
    fn runs(&self) -> bool {
        let output = Command::new(&self.command[0]).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    }

    /// With other words behind its own, and another number of jobs.
    pub(crate) fn with(&self, words: &[&str]) -> Self {
        let mut command = vec![self.command[0].clone()];
        command.extend(words.iter().map(|&word| word.to_owned()));
        Self { name: self.name, command, state: self.state }
    }

    /// Removes what the tool keeps.
    #[expect(clippy::disallowed_methods, reason = "a benchmark clears its own folders")]
    pub(crate) fn forget(&self, folder: &Path) {
        for state in self.state {
            let path = folder.join(state);
            // Not there in the first round.
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark starts the tools")]
    pub(crate) fn start(&self, folder: &Path) -> Running {
        let child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .current_dir(folder)
            .env("TURBO_TELEMETRY_DISABLED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tool starts");
        Running(child)
    }
}

/// Makes all objects of our cache, if it is there, as old as those that have long been on a disk.
#[expect(clippy::disallowed_methods, reason = "a benchmark may do so to its own files")]
pub(crate) fn age(folder: &Path) {
    let old = SystemTime::now() - Duration::from_secs(3600);
    let mut folders = vec![folder.join(".reprovm/cas")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let object = fs::File::open(entry.path());
                object.and_then(|it| it.set_modified(old)).expect("an object of our own");
            }
        }
    }
}

/// One run, which must succeed. What was written before it has reached the disk, if there is one.
#[expect(clippy::disallowed_methods, reason = "a benchmark times the tools")]
pub(crate) fn cost(tool: &Tool, folder: &Path) -> Cost {
    nix::unistd::sync();
    let begin = Instant::now();
    let cost = tool.start(folder).wait(tool.name);
    Cost { wall_ms: begin.elapsed().as_secs_f64() * 1000.0, ..cost }
}

/// A run that goes on.
pub(crate) struct Running(Child);

impl Running {
    /// Waits for the end of a run; what it and all that it waited for took.
    pub(crate) fn wait(self, name: &str) -> Cost {
        let pid = i32::try_from(self.0.id()).expect("a process id");
        let mut status = 0;
        // SAFETY: an all-zero `rusage` is a valid value of that plain C struct.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the child is ours and nobody else waits for it; both places outlive the call.
        let ended = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        assert!(ended == pid && status == 0, "{name} ended with {status}");
        let ms = |time: libc::timeval| time.tv_sec as f64 * 1000.0 + time.tv_usec as f64 / 1000.0;
        Cost {
            wall_ms: 0.0,
            cpu_ms: ms(usage.ru_utime) + ms(usage.ru_stime),
            rss_mib: usage.ru_maxrss as f64 / 1024.0,
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
