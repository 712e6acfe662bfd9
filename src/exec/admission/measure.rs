//! What limits are compared with: how busy the machine is, what tasks use, how full disks are.
//!
//! Knows nothing of the limits themselves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::Limits;

/// The time over which the CPU is measured, and the least time between two looks at the rest.
const WINDOW: Duration = Duration::from_millis(200);

/// How busy the machine was lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    pub percent: u64,
    /// Readings are counted.
    pub number: u64,
}

/// A file system, and how full it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    pub path: PathBuf,
    pub percent: u64,
    /// What is allowed.
    pub ceiling: u64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measured {
    /// None: not yet.
    pub cpu: Option<Busy>,
    /// Bytes that the tasks use.
    pub memory: u64,
    pub fullest: Option<Full>,
}

/// Measures what there are limits for.
#[derive(Debug)]
pub struct Sampler {
    limits: Limits,
    folders: Vec<PathBuf>,
    /// Busy and all time of all cores, when last looked at.
    times: Option<(Instant, u64, u64)>,
    memory_at: Option<Instant>,
    disks_at: Option<Instant>,
    measured: Measured,
}

impl Sampler {
    /// `folders` lie on the file systems that count.
    pub fn new(limits: Limits, folders: Vec<PathBuf>) -> Self {
        Self {
            limits,
            folders,
            times: None,
            memory_at: None,
            disks_at: None,
            measured: Measured::default(),
        }
    }

    /// What the CPU does is measured from one look to the next, also while nobody waits.
    pub fn watch(&mut self, now: Instant) {
        let age = self.times.map(|(at, ..)| now.saturating_duration_since(at));
        if self.limits.cpu_percent.is_some() && age.is_none_or(|age| age >= WINDOW) {
            self.read_cpu(now, &std::fs::read_to_string("/proc/stat").unwrap_or_default());
        }
    }

    /// What is full is looked at anew with the next reading, whenever it was last.
    pub fn forget(&mut self) {
        (self.memory_at, self.disks_at) = (None, None);
    }

    /// Looks at what was not looked at just now. `memory` tells what the tasks use.
    pub fn read(&mut self, now: Instant, memory: &dyn Fn() -> u64) -> &Measured {
        self.watch(now);
        if self.limits.memory.is_some()
            && self.memory_at.is_none_or(|at| now.saturating_duration_since(at) >= WINDOW)
        {
            self.memory_at = Some(now);
            self.measured.memory = memory();
        }
        if let Some(ceiling) = self.limits.disk_percent
            && self.disks_at.is_none_or(|at| now.saturating_duration_since(at) >= WINDOW)
        {
            self.disks_at = Some(now);
            let full = self.folders.iter().filter_map(|path| {
                let percent = percent_full(path)?;
                Some(Full { path: path.clone(), percent, ceiling })
            });
            self.measured.fullest = full.max_by_key(|full| full.percent);
        }
        &self.measured
    }

    fn read_cpu(&mut self, now: Instant, stat: &str) {
        let age = self.times.map(|(at, ..)| now.saturating_duration_since(at));
        if age.is_some_and(|age| age < WINDOW) {
            return;
        }
        let Some((busy, all)) = times(stat) else {
            // Where it cannot be measured it holds nothing back.
            self.measured.cpu = Some(Busy { percent: 0, number: self.number() + 1 });
            return;
        };
        if let Some((_, busy_before, all_before)) = self.times
            && all > all_before
        {
            let percent = busy.saturating_sub(busy_before) * 100 / (all - all_before);
            self.measured.cpu = Some(Busy { percent, number: self.number() + 1 });
        }
        self.times = Some((now, busy, all));
    }

    fn number(&self) -> u64 {
        self.measured.cpu.map_or(0, |busy| busy.number)
    }
}

/// Of the first line of `/proc/stat`: the time of all cores, and what of it was spent working.
/// Waiting for a disk is not; what a host took away from us is, since nobody can have it.
fn times(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    // What guests use is in the first two already.
    let all: u64 = fields.iter().take(8).sum();
    let idle = fields.get(3)? + fields.get(4)?;
    Some((all - idle, all))
}

/// How many cores the machine has, whatever of them is for us.
pub fn cores() -> usize {
    // SAFETY: this call has no conditions.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(online).unwrap_or(1).max(1)
}

/// As `df` counts: of what users may fill.
fn percent_full(path: &std::path::Path) -> Option<u64> {
    let found = statvfs(path).ok()?;
    let used = found.blocks().saturating_sub(found.blocks_free());
    let usable = used.saturating_add(found.blocks_available());
    // Rounded up, as `df` does.
    (used.saturating_mul(100)).checked_add(usable.saturating_sub(1))?.checked_div(usable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    fn stat(busy: u64, idle: u64) -> String {
        format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4\n")
    }

    #[test]
    fn work_is_what_is_neither_idle_nor_waiting_for_a_disk() {
        assert_eq!(times("cpu  10 1 5 100 20 2 3 4 7 0\n"), Some((25, 145)));
        assert_eq!(times("intr 1\n"), None);
        assert_eq!(times("cpu  1 2\n"), None);
    }

    #[test]
    fn the_cpu_is_known_after_a_window_and_not_asked_more_often() {
        let limits = Limits { cpu_percent: Some(50), ..Limits::default() };
        let mut sampler = Sampler::new(limits, Vec::new());
        let begin = clock::instant();
        sampler.read_cpu(begin, &stat(100, 100));
        assert_eq!(sampler.measured.cpu, None);
        sampler.read_cpu(begin + WINDOW / 2, &stat(900, 100));
        assert_eq!(sampler.measured.cpu, None);
        sampler.read_cpu(begin + WINDOW, &stat(130, 170));
        assert_eq!(sampler.measured.cpu, Some(Busy { percent: 30, number: 1 }));
        sampler.read_cpu(begin + 2 * WINDOW, "");
        assert_eq!(sampler.measured.cpu, Some(Busy { percent: 0, number: 2 }), "unknown");
    }

    #[test]
    fn the_fullest_file_system_counts() {
        let limits = Limits { disk_percent: Some(1), ..Limits::default() };
        let folders = vec![PathBuf::from("/proc"), PathBuf::from("/"), PathBuf::from("/nowhere")];
        let mut sampler = Sampler::new(limits, folders);
        let measured = sampler.read(clock::instant(), &|| 0);
        let full = measured.fullest.as_ref().expect("one of them is a disk");
        assert_eq!((full.path.to_str(), full.ceiling), (Some("/"), 1));
        assert!(full.percent <= 100, "{full:?}");
    }
}
