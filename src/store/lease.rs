//! Who executes a key, where several processes share a cache: a file for each key, held by `flock`.
//!
//! The lock is the kernel's and ends with the process, however it ends; what the file says of the
//! holder is for people only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError, clock, stat};
use crate::event::LeaseHolder;
use crate::home::{self, Home};

/// More than any holder writes.
const MAX_TEXT: u64 = 64 * 1024;
/// How often a file is opened again that went away between its opening and its locking.
const TRIES: usize = 100;

/// The leases of one cache folder, for one run.
#[derive(Debug)]
pub struct Leases {
    folder: PathBuf,
    host: String,
    project: String,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Asked {
    Mine(Lease),
    /// Another run has it; none: it does not say which.
    Held(Option<LeaseHolder>),
}

/// The right to execute a key, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    _file: File,
}

impl Leases {
    pub fn new(home: &Home, project: &Path) -> Self {
        let project = project.display().to_string();
        Self { folder: home.leases(), host: home::host(), project }
    }

    /// Whether a holder is a process of this machine.
    pub fn is_near(&self, holder: &LeaseHolder) -> bool {
        holder.host == self.host
    }

    /// Takes the lease of a key for a task, unless another run has it. Does not wait.
    pub fn ask(&self, key: &Digest, task: &str) -> Result<Asked, FileError> {
        let path = self.folder.join(key.hex());
        for _ in 0..TRIES {
            let file = match open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_private_dir(&self.folder)?;
                    continue;
                }
                Err(error) => return Err(FileError::new("open the lease", &path, error)),
            };
            if let Some(asked) = self.claim(file, &path, task)? {
                return Ok(asked);
            }
        }
        Err(FileError::new("lock", &path, io::Error::other("it goes away again and again")))
    }

    /// Locks the open file. None: it is not the one that lies there any more, since the one who had
    /// it has removed it; nobody else would find our lock.
    fn claim(&self, mut file: File, path: &Path, task: &str) -> Result<Option<Asked>, FileError> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Ok(Some(Asked::Held(read_holder(&mut file))));
            }
            Err(TryLockError::Error(error)) => return Err(FileError::new("lock", path, error)),
        }
        if !is_in_place(&file, path)? {
            return Ok(None);
        }
        self.sign(&mut file, task).at("write", path)?;
        Ok(Some(Asked::Mine(Lease { path: path.to_path_buf(), _file: file })))
    }

    fn sign(&self, file: &mut File, task: &str) -> io::Result<()> {
        let Self { host, project, .. } = self;
        let project = crate::base::text::shown(project.as_bytes());
        let (pid, since) = (std::process::id(), clock::rfc3339(clock::now_ns()));
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(format!("{pid}\n{since}\n{host}\n{project}\n{task}\n").as_bytes())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // While it is locked: nobody can have it who does not see that it is gone.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "lease stays as an empty lock");
        }
    }
}

/// Removes what a dead holder left. False: it is held, or was not there.
pub fn remove_dead(path: &Path) -> Result<bool, FileError> {
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FileError::new("open", path, error)),
    };
    match file.try_lock() {
        Ok(()) if is_in_place(&file, path)? => fs::remove_file(path).map(|()| true),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(FileError::new("lock", path, error)),
    }
}

/// Whether somebody holds the file. What cannot be looked at is held.
pub fn is_held(path: &Path) -> bool {
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    match opened {
        Ok(file) => file.try_lock_shared().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Whether the open file is what lies at the path.
pub(super) fn is_in_place(file: &File, path: &Path) -> Result<bool, FileError> {
    let own = stat::fstat(file.as_fd()).at("examine", path)?;
    Ok(path.symlink_metadata().is_ok_and(|there| there.ino() == own.ino && there.is_file()))
}

/// What the file says of who has it. The number of the process is there, or nothing is.
fn read_holder(file: &mut File) -> Option<LeaseHolder> {
    let mut bytes = Vec::new();
    file.take(MAX_TEXT).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let mut next = || lines.next().unwrap_or_default().to_owned();
    Some(LeaseHolder { pid, since: next(), host: next(), project: next(), task: next() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn leases(folder: &Path) -> Leases {
        Leases::new(&Home::new(Some(folder)), Path::new("/p"))
    }

    #[test]
    fn one_has_it_and_the_others_are_told_who() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (leases(folder.path()), leases(folder.path()));
        let (key, another) = (Digest::of(b"k"), Digest::of(b"l"));
        let Ok(Asked::Mine(lease)) = one.ask(&key, "a") else { panic!("it is free") };
        let Ok(Asked::Held(Some(holder))) = other.ask(&key, "b") else { panic!("it is held") };
        assert_eq!((holder.pid, holder.project.as_str()), (std::process::id(), "/p"));
        assert_eq!(holder.task, "a");
        assert!(other.is_near(&holder));
        assert!(matches!(other.ask(&another, "b"), Ok(Asked::Mine(_))), "keys are not coupled");
        drop(lease);
        assert!(matches!(other.ask(&key, "b"), Ok(Asked::Mine(_))));
        let left = fs::names(&folder.path().join("cas/leases")).expect("the folder");
        assert!(left.is_empty(), "{left:?}");
    }

    /// The classic race of lock files that are removed: one is opened, its holder removes it, and
    /// two have a lock of the same name.
    #[test]
    fn a_lock_on_a_file_that_its_holder_has_removed_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (leases(folder.path()), leases(folder.path()));
        let key = Digest::of(b"k");
        let path = folder.path().join("cas/leases").join(key.hex());
        let first = one.ask(&key, "a").expect("a lock");
        let opened = open(&path).expect("the file");
        drop(first);
        let second = one.ask(&key, "a").expect("a lock");
        let claimed = other.claim(opened, &path, "b").expect("a lock");
        assert!(claimed.is_none(), "{claimed:?} beside {second:?}");
    }

    #[test]
    fn never_two_have_it_though_its_file_comes_and_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (key, inside, most) = (Digest::of(b"k"), AtomicUsize::new(0), AtomicUsize::new(0));
        let had = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let leases = leases(folder.path());
                    for _ in 0..100 {
                        if let Asked::Mine(_lease) = leases.ask(&key, "t").expect("a lock") {
                            most.fetch_max(
                                inside.fetch_add(1, Ordering::SeqCst) + 1,
                                Ordering::SeqCst,
                            );
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            had.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert!(had.into_inner() > 4);
    }

    #[test]
    fn what_a_dead_holder_left_is_removed_and_what_is_held_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let leases = leases(folder.path());
        let key = Digest::of(b"k");
        let path = folder.path().join("cas/leases").join(key.hex());
        let lease = leases.ask(&key, "t").expect("a lock");
        assert!(is_held(&path) && !remove_dead(&path).expect("a look"));
        drop(lease);
        assert!(!is_held(&path) && !remove_dead(&path).expect("a look"));
        fs::write_atomic(&path, b"12\n").expect("a leftover");
        assert!(!is_held(&path) && remove_dead(&path).expect("a look"));
        assert!(!path.exists());
    }
}
