//! The run itself: listeners are chosen by the flags, and the totals become the exit code.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use super::args::{Cli, Flags, Format};
use super::screen::Screen;
use super::{Failure, exit, list, screen};
use crate::config::Environment;
use crate::event::Observer;
use crate::observe::{Console, Detail, Failures, Graph, Json, Metrics, Progress};
use crate::ops::{BuildOptions, Location, Project};

pub(super) fn run(cli: &Cli, environment: Environment, screen: &Screen) -> Result<u8, Failure> {
    let project = Project::load(&Location { manifest: cli.manifest.clone() })?;
    let progress = progress(&cli.flags, &environment, screen);
    let options = options(&cli.flags, cli.targets.clone(), environment);
    let (failures, kinds) = Failures::new();
    let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(failures)];
    listeners(&cli.flags, screen, progress, &mut observers);
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

/// Where a person looks on: on a terminal that is not asked for anything else.
fn progress(flags: &Flags, environment: &Environment, screen: &Screen) -> Option<Progress> {
    let wanted = !flags.no_progress && !flags.quiet && screen::may_progress(environment);
    // Lines of JSON on the same terminal would run into it.
    let alone = flags.output == Format::Text || !io::stdout().is_terminal();
    (wanted && alone)
        .then(|| Progress::on_stderr(screen.error_paint(), screen::knows_unicode(environment)))
}

fn listeners(
    flags: &Flags,
    screen: &Screen,
    progress: Option<Progress>,
    observers: &mut Vec<Box<dyn Observer>>,
) {
    let err: Box<dyn Write + Send> = match &progress {
        Some(progress) => Box::new(progress.above()),
        None => Box::new(io::stderr()),
    };
    observers.extend(progress.map(|progress| Box::new(progress) as Box<dyn Observer>));
    observers.push(match flags.output {
        Format::Json => Box::new(Json::new(io::stdout())),
        Format::Text => {
            let detail = match (flags.quiet, flags.verbose) {
                (true, _) => Detail::Quiet,
                (_, true) => Detail::Verbose,
                _ => Detail::Normal,
            };
            Box::new(Console::new(err, detail, screen.error_paint()))
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
