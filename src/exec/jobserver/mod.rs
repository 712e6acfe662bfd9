//! The jobserver of GNU make: slots that several programs share, as bytes in a pipe. Ours for the
//! tasks, or that of a `make` around this run.
//!
//! Knows nothing of who starts what: a slot is taken or given back when it is told so.

mod offer;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::base::fs as files;

use offer::Auth;
pub use offer::Offer;

/// The variable that names a jobserver.
pub const MAKEFLAGS: &str = "MAKEFLAGS";
/// What a slot is called by us; others may call theirs otherwise, and get back what they gave.
const SLOT: u8 = b'+';

/// A jobserver. Shared by reference between threads.
#[derive(Debug)]
pub struct Jobserver {
    /// Never waits, which only we may ask of it: others have the same pipe.
    read: File,
    write: File,
    /// The bytes that we took.
    taken: Mutex<Vec<u8>>,
    /// What tasks inherit where they are told numbers and not a path.
    inherited: Option<[RawFd; 2]>,
    /// What tasks are told.
    flags: String,
    whose: Whose,
}

#[derive(Debug)]
enum Whose {
    /// So many slots there are, beside the first one, which is in the hand of whoever runs.
    Ours { slots: usize, _ends: Option<[OwnedFd; 2]>, path: Option<PathBuf> },
    /// Of the `make` around us. Its ends stay open for as long as this process lives.
    Theirs,
}

