//! What the journal of a run costs: the program with one and without any, round about:
//! `cargo bench --bench journal`. Prints medians and their ratios: of wall time, and of the
//! processor time with all tasks. A number behind `--` is that of the rounds.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

const TASKS: usize = 10_000;

/// Seconds.
struct Cost {
    wall: f64,
    processor: f64,
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let folder = workload();
    let modes: [&[&str]; 2] = [&[], &["--set", "history.keep_runs=0"]];
    let mut costs: [Vec<Cost>; 2] = [Vec::new(), Vec::new()];
    // The first run makes the state that all others begin with.
    run(folder.path(), modes[1]);
    let rounds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(7);
    for round in 0..rounds {
        for at in [round % 2, 1 - round % 2] {
            costs[at].push(run(folder.path(), modes[at]));
        }
    }
    let journals = fs::read_dir(folder.path().join(".reprovm/runs")).expect("journals");
    let bytes = journals.map(|entry| entry.and_then(|entry| entry.metadata()).map(|it| it.len()));
    let largest = bytes.map(|bytes| bytes.expect("a journal")).max().unwrap_or(0);
    assert!(largest > TASKS as u64 * 100, "only {largest} bytes were written");
    let medians = |cost: fn(&Cost) -> f64| [0, 1].map(|at| median(costs[at].iter().map(cost)));
    println!("a journal of {TASKS} tasks has {largest} bytes");
    println!("         with journal     without   ratio");
    for (name, [with, without]) in
        [("wall", medians(|cost| cost.wall)), ("processor", medians(|cost| cost.processor))]
    {
        println!("{name:<10} {with:>8.3} s  {without:>8.3} s  {:>6.4}", with / without);
    }
}

/// A project of tasks that do next to nothing, each something else.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own files")]
fn workload() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut manifest = String::new();
    for n in 0..TASKS {
        writeln!(manifest, "task t{n} {{\n  cmd = : {n}\n}}").expect("a string takes all");
    }
    fs::write(folder.path().join("manifest.txt"), manifest).expect("a writable folder");
    folder
}

/// One run of all tasks.
#[expect(clippy::disallowed_methods, reason = "a benchmark starts and times the program")]
fn run(folder: &Path, mode: &[&str]) -> Cost {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprovm"));
    command.args(["-q", "-f", "manifest.txt"]).args(mode).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (before, begin) = (processor(), Instant::now());
    let status = command.status().expect("the program starts");
    let cost = Cost { wall: begin.elapsed().as_secs_f64(), processor: processor() - before };
    assert!(status.success(), "the run failed: {status}");
    cost
}

/// What all processes that were waited for have used so far, with theirs.
fn processor() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).expect("figures of our own");
    (used.user_time() + used.system_time()).num_microseconds() as f64 / 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
