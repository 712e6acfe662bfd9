//! One collects at a time, and none while the whole cache is read for a proof or a copy: what goes
//! away under those would look like damage.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use crate::base::FileError;
use crate::base::fs::Context as _;
use crate::home::Home;

/// Held while it lives.
#[derive(Debug)]
pub(in crate::ops) struct GcLock {
    _file: File,
}

/// The lock of one who collects; none: somebody has it.
pub(super) fn try_alone(home: &Home) -> Result<Option<GcLock>, FileError> {
    let path = home.gc_lock();
    let file = open(home, true).at("open the lock", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(GcLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(FileError::new("lock", &path, error)),
    }
}

/// As [`try_alone`], and waits for whoever has it; `busy` is told so.
pub(super) fn alone(home: &Home, busy: impl FnOnce()) -> Result<GcLock, FileError> {
    if let Some(lock) = try_alone(home)? {
        return Ok(lock);
    }
    busy();
    let path = home.gc_lock();
    let file = open(home, true).at("open the lock", &path)?;
    file.lock().at("lock", &path)?;
    Ok(GcLock { _file: file })
}

/// Nothing is collected while this lives. None where nothing ever was, or the lock cannot be had:
/// then what goes away is looked at twice, or left out.
pub(in crate::ops) fn hold_off_gc(home: &Home) -> Option<GcLock> {
    let file = open(home, false).ok()?;
    file.lock_shared().ok()?;
    Some(GcLock { _file: file })
}

fn open(home: &Home, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(create)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(home.gc_lock())
}
