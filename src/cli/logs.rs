//! The flags of the log, and its start and end.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::screen::Screen;
use crate::base::fs::rotating::Rotation;
use crate::config::Environment;
use crate::event::Level;
use crate::observe::{LogHandle, LogOptions, start_log};

#[derive(Debug, Args)]
pub(super) struct LogFlags {
    /// Append a log to this file, for whoever looks for a fault
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(super) log_file: Option<PathBuf>,

    /// What weighs less is not logged: DEBUG, INFO, WARN, ERROR, FATAL [default: INFO]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub(super) log_level: Option<Level>,

    /// The form of the log's file; JSON is one object a line
    #[arg(long, value_enum, value_name = "FORM", default_value = "text", global = true)]
    pub(super) log_format: LogFormat,

    /// Begin a new log file at this many bytes; 0 is never [default: 10485760]
    #[arg(long, value_name = "BYTES", global = true)]
    pub(super) log_max_size: Option<u64>,

    /// Log to the standard error
    #[arg(long, global = true)]
    pub(super) log_to_console: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

impl LogFlags {
    fn options(&self, environment: &Environment, screen: &Screen) -> LogOptions {
        let usual = LogOptions::default();
        let max_bytes = self.log_max_size.unwrap_or(usual.rotation.max_bytes);
        LogOptions {
            level: self.log_level.unwrap_or(usual.level),
            file: self.log_file.clone(),
            json: self.log_format == LogFormat::Json,
            rotation: Rotation { max_bytes, ..usual.rotation },
            console: self.log_to_console,
            paint: screen.error_paint(),
            journal: super::screen::is_journal(environment),
        }
    }
}

/// Starts what the flags ask for. A log that cannot be written is no reason not to build.
pub(super) fn start(
    flags: &LogFlags,
    environment: &Environment,
    screen: &Screen,
) -> Option<LogHandle> {
    match start_log(&flags.options(environment, screen)) {
        Ok(handle) => {
            if handle.is_on() {
                let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
                let folder = std::env::current_dir().unwrap_or_default();
                tracing::info!(version, pid, folder = %Path::display(&folder), "program started");
            }
            Some(handle)
        }
        Err(error) => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            screen.warning(&format!("{error}{cause}; there is no log"));
            None
        }
    }
}

/// Writes what waits, and says once what could not be written.
pub(super) fn end(log: Option<LogHandle>, code: u8, screen: &Screen) {
    let Some(handle) = log else { return };
    tracing::info!(code, "program ends");
    for problem in handle.finish() {
        screen.warning(&problem);
    }
}
