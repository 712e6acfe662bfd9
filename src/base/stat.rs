//! What the kernel says of a file without opening it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// Nothing.
    Absent = 0,
    /// A regular file that its owner may not execute.
    File = 1,
    /// A regular file that its owner may execute.
    Executable = 2,
    Dir = 3,
    Link = 4,
    /// A fifo, a socket or a device: nothing that could be hashed.
    Special = 5,
}

impl Kind {
    pub fn from_u8(value: u8) -> Option<Self> {
        [Self::Absent, Self::File, Self::Executable, Self::Dir, Self::Link, Self::Special]
            .get(usize::from(value))
            .copied()
    }

    pub fn of_mode(mode: u32) -> Self {
        match mode & libc::S_IFMT {
            libc::S_IFREG if mode & 0o100 != 0 => Self::Executable,
            libc::S_IFREG => Self::File,
            libc::S_IFDIR => Self::Dir,
            libc::S_IFLNK => Self::Link,
            _ => Self::Special,
        }
    }

    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }

    /// For a sentence: `a directory`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Absent => "missing",
            Self::File => "a file",
            Self::Executable => "an executable file",
            Self::Dir => "a directory",
            Self::Link => "a symbolic link",
            Self::Special => "a fifo, socket or device",
        }
    }
}

/// A file's signature: while none of it changes, neither do the bytes. All zero: nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Sig {
    pub ino: u64,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime: i64,
    /// Nanoseconds since 1970.
    pub ctime: i64,
    /// Type and permission bits; 0 where nothing is.
    pub mode: u32,
    /// The device, folded into 32 bits.
    pub dev: u32,
}

impl Sig {
    pub const ABSENT: Self = Self { ino: 0, size: 0, mtime: 0, ctime: 0, mode: 0, dev: 0 };

    pub fn kind(&self) -> Kind {
        if self.mode == 0 { Kind::Absent } else { Kind::of_mode(self.mode) }
    }

    pub fn from_stat(stat: &libc::stat) -> Self {
        let ns = |seconds: i64, nanos: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
        Self {
            ino: stat.st_ino,
            size: stat.st_size.cast_unsigned(),
            mtime: ns(stat.st_mtime, stat.st_mtime_nsec),
            ctime: ns(stat.st_ctime, stat.st_ctime_nsec),
            mode: stat.st_mode,
            dev: (stat.st_dev ^ (stat.st_dev >> 32)) as u32,
        }
    }

    /// The younger of the two times.
    pub fn newest(&self) -> i64 {
        self.mtime.max(self.ctime)
    }
}

/// Paths are relative to the process's folder.
pub const HERE: RawFd = libc::AT_FDCWD;

/// The signature of what `path` (relative to `dir`) names, a link not followed; absent is no
/// error.
pub fn lstat_at(dir: RawFd, path: &CStr) -> io::Result<Sig> {
    stat_at(dir, path, libc::AT_SYMLINK_NOFOLLOW)
}

/// The signature of what `path` leads to. A link's own identity is mixed in, so that pointing it
/// elsewhere shows even between files of equal times; a dangling link has the signature of the
/// link.
pub fn follow_at(dir: RawFd, path: &CStr) -> io::Result<Sig> {
    let link = lstat_at(dir, path)?;
    if link.kind() != Kind::Link {
        return Ok(link);
    }
    let target = stat_at(dir, path, 0)?;
    if target.kind() == Kind::Absent {
        return Ok(link);
    }
    let mix = link.ino.rotate_left(17) ^ link.ctime.cast_unsigned().rotate_left(31);
    Ok(Sig { ino: target.ino ^ mix.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..target })
}

/// The signature of an open file.
pub fn fstat(file: BorrowedFd<'_>) -> io::Result<Sig> {
    // SAFETY: an all-zero `stat` is a valid value of that plain C struct.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open while it is borrowed, and `stat` is writable.
    if unsafe { libc::fstat(file.as_raw_fd(), &raw mut stat) } == 0 {
        Ok(Sig::from_stat(&stat))
    } else {
        Err(io::Error::last_os_error())
    }
}

fn stat_at(dir: RawFd, path: &CStr, flags: libc::c_int) -> io::Result<Sig> {
    // SAFETY: an all-zero `stat` is a valid value of that plain C struct.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends in NUL and `stat` is writable; a bad `dir` only gives an error.
    if unsafe { libc::fstatat(dir, path.as_ptr(), &raw mut stat, flags) } == 0 {
        return Ok(Sig::from_stat(&stat));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // A missing file, a parent that is a file, or a loop of links: nothing is there.
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Ok(Sig::ABSENT),
        _ => Err(error),
    }
}
