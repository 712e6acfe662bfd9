//! The terminal skin: flags into options, results into text and exit codes.
//!
//! Knows nothing of how anything is done; that is in `ops`.

mod args;
mod backup;
mod build;
mod completions;
mod config;
mod diagnostics;
mod exit;
mod explain;
mod flags;
mod list;
mod screen;

use std::ffi::OsString;

pub use exit::Code;

use crate::base::fs::{Context as _, FileError};
use crate::config::{Environment, Settings};
use crate::ops;
use args::{Cli, ConfigVerb, Parsed, Verb};
use screen::Screen;

/// The program from its arguments (the first is its own name) to its exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    if args.get(1).is_some_and(|arg| arg == "__guard") {
        return u8::try_from(ops::guard()).unwrap_or(Code::Unknown as u8);
    }
    let args = backup::under_its_name(args);
    let environment = Environment::capture();
    let early = Screen::early(&environment, &args);
    let command = args::shown(&args);
    let cli = match args::parse(args, early.may_colour()) {
        Parsed::Run(cli) => cli,
        Parsed::Say { message, failed } => return screen::say(&message, failed),
    };
    match start(&cli, environment, command, &early) {
        Ok(code) => code,
        Err(failure) => failure.report(&early),
    }
}

/// What all verbs need: the settings, and what they cannot change.
#[derive(Debug)]
struct Call {
    settings: Settings,
    environment: Environment,
    /// The command line, without secrets.
    command: String,
    screen: Screen,
}

fn start(
    cli: &Cli,
    environment: Environment,
    command: String,
    early: &Screen,
) -> Result<u8, Failure> {
    match &cli.verb {
        Some(Verb::Completions { shell }) => return completions::script(*shell, early),
        Some(Verb::Man) => return completions::man(early),
        _ => {}
    }
    if let Some(folder) = &cli.flags.directory {
        std::env::set_current_dir(folder).at("enter the folder", folder)?;
    }
    if let Some(Verb::Config(ConfigVerb::Check { file })) = &cli.verb {
        return config::check(file, &cli.flags, early);
    }
    let entries = flags::entries(&cli.flags).map_err(ops::Error::Config)?;
    let settings = ops::load_settings(&environment, cli.flags.config.as_deref(), entries)?;
    let screen = Screen::new(&environment, settings.config.logging.log_colors);
    if !settings.config.output.quiet {
        for warning in &settings.warnings {
            screen.error(&diagnostics::warning(warning, screen.error_paint()));
        }
    }
    dispatch(cli, &Call { settings, environment, command, screen })
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

fn dispatch(cli: &Cli, call: &Call) -> Result<u8, Failure> {
    match &cli.verb {
        Some(Verb::Explain(what)) => explain::run(&cli.flags, what, call),
        Some(Verb::Backup(verb)) => backup::run(verb, &cli.flags, call),
        Some(Verb::Config(verb)) => config::run(verb, &cli.flags, call),
        // They need no settings, and were answered before those were read.
        Some(Verb::Completions { .. } | Verb::Man) => Ok(Code::Success as u8),
        None if cli.flags.list_tasks => list::run(cli, &call.screen),
        None => build::run(cli, call).map_err(|failure| suggest_verb(failure, cli)),
    }
}

/// A mistyped verb is taken for a manifest that is not there.
fn suggest_verb(failure: Failure, cli: &Cli) -> Failure {
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
