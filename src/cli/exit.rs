//! The exit codes: the one table of numbers, and what leads to which.

use std::io;

use crate::event::Summary;
use crate::ops::Error;
use crate::ops::backup::BackupError;

/// What the process exits with. An interrupted run exits with 128 and the signal's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Success = 0,
    InvalidArg = 1,
    FileNotFound = 2,
    FileIo = 3,
    MemoryAlloc = 4,
    ParseError = 5,
    TaskFailed = 6,
    CycleDetected = 7,
    CacheError = 8,
    CasError = 9,
    NetworkError = 10,
    Timeout = 11,
    PermissionDenied = 12,
    InvalidHash = 13,
    ConfigError = 14,
    SystemError = 15,
    Unknown = 99,
}

/// The code of a verb that could not do its work.
pub(super) fn of_error(error: &Error) -> Code {
    match error {
        Error::NoManifest { .. } | Error::MissingInputs(_) | Error::NoRun { .. } => {
            Code::FileNotFound
        }
        Error::Manifest(_) => Code::ParseError,
        Error::Cycle(_) => Code::CycleDetected,
        Error::Config(_) => Code::ConfigError,
        Error::UnknownTarget { .. } | Error::Nested { .. } | Error::NotPinned { .. } => {
            Code::InvalidArg
        }
        Error::Busy { .. } => Code::Timeout,
        Error::Dangerous(_) | Error::Exposed { .. } => Code::PermissionDenied,
        Error::File(error) => of_io(&error.source),
        Error::Cache { .. } => Code::CacheError,
        Error::Backup(error) => of_backup(error),
        Error::Remote(_) => Code::NetworkError,
        Error::System { source, .. } if source.kind() == io::ErrorKind::OutOfMemory => {
            Code::MemoryAlloc
        }
        Error::System { .. } => Code::SystemError,
    }
}

fn of_backup(error: &BackupError) -> Code {
    match error {
        BackupError::BadName { .. }
        | BackupError::Exists(_)
        | BackupError::BadDestination { .. } => Code::InvalidArg,
        BackupError::NoSuch { .. } | BackupError::NoCache { .. } => Code::FileNotFound,
        BackupError::BadManifest { .. } | BackupError::Damaged { .. } => Code::CasError,
        BackupError::Busy { .. } => Code::Timeout,
    }
}

/// The code of a failed file operation.
pub(super) fn of_io(error: &io::Error) -> Code {
    match error.kind() {
        io::ErrorKind::NotFound => Code::FileNotFound,
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        io::ErrorKind::OutOfMemory => Code::MemoryAlloc,
        _ => Code::FileIo,
    }
}

/// Of a run that was stopped, because its audit log could not be written, before more is known.
pub(super) const STOPPED: u8 = Code::FileIo as u8;

/// The exit code of a run that came to its end.
pub(super) fn of_run(summary: &Summary, only_timeouts: bool) -> u8 {
    match summary.interrupted {
        Some(signal) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
        None if summary.is_good() => Code::Success as u8,
        None if summary.is_stopped() => STOPPED,
        None if only_timeouts => Code::Timeout as u8,
        None => Code::TaskFailed as u8,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::base::FileError;
    use crate::base::http::{Fault, HttpError, Method};

    fn unreachable() -> HttpError {
        let (url, fault) = (String::new(), Fault::Transport(String::new()));
        HttpError { method: Method::Get, url, fault, tries: 1 }
    }

    #[test]
    fn errors_have_the_documented_codes() {
        let file = |kind: io::ErrorKind| {
            Error::File(FileError::new("read", Path::new("x"), io::Error::from(kind)))
        };
        let system =
            |kind: io::ErrorKind| Error::System { what: "fork".into(), source: kind.into() };
        let cases = [
            (Error::NoManifest { path: PathBuf::new(), help: Vec::new() }, 2),
            (Error::Manifest(Vec::new()), 5),
            (Error::Cycle(Vec::new()), 7),
            (Error::Config(Vec::new()), 14),
            (Error::MissingInputs(Vec::new()), 2),
            (
                Error::UnknownTarget {
                    name: String::new(),
                    manifest: String::new(),
                    nearest: None,
                },
                1,
            ),
            (Error::NoRun { message: String::new(), help: Vec::new() }, 2),
            (Error::Busy { holder: None }, 11),
            (file(io::ErrorKind::NotFound), 2),
            (file(io::ErrorKind::PermissionDenied), 12),
            (file(io::ErrorKind::StorageFull), 3),
            (Error::Cache { path: PathBuf::new(), problem: String::new(), help: Vec::new() }, 8),
            (Error::Dangerous(Vec::new()), 12),
            (Error::Exposed { path: PathBuf::new(), problem: String::new(), help: Vec::new() }, 12),
            (Error::Remote(unreachable()), 10),
            (Error::Backup(BackupError::Exists(String::new())), 1),
            (Error::Backup(BackupError::NoCache { path: PathBuf::new() }), 2),
            (Error::Backup(BackupError::Damaged { name: String::new(), problems: Vec::new() }), 9),
            (Error::Backup(BackupError::Busy { dir: PathBuf::new() }), 11),
            (system(io::ErrorKind::WouldBlock), 15),
            (system(io::ErrorKind::OutOfMemory), 4),
        ];
        for (error, code) in cases {
            assert_eq!(of_error(&error) as u8, code, "{error:?}");
        }
    }

    #[test]
    fn runs_have_the_documented_codes() {
        let run = |failed, interrupted| Summary { failed, interrupted, ..Summary::default() };
        assert_eq!(of_run(&run(0, None), false), 0);
        assert_eq!(of_run(&run(2, None), false), 6);
        assert_eq!(of_run(&run(2, None), true), 11);
        assert_eq!(of_run(&run(2, Some(2)), false), 130);
        assert_eq!(of_run(&run(0, Some(15)), false), 143);
        assert_eq!(of_run(&Summary { cancelled: 1, ..run(0, None) }, false), 3);
        assert_eq!(of_run(&Summary { cancelled: 1, ..run(1, None) }, false), 6);
    }
}
