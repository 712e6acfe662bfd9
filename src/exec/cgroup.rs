//! A control group for the run and one in it for each slot (cgroup v2), where the kernel lets us
//! make them: nothing leaves its group, whatever it does to its session or environment.
//!
//! Knows nothing of what runs in them.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::{clock::Stopwatch, fs as files};

use super::process::descriptors::patiently;
use super::process::{clone, wait};

/// Where cgroup v2 is mounted: alone, or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// `cgroup.kill` came with this version of Linux.
const NEEDED: (u32, u32) = (5, 14);

/// The group of a run.
#[derive(Debug)]
pub(super) struct RunGroup {
    folder: PathBuf,
    /// How many groups of a slot were killed; none: not any.
    killed: Mutex<BTreeMap<usize, u32>>,
}

impl RunGroup {
    /// Makes the group of a run. None: the kernel does not grant it.
    pub(super) fn create(id: &str) -> Option<Self> {
        let folder = parent()?.join(format!("reprovm-{id}"));
        files::create_dir_all(&folder).ok()?;
        let group = Self { folder, killed: Mutex::default() };
        if group.folder.join("cgroup.kill").exists() {
            return Some(group);
        }
        group.remove();
        None
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a slot's group, made if need be, for a child to be born into.
    pub(super) fn open(&self, slot: usize) -> io::Result<File> {
        let folder = self.slot(slot);
        let open = || {
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
            patiently(|| OpenOptions::new().read(true).custom_flags(flags).open(&folder))
        };
        open().or_else(|_| {
            files::create_dir_all(&folder).map_err(|error| error.source)?;
            open()
        })
    }

    /// The folder of a slot's present group.
    pub(super) fn slot(&self, slot: usize) -> PathBuf {
        let killed = self.killed().get(&slot).copied().unwrap_or(0);
        self.folder.join(format!("slot-{slot}.{killed}"))
    }

    /// Kills all that is in the slot's group, what is being born there too, and waits for the
    /// end of it, but not longer than this. The slot gets a new group: the kernel (6.14 and
    /// newer) also kills what is born later, by `clone3`, into a group that was killed before.
    pub(super) fn kill(&self, slot: usize, at_most: Duration) {
        let folder = self.slot(slot);
        kill(&folder);
        wait_until_empty(&folder, at_most);
        files::remove_empty_dir(&folder);
        *self.killed().entry(slot).or_default() += 1;
    }

    fn killed(&self) -> MutexGuard<'_, BTreeMap<usize, u32>> {
        self.killed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the groups; those that still hold a process stay.
    pub(super) fn remove(&self) {
        remove(&self.folder);
    }
}

/// Whether groups can be made here, as far as can be seen without making one.
pub(super) fn is_granted() -> bool {
    parent().is_some()
}

/// The folder of the group that this process is in, if it may make groups there.
fn parent() -> Option<PathBuf> {
    if !clone::INTO_CGROUP || kernel_version()? < NEEDED {
        return None;
    }
    let mount = MOUNTS.into_iter().find(|path| is_cgroup2(path))?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = Path::new(mount).join(own);
    // Moving a process between groups takes the right to write in what holds them both.
    (may_write(&folder) && may_write(&folder.join("cgroup.procs"))).then_some(folder)
}

fn is_cgroup2(path: &str) -> bool {
    let Ok(path) = CString::new(path) else { return false };
    // SAFETY: the path ends in NUL, and all-zero is a valid `statfs`, which is writable.
    unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &raw mut found) == 0
            && found.f_type == libc::CGROUP2_SUPER_MAGIC
    }
}

fn may_write(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path ends in NUL.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
}

fn kernel_version() -> Option<(u32, u32)> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Kills all that is in a group and below it, what is being born there too.
pub(super) fn kill(folder: &Path) {
    if let Ok(mut file) =
        patiently(|| OpenOptions::new().write(true).open(folder.join("cgroup.kill")))
    {
        let _ = file.write_all(b"1");
    }
}

/// Waits until nothing lives in a group, but not longer than this. Says whether it came to that.
pub(super) fn wait_until_empty(folder: &Path, at_most: Duration) -> bool {
    let Ok(events) = patiently(|| File::open(folder.join("cgroup.events"))) else { return true };
    let watch = Stopwatch::start();
    let mut buffer = [0; 256];
    loop {
        let count = events.read_at(&mut buffer, 0).unwrap_or(0);
        if !buffer[..count].starts_with(b"populated 1") {
            return true;
        }
        match at_most.checked_sub(watch.elapsed()) {
            Some(left) if !left.is_zero() => wait::poll(&events, libc::POLLPRI, left),
            _ => return false,
        }
    }
}

/// Removes an empty group and those in it.
pub(super) fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    files::remove_empty_dir(folder);
}
