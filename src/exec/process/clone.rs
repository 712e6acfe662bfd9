//! A process that borrows its parent's memory until it executes something, as `vfork` gives,
//! but on a stack of its own, and born into a control group where one is named.
//!
//! Knows nothing of what the child does.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use libc::{c_int, c_void, pid_t};

/// Enough for the few calls between the birth and `execve`, unoptimised too.
const STACK: usize = 64 * 1024;

/// What the child does. It may not return, allocate, lock or unwind.
pub(in crate::exec) type Body = extern "C" fn(*mut c_void) -> c_int;

/// Starts a child that runs `body(arg)`; returns when it has executed a program or ended.
///
/// # Safety
/// `body` must keep to its contract, and `arg` must be what it expects. All signals must be
/// blocked, or a handler could run in the child on memory that is the parent's.
pub(in crate::exec) unsafe fn clone(
    cgroup: Option<BorrowedFd<'_>>,
    body: Body,
    arg: *mut c_void,
) -> io::Result<pid_t> {
    let mut stack = Vec::<MaybeUninit<u128>>::with_capacity(STACK / size_of::<u128>());
    let low = stack.as_mut_ptr();
    if let Some(cgroup) = cgroup {
        // SAFETY: the stack is `STACK` bytes, aligned to 16, and lives until the child is done
        // with it, because the call returns only then; the rest is the caller's promise.
        return unsafe { into_cgroup::clone(low.cast(), cgroup, body, arg) };
    }
    // SAFETY: the end of the allocation is a valid one-past pointer.
    let top = unsafe { low.add(STACK / size_of::<u128>()) };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: as above; stacks grow down on every system that Rust's std runs Linux on.
    let pid = unsafe { libc::clone(body, top.cast(), flags, arg) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

/// Whether children can be born into a control group here.
pub(in crate::exec) const INTO_CGROUP: bool = cfg!(target_arch = "x86_64");

#[cfg(target_arch = "x86_64")]
mod into_cgroup {
    use std::arch::asm;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};

    use libc::{c_void, pid_t};

    use super::{Body, STACK};

    /// `struct clone_args` of the kernel, version 2 (`linux/sched.h`).
    #[repr(C)]
    struct Args {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }

    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

    pub(in crate::exec) unsafe fn clone(
        stack: *mut c_void,
        cgroup: BorrowedFd<'_>,
        body: Body,
        arg: *mut c_void,
    ) -> io::Result<pid_t> {
        let args = Args {
            flags: (libc::CLONE_VM | libc::CLONE_VFORK) as u64 | CLONE_INTO_CGROUP,
            pidfd: 0,
            child_tid: 0,
            parent_tid: 0,
            exit_signal: libc::SIGCHLD as u64,
            stack: stack as u64,
            stack_size: STACK as u64,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: cgroup.as_raw_fd() as u64,
        };
        let result: isize;
        // SAFETY: the kernel changes rax, rcx and r11 only. The child wakes up behind `syscall`
        // on its own stack, whose end is a multiple of 16 as `call` wants, calls the body and
        // never comes back. The parent goes on as behind any system call.
        unsafe {
            asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r9",
                "call r8",
                "ud2",
                "2:",
                inlateout("rax") libc::SYS_clone3 as isize => result,
                in("rdi") &raw const args,
                in("rsi") size_of::<Args>(),
                in("r8") body,
                in("r9") arg,
                lateout("rcx") _,
                lateout("r11") _,
            );
        }
        if result < 0 {
            return Err(io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO)));
        }
        Ok(pid_t::try_from(result).expect("the kernel's process ids fit their type"))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod into_cgroup {
    use std::io;
    use std::os::fd::BorrowedFd;

    use libc::{c_void, pid_t};

    use super::Body;

    pub(in crate::exec) unsafe fn clone(
        _stack: *mut c_void,
        _cgroup: BorrowedFd<'_>,
        _body: Body,
        _arg: *mut c_void,
    ) -> io::Result<pid_t> {
        Err(io::Error::from_raw_os_error(libc::ENOSYS))
    }
}
