//! A control group for the run and one in it for each slot (cgroup v2), where the kernel lets us
//! make them: nothing leaves its group, whatever it does to its session or environment.
//!
//! Knows nothing of what runs in them.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libc::pid_t;

use crate::base::{clock::Stopwatch, fs as files};

use super::caps::{self, Caps, Kept};
use super::family::FAMILY;
use super::process::descriptors::patiently;
use super::process::{clone, proc, spawn, wait};

/// Where cgroup v2 is mounted: alone, or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// What the name of a run's group begins with; the number of its process in hex follows.
const PREFIX: &str = "reprovm-";
/// `cgroup.kill` came with this version of Linux.
const NEEDED: (u32, u32) = (5, 14);

/// The group of a run.
#[derive(Debug)]
pub(super) struct RunGroup {
    folder: PathBuf,
    /// How often the group of each slot was killed. Some kernels kill at birth whatever is born
    /// into a group that was ever killed, so a slot has a new group after that.
    killed: Vec<AtomicU32>,
    kept: Kept,
    left: Option<Left>,
}

/// The group that this process was in until it made place for controllers.
#[derive(Debug)]
struct Left {
    folder: PathBuf,
    /// Where it is instead.
    own: PathBuf,
    enabled: Vec<&'static str>,
}

impl RunGroup {
    /// Makes the group of a run. None: the kernel does not grant it, or would kill what is born
    /// there, as some do where the group that we are in was killed once.
    pub(super) fn create(id: &str, slots: usize, caps: Caps) -> Option<Self> {
        let parent = parent()?;
        remove_abandoned(&parent);
        let folder = parent.join(format!("{PREFIX}{id}"));
        files::create_dir_all(&folder).ok()?;
        let own = parent.join(format!("{PREFIX}{id}-own"));
        let mut has_left = false;
        let enabled = caps.enable(&parent, &mut || {
            has_left = caps::move_alone(&parent, &own);
            has_left
        });
        let left = has_left.then_some(Left { folder: parent, own, enabled });
        let kept = caps.set(&folder);
        let killed = (0..slots).map(|_| AtomicU32::new(0)).collect();
        let group = Self { folder, killed, kept, left };
        if group.folder.join("cgroup.kill").exists() && group.lets_live() {
            if kept.memory {
                // So that it is told of each slot what happened in it. From here on the kernel
                // lets nothing be born in the run's own group, only in those of its slots.
                caps.enable(&group.folder, &mut || false);
            }
            return Some(group);
        }
        group.remove();
        group.go_back();
        None
    }

    fn lets_live(&self) -> bool {
        open(&self.folder).is_ok_and(|folder| {
            let born = FAMILY.start(|| spawn::start_nothing(folder.as_fd()));
            let status = born.and_then(|pid| FAMILY.reap(pid));
            status.is_ok_and(|(status, _)| libc::WIFEXITED(status))
        })
    }

    /// Which limits the kernel keeps.
    pub(super) fn kept(&self) -> Kept {
        self.kept
    }

    /// How many processes of a slot were killed so far for want of memory.
    pub(super) fn oom_kills(&self, slot: usize) -> u64 {
        if self.kept.memory { caps::oom_kills(&self.slot(slot)) } else { 0 }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a slot's group, made if need be, for a child to be born into.
    pub(super) fn open(&self, slot: usize) -> io::Result<File> {
        let folder = self.slot(slot);
        open(&folder).or_else(|_| {
            files::create_dir_all(&folder).map_err(|error| error.source)?;
            open(&folder)
        })
    }

    fn slot(&self, slot: usize) -> PathBuf {
        let killed = self.killed.get(slot).map_or(0, |killed| killed.load(Ordering::SeqCst));
        self.folder.join(format!("slot-{slot}-{killed}"))
    }

    /// Waits until the slot's group is empty; kills what is left in it when the patience ends.
    pub(super) fn clear(&self, slot: usize, patience: Duration, at_most: Duration) {
        let folder = self.slot(slot);
        if wait_until_empty(&folder, patience) {
            return;
        }
        kill(&folder);
        wait_until_empty(&folder, at_most);
        remove(&folder);
        if let Some(killed) = self.killed.get(slot) {
            killed.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Removes the groups; those that still hold a process stay.
    pub(super) fn remove(&self) {
        remove(&self.folder);
    }

    /// Back to the group that was left, which is made as it was. What else is in the group of its
    /// own stays there, and the group with it.
    pub(super) fn go_back(self) {
        let Some(Left { folder, own, enabled }) = self.left else { return };
        for name in enabled {
            caps::control(&folder, '-', name);
        }
        if caps::enter(&folder) {
            remove(&own);
        }
    }
}

/// Removes empty groups of runs that were killed before they had a guard. One that is taken for
/// such by mistake, because its run has its process ids elsewhere, is made again when it is used.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().and_then(owner).is_some_and(|pid| proc::process(pid).is_none()) {
            remove(&entry.path());
        }
    }
}

/// The process id in the name of a run's group.
fn owner(name: &str) -> Option<pid_t> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid_t::from_str_radix(pid, 16).ok()
}

/// A group's folder, for a child to be born into.
fn open(folder: &Path) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    patiently(|| OpenOptions::new().read(true).custom_flags(flags).open(folder))
}

/// Whether groups can be made here, as far as can be seen without making one.
pub(super) fn is_granted() -> bool {
    parent().is_some()
}

/// Which limits the kernel would keep for a run that is started here.
pub fn could_keep() -> Kept {
    parent().map_or_else(Kept::default, |parent| caps::could_keep(&parent))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_name() {
        assert_eq!(owner("reprovm-1f-18eb4cc09398acf2-0"), Some(31));
        assert_eq!(owner("reprovm-x-1"), None);
        assert_eq!(owner("session-1.scope"), None);
    }
}
