//! What the store does with files, beside tools that do the like with the same files: `cp`,
//! `sha256sum`, `rm`, `zstd`, restic and borg. `cargo bench --bench store [-- STEP ...]`.
//!
//! A tool that is not there is left out, and said.

mod steps;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use steps::{STEPS, Step, Tool};

/// An odd number has a middle one.
const ROUNDS: usize = 5;

/// Some files to store.
struct Files {
    name: &'static str,
    count: usize,
    size: usize,
}

const FILES: [Files; 2] = [
    Files { name: "small", count: 2_000, size: 4 << 10 },
    Files { name: "large", count: 8, size: 16 << 20 },
];

impl Files {
    /// Two folders of them. One half of each is words, the other cannot be compressed.
    #[expect(clippy::disallowed_methods, reason = "a benchmark makes the files that it needs")]
    fn make(&self, root: &Path) {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for at in 0..self.count {
            let folder = root.join(if at % 2 == 0 { "src/a" } else { "src/b" });
            let folder = folder.join((at / 100).to_string());
            fs::create_dir_all(&folder).expect("a writable folder");
            let mut bytes = Vec::with_capacity(self.size);
            while bytes.len() < self.size / 2 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                bytes.extend(random.to_le_bytes());
            }
            while bytes.len() < self.size {
                bytes.extend(format!("line {} of file {at}\n", bytes.len() / 20).as_bytes());
            }
            bytes.truncate(self.size);
            fs::write(folder.join(at.to_string()), bytes).expect("a writable folder");
        }
        let task = |name| {
            format!(
                "task {name} {{\n  cmd = cp -r src/{name}/. out/{name}\n  inputs = src/{name}/\n  outputs = out/{name}/\n}}\n"
            )
        };
        fs::write(root.join("manifest.txt"), task("a") + &task("b")).expect("a writable folder");
    }

    fn mib(&self) -> f64 {
        (self.count * self.size) as f64 / f64::from(1 << 20)
    }
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() -> ExitCode {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |step: &Step| wanted.is_empty() || wanted.iter().any(|word| word == step.name);
    println!("files  step       tool         ms     MiB/s  objects/s  wall/ours  cpu/ours");
    for files in FILES {
        for step in STEPS.iter().filter(|step| is_wanted(step)) {
            measure(&files, step);
        }
    }
    ExitCode::SUCCESS
}

/// The lines of one step: medians, and medians of the ratios of each round.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn measure(files: &Files, step: &Step) {
    // In memory where there is such a place, so that the disk takes no part.
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let (there, missing): (Vec<&Tool>, Vec<&Tool>) = step
        .tools
        .iter()
        .partition(|tool| sh(&base, &format!("command -v {}", tool.needs)).is_some());
    let root = tempfile::tempdir_in(base).expect("a temporary folder");
    files.make(root.path());
    for tool in &there {
        sh(root.path(), tool.before_all).expect("what a tool needs before all rounds");
    }
    let mut costs: Vec<Vec<Cost>> = there.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for turn in 0..there.len() {
            let at = (turn + round) % there.len();
            sh(root.path(), there[at].before).expect("what a tool needs before a round");
            costs[at].push(sh(root.path(), there[at].run).expect("the tool does its work"));
        }
    }
    for (tool, own) in there.iter().zip(&costs) {
        let wall = median(own.iter().map(|cost| cost.wall));
        let ratio = |of: fn(&Cost) -> f64| {
            median(own.iter().zip(&costs[0]).map(|(own, ours)| of(own) / of(ours)))
        };
        println!(
            "{:<6} {:<10} {:<8} {:>7.1} {:>9.0} {:>10.0} {:>10.2} {:>9.2}",
            files.name,
            step.name,
            tool.name,
            wall * 1000.0,
            files.mib() / wall,
            files.count as f64 / wall,
            ratio(|cost| cost.wall),
            ratio(|cost| cost.cpu),
        );
    }
    for tool in missing {
        println!("{:<6} {:<10} {:<8} is not there", files.name, step.name, tool.name);
    }
}

/// What a command took, in seconds.
struct Cost {
    wall: f64,
    cpu: f64,
}

/// Runs a line of shell; none: it failed.
#[expect(clippy::disallowed_methods, reason = "a benchmark starts and times the tools")]
fn sh(folder: &Path, line: &str) -> Option<Cost> {
    let begin = Instant::now();
    let child = Command::new("sh")
        .args(["-ec", line])
        .current_dir(folder)
        .env("REPROVM", env!("CARGO_BIN_EXE_reprovm"))
        .env("RESTIC_PASSWORD", "x")
        .env("RESTIC_REPOSITORY", "restic")
        .env("RESTIC_CACHE_DIR", "restic-cache")
        .env("BORG_BASE_DIR", folder)
        .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
        .env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let pid = i32::try_from(child.id()).ok()?;
    let mut status = 0;
    // SAFETY: an all-zero `rusage` is a valid value of that plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and nobody else waits for it; both places outlive the call.
    let ended = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    let wall = begin.elapsed().as_secs_f64();
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    (ended == pid && status == 0).then_some(Cost { wall, cpu })
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
