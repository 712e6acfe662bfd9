//! The runs that are at work with a cache, so that nothing is collected which they used: each
//! holds a file by `flock`, whose time says when it began.

use std::fs::File;
use std::path::PathBuf;

use super::lease::{is_held, is_in_place};
use crate::base::FileError;
use crate::base::fs::{self, Context as _};
use crate::home::Home;

/// The run is known to be at work while this lives.
#[derive(Debug)]
pub struct User {
    path: PathBuf,
    _file: File,
}

impl User {
    /// Makes this run known, before it looks at anything in the cache.
    pub fn enter(home: &Home) -> Result<Self, FileError> {
        let folder = home.users();
        loop {
            let path = folder.join(fs::unique_name());
            let file = fs::create_new(&path).or_else(|_| {
                fs::create_private_dir(&folder)?;
                fs::create_new(&path)
            })?;
            let user = Self { path, _file: file };
            user._file.lock().at("lock", &user.path)?;
            // Before it was locked it looked like one that a dead run has left.
            if is_in_place(&user._file, &user.path)? {
                return Ok(user);
            }
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// When the oldest run began that is at work, in nanoseconds since 1970 by the clock of the file
/// system; none: nobody is.
pub fn oldest_user(home: &Home) -> Result<Option<i64>, FileError> {
    let folder = home.users();
    let mut oldest: Option<i64> = None;
    for name in fs::names(&folder)? {
        let path = folder.join(name);
        if is_held(&path)
            && let Some(began) = fs::modified_ns(&path)
        {
            oldest = Some(oldest.map_or(began, |time| time.min(began)));
        }
    }
    Ok(oldest)
}
