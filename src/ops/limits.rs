//! How much a run may use, by its settings, and with whom it shares its slots.

use super::types::BuildOptions;
use crate::config::{Config, JobserverKind};
use crate::engine::Bench;
use crate::event::{Emitter, Event, InForce, Limit, Means};
use crate::exec::{Caps, Jobserver, Limits, MAKEFLAGS, Offer, Runner, cores};
use crate::home::Home;

/// As many as the setting allows.
const MOST_JOBS: usize = 256;

pub(super) fn limits(config: &Config) -> Limits {
    let rate = &config.rate_limiting;
    Limits {
        cpu_percent: rate.max_cpu_percent.0,
        memory: rate.max_memory_mb.0.map(|mib| mib << 20),
        disk_percent: rate.max_disk_percent.0,
        tasks: rate.max_concurrent_tasks.0,
        starts: rate.max_tasks_per_second.0,
        cache_operations: rate.max_cache_operations_per_second.0,
    }
}

/// What of it the kernel is asked to keep.
pub(super) fn caps(limits: &Limits) -> Caps {
    Caps::new(limits.cpu_percent, limits.memory, cores())
}

/// Tells which limits there are and how they are kept.
pub(super) fn tell(bench: &Bench<'_>, runner: &Runner) {
    let limits = &bench.options.limits;
    if !limits.any() {
        return;
    }
    let kept = runner.kept();
    let by_kernel = |kept: bool| if kept { Means::ControlGroup } else { Means::Measuring };
    let all = [
        (Limit::Cpu, limits.cpu_percent, by_kernel(kept.cpu)),
        (Limit::Memory, limits.memory, by_kernel(kept.memory)),
        (Limit::Disk, limits.disk_percent, Means::Measuring),
        (Limit::Tasks, limits.tasks, Means::Counting),
        (Limit::Starts, limits.starts, Means::Counting),
        (Limit::CacheOperations, limits.cache_operations, Means::Counting),
    ];
    let set = all
        .into_iter()
        .filter_map(|(limit, ceiling, by)| ceiling.map(|ceiling| InForce { limit, ceiling, by }));
    bench.emitter.emit(Event::LimitsInForce { limits: set.collect() });
}

/// What a `make` around this run offers, if it counts.
fn offer(options: &BuildOptions) -> Option<Offer> {
    if options.config.execution.jobserver == JobserverKind::Off {
        return None;
    }
    Offer::of(options.environment.get(MAKEFLAGS)?.to_str()?)
}

/// How many jobs a `make` around this run has, where they are shared.
pub(super) fn offered_jobs(options: &BuildOptions) -> Option<usize> {
    Some(offer(options).filter(Offer::is_there)?.jobs?.min(MOST_JOBS))
}

/// The jobserver that the tasks share: that of the `make` around this run, or one of our own.
/// What speaks against it is told, and the run goes on.
pub(super) fn jobserver(
    options: &BuildOptions,
    home: &Home,
    jobs: usize,
    emitter: &Emitter,
) -> Option<Jobserver> {
    let tell = |problem: String| emitter.emit(Event::JobserverUnused { problem });
    let execution = &options.config.execution;
    if let Some(offer) = offer(options) {
        if execution.parallel_jobs.0.is_some() {
            tell(format!(
                "make offers its own, but `parallel_jobs` (`--jobs`) is set and counts alone: \
                 {jobs} tasks run at a time, beside what make runs"
            ));
        } else {
            match Jobserver::join(&offer) {
                Ok(jobserver) => return Some(jobserver),
                Err(problem) => {
                    tell(format!("{problem}; {jobs} tasks run at a time, beside what make runs"));
                }
            }
        }
    }
    let made = match execution.jobserver {
        JobserverKind::Off => return None,
        JobserverKind::Pipe => Jobserver::pipe(jobs),
        JobserverKind::Fifo => Jobserver::fifo(jobs, &home.jobserver()),
    };
    let problem = |error: &std::io::Error| {
        tell(format!(
            "tasks get none of ours: {error}; set `execution.jobserver` to `pipe` or `off`"
        ));
    };
    made.inspect_err(problem).ok()
}
