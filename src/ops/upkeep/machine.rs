//! How much of its disks and of its memory the machine has left, and when that is too little.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::health::Status;
use crate::base::ByteSize;

/// Below this a disk is as good as full, however small it is.
const DISK_LEAST: u64 = 100_000_000;
/// Below this no task can be started.
const MEMORY_LEAST: u64 = 32 << 20;

/// So much of something is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) free: u64,
    pub(super) total: u64,
}

impl Room {
    /// Below 10 % it is scarce; below 2 %, or below `least`, it is gone.
    fn judge(self, least: u64) -> Status {
        let part = |percent: u128| u128::from(self.free) * 100 < u128::from(self.total) * percent;
        if part(2) || self.free < least {
            Status::Critical
        } else if part(10) {
            Status::Warning
        } else {
            Status::Ok
        }
    }

    fn percent(self) -> u64 {
        let percent = u128::from(self.free) * 100 / u128::from(self.total.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    fn words(self) -> String {
        format!("{} of {} free ({} %)", ByteSize(self.free), ByteSize(self.total), self.percent())
    }
}

/// The disks of the cache and of the project.
pub(super) fn disk(cache: &Path) -> (Status, String) {
    let project = PathBuf::from(".");
    let cache = existing(cache);
    let mut worst = Status::Ok;
    let mut parts = Vec::new();
    let one = device(&cache).is_some() && device(&cache) == device(&project);
    let all = [("project", &project), ("cache", &cache)];
    for (name, path) in all.into_iter().take(if one { 1 } else { 2 }) {
        let (status, text) = match statvfs(path) {
            Ok(found) => {
                let unit = found.fragment_size();
                let bytes = Room {
                    free: found.blocks_available().saturating_mul(unit),
                    total: found.blocks().saturating_mul(unit),
                };
                let files = Room { free: found.files_available(), total: found.files() };
                judge_disk(bytes, files)
            }
            Err(error) => (Status::Unknown, error.to_string()),
        };
        worst = worst.max(status);
        parts.push(if one { text } else { format!("{name}: {text}") });
    }
    (worst, parts.join("; "))
}

fn judge_disk(bytes: Room, files: Room) -> (Status, String) {
    let mut status = bytes.judge(DISK_LEAST);
    let mut text = bytes.words();
    // Some file systems make room for as many files as there are.
    if files.total > 0 {
        let of_files = files.judge(0);
        if of_files > Status::Ok {
            text.push_str(&format!(", room for {} more files ({} %)", files.free, files.percent()));
        }
        status = status.max(of_files);
    }
    (status, text)
}

/// The folder, or the nearest above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|folder| folder.exists());
    found.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

fn device(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata().ok().map(|data| data.dev())
}

/// The memory of the machine, or what our control groups leave of it.
pub(super) fn memory() -> (Status, String) {
    let text = |path: &Path| std::fs::read_to_string(path).ok();
    let Some(machine) = text(Path::new("/proc/meminfo")).and_then(|text| of_machine(&text)) else {
        return (Status::Unknown, "`/proc/meminfo` does not say it".to_owned());
    };
    let own = text(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let group = of_groups(Path::new("/sys/fs/cgroup"), &own, &text);
    judge_memory(machine, group)
}

fn judge_memory(machine: Room, group: Option<Room>) -> (Status, String) {
    match group.filter(|group| group.free < machine.free) {
        Some(group) => (
            group.judge(MEMORY_LEAST),
            format!("{}, by the limit of the control group", group.words()),
        ),
        None => (machine.judge(MEMORY_LEAST), machine.words()),
    }
}

fn of_machine(meminfo: &str) -> Option<Room> {
    let field = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        let number: u64 = rest.split_whitespace().next()?.parse().ok()?;
        number.checked_mul(1024)
    };
    Some(Room { free: field("MemAvailable:")?, total: field("MemTotal:")? })
}

/// Of our group and those above it, the one that leaves least. What the kernel holds only to
/// read it faster counts as free.
fn of_groups(root: &Path, own: &str, text: &impl Fn(&Path) -> Option<String>) -> Option<Room> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = root.join(path);
    let rooms = group.ancestors().take_while(|group| group.starts_with(root)).filter_map(|group| {
        let number = |name: &str| text(&group.join(name))?.trim().parse::<u64>().ok();
        let total = number("memory.max")?;
        let used = number("memory.current")?;
        let cached = text(&group.join("memory.stat")).and_then(|stat| {
            stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok())
        });
        let used = used.saturating_sub(cached.unwrap_or(0));
        Some(Room { free: total.saturating_sub(used), total })
    });
    rooms.min_by_key(|room| room.free)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_disk_is_judged_by_its_bytes_and_its_files() {
        let no_files = Room { free: 0, total: 0 };
        let status = |free: u64, total: u64| judge_disk(Room { free, total }, no_files).0;
        assert_eq!(status(10 * GIB, 100 * GIB), Status::Ok);
        assert_eq!(status(10 * GIB - 1, 100 * GIB), Status::Warning);
        assert_eq!(status(2 * GIB, 100 * GIB), Status::Warning);
        assert_eq!(status(2 * GIB - 1, 100 * GIB), Status::Critical);
        assert_eq!(status(DISK_LEAST, DISK_LEAST), Status::Ok);
        assert_eq!(status(DISK_LEAST - 1, DISK_LEAST), Status::Critical);
        let bytes = Room { free: 50 * GIB, total: 100 * GIB };
        let (status, text) = judge_disk(bytes, Room { free: 9, total: 100 });
        assert_eq!(status, Status::Warning);
        assert_eq!(text, "50.0 GiB of 100.0 GiB free (50 %), room for 9 more files (9 %)");
        assert_eq!(judge_disk(bytes, Room { free: 1, total: 100 }).0, Status::Critical);
        assert_eq!(judge_disk(bytes, Room { free: 10, total: 100 }).1, bytes.words());
    }

