//! The terminal skin: flags into options, results into text and exit codes.
//!
//! Knows nothing of how anything is done; that is in `ops`.

mod args;
mod audit;
mod backup;
mod build;
mod completions;
mod config;
mod crash;
mod diagnostics;
mod exit;
mod explain;
mod flags;
mod list;
mod logs;
mod runs;
mod screen;
mod upkeep;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::panic::Location;

pub use exit::Code;

use crate::base::fs::{Context as _, FileError};
use crate::config::{Environment, Settings};
use crate::event::{Operation, Request};
use crate::observe::Recent;
use crate::ops;
use args::{Cli, ConfigVerb, Parsed, Verb};
use audit::trail::{self, Trail};
use screen::Screen;

/// The program from its arguments (the first is its own name) to its exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    if args.get(1).is_some_and(|arg| arg == "__guard") {
        return u8::try_from(ops::guard()).unwrap_or(Code::Unknown as u8);
    }
    let args = backup::under_its_name(args);
    let recent = Recent::default();
    let command = args::shown(&args);
    crash::guarded(command.clone(), &recent, || run_guarded(args, command, &recent))
}

fn run_guarded(args: Vec<OsString>, command: String, recent: &Recent) -> u8 {
    let environment = Environment::capture();
    let early = Screen::early(&environment, &args);
    let cli = match args::parse(args, early.may_colour()) {
        Parsed::Run(cli) => cli,
        Parsed::Say { message, failed } => return screen::say(&message, failed),
    };
    let traced = cli.flags.verbose || wants_traces(&environment);
    let entrance = Entrance { environment, command, recent: recent.clone(), traced, early };
    match start(&cli, entrance) {
        Ok(code) => code,
        Err(failure) => failure.report(&early, traced),
    }
}