impl Jobserver {
    /// A pipe that tasks inherit, as all versions of make know it, for so many jobs.
    pub fn pipe(jobs: usize) -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        let (read, write): (OwnedFd, OwnedFd) = (read.into(), write.into());
        let numbers = [read.as_raw_fd(), write.as_raw_fd()];
        let auth = Auth::Pipe(numbers);
        let server = Self {
            read: reopen(numbers[0], true)?,
            write: File::from(write.try_clone()?),
            taken: Mutex::default(),
            flags: flags(Some(jobs), &auth),
            inherited: Some(numbers),
            whose: Whose::Ours { slots: jobs - 1, _ends: Some([read, write]), path: None },
        };
        server.fill(jobs - 1)?;
        Ok(server)
    }

    /// A fifo at this path, which newer programs open themselves.
    pub fn fifo(jobs: usize, path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        if path.to_str().is_none_or(|text| text.contains([' ', '\t', '\n', '\\', '$'])) {
            let problem = format!("a path such as `{}` cannot stand in MAKEFLAGS", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        files::create_fifo(&path).map_err(|error| error.source)?;
        let auth = Auth::Fifo(path.clone());
        let server = Self {
            read: open_fifo(&path)?,
            write: open_fifo(&path)?,
            taken: Mutex::default(),
            flags: flags(Some(jobs), &auth),
            inherited: None,
            whose: Whose::Ours { slots: jobs - 1, _ends: None, path: Some(path) },
        };
        server.fill(jobs - 1)?;
        Ok(server)
    }

    /// The jobserver that a `make` around us offers. The error says why it cannot be used.
    pub fn join(offer: &Offer) -> Result<Self, String> {
        let opened = match &offer.auth {
            Auth::Withheld => return Err(NOT_OFFERED.to_owned()),
            Auth::Pipe([read, write]) if are_ends(*read, *write) => {
                reopen(*read, true).and_then(|file| Ok((file, reopen(*write, false)?)))
            }
            Auth::Pipe(_) => return Err(NOT_OFFERED.to_owned()),
            Auth::Fifo(path) => open_fifo(path).and_then(|file| Ok((file, open_fifo(path)?))),
        };
        let (read, write) =
            opened.map_err(|error| format!("`{}` cannot be opened: {error}", offer.auth))?;
        let inherited = match offer.auth {
            Auth::Pipe(numbers) => Some(numbers),
            Auth::Fifo(_) | Auth::Withheld => None,
        };
        let flags = flags(offer.jobs, &offer.auth);
        let taken = Mutex::default();
        Ok(Self { read, write, taken, inherited, flags, whose: Whose::Theirs })
    }

    /// The value of `MAKEFLAGS` for tasks.
    pub fn flags(&self) -> &str {
        &self.flags
    }

    /// What tasks inherit under the numbers that it has here.
    pub(super) fn inherited(&self) -> Option<[RawFd; 2]> {
        self.inherited
    }

    /// Takes a slot if one is free.
    pub fn try_take(&self) -> bool {
        let mut byte = [0];
        let is_taken = matches!((&self.read).read(&mut byte), Ok(1));
        if is_taken {
            self.taken().push(byte[0]);
        }
        is_taken
    }

    /// Gives a slot back that was taken.
    pub fn give_back(&self) {
        let Some(byte) = self.taken().pop() else { return };
        if let Err(error) = (&self.write).write_all(&[byte]) {
            tracing::warn!(%error, "slot cannot be given back to the jobserver");
        }
    }

    /// Nothing of ours runs, so all slots of our own jobserver must be free. Those that a program
    /// had when it was killed are put back; what somebody added is taken out. How many were lost.
    pub fn put_right(&self) -> usize {
        let Whose::Ours { slots, .. } = self.whose else { return 0 };
        let Some(free) = self.free() else { return 0 };
        for _ in slots..free {
            let _ = (&self.read).read(&mut [0]);
        }
        let lost = slots.saturating_sub(free);
        if lost > 0 {
            let refilled = self.fill(lost);
            tracing::info!(lost, ok = refilled.is_ok(), "slots of the jobserver were put back");
        }
        lost
    }

    fn free(&self) -> Option<usize> {
        let mut count: libc::c_int = 0;
        // SAFETY: asks an open descriptor for a number, into one.
        let asked = unsafe { libc::ioctl(self.read.as_raw_fd(), libc::FIONREAD, &raw mut count) };
        if asked == 0 { usize::try_from(count).ok() } else { None }
    }

    fn fill(&self, slots: usize) -> io::Result<()> {
        (&self.write).write_all(&vec![SLOT; slots])
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever happened, others get back what is theirs, and nothing of ours lies about.
impl Drop for Jobserver {
    fn drop(&mut self) {
        let left = self.taken().len();
        (0..left).for_each(|_| self.give_back());
        if let Whose::Ours { path: Some(path), .. } = &self.whose {
            let _ = files::remove_file(path);
        }
    }
}

impl Offer {
    /// Whether what is named is there, as far as can be seen without opening it.
    pub fn is_there(&self) -> bool {
        match &self.auth {
            Auth::Withheld => false,
            Auth::Pipe([read, write]) => are_ends(*read, *write),
            Auth::Fifo(path) => path.exists(),
        }
    }
}

/// The value of `MAKEFLAGS` that offers it.
fn flags(jobs: Option<usize>, auth: &Auth) -> String {
    let jobs = jobs.map_or_else(String::new, |jobs| jobs.to_string());
    // Make before 4.2 knows pipes only, and by the older name.
    let older = match auth {
        Auth::Pipe(_) => format!(" --jobserver-fds={auth}"),
        Auth::Fifo(_) | Auth::Withheld => String::new(),
    };
    format!("-j{jobs}{older} --jobserver-auth={auth}")
}

/// What make says in the same place, and what helps.
const NOT_OFFERED: &str =
    "make did not hand it on; put `+` before the command in the makefile, as in `+reprovm`";

/// The end of a pipe once more, with a state of its own: whether it waits is nobody else's affair.
fn reopen(end: RawFd, to_read: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(to_read).write(!to_read);
    if to_read {
        options.custom_flags(libc::O_NONBLOCK);
    }
    options.open(format!("/proc/self/fd/{end}"))
}

fn open_fifo(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is no fifo"));
    }
    Ok(file)
}

/// Whether two numbers are the ends of one pipe. A `make` that does not share it closes them, and
/// then something else may have the numbers.
fn are_ends(read: RawFd, write: RawFd) -> bool {
    let is_open_for = |fd: RawFd, mode: libc::c_int| {
        // SAFETY: asks about a number, which need not be open.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        flags >= 0 && [mode, libc::O_RDWR].contains(&(flags & libc::O_ACCMODE))
    };
    is_open_for(read, libc::O_RDONLY)
        && is_open_for(write, libc::O_WRONLY)
        && pipe_id(read).is_some_and(|id| pipe_id(write) == Some(id))
}

/// Which pipe a descriptor belongs to; none where it is something else.
fn pipe_id(fd: RawFd) -> Option<(u64, u64)> {
    // SAFETY: all-zero is a valid `stat`, which is writable; the number need not be open.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        let is_pipe =
            libc::fstat(fd, &raw mut found) == 0 && found.st_mode & libc::S_IFMT == libc::S_IFIFO;
        is_pipe.then_some((found.st_dev, found.st_ino))
    }
}

#[cfg(test)]
mod tests;
