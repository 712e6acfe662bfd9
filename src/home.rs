//! `.reprovm/`: the name of everything in it, its making, and the lock of the workspace.
//!
//! Knows nothing of what the files hold.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::clock;
use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError};
use crate::event::Holder;

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

    /// Holds the lock and the state of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
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

    /// Objects that are given another form, in the making, and the lock of who does that.
    pub fn recompress(&self) -> PathBuf {
        self.cache.join("cas/recompress")
    }

    pub fn recompress_lock(&self) -> PathBuf {
        self.recompress().join("lock")
    }

    /// There since something was compressed in this cache.
    pub fn compressed(&self) -> PathBuf {
        self.cache.join("cas/compressed")
    }

    pub fn records(&self) -> PathBuf {
        self.cache.join("cache")
    }

    /// A file for each key that is being executed, where others share the cache.
    pub fn leases(&self) -> PathBuf {
        self.cache.join("cas/leases")
    }

    /// A file for each run that is at work with the cache.
    pub fn users(&self) -> PathBuf {
        self.cache.join("cas/users")
    }

    /// Held alone by whoever collects garbage, together by those who read the whole cache.
    pub fn gc_lock(&self) -> PathBuf {
        self.cache.join("cas/gc.lock")
    }

    /// What is being collected, until it is looked at once more.
    pub fn going(&self) -> PathBuf {
        self.cache.join("cas/going")
    }

    /// How large the cache was when it was last counted, and what was added since.
    pub fn size_notes(&self) -> PathBuf {
        self.cache.join("cas/size")
    }

    /// What is kept whatever its age.
    pub fn pins(&self) -> PathBuf {
        self.cache.join("cas/pins")
    }

    /// Files of the project in the making.
    pub fn stage(&self) -> PathBuf {
        self.root.join("stage")
    }

    /// The fifo of a run that shares its slots with its tasks.
    pub fn jobserver(&self) -> PathBuf {
        self.stage().join("jobserver")
    }

    /// The state of the workspace for one manifest.
    pub fn state(&self, manifest: &Path) -> PathBuf {
        self.root.join("state").join(format!("{}.state", manifest_id(manifest)))
    }

    /// What must stand for the targets to be up to date; `targets` stands for them.
    pub fn standing(&self, manifest: &Path, targets: &Digest) -> PathBuf {
        let mut hex = targets.hex();
        hex.truncate(16);
        self.root.join("state").join(format!("{}-{hex}.standing", manifest_id(manifest)))
    }

    /// The manifest as it was last understood.
    pub fn compiled(&self, manifest: &Path) -> PathBuf {
        self.root.join("state").join(format!("{}.compiled", manifest_id(manifest)))
    }

    /// What happened since the state was written.
    pub fn journal(&self, manifest: &Path) -> PathBuf {
        self.root.join("state").join(format!("{}.journal", manifest_id(manifest)))
    }

    /// What the runs of the project did together, and what the last one did.
    pub fn totals(&self) -> PathBuf {
        self.root.join("totals.json")
    }

    /// A line for each run since then that had nothing to do.
    pub fn totals_notes(&self) -> PathBuf {
        self.root.join("totals.notes")
    }

    /// The journals of the last runs, a file each.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// What a crash leaves, by its time: a name without colons, which some file systems refuse.
    pub fn crash_report(&self, time: &str) -> PathBuf {
        self.root.join(format!("crash-{}.txt", time.replace(':', "-")))
    }

    /// Holds the states of the workspace and their journals, and nothing else.
    pub fn states(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Whether a run ever made the folder of the workspace.
    pub fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// Whether the cache lies in the folder of the workspace, and not where others share it.
    pub fn owns_cache(&self) -> bool {
        self.cache == self.root
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

    /// The first of our folders that others than its user may write to: what lies in it could be
    /// anybody's. Those that are not there yet are made private.
    pub fn exposed(&self) -> Result<Option<Exposed>, FileError> {
        let user = nix::unistd::geteuid().as_raw();
        let cache = &self.cache;
        for path in [self.root.clone(), cache.clone(), cache.join("cas"), self.records()] {
            let meta = match std::fs::metadata(&path) {
                // What cannot hold anything holds nothing that could be believed; that it cannot
                // be used is found when it is.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                other => other.at("examine", &path)?,
            };
            if !meta.is_dir() {
                continue;
            }
            let (owner, mode) = (meta.uid(), meta.mode() & 0o7777);
            if (owner != user && owner != 0) || mode & 0o022 != 0 {
                return Ok(Some(Exposed { path, owner, mode, user }));
            }
        }
        Ok(None)
    }

    /// The file of settings of the project that the process stands in.
    pub fn config_file() -> PathBuf {
        Path::new(DIR).join("reprovm.conf")
    }

    /// Takes the lock of the workspace for a run with this command. Where another run has it,
    /// `wait` is asked how long to wait for it; the answer without an end is `Duration::MAX`.
    /// An error of the kind `Busy`: it was not free in time. The lock is the kernel's and ends
    /// with the process, however it ends: what the file says of the holder is for people only.
    pub fn lock(
        &self,
        command: &str,
        wait: impl FnOnce(Option<&Holder>) -> Duration,
    ) -> Result<Lock, LockError> {
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
                let holder = read_holder(&mut file);
                let patience = wait(holder.as_ref());
                if patience == Duration::MAX {
                    file.lock().at("lock", &path)?;
                } else if !fs::lock_within(&file, patience, File::try_lock).at("lock", &path)? {
                    // Whoever has it now may be another one than before.
                    return Err(LockError::Busy(read_holder(&mut file).or(holder)));
                }
            }
            Err(TryLockError::Error(error)) => {
                return Err(FileError::new("lock", &path, error).into());
            }
        }
        let text = format!(
            "{}\n{}\n{}\n{command}\n",
            std::process::id(),
            clock::rfc3339(clock::now_ns()),
            host()
        );
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .at("write", &path)?;
        tracing::debug!(path = %path.display(), "lock of the workspace taken");
        Ok(Lock { _file: file })
    }

    /// Who has the lock of the workspace, without waiting for it or making a file.
    pub fn holder(&self) -> Result<Holding, FileError> {
        let path = self.root.join("lock");
        let mut file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Holding::Nobody { last: None });
            }
            Err(error) => return Err(FileError::new("open the lock", &path, error)),
        };
        match file.try_lock_shared() {
            Ok(()) => {
                file.unlock().at("unlock", &path)?;
                Ok(Holding::Nobody { last: read_holder(&mut file) })
            }
            Err(TryLockError::WouldBlock) => Ok(Holding::Held(read_holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(FileError::new("lock", &path, error)),
        }
    }

    /// Removes what a run that was killed left in the making. The lock is held, so that nobody
    /// is making anything; a cache that other workspaces share is left alone.
    pub fn sweep(&self) {
        for folder in [Some(self.stage()), self.owns_cache().then(|| self.store_tmp())] {
            let listing = folder.and_then(|folder| std::fs::read_dir(folder).ok());
            for entry in listing.into_iter().flatten().flatten() {
                tracing::info!(path = %entry.path().display(), "leftover of a killed run removed");
                // What cannot be removed is in nobody's way.
                let _ = fs::remove_file(&entry.path());
            }
        }
    }
}

