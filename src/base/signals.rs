//! The signals that ask a process to stop in good order.

use libc::{SIGHUP, SIGINT, SIGTERM};

/// Those that count for this process: one that whoever started us has switched off (as `nohup`
/// does with SIGHUP, and a shell with SIGINT for what it puts into the background) stays off.
/// To be asked before anything is listened for.
pub fn asking_to_stop() -> Vec<i32> {
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)).collect()
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero `sigaction` is a valid value of that plain C struct.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, and `now` is writable.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    asked == 0 && now.sa_sigaction == libc::SIG_IGN
}
