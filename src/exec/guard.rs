//! A small process of its own that outlives us for a moment: if we are killed, it ends all that
//! we started. Here are both sides: its start and its life.
//!
//! Knows nothing of tasks.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeWriter, Read as _};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use libc::pid_t;
use memmap2::MmapRaw;

use crate::base::clock::Stopwatch;

use super::cgroup;
use super::env::TAG;
use super::family::{self, FAMILY};
use super::process::mark::Mark;
use super::process::spawn::{self, Role, Start};
use super::process::{proc, wait};

/// How long it tries to end what does not end.
const PATIENCE: Duration = Duration::from_secs(10);
/// What our first word in the table says when it is not needed any more.
const GOODBYE: i32 = 1;

/// The program that lives as a guard when asked to: this one. None in one that merely uses this
/// library, such as a test, because it would take the request for something else.
pub(super) fn program() -> Option<CString> {
    let path = std::env::current_exe().ok()?;
    is_reprovm(path.file_name()?.as_bytes()).then(|| c"/proc/self/exe".to_owned())
}

/// Cargo gives tests and benchmarks the name of the crate with 16 hex digits. A program that was
/// replaced while it runs has a word behind its name.
fn is_reprovm(name: &[u8]) -> bool {
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    let hashed = name
        .rsplit(|&b| b == b'-')
        .next()
        .is_some_and(|last| last.len() == 16 && last.iter().all(u8::is_ascii_hexdigit));
    name.starts_with(b"reprovm") && !hashed
}

/// The guard, seen from the run.
#[derive(Debug)]
pub(super) struct Guard {
    pid: pid_t,
    /// Its closing is the sign that we are gone.
    _sign: PipeWriter,
    /// Words that it reads then: the goodbye, and the group of each slot.
    table: MmapRaw,
    slots: usize,
}

impl Guard {
    /// Starts `program` as the guard of a run.
    pub(super) fn start(
        program: &CStr,
        run: &str,
        mark: Option<Mark>,
        slots: usize,
        cgroup: Option<&Path>,
    ) -> io::Result<Self> {
        let memory = shared_memory((slots + 1) * size_of::<i32>())?;
        let table = MmapRaw::map_raw(&memory)?;
        let (listen, sign) = io::pipe()?;
        let null = File::options().write(true).open("/dev/null")?;
        let group = cgroup.map_or(OsStr::new(""), Path::as_os_str);
        let argv = [
            c"reprovm".to_owned(),
            c"__guard".to_owned(),
            CString::new(run)?,
            CString::new(group.as_bytes())?,
            CString::new(mark.map_or_else(String::new, |mark| mark.number().to_string()))?,
        ];
        let start = Start {
            path: program,
            argv: &argv,
            env: &[],
            cwd: c"/",
            stdio: [listen.as_fd(), memory.as_fd(), null.as_fd()],
            role: Role::Guard,
            announce: None,
            inherited: None,
            mark: None,
            cgroup: None,
        };
        let pid = FAMILY.start(|| spawn::start(&start)).map_err(|error| error.source)?;
        Ok(Self { pid, _sign: sign, table, slots })
    }

    /// Where the group of a slot's leader stands, 0 while there is none.
    pub(super) fn group_of(&self, slot: usize) -> Option<&AtomicI32> {
        (slot < self.slots).then(|| self.word(slot + 1))
    }

    fn word(&self, index: usize) -> &AtomicI32 {
        assert!(index <= self.slots, "the table has a word for each slot and one more");
        // SAFETY: in bounds, aligned because a mapping begins at a page, alive as long as the
        // mapping that we own, and accessed as an atomic everywhere.
        unsafe { AtomicI32::from_ptr(self.table.as_mut_ptr().cast::<i32>().add(index)) }
    }

    /// It is not needed any more: it ends, and is reaped.
    pub(super) fn dismiss(self) {
        self.word(0).store(GOODBYE, Ordering::SeqCst);
        let pid = self.pid;
        drop(self);
        let _ = FAMILY.reap(pid);
    }
}

