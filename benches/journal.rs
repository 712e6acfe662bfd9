//! What the journal of a run costs: `cargo bench --bench journal`. First the listener alone, by
//! its processor time for the events of as many tasks; then the program with a journal and
//! without any, round about, with medians and their ratios. Behind `--` may stand the number of
//! rounds and that of tasks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use reprovm::base::{Digest, TaskName};
use reprovm::event::{Event, MissReason, Observer as _, Outcome, Span, Stamped, Turn, Usage, Work};
use reprovm::observe::{Header, Journal, JournalOptions};

/// Seconds.
struct Cost {
    wall: f64,
    processor: f64,
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    let (rounds, tasks) = (numbers.next().unwrap_or(7), numbers.next().unwrap_or(10_000));
    let alone = alone(tasks);
    println!("the listener alone: {alone:.4} s for {tasks} tasks");
    let folder = workload(tasks);
    let modes: [&[&str]; 2] = [&[], &["--set", "history.keep_runs=0"]];
    let mut costs: [Vec<Cost>; 2] = [Vec::new(), Vec::new()];
    // The first run makes the state that all others begin with.
    run(folder.path(), modes[1]);
    for round in 0..rounds {
        for at in [round % 2, 1 - round % 2] {
            costs[at].push(run(folder.path(), modes[at]));
        }
    }
    let journals = fs::read_dir(folder.path().join(".reprovm/runs")).expect("journals");
    let bytes = journals.map(|entry| entry.and_then(|entry| entry.metadata()).map(|it| it.len()));
    let largest = bytes.map(|bytes| bytes.expect("a journal")).max().unwrap_or(0);
    assert!(largest > tasks as u64 * 100, "only {largest} bytes were written");
    let medians = |cost: fn(&Cost) -> f64| [0, 1].map(|at| median(costs[at].iter().map(cost)));
    println!("a journal of {tasks} tasks has {largest} bytes");
    println!("         with journal     without   ratio");
    for (name, [with, without]) in
        [("wall", medians(|cost| cost.wall)), ("processor", medians(|cost| cost.processor))]
    {
        println!("{name:<10} {with:>8.3} s  {without:>8.3} s  {:>6.4}", with / without);
    }
}

/// The processor time of the listener for the events of tasks that each ran, one in a
/// millisecond.
fn alone(tasks: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let header = Header::new(1, "reprovm manifest.txt".into(), BTreeMap::new());
    let folder_of_runs = folder.path().join("runs");
    let mut journal = Journal::new(JournalOptions {
        folder: folder_of_runs,
        keep: 100,
        max_bytes: 1 << 30,
        header,
    });
    let events: Vec<Stamped> = (0..tasks).flat_map(of_task).collect();
    let before = processor(UsageWho::RUSAGE_SELF);
    for event in &events {
        journal.observe(event).expect("room for it");
    }
    journal.finish().expect("room for it");
    processor(UsageWho::RUSAGE_SELF) - before
}

/// The five events of a task that ran.
fn of_task(number: usize) -> [Stamped; 5] {
    let task = || TaskName::parse(&format!("t{number}")).expect("a good name");
    let (key, reasons) = (Digest::of(&number.to_le_bytes()), || vec![MissReason::NoRecord]);
    let works = [Work::Key, Work::Lookup, Work::Prepare, Work::Command, Work::Store];
    let spans = (0..).zip(works).map(|(at, work)| Span { work, at_us: at * 250, took_us: 250 });
    let began_ns = 1_764_093_661_500_000_000 + 1_000_000 * i64::try_from(number).unwrap_or(0);
    let took_us = 1250;
    let turn = Turn { slot: 1, began_ns, took_us, spans: spans.collect() };
    let usage = Usage { duration_ms: 1, attempts: 1, peak_rss_bytes: 1 << 21, ..Usage::default() };
    let command = format!(": {number}");
    let events = [
        Event::TaskQueued { task: task(), after: None },
        Event::CacheMiss { task: task(), key, reasons: reasons() },
        Event::TaskStarted { task: task(), attempt: 1, command },
        Event::TaskTimed { task: task(), turn },
        Event::TaskFinished { task: task(), outcome: Outcome::Executed, usage, reasons: reasons() },
    ];
    let mut seq = 5 * number as u64;
    events.map(|event| {
        seq += 1;
        Stamped { seq, time_ns: began_ns, run: "3f2a91c0d4e5b677".into(), event }
    })
}

/// A project of tasks that do next to nothing, each something else.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own files")]
fn workload(tasks: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut manifest = String::new();
    for n in 0..tasks {
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
    let children = || processor(UsageWho::RUSAGE_CHILDREN);
    let (before, begin) = (children(), Instant::now());
    let status = command.status().expect("the program starts");
    let cost = Cost { wall: begin.elapsed().as_secs_f64(), processor: children() - before };
    assert!(status.success(), "the run failed: {status}");
    cost
}

/// What this process, or all that were waited for with theirs, have used so far.
fn processor(who: UsageWho) -> f64 {
    let used = getrusage(who).expect("figures of our own");
    (used.user_time() + used.system_time()).num_microseconds() as f64 / 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
