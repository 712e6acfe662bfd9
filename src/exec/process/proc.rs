//! What `/proc` says of processes: their state, children and environment.
//!
//! Knows nothing of which of them matter. Processes come and go meanwhile: what is gone is absent.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use libc::pid_t;

use super::descriptors::patiently;
use crate::base::fs::memory::page_size;

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) struct Process {
    pub pid: pid_t,
    pub parent: pid_t,
    pub group: pid_t,
    /// Ended, not yet reaped.
    pub zombie: bool,
}

/// The process with this id.
pub(in crate::exec) fn process(pid: pid_t) -> Option<Process> {
    parse(pid, &patiently(|| fs::read(format!("/proc/{pid}/stat"))).ok()?)
}

/// `pid (name) state parent group ..`; the name may hold anything, brackets too.
fn parse(pid: pid_t, stat: &[u8]) -> Option<Process> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Process {
        pid,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        zombie: matches!(state, "Z" | "X" | "x"),
    })
}

/// All processes.
pub(in crate::exec) fn all() -> Vec<Process> {
    let Ok(entries) = patiently(|| fs::read_dir("/proc")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| process(number(&entry.file_name())?)).collect()
}

/// The children of one thread of a process, or where the kernel keeps no such lists, of the
/// whole process.
pub(in crate::exec) fn children_of_thread(pid: pid_t, thread: pid_t) -> Vec<pid_t> {
    match patiently(|| fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"))) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) if keeps_lists() => Vec::new(),
        Err(_) => all().iter().filter(|p| p.parent == pid).map(|p| p.pid).collect(),
    }
}

fn keeps_lists() -> bool {
    let own = std::process::id();
    PathBuf::from(format!("/proc/self/task/{own}/children")).exists()
}

/// All that descends from a process, without it.
pub(in crate::exec) fn descendants(root: pid_t) -> Vec<pid_t> {
    let mut found = children(root);
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        for child in children(pid) {
            // A process id that is used again while we look could close a circle.
            if child != root && !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

fn children(pid: pid_t) -> Vec<pid_t> {
    let Ok(threads) = patiently(|| fs::read_dir(format!("/proc/{pid}/task"))) else {
        return Vec::new();
    };
    let mut found: Vec<pid_t> = threads
        .flatten()
        .filter_map(|thread| number(&thread.file_name()))
        .flat_map(|thread| children_of_thread(pid, thread))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The memory that a process has, in bytes; 0 where it is gone.
pub(in crate::exec) fn resident(pid: pid_t) -> u64 {
    let text = patiently(|| fs::read_to_string(format!("/proc/{pid}/statm"))).unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(page_size())
}

/// The value of a variable in the environment that the process was started with. None: not
/// there, or not ours to read.
pub(in crate::exec) fn variable(pid: pid_t, name: &str) -> Option<Vec<u8>> {
    let environment = patiently(|| fs::read(format!("/proc/{pid}/environ"))).ok()?;
    environment
        .split(|&b| b == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(<[u8]>::to_vec)
}

fn number(name: &OsStr) -> Option<pid_t> {
    std::str::from_utf8(name.as_bytes()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_mislead() {
        let line = b"42 (a) R 1 (b) Z 7 9 9 0";
        let expected = Process { pid: 42, parent: 7, group: 9, zombie: true };
        assert_eq!(parse(42, line), Some(expected));
        assert_eq!(parse(42, b"garbage"), None);
    }

    #[test]
    fn this_process_is_found_with_its_environment() {
        let own = pid_t::try_from(std::process::id()).expect("ids are small");
        let found = process(own).expect("we are alive");
        assert!(!found.zombie);
        assert!(all().iter().any(|p| p.pid == own));
        assert!(variable(own, "PATH").is_some());
        assert!(variable(own, "PAT").is_none());
    }
}
