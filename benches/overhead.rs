//! What it costs to see what happens: the program with each of its parts and without it, round
//! about: `cargo bench --bench overhead [-- TASKS ROUNDS] [PART...]`. Prints the medians of wall and
//! of processor time with all tasks, those of the ratios of each round, and the ratio of the least
//! processor times, in which the rest of the machine has the smallest part.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// What is switched on, by arguments, and the file that shows that it was. The first has nothing.
const PARTS: &[(&str, &[&str], Option<&str>)] = &[
    ("nothing", &["--set", "history.keep_runs=0"], None),
    ("log", &["--set", "history.keep_runs=0", "-l", "run.log"], Some("run.log")),
    (
        "metrics",
        &["--set", "history.keep_runs=0", "-m", "m.json", "--set", "prometheus.textfile=m.prom"],
        Some("m.prom"),
    ),
    ("journal", &[], Some(".reprovm/runs")),
    (
        "audit",
        &["--set", "history.keep_runs=0", "--set", "audit.enabled=1"],
        Some(".reprovm/audit.log"),
    ),
    (
        "limits",
        &[
            "--set",
            "history.keep_runs=0",
            "--max-cpu",
            "100",
            "--max-memory",
            "1000000",
            "--set",
            "max_tasks_per_second=1000000",
            "--set",
            "max_disk_percent=100",
            "--set",
            "max_cache_operations_per_second=1000000",
        ],
        None,
    ),
];

/// Seconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    processor: f64,
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    let (tasks, rounds) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(7));
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| PARTS.iter().any(|part| part.0 == *arg)).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let parts: Vec<_> =
        PARTS.iter().filter(|part| part.1 == PARTS[0].1 || is_wanted(part.0)).collect();
    let folder = workload(tasks);
    let mut costs: Vec<Vec<Cost>> = parts.iter().map(|_| Vec::new()).collect();
    // The first run makes the state that all others begin with.
    run(folder.path(), PARTS[0].1);
    for round in 0..rounds {
        for turn in 0..parts.len() {
            let at = (turn + round) % parts.len();
            costs[at].push(run(folder.path(), parts[at].1));
        }
    }
    println!("with         wall s   ratio   processor s   ratio     least   ratio");
    for ((name, _, left), own) in parts.iter().zip(&costs) {
        let left = left.map(|path| folder.path().join(path));
        assert!(left.is_none_or(|path| path.exists()), "{name} has left nothing");
        let ratio = |of: fn(Cost) -> f64| {
            median(own.iter().zip(&costs[0]).map(|(own, none)| of(*own) / of(*none)))
        };
        let least = |costs: &[Cost]| {
            costs.iter().map(|cost| cost.processor).min_by(f64::total_cmp).unwrap_or(f64::NAN)
        };
        println!(
            "{name:<10} {:>8.3} {:>7.4} {:>13.3} {:>7.4} {:>9.3} {:>7.4}",
            median(own.iter().map(|cost| cost.wall)),
            ratio(|cost| cost.wall),
            median(own.iter().map(|cost| cost.processor)),
            ratio(|cost| cost.processor),
            least(own),
            least(own) / least(&costs[0]),
        );
    }
    let checks = (0..rounds).map(|_| verb(folder.path(), &["health"]).processor);
    println!("a health check takes {:.4} s of the processor", median(checks));
}

/// A project of tasks that do next to nothing, each something else.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own files")]
fn workload(tasks: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut manifest = String::new();
    for n in 0..tasks {
        writeln!(manifest, "task t{n} {{\n  cmd = true {n}\n}}").expect("a string takes all");
    }
    fs::write(folder.path().join("manifest.txt"), manifest).expect("a writable folder");
    folder
}

/// One run of all tasks.
fn run(folder: &Path, part: &[&str]) -> Cost {
    verb(folder, &[&["-q", "-f", "-j", "2", "manifest.txt"], part].concat())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark starts and times the program")]
fn verb(folder: &Path, args: &[&str]) -> Cost {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprovm"));
    command.args(args).current_dir(folder);
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
