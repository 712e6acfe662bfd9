//! ReproVM beside other build tools on the same work, round about, so that a busy machine slows
//! all alike: `cargo bench --bench compare [-- CASE...]`. README.md beside it says what is
//! compared, and where that is unfair to anybody.

mod contention;
mod run;
mod workload;

use std::process::ExitCode;

use run::{Cost, Tool, age, cost, median};
use workload::{Command, Workload};

/// What is done between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    /// One source gets other bytes.
    Edit,
    /// The outputs go.
    Lose,
    /// The outputs go, and all that the tool keeps.
    Forget,
}

struct Case {
    name: &'static str,
    workload: Workload,
    between: Between,
    rounds: usize,
    peer: Peer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Ninja,
    Turbo,
}

const fn wide(tasks: usize, command: Command) -> Workload {
    Workload { tasks, command }
}

const CASES: [Case; 14] = [
    case("no-op", wide(100, Command::Plain), Between::Nothing, 25, Peer::Ninja),
    case("no-op", wide(1_000, Command::Plain), Between::Nothing, 15, Peer::Ninja),
    case("no-op", wide(10_000, Command::Plain), Between::Nothing, 11, Peer::Ninja),
    case("no-op", wide(100_000, Command::Nothing), Between::Nothing, 7, Peer::Ninja),
    case("edit", wide(100, Command::Plain), Between::Edit, 15, Peer::Ninja),
    case("edit", wide(1_000, Command::Plain), Between::Edit, 11, Peer::Ninja),
    case("edit", wide(10_000, Command::Plain), Between::Edit, 11, Peer::Ninja),
    case("cold", wide(1_000, Command::Plain), Between::Forget, 7, Peer::Ninja),
    case("cold", wide(10_000, Command::Plain), Between::Forget, 7, Peer::Ninja),
    case("cold-shell", wide(1_000, Command::Shell), Between::Forget, 7, Peer::Ninja),
    case("cold-shell", wide(10_000, Command::Shell), Between::Forget, 7, Peer::Ninja),
    case("restore", wide(1_000, Command::Plain), Between::Lose, 7, Peer::Turbo),
    case("large-restore", wide(50, Command::Large), Between::Lose, 7, Peer::Turbo),
    case("large-store", wide(50, Command::Large), Between::Forget, 7, Peer::Turbo),
];

const fn case(
    name: &'static str,
    workload: Workload,
    between: Between,
    rounds: usize,
    peer: Peer,
) -> Case {
    Case { name, workload, between, rounds, peer }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark may be told where a peer is")]
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() -> ExitCode {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let path = |name: &str, or: &str| std::env::var(name).unwrap_or_else(|_| or.to_owned());
    let (_installed, program) = installed();
    let ours = Tool::reprovm(&program);
    let ninja = Tool::ninja(&path("NINJA", "ninja"));
    let turbo = Tool::turbo(&path("TURBO", "turbo"));
    println!("case            tasks  peer       ours ms   peer ms   wall    cpu    rss   ours MiB");
    for case in CASES.iter().filter(|case| is_wanted(case.name)) {
        let peer = if case.peer == Peer::Ninja { &ninja } else { &turbo };
        let Some(peer) = peer else {
            println!("{:<14} {:>6}  {:?} does not run", case.name, case.workload.tasks, case.peer);
            continue;
        };
        println!("{}", measure(case, &ours, peer));
    }
    if is_wanted("contention") {
        println!("{}", contention::measure(&ours));
    }
    ExitCode::SUCCESS
}

/// Our program as an installation leaves it: a copy. What the linker has written lies in smaller
/// pieces in the memory of the kernel, and starts more slowly.
fn installed() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("reprovm");
    std::fs::copy(env!("CARGO_BIN_EXE_reprovm"), &program).expect("room for a copy");
    let program = program.to_str().expect("a path of text").to_owned();
    (folder, program)
}

/// A line of the table: medians, and medians of the ratios of each round.
fn measure(case: &Case, ours: &Tool, peer: &Tool) -> String {
    let tools = [ours, peer];
    let folders = tools.map(|tool| case.workload.make(tool.name));
    if case.between != Between::Forget {
        for (tool, folder) in tools.iter().zip(&folders) {
            cost(tool, folder.path());
            cost(tool, folder.path());
            age(folder.path());
        }
    }
    let mut costs: [Vec<Cost>; 2] = [Vec::new(), Vec::new()];
    for round in 0..case.rounds {
        for at in [round % 2, 1 - round % 2] {
            let folder = folders[at].path();
            match case.between {
                Between::Nothing => {}
                Between::Edit => case.workload.edit(folder, round),
                Between::Lose => case.workload.lose(folder),
                Between::Forget => {
                    case.workload.lose(folder);
                    tools[at].forget(folder);
                }
            }
            costs[at].push(cost(tools[at], folder));
        }
    }
    for (tool, folder) in tools.iter().zip(&folders) {
        case.workload.check(tool.name, folder.path());
    }
    let ratio = |of: fn(&Cost) -> f64| {
        median(costs[0].iter().zip(&costs[1]).map(|(a, b)| of(a) / of(b)).collect())
    };
    let ours = |of: fn(&Cost) -> f64| median(costs[0].iter().map(of).collect());
    let wall: fn(&Cost) -> f64 = |cost| cost.wall_ms;
    format!(
        "{:<14} {:>6}  {:<8} {:>9.1} {:>9.1} {:>6.2} {:>6.2} {:>6.2} {:>10.1}",
        case.name,
        case.workload.tasks,
        peer.name,
        ours(wall),
        median(costs[1].iter().map(wall).collect()),
        ratio(wall),
        ratio(|cost| cost.cpu_ms),
        ratio(|cost| cost.rss_mib),
        ours(|cost| cost.rss_mib),
    )
}
