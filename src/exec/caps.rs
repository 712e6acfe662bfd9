//! What the kernel lets a control group use (cgroup v2): the files in which that is said, and
//! what the kernel did about it.
//!
//! Knows nothing of how groups are made and of what runs in them.

use std::fs;
use std::io;
use std::path::Path;

use crate::base::fs as files;

/// Of this many microseconds a group may use a part.
const PERIOD_US: u64 = 100_000;

/// How much the tasks of a run may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps {
    /// Microseconds of all cores in a period.
    cpu_us: Option<u64>,
    /// Bytes.
    memory: Option<u64>,
}

/// What of it the kernel sees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    pub cpu: bool,
    pub memory: bool,
}

impl Caps {
    /// A part of all cores, and bytes.
    pub fn new(cpu_percent: Option<u64>, memory: Option<u64>, cores: usize) -> Self {
        let all = PERIOD_US.saturating_mul(cores as u64);
        let cpu_us = cpu_percent.map(|percent| all.saturating_mul(percent) / 100);
        Self { cpu_us, memory }
    }

    fn controllers(self) -> impl Iterator<Item = &'static str> {
        let wanted = [("cpu", self.cpu_us.is_some()), ("memory", self.memory.is_some())];
        wanted.into_iter().filter_map(|(name, wanted)| wanted.then_some(name))
    }

    /// Has the groups in a folder controlled, as far as that was granted, and says by what they
    /// were not before. `leave` takes this process out of the group itself and says whether it
    /// could: of a group that holds processes the kernel would let `cpu` be enabled, and let
    /// nothing be born below it from then on.
    pub(super) fn enable(
        self,
        folder: &Path,
        leave: &mut dyn FnMut() -> bool,
    ) -> Vec<&'static str> {
        let granted = words(folder, "cgroup.controllers");
        let enabled = words(folder, "cgroup.subtree_control");
        let mut missing: Vec<_> =
            self.controllers().filter(|name| has(&granted, name) && !has(&enabled, name)).collect();
        if missing.is_empty() {
            return missing;
        }
        if !is_root(folder) && !is_empty(folder) && !leave() {
            tracing::debug!(?missing, "controllers cannot be had in a group that others are in");
            return Vec::new();
        }
        missing.retain(|name| control(folder, '+', name));
        missing
    }

    /// Sets them for a group. What has no file there is not controlled.
    pub(super) fn set(self, folder: &Path) -> Kept {
        let kept = |name: &str, text: Option<String>| {
            text.is_some_and(|text| {
                folder.join(name).exists()
                    && write(folder, name, &text)
                        .inspect_err(|error| tracing::debug!(name, %error, "limit is refused"))
                        .is_ok()
            })
        };
        Kept {
            cpu: kept("cpu.max", self.cpu_us.map(|us| format!("{us} {PERIOD_US}"))),
            memory: kept("memory.max", self.memory.map(|bytes| bytes.to_string())),
        }
    }

    pub(super) fn memory(self) -> Option<u64> {
        self.memory
    }
}

/// What could be kept for groups in a folder, as far as can be seen without changing anything.
pub(super) fn could_keep(folder: &Path) -> Kept {
    let (granted, enabled) =
        (words(folder, "cgroup.controllers"), words(folder, "cgroup.subtree_control"));
    let sound = is_root(folder) || words(folder, "cgroup.type") == ["domain"];
    let free = is_root(folder) || is_empty(folder) || is_alone(folder);
    let could = |name| sound && (has(&enabled, name) || (has(&granted, name) && free));
    Kept { cpu: could("cpu"), memory: could("memory") }
}

/// The words in a file of a group; none where it cannot be read.
fn words(folder: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|one| one == word)
}

/// Enables (`+`) or disables (`-`) a controller for the groups in a folder.
pub(super) fn control(folder: &Path, sign: char, name: &str) -> bool {
    write(folder, "cgroup.subtree_control", &format!("{sign}{name}"))
        .inspect_err(|error| tracing::debug!(%sign, name, %error, "controller cannot be had"))
        .is_ok()
}

/// Whether it is the group of all processes, the only one that may hold some and have groups too.
fn is_root(group: &Path) -> bool {
    !group.join("cgroup.type").exists()
}

fn is_empty(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|procs| procs.is_empty())
}

/// How many processes of a group were killed so far because there was no more memory.
pub(super) fn oom_kills(folder: &Path) -> u64 {
    let events = fs::read_to_string(folder.join("memory.events")).unwrap_or_default();
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    files::write_existing(&folder.join(name), text.as_bytes()).map_err(|error| error.source)
}

/// Moves this process to a group, if it is alone in the one that it is in.
pub(super) fn move_alone(from: &Path, to: &Path) -> bool {
    is_alone(from) && files::create_dir_all(to).is_ok() && enter(to)
}

