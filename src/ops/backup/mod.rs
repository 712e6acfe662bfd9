//! Backups of the cache: copies that do not need each other, in a folder that keeps each object
//! once. A backup is there when its manifest is, and that is written last.
//!
//! Changes nothing in the cache, but holds off its collection. `docs/backup.md` says what is
//! promised.

mod check;
mod create;
mod error;
mod look;
mod manifest;
mod name;
mod prune;
mod restore;

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use check::{Problem, Verified};
pub use create::{Created, How};
pub use error::BackupError;
pub use look::{Listed, Metadata};
pub use manifest::Manifest;
pub use name::BackupName;
pub use prune::Removed;
pub(super) use prune::automatic;
pub use restore::Restored;

use super::types::Error;
use super::upkeep::patience;
use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError};
use crate::config::Config;
use crate::home::{BackupDir, Home};
use crate::store::Packing;

/// More than any real manifest, less than could hurt.
const MAX_MANIFEST: u64 = 1 << 30;

/// Up to so many new files are written to the disk one by one; more of them all at once.
const FEW: usize = 32;

/// How far a verb has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub files: usize,
    pub bytes: u64,
    pub of_files: usize,
    pub of_bytes: u64,
}

/// Who is told of the progress.
pub type Told<'a> = &'a mut dyn FnMut(Progress);

/// The backups of the settings' folder, and the cache that they are made of.
#[derive(Debug, Clone)]
pub struct Backups {
    dir: BackupDir,
    home: Home,
    patience: Duration,
    /// How new files are kept here.
    packing: Packing,
    /// And in a cache that is made of a backup.
    restored: Packing,
}

/// What all readable backups need, and which cannot be read.
#[derive(Debug, Default)]
struct Needed {
    files: HashSet<(Digest, u64)>,
    unreadable: Vec<String>,
}

impl Backups {
    /// Touches no file.
    pub fn new(config: &Config) -> Self {
        Self {
            dir: BackupDir::new(&config.backup.backup_dir),
            home: Home::new(Some(&config.cache.cache_dir)),
            patience: patience(config),
            packing: Packing::new(config.backup.compression, config.compression.level),
            restored: Packing::of(&config.compression),
        }
    }

    /// The folder is ours alone while the file lives.
    fn lock(&self) -> Result<File, Error> {
        fs::create_private_dir(self.dir.root())?;
        let file = fs::open_append(&self.dir.lock())?;
        self.hold(&file, File::try_lock)?;
        Ok(file)
    }

    /// Nobody changes the folder while the file lives. None where there is no lock to hold: in a
    /// copy on a medium that cannot be written to, nobody changes anything.
    fn look_on(&self) -> Result<Option<File>, Error> {
        let Ok(file) = File::open(self.dir.lock()) else { return Ok(None) };
        self.hold(&file, File::try_lock_shared)?;
        Ok(Some(file))
    }

    fn hold(&self, file: &File, lock: fn(&File) -> Result<(), TryLockError>) -> Result<(), Error> {
        let path = self.dir.lock();
        if fs::lock_within(file, self.patience, lock).at("lock", &path)? {
            return Ok(());
        }
        Err(BackupError::Busy { dir: self.dir.root().to_path_buf() }.into())
    }

    /// The names of all backups, sorted, whether or not they can be read.
    fn names(&self) -> Result<Vec<BackupName>, FileError> {
        let files = fs::names(self.dir.root())?;
        let names = files.iter().filter_map(|file| BackupDir::name_of(file));
        Ok(names.filter_map(|name| BackupName::parse(name).ok()).collect())
    }

    fn manifest(&self, name: &BackupName) -> Result<Manifest, BackupError> {
        let path = self.dir.manifest(name.as_str());
        let problem = match fs::read_regular(&path, MAX_MANIFEST) {
            Ok(bytes) => match Manifest::parse(&bytes) {
                Ok(manifest) => return Ok(manifest),
                Err(problem) => problem.to_owned(),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let dir = self.dir.root().to_path_buf();
                return Err(BackupError::NoSuch { name: name.to_string(), dir });
            }
            Err(error) => error.to_string(),
        };
        Err(BackupError::BadManifest { name: name.to_string(), path, problem })
    }

    fn needed(&self) -> Result<Needed, FileError> {
        let mut needed = Needed::default();
        for name in self.names()? {
            match self.manifest(&name) {
                Ok(manifest) => {
                    needed.files.extend(manifest.files().map(|file| (file.digest, file.size)));
                }
                Err(_) => needed.unreadable.push(name.to_string()),
            }
        }
        Ok(needed)
    }
}

/// Waits until these files below `root` are on the disk, with their names.
fn settle(files: &[PathBuf], root: &Path) -> Result<(), FileError> {
    if files.len() > FEW {
        return fs::sync_all(root);
    }
    let above = |path: &PathBuf| -> Vec<PathBuf> {
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
        folders.map(Path::to_path_buf).collect()
    };
    let folders: BTreeSet<PathBuf> = files.iter().flat_map(above).collect();
    files.iter().chain(&folders).try_for_each(|path| fs::sync(path))
}
