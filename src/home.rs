//! `.reprovm/`: the name of everything in it, its making, and the lock of the workspace.
//!
//! Knows nothing of what the files hold.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError};

/// The folder of the project that is ours; nothing in it is ever an input or an output.
pub const DIR: &str = ".reprovm";

/// Where things lie. Making one touches no file.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
    cache: PathBuf,
}

impl Home {
    /// Of the project that the process stands in; `cache_dir` holds `cas/` and `cache/` instead
    /// of `.reprovm` where it is given.
    pub fn new(cache_dir: Option<&Path>) -> Self {
        let root = PathBuf::from(DIR);
        let cache = cache_dir.map_or_else(|| root.clone(), Path::to_path_buf);
        Self { root, cache }
    }

    /// Holds `cas/` and `cache/`.
    pub fn cache_dir(&self) -> &Path {
        &self.cache
    }

    pub fn objects(&self) -> PathBuf {
        self.cache.join("cas/objects")
    }

    /// Objects and records in the making; in the file system that they end in.
    pub fn store_tmp(&self) -> PathBuf {
        self.cache.join("cas/tmp")
    }

    /// What was found damaged, for whoever wants to look at it.
    pub fn damaged(&self) -> PathBuf {
        self.cache.join("cas/damaged")
    }

    pub fn records(&self) -> PathBuf {
        self.cache.join("cache")
    }

    /// Files of the project in the making.
    pub fn stage(&self) -> PathBuf {
        self.root.join("stage")
    }

    /// The state of the workspace for one manifest.
    pub fn state(&self, manifest: &Path) -> PathBuf {
        self.root.join("state").join(format!("{}.state", manifest_id(manifest)))
    }

    /// What happened since the state was written.
    pub fn journal(&self, manifest: &Path) -> PathBuf {
        self.root.join("state").join(format!("{}.journal", manifest_id(manifest)))
    }

    /// What a crash leaves, by its time: a name without colons, which some file systems refuse.
    pub fn crash_report(&self, time: &str) -> PathBuf {
        self.root.join(format!("crash-{}.txt", time.replace(':', "-")))
    }

    /// Makes the folders of the workspace and of the cache, readable by their owner only.
    pub fn prepare(&self) -> Result<(), FileError> {
        for folder in [self.stage(), self.root.join("state")] {
            fs::create_private_dir(&folder)?;
        }
        for folder in [self.objects(), self.store_tmp(), self.records()] {
            fs::create_private_dir(&folder)?;
        }
        let ignore = self.root.join(".gitignore");
        if !ignore.exists() {
            fs::write_atomic(&ignore, b"*\n")?;
            fs::write_atomic(&self.root.join("CACHEDIR.TAG"), CACHEDIR_TAG)?;
        }
        Ok(())
    }

    /// Takes the lock of the workspace. Where another run has it, `wait` is asked once whether to
    /// wait, with the holder's process if it is known; none: it would not. The lock ends with the
    /// process, however it ends.
    pub fn lock(&self, wait: impl FnOnce(Option<u32>) -> bool) -> Result<Option<Lock>, FileError> {
        let path = self.root.join("lock");
        fs::create_private_dir(&self.root)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open the lock", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                if !wait(read_pid(&mut file)) {
                    return Ok(None);
                }
                file.lock().at("lock", &path)?;
            }
            Err(TryLockError::Error(error)) => return Err(FileError::new("lock", &path, error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .at("write", &path)?;
        tracing::debug!(path = %path.display(), "lock of the workspace taken");
        Ok(Some(Lock { _file: file }))
    }

    /// Removes what a run that was killed left in the making. The lock is held, so that nobody
    /// is making anything; a cache that other workspaces share is left alone.
    pub fn sweep(&self) {
        let shared = (self.cache != self.root).then_some(());
        for folder in [Some(self.stage()), shared.is_none().then(|| self.store_tmp())] {
            let listing = folder.and_then(|folder| std::fs::read_dir(folder).ok());
            for entry in listing.into_iter().flatten().flatten() {
                tracing::info!(path = %entry.path().display(), "leftover of a killed run removed");
                // What cannot be removed is in nobody's way.
                let _ = fs::remove_file(&entry.path());
            }
        }
    }
}

/// The first line of a folder that backup programs leave out (bford.info/cachedir).
const CACHEDIR_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is made by reprovm and can be made again.\n";

/// The workspace is ours while this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// 16 hex digits that stand for a manifest's path.
fn manifest_id(manifest: &Path) -> String {
    let plain = manifest.strip_prefix(".").unwrap_or(manifest);
    let mut hex = Digest::of(OsStr::as_bytes(plain.as_os_str())).hex();
    hex.truncate(16);
    hex
}
