//! How things stand: whether the cache can be read and written, whether there is room, who is at
//! work. Nothing is left behind, and where no run ever was nothing is made.

use std::path::Path;

use serde::Serialize;

use super::{machine, sentence, walk};
use crate::base::clock::Stopwatch;
use crate::base::fs::{self, Context as _};
use crate::base::text::count;
use crate::base::{FileError, clock};
use crate::cache::record::{Found, Look, Records};
use crate::config::{Backend, Config};
use crate::exec::could_keep;
use crate::home::{Holding, Home};
use crate::observe::words;
use crate::ops::build::on_shared;
use crate::store::DiskStore;

/// How many records are read.
const SAMPLE: usize = 100;

/// How grave it is. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl Status {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Unknown => "UNKNOWN",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// All checks, and the worst of them.
#[derive(Debug, Serialize)]
pub struct Health {
    pub status: Status,
    pub checks: Checks,
}

#[derive(Debug, Serialize)]
pub struct Checks {
    pub cache: Check,
    pub cas: Check,
    pub disk: Check,
    pub memory: Check,
    pub locks: Check,
    pub remote: Check,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    pub status: Status,
    pub message: String,
    pub response_time_ms: u64,
}

impl Checks {
    /// With their names, in order.
    pub fn all(&self) -> [(&'static str, &Check); 6] {
        [
            ("cache", &self.cache),
            ("cas", &self.cas),
            ("disk", &self.disk),
            ("memory", &self.memory),
            ("locks", &self.locks),
            ("remote", &self.remote),
        ]
    }
}

/// Looks at everything.
pub fn health(config: &Config) -> Health {
    let home = Home::new(Some(&config.cache.cache_dir));
    let checks = Checks {
        cache: timed(|| on_own_file_system(&home, or_critical(cache(&home)))),
        cas: timed(|| or_critical(cas(&home))),
        disk: timed(|| machine::disk(home.cache_dir())),
        memory: timed(|| with_limits(config, machine::memory())),
        locks: timed(|| locks(&home)),
        remote: timed(|| remote(config)),
    };
    let status = checks.all().iter().map(|(_, check)| check.status).max();
    Health { status: status.unwrap_or(Status::Ok), checks }
}

fn timed(check: impl FnOnce() -> (Status, String)) -> Check {
    let watch = Stopwatch::start();
    let (status, message) = check();
    let response_time_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    Check { status, message, response_time_ms }
}

fn or_critical(result: Result<(Status, String), FileError>) -> (Status, String) {
    result.unwrap_or_else(|error| (Status::Critical, sentence(&error)))
}

/// As it is, or a warning where our folders lie on a file system that is not the machine's own.
fn on_own_file_system(home: &Home, (status, message): (Status, String)) -> (Status, String) {
    let (cache, workspace) = on_shared(home);
    if cache.is_none() && workspace.is_none() {
        return (status, message);
    }
    let warning = words::shared_file_system(cache.as_ref(), workspace.as_ref());
    (status.max(Status::Warning), format!("{message}; {warning}"))
}

/// With what keeps the limits that are set.
fn with_limits(config: &Config, (status, message): (Status, String)) -> (Status, String) {
    let kept = could_keep();
    let by = |kept: bool| if kept { "a control group" } else { "measuring" };
    let rate = &config.rate_limiting;
    let limits = [
        ("max_memory_mb", rate.max_memory_mb.0, by(kept.memory)),
        ("max_cpu_percent", rate.max_cpu_percent.0, by(kept.cpu)),
    ];
    let set = limits.iter().filter(|(_, limit, _)| limit.is_some());
    let words = set.map(|(name, _, by)| format!("; `{name}` is kept by {by}"));
    (status, message + &words.collect::<String>())
}

/// Whether the folder is there at all; an error where something else is.
fn is_there(folder: &Path) -> Result<bool, FileError> {
    match std::fs::read_dir(folder) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::new("list", folder, error)),
    }
}

fn none_yet(what: &str) -> (Status, String) {
    (Status::Ok, format!("there are no {what} yet"))
}

