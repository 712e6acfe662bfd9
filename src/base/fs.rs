//! File work that names the operation and the path in every error. Writes go through here.
#![expect(clippy::disallowed_methods, reason = "this is where files are written")]

pub mod rotating;

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt, PermissionsExt};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memmap2::Mmap;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use super::clock::{self, Stopwatch};
use super::text;

pub mod beneath;
pub mod lines;
pub mod memory;
pub mod shared;

/// A failed operation on a file: what was tried, on which path; the system's answer is the source.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} `{}`", text::shown(path.as_os_str().as_bytes()))]
pub struct FileError {
    pub op: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
    /// Where in our source it was tried.
    pub place: &'static Location<'static>,
}

impl FileError {
    #[track_caller]
    pub fn new(op: &'static str, path: &Path, source: io::Error) -> Self {
        Self { op, path: path.to_path_buf(), source, place: Location::caller() }
    }

    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Names the operation and the path in the error of an I/O call.
pub trait Context<T> {
    fn at(self, op: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> Context<T> for io::Result<T> {
    #[track_caller]
    fn at(self, op: &'static str, path: &Path) -> Result<T, FileError> {
        match self {
            Ok(value) => Ok(value),
            Err(source) => Err(FileError::new(op, path, source)),
        }
    }
}

/// The whole of a file.
#[track_caller]
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).at("read", path)
}

/// The bytes of a regular file of at most `most` bytes, not through a link; a fifo in its place
/// does not hold us up.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (mut file, length) = open_regular(path, most)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    // No look for more: what was written since is no part of what was asked for.
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The same where they lie in the memory of the kernel, of a file that is as [`memory::map`] says.
pub fn map_regular(path: &Path, most: u64) -> io::Result<Mmap> {
    memory::map(&open_regular(path, most)?.0)
}

fn open_regular(path: &Path, most: u64) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > most {
        return Err(io::Error::other("it is no regular file of a sensible size"));
    }
    Ok((file, meta.len()))
}

/// Whether such an error of [`read_regular`] says that no file of that kind is there, and not that
/// it could not be read.
pub fn is_no_file(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code) => [libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::ENXIO].contains(&code),
        None => true,
    }
}

/// The names in a folder, sorted; names that are no UTF-8, which none of ours is, are passed over.
/// A folder that is not there holds none.
pub fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("list", folder)?,
    };
    let mut names = Vec::new();
    for entry in listing {
        names.extend(entry.at("list", folder)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// A folder and those above it. Existing ones are fine.
#[track_caller]
pub fn create_dir_all(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).at("create the folder", path)
}

/// A folder that only its owner may enter, and those above it.
#[track_caller]
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).at("create the folder", path)
}

/// Gives an empty file the blocks of another of the same file system, which then belong to both
/// until one of them is written to (`FICLONE`: btrfs, XFS). An error: it is still empty.
pub fn share_blocks(from: &File, to: &File) -> io::Result<()> {
    // SAFETY: the call takes two open descriptors and no memory of ours.
    match unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Removes a file or link; one that is not there is fine.
#[track_caller]
pub fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Removes an empty folder. One that holds something, or is not there, is left as it is.
pub fn remove_empty_dir(path: &Path) {
    let _ = fs::remove_dir(path);
}

/// Removes a folder and all in it, links not followed; one that is not there is fine.
pub fn remove_dir_all(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove the folder", path),
    }
}

/// Sets the permission bits.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set the mode of", path)
}

pub fn symlink(target: &[u8], path: &Path) -> Result<(), FileError> {
    std::os::unix::fs::symlink(OsStr::from_bytes(target), path).at("make the link", path)
}

#[track_caller]
/// Writes to a file that is there and not made, as those of the kernel.
pub fn write_existing(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = File::options().write(true).open(path).at("open", path)?;
    file.write_all(bytes).at("write", path)
}

/// A fifo that only we may use.
pub fn create_fifo(path: &Path) -> Result<(), FileError> {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600))
        .map_err(std::io::Error::from)
        .at("create", path)
}

pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).at("put into place", to)
}

