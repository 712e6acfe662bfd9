//! Waiting for processes: who has ended, how, and at what cost.
//!
//! Knows nothing of why.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use libc::{c_int, pid_t, rusage};

/// Waits until the child has ended, and leaves it to be reaped.
pub(in crate::exec) fn until_ended(pid: pid_t) -> io::Result<()> {
    loop {
        match peek(pid, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(|_| ()),
        }
    }
}

/// Whether the child has ended; it stays to be reaped. True also where there is no such child.
pub(in crate::exec) fn has_ended(pid: pid_t) -> bool {
    peek(pid, libc::WNOHANG).unwrap_or(true)
}

fn peek(pid: pid_t, flags: c_int) -> io::Result<bool> {
    let id = libc::id_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: all-zero is a valid `siginfo_t`, which the call fills in.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        let flags = libc::WEXITED | libc::WNOWAIT | flags;
        if libc::waitid(libc::P_PID, id, &raw mut info, flags) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(info.si_pid() == pid)
    }
}

/// Reaps a child that has ended: its wait status, and what it and the children that it waited
/// for used.
pub(in crate::exec) fn reap(pid: pid_t) -> io::Result<(c_int, rusage)> {
    let mut status = 0;
    loop {
        // SAFETY: all-zero is a valid `rusage`; both structures are writable.
        let (result, used) = unsafe {
            let mut used: rusage = mem::zeroed();
            (libc::wait4(pid, &raw mut status, 0, &raw mut used), used)
        };
        if result == pid {
            return Ok((status, used));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Reaps the child if it has ended.
pub(in crate::exec) fn try_reap(pid: pid_t) -> bool {
    // SAFETY: a null status is allowed; only a child of ours can be reaped.
    unsafe { libc::waitpid(pid, ptr::null_mut(), libc::WNOHANG) == pid }
}

/// Waits until the process ends or the time is over, whichever is first. May return early.
pub(in crate::exec) fn until_gone(pid: pid_t, at_most: Duration) {
    // SAFETY: the call takes two numbers; the descriptor that it returns is ours alone.
    let fd = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        match c_int::try_from(fd) {
            Ok(fd) if fd >= 0 => OwnedFd::from_raw_fd(fd),
            // Gone already, or no descriptor to be had: look again a little later.
            _ => return std::thread::sleep(at_most.min(Duration::from_millis(1))),
        }
    };
    poll(&fd, libc::POLLIN, at_most);
}

/// Waits until the descriptor reports one of `events`, or the time is over, or a signal comes.
pub(in crate::exec) fn poll(fd: &impl AsRawFd, events: libc::c_short, at_most: Duration) {
    let millis = c_int::try_from(at_most.as_millis()).unwrap_or(c_int::MAX).max(1);
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // SAFETY: one entry, writable.
    unsafe { libc::poll(&raw mut entry, 1, millis) };
}

/// Sends a signal to one process. That it is gone is no error.
pub(in crate::exec) fn signal(pid: pid_t, signal: c_int) {
    if pid > 0 {
        // SAFETY: sending a signal touches no memory of ours.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Sends a signal to a process group. That it is gone is no error.
pub(in crate::exec) fn signal_group(group: pid_t, signal: c_int) {
    if group > 1 {
        // SAFETY: sending a signal touches no memory of ours.
        unsafe { libc::kill(-group, signal) };
    }
}
