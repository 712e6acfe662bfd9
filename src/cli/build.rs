//! The run itself: listeners are chosen by the flags, and the totals become the exit code.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use super::args::{Cli, Flags, Format};
use super::audit::trail::Trail;
use super::screen::Screen;
use super::upkeep::exporter;
use super::{Call, Failure, exit, list, runs, screen};
use crate::event::{Observer, Operation};
use crate::observe::{
    Console, Detail, Failures, Graph, Json, LogEvents, Metrics, Progress, Recent, Stats,
};
use crate::ops::notify::Notifier;
use crate::ops::{self, BuildOptions, FirstLook, Location, Project, Seen, Slice};

/// Runs. The notifier hears of what happens, and not of a run that could not begin or go on.
pub(super) fn run(cli: &Cli, call: &Call, notifier: Option<&Notifier>) -> Result<u8, Failure> {
    let location = Location { manifest: cli.manifest.clone() };
    let options = options(&cli.flags, cli.targets.clone(), call);
    let (failures, kinds) = Failures::new();
    let panics = call.environment.panics_at("listener").then_some("task_started");
    let recent: Recent = call.recent.panicking_at(panics);
    let mut observers: Vec<Box<dyn Observer>> =
        vec![Box::new(failures), Box::new(LogEvents), Box::new(recent)];
    observers.extend(notifier.map(Notifier::listener));
    // It serves until the report has been given.
    let served = (!options.dry_run).then(|| exporter::beside(call)).flatten();
    observers.extend(served.as_ref().map(|(live, _)| live.listener()));
    observers.extend(call.trail.get().map(|trail| trail.audit().listener()));
    let report = match ops::first_look(&location, &options) {
        FirstLook::Unchanged(unchanged) if !cli.flags.graph => {
            listeners(&cli.flags, call, None, &mut observers);
            unchanged.report(&options, observers)
        }
        first => {
            let seen = match first {
                FirstLook::Changed(seen) => seen,
                FirstLook::Unchanged(_) => Seen::default(),
            };
            // The graph shows all tasks.
            let slice =
                (!cli.flags.graph).then(|| Slice::find(&location, &options, &seen)).flatten();
            if let Some(slice) = slice {
                listeners(&cli.flags, call, progress(&cli.flags, call), &mut observers);
                slice.build(&options, observers)?
            } else {
                let project = Project::load_to_build(&location, &options, &seen)?;
                listeners(&cli.flags, call, progress(&cli.flags, call), &mut observers);
                if cli.flags.graph {
                    observers.push(graph(&project, cli, &call.screen)?);
                }
                let report = project.build(&options, observers)?;
                // The process ends: giving back the memory of every task would only take time.
                std::mem::forget(project);
                report
            }
        }
    };
    if !options.dry_run {
        exporter::write_textfile(call);
    }
    for problem in &report.problems {
        call.screen.warning(problem);
        if let Some(notifier) = notifier {
            notifier.warning(problem);
        }
        if let Some(trail) = call.trail.get() {
            let (what, problem) = ("run".to_owned(), problem.clone());
            trail.audit().tell(&Operation::Warned { what, problem });
        }
    }
    Ok(exit::of_run(&report.summary, kinds.only_timeouts()))
}

pub(super) fn options(flags: &Flags, targets: Vec<String>, call: &Call) -> BuildOptions {
    BuildOptions {
        targets,
        dry_run: flags.dry_run,
        command: call.command.clone(),
        config: call.settings.config.clone(),
        environment: call.environment.clone(),
        stop: call.trail.get().map(Trail::stop).unwrap_or_default(),
    }
}

/// Where a person looks on: on a terminal that is not asked for anything else.
fn progress(flags: &Flags, call: &Call) -> Option<Progress> {
    let output = &call.settings.config.output;
    let wanted = output.progress && !output.quiet && screen::may_progress(&call.environment);
    // Lines of JSON or of the log on the same terminal would run into it.
    let alone = flags.output == Format::Text || !io::stdout().is_terminal();
    let config = &call.settings.config;
    let audited = call.trail.get().is_some() && config.audit.log_to_console;
    let alone = alone && !config.logging.log_to_console && !audited;
    (wanted && alone).then(|| {
        let unicode = screen::knows_unicode(&call.environment);
        Progress::on_stderr(call.screen.error_paint(), unicode)
    })
}

fn listeners(
    flags: &Flags,
    call: &Call,
    progress: Option<Progress>,
    observers: &mut Vec<Box<dyn Observer>>,
) {
    let config = &call.settings.config;
    let err: Box<dyn Write + Send> = match &progress {
        Some(progress) => Box::new(progress.above()),
        None => Box::new(io::stderr()),
    };
    observers.extend(progress.map(|progress| Box::new(progress) as Box<dyn Observer>));
    observers.push(match flags.output {
        Format::Json => Box::new(Json::new(io::stdout())),
        Format::Text => {
            let detail = Detail::of(config.output.quiet, config.output.verbose);
            Box::new(Console::new(err, detail, call.screen.error_paint()))
        }
    });
    if flags.stats && flags.output == Format::Text {
        observers.push(Box::new(Stats::new(io::stderr(), call.screen.error_paint())));
    }
    runs::recorders(flags, call, observers);
    let figures = &config.performance;
    if figures.enable_metrics && flags.dry_run {
        let path = figures.metrics_file.display();
        call.screen.warning(&format!("a dry run writes nothing, so not `{path}` either"));
    } else if figures.enable_metrics {
        let interval = Duration::from_secs(figures.metrics_interval_seconds);
        observers.push(Box::new(Metrics::new(figures.metrics_file.clone(), interval)));
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
