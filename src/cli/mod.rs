//! The terminal skin: flags into options, results into text and exit codes.
//!
//! Knows nothing of how anything is done; that is in `ops`.

mod args;
mod build;
mod crash;
mod diagnostics;
mod exit;
mod explain;
mod list;
mod logs;
mod redact;
mod screen;

use std::ffi::OsString;
use std::panic::Location;

pub use exit::Code;

use crate::base::fs::{Context as _, FileError};
use crate::config::Environment;
use crate::observe::Recent;
use crate::ops;
use args::{Parsed, Verb};
use screen::Screen;

/// The program from its arguments (the first is its own name) to its exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    if args.get(1).is_some_and(|arg| arg == "__guard") {
        return u8::try_from(ops::guard()).unwrap_or(Code::Unknown as u8);
    }
    let recent = Recent::default();
    crash::guarded(&args.clone(), &recent, || run_guarded(args, &recent))
}

fn run_guarded(args: Vec<OsString>, recent: &Recent) -> u8 {
    let environment = Environment::capture();
    let may_colour = screen::may_colour(&environment) && !args::forbids_colour(&args);
    let cli = match args::parse(args, may_colour) {
        Parsed::Run(cli) => cli,
        Parsed::Say { message, failed } => return screen::say(&message, failed),
    };
    let screen = Screen::new(may_colour);
    let traced = cli.flags.verbose || wants_traces(&environment);
    if let Err(failure) = enter(&cli) {
        return failure.report(&screen, traced);
    }
    let log = logs::start(&cli.flags.logs, &environment, &screen);
    environment.panic_point("main");
    let code = match dispatch(&cli, environment, (&screen, recent)) {
        Ok(code) => code,
        Err(failure) => failure.report(&screen, traced),
    };
    logs::end(log, code, &screen);
    code
}

/// As for the standard library, `0` and nothing at all mean no.
fn wants_traces(environment: &Environment) -> bool {
    environment.get("RUST_BACKTRACE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Goes to the project; what is relative is relative to that.
fn enter(cli: &args::Cli) -> Result<(), Failure> {
    if let Some(folder) = &cli.flags.directory {
        std::env::set_current_dir(folder).at("enter the folder", folder)?;
    }
    Ok(())
}

/// Why the program ends early.
#[derive(Debug)]
enum Failure {
    /// With the place in our source where it was noticed.
    Ops(ops::Error, &'static Location<'static>),
    /// What cannot be written to, and why.
    Output(std::io::Error),
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
                tracing::error!(fatal = true, problem, place = %place, "program cannot go on");
                exit::of_error(error) as u8
            }
            Self::Output(error) => {
                let message = format!("cannot write to the standard output: {error}");
                screen.error(&diagnostics::plain(&message, &[], screen.error_paint()));
                exit::of_io(error) as u8
            }
        }
    }
}

fn dispatch(
    cli: &args::Cli,
    environment: Environment,
    (screen, recent): (&Screen, &Recent),
) -> Result<u8, Failure> {
    match &cli.verb {
        Some(Verb::Explain(what)) => explain::run(&cli.flags, what, environment, screen),
        None if cli.flags.list_tasks => list::run(cli, screen),
        None => build::run(cli, environment, (screen, recent))
            .map_err(|failure| suggest_verb(failure, cli)),
    }
}

/// A mistyped verb is taken for a manifest that is not there.
fn suggest_verb(failure: Failure, cli: &args::Cli) -> Failure {
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
