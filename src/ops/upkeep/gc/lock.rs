//! One collects at a time, and none while the whole cache is read for a proof or a copy: what goes
//! away under those would look like damage.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use crate::base::FileError;
use crate::base::fs::{self, Context as _};
use crate::home::Home;
use crate::ops::types::Error;

/// Held while it lives.
#[derive(Debug)]
pub(in crate::ops) struct GcLock {
    _file: File,
}

/// Makes the lock's file, which nobody holds; best effort, since whoever needs it makes it too.
pub(super) fn lay(home: &Home) {
    let _ = make(home);
}

/// The lock of one who collects; none: somebody has it.
pub(super) fn try_alone(home: &Home) -> Result<Option<GcLock>, FileError> {
    let path = home.gc_lock();
    let file = make(home).at("open the lock", &path)?;
    let is_ours = fs::lock_within(&file, Duration::ZERO, File::try_lock).at("lock", &path)?;
    Ok(is_ours.then_some(GcLock { _file: file }))
}

/// As [`try_alone`], and waits so long for whoever has it; `busy` is told so.
pub(super) fn alone(home: &Home, patience: Duration, busy: impl FnOnce()) -> Result<GcLock, Error> {
    let path = home.gc_lock();
    let file = make(home).at("open the lock", &path)?;
    if wait(&file, patience, File::try_lock, busy).at("lock", &path)? {
        return Ok(GcLock { _file: file });
    }
    Err(in_use(home, "another process is collecting in it, or verifying it or backing it up"))
}

/// Nothing is collected while this lives. One that is at work is waited for so long, and `busy` is
/// told so. None where the lock cannot be had, in a cache that nobody can write to: then what goes
/// away is looked at twice, or left out.
pub(in crate::ops) fn hold_off_gc(
    home: &Home,
    patience: Duration,
    busy: impl FnOnce(),
) -> Result<Option<GcLock>, Error> {
    // Made where it is not there: a collection that begins meanwhile must find it held.
    let Ok(file) = make(home).or_else(|_| open(home, OpenOptions::new().read(true))) else {
        return Ok(None);
    };
    match wait(&file, patience, File::try_lock_shared, busy) {
        Ok(true) => Ok(Some(GcLock { _file: file })),
        Ok(false) => Err(in_use(home, "another process is collecting in it")),
        Err(_) => Ok(None),
    }
}

/// Whether the lock became ours in time.
fn wait(
    file: &File,
    patience: Duration,
    lock: fn(&File) -> Result<(), TryLockError>,
    busy: impl FnOnce(),
) -> io::Result<bool> {
    if fs::lock_within(file, Duration::ZERO, lock)? {
        return Ok(true);
    }
    if patience.is_zero() {
        return Ok(false);
    }
    busy();
    fs::lock_within(file, patience, lock)
}

fn in_use(home: &Home, problem: &str) -> Error {
    Error::Cache {
        path: home.cache_dir().to_path_buf(),
        problem: problem.to_owned(),
        help: vec!["try again when it has ended, or wait for it with `--wait SECONDS`".to_owned()],
    }
}

fn make(home: &Home) -> io::Result<File> {
    open(home, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

fn open(home: &Home, how: &mut OpenOptions) -> io::Result<File> {
    how.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(home.gc_lock())
}
