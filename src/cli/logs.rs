//! The start and the end of the log, as the settings have it.

use super::screen::{Screen, is_journal};
use super::{Call, diagnostics};
use crate::base::fs::rotating::Rotation;
use crate::config::LogFormat;
use crate::observe::{LogHandle, LogOptions, start_log};

fn options(call: &Call) -> LogOptions {
    let logging = &call.settings.config.logging;
    LogOptions {
        level: logging.log_level,
        file: logging.log_file.clone(),
        json: logging.log_format == LogFormat::Json,
        rotation: Rotation {
            max_bytes: logging.log_max_size_mb << 20,
            keep: u32::try_from(logging.log_max_files).unwrap_or(u32::MAX),
        },
        console: logging.log_to_console,
        paint: call.screen.error_paint(),
        journal: is_journal(&call.environment),
    }
}

/// Starts what the settings ask for. A log that cannot be written is no reason not to build.
pub(super) fn start(call: &Call) -> Option<LogHandle> {
    match start_log(&options(call)) {
        Ok(handle) => {
            if handle.is_on() {
                let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
                let folder = std::env::current_dir().unwrap_or_default();
                let (folder, command) = (folder.display(), &call.command);
                tracing::info!(version, pid, %folder, command, "program started");
                let files = call.settings.files.iter().map(|file| file.display().to_string());
                let files = files.collect::<Vec<_>>().join(", ");
                tracing::debug!(files, "settings loaded");
            }
            Some(handle)
        }
        Err(error) => {
            call.screen.warning(&format!("{}; there is no log", diagnostics::chain(&error)));
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