/// Moves this process to a group.
pub(super) fn enter(group: &Path) -> bool {
    write(group, "cgroup.procs", "0")
        .inspect_err(|error| tracing::debug!(%error, "control group cannot be left"))
        .is_ok()
}

fn is_alone(group: &Path) -> bool {
    let own = std::process::id().to_string();
    let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    !procs.is_empty() && procs.lines().all(|line| line == own)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder with these files, as the kernel would show a group.
    fn group(names: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in names {
            files::write_atomic(&folder.path().join(name), text.as_bytes()).expect("a file");
        }
        folder
    }

    fn read(folder: &TempDir, name: &str) -> String {
        fs::read_to_string(folder.path().join(name)).expect("it is there")
    }

    #[test]
    fn limits_are_written_where_the_kernel_has_files_for_them() {
        let caps = Caps::new(Some(50), Some(4096), 4);
        let both = group(&[("cpu.max", "max 100000"), ("memory.max", "max")]);
        assert_eq!(caps.set(both.path()), Kept { cpu: true, memory: true });
        assert_eq!(read(&both, "cpu.max"), "200000 100000");
        assert_eq!(read(&both, "memory.max"), "4096");
        let none = group(&[]);
        assert_eq!(caps.set(none.path()), Kept::default());
        assert!(!none.path().join("cpu.max").exists());
        let memory = Caps::new(None, Some(1), 4);
        let other = group(&[("cpu.max", "max 100000"), ("memory.max", "max")]);
        assert_eq!(memory.set(other.path()), Kept { cpu: false, memory: true });
        assert_eq!(read(&other, "cpu.max"), "max 100000");
    }

    #[test]
    fn only_controllers_that_were_granted_are_asked_for() {
        let asked_of = |procs: &str, kind: &[(&str, &str)]| {
            let mut files = vec![
                ("cgroup.controllers", "io cpuset memory\n"),
                ("cgroup.subtree_control", ""),
                ("cgroup.procs", procs),
            ];
            files.extend(kind);
            let folder = group(&files);
            let mut asked = false;
            let enabled = Caps::new(Some(50), Some(1), 1).enable(folder.path(), &mut || {
                asked = true;
                false
            });
            (asked, enabled, read(&folder, "cgroup.subtree_control"))
        };
        let inner = &[("cgroup.type", "domain\n")][..];
        let memory = (false, vec!["memory"], "+memory".to_owned());
        assert_eq!(asked_of("1\n", &[]), memory, "the group of all processes");
        assert_eq!(asked_of("", inner), memory, "an empty group");
        assert_eq!(asked_of("1\n", inner), (true, Vec::new(), String::new()), "one with others");
    }

    #[test]
    fn a_process_leaves_only_a_group_in_which_it_is_alone() {
        let own = std::process::id();
        let to = group(&[("cgroup.procs", "")]);
        let shared = group(&[("cgroup.procs", &format!("1\n{own}\n"))]);
        assert!(!move_alone(shared.path(), to.path()));
        let alone = group(&[("cgroup.procs", &format!("{own}\n"))]);
        assert!(move_alone(alone.path(), to.path()));
        assert_eq!(read(&to, "cgroup.procs"), "0");
    }

    #[test]
    fn what_could_be_kept_is_seen_without_a_change() {
        let own = format!("{}\n", std::process::id());
        let of = |controllers, enabled, procs: &str, kind: &[(&str, &str)]| {
            let mut files = vec![
                ("cgroup.controllers", controllers),
                ("cgroup.subtree_control", enabled),
                ("cgroup.procs", procs),
            ];
            files.extend(kind);
            let kept = could_keep(group(&files).path());
            (kept.cpu, kept.memory)
        };
        let inner = &[("cgroup.type", "domain\n")][..];
        assert_eq!(of("cpu io memory", "", &own, inner), (true, true));
        assert_eq!(of("cpu io memory", "", "", inner), (true, true));
        let threaded = &[("cgroup.type", "domain threaded\n")][..];
        assert_eq!(of("cpu io memory", "cpu", "1\n", threaded), (false, false));
        assert_eq!(of("cpu io memory", "memory", "1\n", inner), (false, true));
        assert_eq!(of("cpuset memory", "", "1\n", &[]), (false, true));
        assert_eq!(of("hugetlb", "", "1\n", &[]), (false, false));
        assert_eq!(could_keep(Path::new("/nowhere")), Kept::default());
    }

    #[test]
    fn kills_for_want_of_memory_are_counted() {
        let text = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(oom_kills(group(&[("memory.events", text)]).path()), 2);
        assert_eq!(oom_kills(group(&[]).path()), 0);
    }
}
