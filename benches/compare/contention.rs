//! 16 processes on one cache, all at once and one after the other.

use std::time::Instant;

use super::run::{Tool, cost, median};
use super::workload::{Command, Workload, folder};

const PROCESSES: usize = 16;
const ROUNDS: usize = 7;

/// A line: what all at once took beside the sum of each alone. Each has a checkout of its own;
/// all have the same 200 tasks, whose results come from the one cache.
#[expect(clippy::disallowed_methods, reason = "a benchmark times the tools")]
pub(crate) fn measure(ours: &Tool) -> String {
    let workload = Workload { tasks: 200, command: Command::Plain };
    let cache = folder();
    let shared = format!("--cache-dir={}", cache.path().display());
    let tool = ours.with(&["-q", "-j", "1", &shared]);
    let checkouts: Vec<_> = (0..PROCESSES).map(|_| workload.make("reprovm")).collect();
    for checkout in &checkouts {
        cost(&tool, checkout.path());
    }
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let lose = || checkouts.iter().for_each(|checkout| workload.lose(checkout.path()));
        lose();
        let alone: Vec<_> = checkouts.iter().map(|checkout| cost(&tool, checkout.path())).collect();
        lose();
        let begin = Instant::now();
        let running: Vec<_> =
            checkouts.iter().map(|checkout| tool.start(checkout.path())).collect();
        let cpu: f64 = running.into_iter().map(|run| run.wait("reprovm").cpu_ms).sum();
        let wall = begin.elapsed().as_secs_f64() * 1000.0;
        walls.push(wall / alone.iter().map(|cost| cost.wall_ms).sum::<f64>());
        cpus.push(cpu / alone.iter().map(|cost| cost.cpu_ms).sum::<f64>());
    }
    checkouts.iter().for_each(|checkout| workload.check("reprovm", checkout.path()));
    format!(
        "contention: {PROCESSES} processes restore 200 outputs each from one cache, all at once \
         beside one after the other: wall {:.2}, cpu {:.2}",
        median(walls),
        median(cpus)
    )
}