/// As for the standard library, `0` and nothing at all mean no.
fn wants_traces(environment: &Environment) -> bool {
    environment.get("RUST_BACKTRACE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// What is known before the settings are.
struct Entrance {
    environment: Environment,
    command: String,
    recent: Recent,
    traced: bool,
    early: Screen,
}

/// What all verbs need: the settings, and what they cannot change.
#[derive(Debug)]
struct Call {
    settings: Settings,
    environment: Environment,
    /// The command line, without secrets.
    command: String,
    screen: Screen,
    /// The last events, for the report of a crash.
    recent: Recent,
    /// Whether errors say where in our source they were found.
    traced: bool,
    /// The audit log of this call, once it has begun.
    trail: OnceCell<Trail>,
    /// What was asked of the remote store before the run.
    fetched: OnceCell<Vec<Request>>,
}

impl Call {
    /// Says what is wrong, also in the audit log. Returns the exit code.
    fn fail(&self, failure: &Failure) -> u8 {
        if let Some(trail) = self.trail.get() {
            trail.audit().tell(&Operation::Failed { problem: failure.words() });
        }
        failure.report(&self.screen, self.traced)
    }
}

fn start(cli: &Cli, entrance: Entrance) -> Result<u8, Failure> {
    let Entrance { environment, command, recent, traced, early } = entrance;
    match &cli.verb {
        Some(Verb::Completions { shell }) => return completions::script(*shell, &early),
        Some(Verb::Man) => return completions::man(&early),
        _ => {}
    }
    if let Some(folder) = &cli.flags.directory {
        std::env::set_current_dir(folder).at("enter the folder", folder)?;
    }
    if let Some(Verb::Config(ConfigVerb::Check { file })) = &cli.verb {
        return config::check(file, &cli.flags, &early);
    }
    let entries = flags::entries(&cli.flags).map_err(ops::Error::Config)?;
    let settings = ops::load_settings(&environment, cli.flags.config.as_deref(), entries)?;
    let screen = Screen::new(&environment, settings.config.logging.log_colors);
    if !settings.config.output.quiet {
        for warning in &settings.warnings {
            screen.error(&diagnostics::warning(warning, screen.error_paint()));
        }
    }
    let traced = traced || settings.config.output.verbose;
    let (trail, fetched) = (OnceCell::new(), OnceCell::new());
    let call = Call { settings, environment, command, screen, recent, traced, trail, fetched };
    Ok(logged(cli, &call))
}

/// The verb between the start and the end of the log.
fn logged(cli: &Cli, call: &Call) -> u8 {
    let log = logs::start(call);
    call.environment.panic_point("main");
    let code = audited(cli, call).unwrap_or_else(|failure| call.fail(&failure));
    logs::end(log, code, &call.screen);
    code
}

/// The verb between the first and the last line of the audit log.
fn audited(cli: &Cli, call: &Call) -> Result<u8, Failure> {
    let Some(trail) = trail::start(cli, call)? else { return dispatch(cli, call) };
    let trail = call.trail.get_or_init(|| trail);
    let code = dispatch(cli, call).unwrap_or_else(|failure| call.fail(&failure));
    Ok(trail::end(trail, code, call))
}

/// Why the program ends early.
#[derive(Debug)]
enum Failure {
    /// With the place in our source where it was noticed.
    Ops(ops::Error, &'static Location<'static>),
    /// What cannot be written to, and why.
    Output(std::io::Error),
    /// What was asked for is known, and cannot be done here.
    Refused { message: String, help: String, code: Code },
}

impl From<ops::Error> for Failure {
    #[track_caller]
    fn from(error: ops::Error) -> Self {
        Self::Ops(error, Location::caller())
    }
}

impl From<FileError> for Failure {
    #[track_caller]
    fn from(error: FileError) -> Self {
        Self::Ops(ops::Error::File(error), Location::caller())
    }
}

impl Failure {
    /// What is wrong, in one line.
    fn words(&self) -> String {
        match self {
            Self::Ops(error, _) => diagnostics::line(error),
            Self::Output(error) => format!("cannot write to the standard output: {error}"),
            Self::Refused { message, .. } => message.clone(),
        }
    }

    /// Says what is wrong, and `traced` where in our source it was found.
    fn report(&self, screen: &Screen, traced: bool) -> u8 {
        match self {
            Self::Ops(error, noticed) => {
                screen.error(&diagnostics::render(error, screen.error_paint()));
                let place = match error {
                    ops::Error::File(error) => error.place,
                    _ => noticed,
                };
                if traced {
                    screen.error(&format!("  found at: {}:{}\n", place.file(), place.line()));
                }
                let problem = diagnostics::chain(error);
                tracing::error!(fatal = true, problem, %place, "program cannot go on");
                exit::of_error(error) as u8
            }
            Self::Output(error) => {
                let message = format!("cannot write to the standard output: {error}");
                screen.error(&diagnostics::plain(&message, &[], screen.error_paint()));
                tracing::error!(fatal = true, problem = message, "program cannot go on");
                exit::of_io(error) as u8
            }
            Self::Refused { message, help, code } => {
                let help = std::slice::from_ref(help);
                screen.error(&diagnostics::plain(message, help, screen.error_paint()));
                tracing::error!(fatal = true, problem = message, "program cannot go on");
                *code as u8
            }
        }
    }
}

fn dispatch(cli: &Cli, call: &Call) -> Result<u8, Failure> {
    match &cli.verb {
        Some(Verb::Explain(what)) => explain::run(&cli.flags, what, call),
        Some(Verb::Backup(verb)) => backup::run(verb, &cli.flags, call),
        Some(Verb::Audit(verb)) => audit::run(verb, &cli.flags, call),
        Some(Verb::Notify(verb)) => upkeep::notify::run(verb, &cli.flags, call),
        Some(Verb::Config(verb)) => config::run(verb, &cli.flags, call),
        // They need no settings, and were answered before those were read.
        Some(Verb::Completions { .. } | Verb::Man) => Ok(Code::Success as u8),
        Some(Verb::Runs(verb)) => runs::run(verb, &cli.flags, call),
        Some(Verb::Health) => upkeep::health::run(&cli.flags, call),
        Some(Verb::Gc) => upkeep::gc::run(&cli.flags, call),
        Some(Verb::Cache(verb)) => upkeep::cache::run(verb, &cli.flags, call),
        None => upkeep::run(cli, call).map_err(|failure| suggest_verb(failure, cli)),
    }
}

/// A mistyped verb is taken for a manifest that is not there.
fn suggest_verb(failure: Failure, cli: &Cli) -> Failure {
    match failure {
        Failure::Ops(ops::Error::NoManifest { path, mut help }, place) => {
            let given = cli.manifest.as_deref().and_then(|path| path.to_str());
            if let Some(verb) = given.and_then(args::nearest_verb) {
                help.push(format!("there is a verb `{verb}`"));
            }
            Failure::Ops(ops::Error::NoManifest { path, help }, place)
        }
        other => other,
    }
}