/// Memory without a name in any file system, of this many zero bytes.
pub(super) fn shared_memory(len: usize) -> io::Result<File> {
    // SAFETY: the name ends in NUL; the descriptor that comes back is ours alone.
    let memory = unsafe {
        let fd = libc::memfd_create(c"reprovm-guard".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from(OwnedFd::from_raw_fd(fd))
    };
    memory.set_len(len as u64)?;
    Ok(memory)
}

/// The life of the guard process: `reprovm __guard`. Returns its exit code.
pub fn guard() -> i32 {
    let mut args = std::env::args_os().skip(2);
    let (Some(run), Some(group)) = (args.next().and_then(text), args.next()) else { return 1 };
    let mark = args.next().and_then(text).and_then(|mark| mark.parse().ok()).map(Mark::from_number);
    // SAFETY: names this thread; the text ends in NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"reprovm-guard".as_ptr()) };
    wait_for_the_sign();
    let table = read_table();
    if table.first() == Some(&GOODBYE) {
        return 0;
    }
    let group = (!group.is_empty()).then(|| PathBuf::from(group));
    if let Some(group) = &group {
        cgroup::kill(group);
    }
    for &leader in table.get(1..).unwrap_or_default() {
        wait::signal_group(leader, libc::SIGKILL);
    }
    end_all(&run, mark);
    if let Some(group) = &group {
        cgroup::wait_until_empty(group, PATIENCE);
        cgroup::remove(group);
    }
    0
}

fn text(arg: OsString) -> Option<String> {
    arg.into_string().ok().filter(|text| !text.is_empty())
}

/// Returns when the other end of standard input is closed: the run said goodbye or is dead.
fn wait_for_the_sign() {
    let mut buffer = [0; 64];
    loop {
        match io::stdin().lock().read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(count) if count > 0 => {}
            _ => return,
        }
    }
}

/// Standard output is the shared table.
fn read_table() -> Vec<i32> {
    let Ok(fd) = io::stdout().as_fd().try_clone_to_owned() else { return Vec::new() };
    let table = File::from(fd);
    let mut bytes = vec![0; table.metadata().map_or(0, |meta| meta.len()) as usize];
    if table.read_exact_at(&mut bytes, 0).is_err() {
        return Vec::new();
    }
    bytes
        .chunks_exact(4)
        .map(|word| i32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
        .collect()
}

/// Kills what carries the run's mark or tag, and its descendants, until none has been seen twice in a
/// row: one that was being born during the first look is seen in the second.
fn end_all(run: &str, mark: Option<Mark>) {
    let watch = Stopwatch::start();
    let mut clean = 0;
    while clean < 2 && watch.elapsed() < PATIENCE {
        let victims = carriers(run, mark);
        clean = if victims.is_empty() { clean + 1 } else { 0 };
        for &pid in &victims {
            wait::signal(pid, libc::SIGKILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn carriers(run: &str, mark: Option<Mark>) -> BTreeSet<pid_t> {
    let own = pid_t::try_from(std::process::id()).unwrap_or_default();
    let all: Vec<_> = proc::all().into_iter().filter(|p| !p.zombie && p.pid != own).collect();
    let carries = |pid| {
        mark.is_some_and(|mark| mark.is_on(pid))
            || proc::variable(pid, TAG).is_some_and(|tag| family::has_run(&tag, run))
    };
    let mut found: BTreeSet<pid_t> =
        all.iter().map(|p| p.pid).filter(|&pid| carries(pid)).collect();
    loop {
        let before = found.len();
        let more: Vec<_> =
            all.iter().filter(|p| found.contains(&p.parent)).map(|p| p.pid).collect();
        found.extend(more);
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_itself_is_asked_to_be_a_guard() {
        for name in ["reprovm", "reprovm (deleted)", "reprovm-1.2", "reprovm-x86_64-linux"] {
            assert!(is_reprovm(name.as_bytes()), "{name}");
        }
        for name in ["it-0123456789abcdef", "reprovm-37ba3af8cbb2964c", "python3"] {
            assert!(!is_reprovm(name.as_bytes()), "{name}");
        }
        assert_eq!(program(), None);
    }

    #[test]
    fn a_word_of_the_table_is_seen_through_the_other_end() {
        let memory = shared_memory(8).expect("memory");
        let table = MmapRaw::map_raw(&memory).expect("a mapping");
        // SAFETY: the first word of a mapping of two.
        unsafe { AtomicI32::from_ptr(table.as_mut_ptr().cast()) }.store(7, Ordering::SeqCst);
        let mut word = [0; 4];
        memory.read_exact_at(&mut word, 0).expect("eight bytes");
        assert_eq!(i32::from_ne_bytes(word), 7);
    }
}
