//! The terminal skin: flags into options, results into text and exit codes.
//!
//! Knows nothing of how anything is done; that is in `ops`.

mod args;
mod build;
mod diagnostics;
mod exit;
mod explain;
mod list;
mod screen;

use std::ffi::OsString;

pub use exit::Code;

use crate::base::fs::{Context as _, FileError};
use crate::config::Environment;
use crate::ops;
use args::{Parsed, Verb};
use screen::Screen;

/// The program from its arguments (the first is its own name) to its exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    if args.get(1).is_some_and(|arg| arg == "__guard") {
        return u8::try_from(ops::guard()).unwrap_or(Code::Unknown as u8);
    }
    let environment = Environment::capture();
    let may_colour = screen::may_colour(&environment) && !args::forbids_colour(&args);
    let cli = match args::parse(args, may_colour) {
        Parsed::Run(cli) => cli,
        Parsed::Say { message, failed } => return screen::say(&message, failed),
    };
    let screen = Screen::new(may_colour);
    match dispatch(&cli, environment, &screen) {
        Ok(code) => code,
        Err(failure) => failure.report(&screen),
    }
}

/// Why the program ends early.
#[derive(Debug)]
enum Failure {
    Ops(ops::Error),
    /// What cannot be written to, and why.
    Output(std::io::Error),
}

impl From<ops::Error> for Failure {
    fn from(error: ops::Error) -> Self {
        Self::Ops(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Ops(ops::Error::File(error))
    }
}

impl Failure {
    fn report(&self, screen: &Screen) -> u8 {
        match self {
            Self::Ops(error) => {
                screen.error(&diagnostics::render(error, screen.error_paint()));
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

fn dispatch(cli: &args::Cli, environment: Environment, screen: &Screen) -> Result<u8, Failure> {
    if let Some(folder) = &cli.flags.directory {
        std::env::set_current_dir(folder).at("enter the folder", folder)?;
    }
    match &cli.verb {
        Some(Verb::Explain(what)) => explain::run(&cli.flags, what, environment, screen),
        None if cli.flags.list_tasks => list::run(cli, screen),
        None => build::run(cli, environment, screen).map_err(|failure| suggest_verb(failure, cli)),
    }
}

/// A mistyped verb is taken for a manifest that is not there.
fn suggest_verb(failure: Failure, cli: &args::Cli) -> Failure {
    match failure {
        Failure::Ops(ops::Error::NoManifest { path, mut help }) => {
            let given = cli.manifest.as_deref().and_then(|path| path.to_str());
            if let Some(verb) = given.and_then(args::nearest_verb) {
                help.push(format!("there is a verb `{verb}`"));
            }
            Failure::Ops(ops::Error::NoManifest { path, help })
        }
        other => other,
    }
}