    #[test]
    fn memory_is_the_machines_unless_a_group_leaves_less() {
        let machine = of_machine("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n");
        let machine = machine.expect("both fields");
        assert_eq!(machine, Room { free: 4 * GIB, total: 8 * GIB });
        assert_eq!(
            judge_memory(machine, None),
            (Status::Ok, "4.0 GiB of 8.0 GiB free (50 %)".into())
        );
        let tight = Room { free: GIB / 20, total: GIB };
        let (status, text) = judge_memory(machine, Some(tight));
        assert_eq!(status, Status::Warning);
        assert!(text.ends_with("by the limit of the control group"), "{text}");
        assert_eq!(
            judge_memory(machine, Some(Room { free: 1 << 20, total: GIB })).0,
            Status::Critical
        );
        assert_eq!(
            judge_memory(machine, Some(Room { free: 5 * GIB, total: 5 * GIB })).0,
            Status::Ok
        );
        assert!(of_machine("MemTotal: 1 kB\n").is_none());
    }

    #[test]
    fn the_tightest_group_counts_and_its_page_cache_is_free() {
        let files = |path: &Path| {
            let text = match path.to_str()? {
                "/g/a/b/memory.max" => "max",
                "/g/a/memory.max" => "1000",
                "/g/a/memory.current" => "900",
                "/g/a/memory.stat" => "anon 1\ninactive_file 300\n",
                "/g/memory.max" => "2000",
                "/g/memory.current" => "1",
                _ => return None,
            };
            Some(format!("{text}\n"))
        };
        let found = of_groups(Path::new("/g"), "1:name=x:/\n0::/a/b\n", &files);
        assert_eq!(found, Some(Room { free: 400, total: 1000 }));
        assert_eq!(of_groups(Path::new("/g"), "4:memory:/x\n", &files), None);
    }
}
