//! ReproVM beside ninja on the same graph of tasks, round about, so that a busy machine slows
//! both alike: `cargo bench --bench peers`. Prints medians, and the median of the ratios of each
//! round. ninja is taken from PATH, or from the variable NINJA.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A workload that both tools know.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    tasks: usize,
    rounds: usize,
    /// Whether everything is built before the clock starts.
    warm: bool,
}

const LOADS: [Load; 7] = [
    Load { name: "no-op", tasks: 100, rounds: 15, warm: true },
    Load { name: "no-op", tasks: 1_000, rounds: 15, warm: true },
    Load { name: "no-op", tasks: 10_000, rounds: 11, warm: true },
    Load { name: "edit", tasks: 1_000, rounds: 11, warm: true },
    Load { name: "edit", tasks: 10_000, rounds: 11, warm: true },
    Load { name: "cold", tasks: 1_000, rounds: 5, warm: false },
    Load { name: "restore", tasks: 1_000, rounds: 5, warm: true },
];

struct Tool {
    name: &'static str,
    command: Vec<String>,
    /// What it keeps between runs.
    state: &'static [&'static str],
}

#[expect(clippy::disallowed_methods, reason = "a benchmark may be told where ninja is")]
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() -> ExitCode {
    let ninja = std::env::var("NINJA").unwrap_or_else(|_| "ninja".to_owned());
    if !Command::new(&ninja).arg("--version").output().is_ok_and(|out| out.status.success()) {
        println!("`{ninja}` does not run: install ninja, or name it with NINJA=PATH");
        return ExitCode::FAILURE;
    }
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let command = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let tools = [
        Tool {
            name: "reprovm",
            command: command(&[env!("CARGO_BIN_EXE_reprovm"), "-q", "-j", &jobs]),
            state: &[".reprovm"],
        },
        Tool {
            name: "ninja",
            command: command(&[&ninja, "--quiet", "-j", &jobs]),
            state: &[".ninja_log", ".ninja_deps"],
        },
    ];
    println!("load      tasks      reprovm       ninja   ratio");
    for load in LOADS {
        println!("{}", measure(load, &tools));
    }
    ExitCode::SUCCESS
}

/// A line of the table.
#[expect(clippy::disallowed_methods, reason = "a benchmark clears its own folders")]
fn measure(load: Load, tools: &[Tool; 2]) -> String {
    let folders: Vec<tempfile::TempDir> = tools.iter().map(|_| workload(load.tasks)).collect();
    if load.warm {
        for (tool, folder) in tools.iter().zip(&folders) {
            run(tool, folder.path());
            run(tool, folder.path());
        }
    }
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..load.rounds {
        for at in [round % 2, 1 - round % 2] {
            let folder = folders[at].path();
            // What one restores the other has to build again.
            if load.name == "edit" {
                fs::write(folder.join("src/0.txt"), format!("round {round}\n"))
                    .expect("a writable folder");
            } else if load.name != "no-op" {
                fs::remove_dir_all(folder.join("out")).expect("outputs of the last round");
                fs::create_dir(folder.join("out")).expect("a writable folder");
            }
            if !load.warm {
                forget(&tools[at], folder);
            }
            times[at].push(run(&tools[at], folder));
        }
    }
    let ratio = median(times[0].iter().zip(&times[1]).map(|(a, b)| a / b).collect());
    let [ours, theirs] = times.map(median);
    let (name, tasks) = (load.name, load.tasks);
    format!("{name:<8} {tasks:>6}  {ours:>8.1} ms {theirs:>8.1} ms  {ratio:>6.2}")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark clears its own folders")]
fn forget(tool: &Tool, folder: &Path) {
    for state in tool.state {
        let path = folder.join(state);
        // Not there in the first round.
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_file(&path);
    }
}

/// A project of so many tasks that each copy a source of their own, for both tools.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own files")]
fn workload(tasks: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    fs::create_dir(at("src")).expect("a writable folder");
    fs::create_dir(at("out")).expect("a writable folder");
    let mut manifest = String::new();
    let mut ninja = "rule cp\n  command = cp $in $out\n".to_owned();
    for n in 0..tasks {
        let (from, to) = (format!("src/{n}.txt"), format!("out/{n}.txt"));
        fs::write(at(&from), format!("{n}\n")).expect("a writable folder");
        write!(
            manifest,
            "task t{n} {{\n  cmd = cp {from} {to}\n  inputs = {from}\n  outputs = {to}\n}}\n"
        )
        .expect("writing to a string cannot fail");
        writeln!(ninja, "build {to}: cp {from}").expect("writing to a string cannot fail");
    }
    fs::write(at("manifest.txt"), manifest).expect("a writable folder");
    fs::write(at("build.ninja"), ninja).expect("a writable folder");
    folder
}

/// Milliseconds of one run.
#[expect(clippy::disallowed_methods, reason = "a benchmark starts and times the tools")]
fn run(tool: &Tool, folder: &Path) -> f64 {
    let begin = Instant::now();
    let status = Command::new(&tool.command[0])
        .args(&tool.command[1..])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a tool that ran before");
    let took: Duration = begin.elapsed();
    assert!(status.success(), "{} failed", tool.name);
    took.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
