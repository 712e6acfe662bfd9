//! Parses, runs, and ends with the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(reprovm::cli::run(std::env::args_os().collect()))
}