/// A file opened for writing that was not there before, readable by its owner only.
#[track_caller]
pub fn create_new(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .write(true)
        .read(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .at("create", path)
}

/// Opens a file for appending, and creates it if need be, readable by its owner only. A fifo in
/// its place is an error and does not hold us up.
#[track_caller]
pub fn open_append(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .at("open", path)
}

/// Opens a regular file for reading and appending, and creates it if need be, readable by its
/// owner only. What is no regular file is an error, and a fifo does not hold us up.
#[track_caller]
pub fn open_journal(path: &Path) -> Result<File, FileError> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .at("open", path)?;
    if !file.metadata().at("look at", path)?.is_file() {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(FileError::new("use", path, problem));
    }
    Ok(file)
}

/// A name that no other thread or process uses: process and a counter. The counter begins with the
/// time, since a process in another container, or after this one, may have the same number.
pub fn unique_name() -> String {
    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU64::new(clock::now_ns().unsigned_abs()));
    format!("{}-{}", std::process::id(), next.fetch_add(1, Ordering::Relaxed))
}

/// When what lies at the path was last written, in nanoseconds since 1970; a link counts itself.
pub fn modified_ns(path: &Path) -> Option<i64> {
    let meta = path.symlink_metadata().ok()?;
    Some(meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()))
}

/// Sets the times of what lies at the path to now, a link not followed.
pub fn touch(path: &Path) -> io::Result<()> {
    let now = TimeSpec::UTIME_NOW;
    utimensat(AT_FDCWD, path, &now, &now, UtimensatFlags::NoFollowSymlink).map_err(io::Error::from)
}

/// Replaces `path` by `bytes` in one step: after a crash it holds the old or the new, whole.
/// The folder must exist.
#[track_caller]
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomic`], with the bytes written by `fill`.
pub fn write_atomic_with(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", unique_name()));
    let temporary = path.with_file_name(name);
    let written = create_new(&temporary)
        .and_then(|mut file| fill(&mut file).at("write", path))
        .and_then(|()| rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// As [`write_atomic`], and the file outlives a power failure once this has returned.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic_with(path, |file| file.write_all(bytes).and_then(|()| file.sync_all()))?;
    path.parent().map_or(Ok(()), sync)
}

/// Waits until a file, or the names in a folder, are on the disk.
pub fn sync(path: &Path) -> Result<(), FileError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|file| file.sync_all()).at("write to the disk", path)
}

/// Waits until all that was written to the file system of `path` is on the disk: for many files
/// far cheaper than one by one.
pub fn sync_all(path: &Path) -> Result<(), FileError> {
    let file = File::open(path).at("open", path)?;
    nix::unistd::syncfs(&file).map_err(io::Error::from).at("write to the disk", path)
}

/// How long a holder of a lock is let alone between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether a lock became ours in time, by `File::try_lock` or `File::try_lock_shared`. The
/// kernel has no call that waits so long and no longer, so it is asked again and again.
pub fn lock_within(
    file: &File,
    patience: Duration,
    lock: fn(&File) -> Result<(), TryLockError>,
) -> io::Result<bool> {
    let watch = Stopwatch::start();
    loop {
        match lock(file) {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let left = patience.saturating_sub(watch.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(left.min(PAUSE));
    }
}

/// A path as the kernel takes it. A NUL byte inside is an error of input.
pub fn c_path(path: &Path) -> Result<CString, FileError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
        .at("use the path", path)
}

/// A file without a name that is appended to and can be read; it goes with its last descriptor.
pub fn unnamed(folder: &Path) -> Result<File, FileError> {
    let open = |path: &Path, flags: i32| {
        OpenOptions::new().read(true).append(true).mode(0o600).custom_flags(flags).open(path)
    };
    match open(folder, libc::O_TMPFILE) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)
            ) =>
        {
            // The file system cannot do that; a name that is gone at once serves as well.
            let path = folder.join(unique_name());
            let file = create_new(&path).and_then(|_| open(&path, 0).at("open", &path));
            let _ = fs::remove_file(&path);
            file
        }
        other => other.at("make a file in", folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("state");
        write_atomic(&path, b"one").expect("a first write");
        write_atomic(&path, b"two").expect("a second write");
        assert_eq!(read(&path).expect("the file"), b"two");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn a_failed_write_keeps_the_old_and_names_the_path() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("state");
        write_atomic(&path, b"one").expect("a first write");
        let error = write_atomic_with(&path, |_| Err(io::Error::other("full"))).expect_err("full");
        assert_eq!(error.to_string(), format!("cannot write `{}`", path.display()));
        assert_eq!(read(&path).expect("the file"), b"one");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}