/// The records: the folder can be written, and the first of them can be read.
fn cache(home: &Home) -> Result<(Status, String), FileError> {
    let folder = home.records();
    if !is_there(&folder)? {
        return Ok(none_yet("records"));
    }
    let probe = folder.join(format!("{}{}", walk::PROBE, fs::unique_name()));
    let tried = try_file(&probe);
    let _ = fs::remove_file(&probe);
    tried?;
    let records = Records::new(home);
    let (mut read, mut damaged) = (0, 0);
    'all: for shelf in walk::shelves(&folder)? {
        for key in shelf.items(walk::Names::Records)?.iter().filter_map(|item| item.digest) {
            match records.find(&key, Look::Only) {
                Found::Record(_) => {}
                Found::Nothing => continue,
                Found::Damaged { .. } => damaged += 1,
            }
            read += 1;
            if read == SAMPLE {
                break 'all;
            }
        }
    }
    if damaged > 0 {
        let message = format!(
            "{damaged} of {} cannot be used: see `reprovm cache verify`",
            count(read, "record")
        );
        return Ok((Status::Warning, message));
    }
    Ok((Status::Ok, format!("can be read and written, {} read", count(read, "record"))))
}

/// Writes a file, and reads it back.
fn try_file(path: &Path) -> Result<(), FileError> {
    use std::io::Write as _;
    let bytes = path.as_os_str().as_encoded_bytes();
    fs::create_new(path)?.write_all(bytes).at("write", path)?;
    if fs::read(path)? == bytes {
        return Ok(());
    }
    Err(FileError::new("read back", path, std::io::Error::other("it holds other bytes")))
}

/// The store: an object is put there, read back with its digest, and removed.
fn cas(home: &Home) -> Result<(Status, String), FileError> {
    if !is_there(&home.objects())? {
        return Ok(none_yet("objects"));
    }
    fs::create_private_dir(&home.store_tmp())?;
    let store = DiskStore::new(home);
    // Bytes that no task ever writes.
    let text = format!("reprovm health {} {}\n", clock::now_ns(), fs::unique_name());
    let digest = store.put_bytes(text.as_bytes())?;
    let path = store.path(&digest);
    let fetched = store.fetch_bytes(&digest, text.len() as u64);
    fs::remove_file(&path)?;
    if let Some(folder) = path.parent() {
        fs::remove_empty_dir(folder);
    }
    Ok(match fetched {
        Ok(_) => (Status::Ok, "an object was written, read back and removed".to_owned()),
        Err(error) => (Status::Critical, error.to_string()),
    })
}

fn locks(home: &Home) -> (Status, String) {
    match home.holder() {
        Ok(Holding::Held(holder)) => {
            let who = words::holder_in_brackets(holder.as_ref());
            (Status::Ok, format!("a run is at work{who}"))
        }
        Ok(Holding::Nobody { last: Some(last) }) => {
            (Status::Ok, format!("no run is at work; the last was process {}", last.pid))
        }
        Ok(Holding::Nobody { last: None }) => (Status::Ok, "no run is at work".to_owned()),
        Err(error) => (Status::Unknown, sentence(&error)),
    }
}

fn remote(config: &Config) -> (Status, String) {
    if config.remote_cas.enabled {
        let what = match config.remote_cas.backend {
            Backend::Http | Backend::S3 => {
                "configured; asked by `--sync-from-remote` and `--sync-to-remote` only"
            }
            Backend::Gcs | Backend::Azure | Backend::Custom => {
                return (Status::Warning, "its backend is not in this version".to_owned());
            }
        };
        (Status::Ok, what.to_owned())
    } else {
        (Status::Ok, "not configured".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_status_is_the_last() {
        use Status::{Critical, Ok, Unknown, Warning};
        assert_eq!([Warning, Ok, Critical, Unknown].iter().max(), Some(&Critical));
        assert_eq!([Ok, Unknown, Ok].iter().max(), Some(&Unknown));
        assert_eq!([Unknown, Warning].iter().max(), Some(&Warning));
    }
}
