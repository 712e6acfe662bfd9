//! Changes to the files of the project that no link can lead out of it: each step is relative to
//! a folder that was opened without leaving the project, whatever happens to its name meanwhile.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

use super::{Context as _, FileError, unique_name};

/// Whether the folder that holds `path` (relative to the process's folder) is reached without
/// leaving that folder: through no link that leads out. A folder that is not there yet leads
/// nowhere.
pub fn is_beneath(path: &Path) -> bool {
    match open_folder_of(path) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whether the way to `path` goes through a link that leads out of the process's folder. What is
/// not there yet, or is no folder, leads nowhere.
pub fn leads_out(path: &Path) -> bool {
    open_folder_of(path).is_err_and(|error| led_out(&error))
}

/// Whether an error says that a link led out.
pub fn led_out(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EXDEV | libc::ELOOP))
}

/// A folder below the process's own, opened so that no link leads out on the way: what is done
/// relative to it stays inside, whatever happens to the names meanwhile.
pub fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    open(folder, libc::O_PATH | libc::O_DIRECTORY)
}

fn open_folder_of(path: &Path) -> io::Result<OwnedFd> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    open_folder(folder.unwrap_or(Path::new(".")))
}

fn open(path: &Path, flags: i32) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    // SAFETY: an all-zero `open_how` is a valid value of that plain C struct.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: the name ends in NUL, and `how` is as long as is said.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            name.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Removes a file or link; one that is not there is fine.
pub fn remove_file(path: &Path) -> Result<(), FileError> {
    match unlink(path, UnlinkatFlags::NoRemoveDir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Removes an empty folder. One that holds something, is not there, or is not to be had, is left
/// as it is.
pub fn remove_empty_dir(path: &Path) {
    let _ = unlink(path, UnlinkatFlags::RemoveDir);
}

fn unlink(path: &Path, flags: UnlinkatFlags) -> io::Result<()> {
    let folder = open_folder_of(path)?;
    nix::unistd::unlinkat(&folder, name_of(path)?, flags).map_err(io::Error::from)
}

fn name_of(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Sets the permission bits of a file or folder; a link has none.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    let set = || {
        let file = open(path, libc::O_PATH | libc::O_NOFOLLOW)?;
        fs::set_permissions(through(&file), fs::Permissions::from_mode(mode))
    };
    set().at("set the mode of", path)
}

/// A folder and those above it. Existing ones are fine.
pub fn create_dir_all(path: &Path) -> Result<(), FileError> {
    let make = |folder: &Path| {
        let above = open_folder_of(folder)?;
        let mode = Mode::from_bits_truncate(0o777);
        match nix::sys::stat::mkdirat(&above, name_of(folder)?, mode) {
            Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
            Err(error) => Err(io::Error::from(error)),
        }
    };
    // The project itself has no name, and is there.
    let mut folders: Vec<&Path> =
        path.ancestors().filter(|path| path.file_name().is_some()).collect();
    folders.reverse();
    folders.into_iter().try_for_each(make).at("create the folder", path)?;
    // Something else may have lain there.
    open_folder(path).map(|_| ()).at("create the folder", path)
}

/// The name by which an opened file can be reached, whatever its own name is now.
fn through(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Renames `from` to `name` in an opened folder.
pub fn rename_at(from: &Path, folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    nix::fcntl::renameat(nix::fcntl::AT_FDCWD, from, folder, name).map_err(io::Error::from)
}

/// Copies `from`, a file or a link, to `name` in an opened folder of another file system: under
/// a name of its own first, then renamed.
#[expect(clippy::disallowed_methods, reason = "this is where files are written")]
pub fn copy_at(from: &Path, folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let mut beside = OsStr::new(".").to_os_string();
    beside.push(name);
    beside.push(format!(".{}.tmp", unique_name()));
    let through = through(folder).join(&beside);
    let meta = fs::symlink_metadata(from)?;
    let copied = if meta.is_symlink() {
        fs::read_link(from).and_then(|target| std::os::unix::fs::symlink(target, &through))
    } else {
        fs::copy(from, &through).map(|_| ())
    };
    let placed = copied.and_then(|()| {
        nix::fcntl::renameat(folder, beside.as_os_str(), folder, name).map_err(io::Error::from)
    });
    if placed.is_err() {
        let _ = fs::remove_file(&through);
    }
    placed
}
