//! The run itself: listeners are chosen by the flags, and the totals become the exit code.

use std::io;
use std::time::Duration;

use super::args::{Cli, Flags, Format};
use super::screen::Screen;
use super::{Failure, exit, list};
use crate::config::Environment;
use crate::event::Observer;
use crate::observe::{Console, Detail, Failures, Graph, Json, LogEvents, Metrics, Recent};
use crate::ops::{BuildOptions, Location, Project};

pub(super) fn run(
    cli: &Cli,
    environment: Environment,
    (screen, recent): (&Screen, &Recent),
) -> Result<u8, Failure> {
    let project = Project::load(&Location { manifest: cli.manifest.clone() })?;
    let panics = environment.panics_at("listener").then_some("task_started");
    let options = options(&cli.flags, cli.targets.clone(), environment);
    let (failures, kinds) = Failures::new();
    let mut observers: Vec<Box<dyn Observer>> =
        vec![Box::new(failures), Box::new(LogEvents), Box::new(recent.panicking_at(panics))];
    listeners(&cli.flags, screen, &mut observers);
    if cli.flags.graph {
        observers.push(graph(&project, cli, screen)?);
    }
    let report = project.build(&options, observers)?;
    for problem in &report.problems {
        screen.warning(problem);
    }
    Ok(exit::of_run(&report.summary, kinds.only_timeouts()))
}

pub(super) fn options(
    flags: &Flags,
    targets: Vec<String>,
    environment: Environment,
) -> BuildOptions {
    BuildOptions {
        targets,
        jobs: flags.jobs.map(usize::from),
        force: flags.force,
        dry_run: flags.dry_run,
        fail_fast: flags.fail_fast,
        replay: flags.replay,
        timeout: flags
            .timeout
            .filter(|&seconds| seconds > 0)
            .map(|seconds| Duration::from_secs(seconds.into())),
        cache_dir: flags.cache_dir.clone(),
        environment,
    }
}

fn listeners(flags: &Flags, screen: &Screen, observers: &mut Vec<Box<dyn Observer>>) {
    observers.push(match flags.output {
        Format::Json => Box::new(Json::new(io::stdout())),
        Format::Text => {
            let detail = match (flags.quiet, flags.verbose) {
                (true, _) => Detail::Quiet,
                (_, true) => Detail::Verbose,
                _ => Detail::Normal,
            };
            Box::new(Console::new(io::stderr(), detail, screen.error_paint()))
        }
    });
    match &flags.metrics {
        Some(path) if flags.dry_run => {
            screen
                .warning(&format!("a dry run writes nothing, so not `{}` either", path.display()));
        }
        Some(path) => observers.push(Box::new(Metrics::new(path.clone()))),
        None => {}
    }
}

/// The graph goes to stdout, unless JSON lines are there.
fn graph(project: &Project, cli: &Cli, screen: &Screen) -> Result<Box<dyn Observer>, Failure> {
    let nodes = list::nodes(&project.tasks(&cli.targets)?);
    Ok(match cli.flags.output {
        Format::Text => Box::new(Graph::new(io::stdout(), nodes, screen.output_paint())),
        Format::Json => Box::new(Graph::new(io::stderr(), nodes, screen.error_paint())),
    })
}