/// A folder of ours whose owner or mode lets others write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    pub path: PathBuf,
    pub owner: u32,
    pub mode: u32,
    /// Who we are.
    pub user: u32,
}

/// The first line of a folder that backup programs leave out (bford.info/cachedir).
const CACHEDIR_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is made by reprovm and can be made again.\n";

/// The end of the name of a backup's manifest.
const MANIFEST: &str = ".manifest";

/// The names in a folder of backups.
#[derive(Debug, Clone)]
pub struct BackupDir(PathBuf);

impl BackupDir {
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_path_buf())
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Shared by all backups: what a cache has as objects, and the records as objects too.
    pub fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    pub fn object(&self, digest: &Digest) -> PathBuf {
        object_in(&self.objects(), digest)
    }

    /// Objects in the making.
    pub fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }

    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// A backup is there when this is.
    pub fn manifest(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{MANIFEST}"))
    }

    /// The backup that a file in the folder is the manifest of.
    pub fn name_of(file: &str) -> Option<&str> {
        file.strip_suffix(MANIFEST)
    }

    /// Whether a file in the folder is a manifest in the making.
    pub fn is_unfinished(file: &str) -> bool {
        file.ends_with(".tmp") && file.contains(MANIFEST)
    }
}

/// Where an object lies in a folder of objects, or a record in a folder of records.
pub fn object_in(folder: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    folder.join(&hex[..2]).join(&hex[2..])
}

/// What lies in such a folder, sorted: names of another form are passed over. A folder that is
/// not there holds nothing.
pub fn objects_in(folder: &Path) -> Result<Vec<Digest>, FileError> {
    let mut found = Vec::new();
    for first in fs::names(folder)? {
        if first.len() != 2 || !folder.join(&first).is_dir() {
            continue;
        }
        let rest = fs::names(&folder.join(&first))?;
        found.extend(rest.iter().filter_map(|rest| Digest::parse(&format!("{first}{rest}")).ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(transparent)]
    File(#[from] FileError),
    /// Another run has it; none: it does not say which.
    #[error("the workspace is busy")]
    Busy(Option<Holder>),
}

/// Whether a run is at work in the workspace.
#[derive(Debug)]
pub enum Holding {
    /// None is; the last that was is named in the file.
    Nobody { last: Option<Holder> },
    /// One is; none: it does not say which.
    Held(Option<Holder>),
}

/// The workspace is ours while this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What the file says of who has it. The number of the process is there, or nothing is.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    file.take(64 * 1024).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let mut next = || lines.next().unwrap_or_default().to_owned();
    Some(Holder { pid, since: next(), host: next(), command: next() })
}

/// The name of this machine, as a holder of the lock writes it.
pub fn host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// 16 hex digits that stand for a manifest's path.
fn manifest_id(manifest: &Path) -> String {
    let plain = manifest.strip_prefix(".").unwrap_or(manifest);
    let mut hex = Digest::of(OsStr::as_bytes(plain.as_os_str())).hex();
    hex.truncate(16);
    hex
}
