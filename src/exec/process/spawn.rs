//! Starts a program: its group, signals, descriptors, limits and folder, without the cost of
//! copying this process.
//!
//! Knows nothing of slots, of timeouts or of what is started.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_char, c_int, c_void, pid_t, rlimit};

use super::{clone, descriptors, mark};

/// What is started, and how.
#[derive(Debug)]
pub(in crate::exec) struct Start<'a> {
    pub path: &'a CStr,
    pub argv: &'a [CString],
    pub env: &'a [CString],
    pub cwd: &'a CStr,
    /// Becomes 0, 1 and 2; all else but `inherited` is closed.
    pub stdio: [BorrowedFd<'a>; 3],
    pub role: Role,
    /// The child writes its id there before it executes anything.
    pub announce: Option<&'a AtomicI32>,
    /// Descriptors that stay open in it, under their numbers.
    pub inherited: Option<[c_int; 2]>,
    /// What it and all that it starts are marked with.
    pub mark: Option<rlimit>,
    /// The folder of the control group that it is born into.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// What it is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) enum Role {
    /// Leads a process group, and dies with the thread that started it.
    Task,
    /// Leads a session, outlives us, and is not moved by signals that ask.
    Guard,
}

/// How far a failed start came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) enum Stage {
    /// There is no process.
    Process,
    /// Its group, descriptors or limits could not be set.
    Setup,
    Folder,
    Program,
}

#[derive(Debug)]
pub(in crate::exec) struct StartError {
    pub stage: Stage,
    pub source: io::Error,
}

/// All that the child needs, made before it is born: it may not allocate.
struct Plan {
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
    cwd: *const c_char,
    stdio: [c_int; 3],
    role: Role,
    announce: *const AtomicI32,
    inherited: Option<[c_int; 2]>,
    mark: *const rlimit,
    parent: pid_t,
    limit: rlimit,
    /// Where it failed, one of the numbers below; 0: nowhere.
    failed: AtomicI32,
    errno: AtomicI32,
}

const FAILED_SETUP: i32 = 1;
const FAILED_FOLDER: i32 = 2;
const FAILED_PROGRAM: i32 = 3;

/// Starts it and returns its process id. When this returns, the program has been executed.
pub(in crate::exec) fn start(start: &Start<'_>) -> Result<pid_t, StartError> {
    let argv = pointers(start.argv);
    let envp = pointers(start.env);
    let plan = Plan {
        path: start.path.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        cwd: start.cwd.as_ptr(),
        stdio: start.stdio.map(|fd| fd.as_raw_fd()),
        role: start.role,
        announce: start.announce.map_or(ptr::null(), ptr::from_ref),
        inherited: start.inherited,
        mark: start.mark.as_ref().map_or(ptr::null(), ptr::from_ref),
        // SAFETY: this call has no conditions.
        parent: unsafe { libc::getpid() },
        limit: descriptors::original_limit(),
        failed: AtomicI32::new(0),
        errno: AtomicI32::new(0),
    };
    let arg = (&raw const plan).cast_mut().cast::<c_void>();
    let blocked = BlockedSignals::new();
    // SAFETY: `child` keeps to the contract, `arg` is the plan that it expects and outlives the
    // call, and all signals are blocked.
    let cloned = unsafe { clone::clone(start.cgroup, child, arg) };
    drop(blocked);
    let pid = cloned.map_err(|source| StartError { stage: Stage::Process, source })?;
    let stage = match plan.failed.load(Ordering::SeqCst) {
        0 => return Ok(pid),
        FAILED_FOLDER => Stage::Folder,
        FAILED_PROGRAM => Stage::Program,
        _ => Stage::Setup,
    };
    // SAFETY: it is our child, it has ended, and nobody else knows of it.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
    let source = io::Error::from_raw_os_error(plan.errno.load(Ordering::SeqCst));
    Err(StartError { stage, source })
}

/// Starts a process in a control group that ends well at once: a try whether anything lives there.
pub(in crate::exec) fn start_nothing(cgroup: BorrowedFd<'_>) -> io::Result<pid_t> {
    extern "C" fn nothing(_: *mut c_void) -> c_int {
        // SAFETY: ends only this process, without running what the parent registered.
        unsafe { libc::_exit(0) }
    }
    let _blocked = BlockedSignals::new();
    // SAFETY: `nothing` keeps to the contract and takes no argument, and all signals are blocked.
    unsafe { clone::clone(Some(cgroup), nothing, ptr::null_mut()) }
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The child's life until it becomes the program.
extern "C" fn child(arg: *mut c_void) -> c_int {
    // SAFETY: `start` passes its plan, which lives while the parent waits for us.
    let plan = unsafe { &*arg.cast::<Plan>() };
    // SAFETY: this is the child of a `clone` with everything in the plan valid.
    let failed = unsafe { become_program(plan) };
    plan.errno.store(errno(), Ordering::SeqCst);
    plan.failed.store(failed, Ordering::SeqCst);
    // SAFETY: ends only this process, without running what the parent registered.
    unsafe { libc::_exit(127) }
}

/// Returns only on failure, with the number of the stage; the cause is in `errno`. System calls
/// only: the memory is the parent's.
unsafe fn become_program(plan: &Plan) -> i32 {
    // SAFETY: all pointers of the plan are valid, NUL-terminated where C wants it, and each call
    // concerns this process alone: its descriptors, handlers and limits are copies.
    unsafe {
        match plan.role {
            Role::Task => {
                if libc::setpgid(0, 0) != 0 {
                    return FAILED_SETUP;
                }
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // The parent may have ended before the kernel knew what to do then.
                if libc::getppid() != plan.parent {
                    return FAILED_SETUP;
                }
            }
            Role::Guard => {
                libc::setsid();
            }
        }
        if let Some(announce) = plan.announce.as_ref() {
            announce.store(libc::getpid(), Ordering::SeqCst);
        }
        reset_signals(plan.role);
        for (target, fd) in (0..).zip(plan.stdio) {
            if libc::dup2(fd, target) < 0 {
                return FAILED_SETUP;
            }
        }
        // Everything of ours closes itself already; this is for what others left open in us. An
        // old kernel may not know the call.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for fd in plan.inherited.iter().flatten() {
            libc::fcntl(*fd, libc::F_SETFD, 0);
        }
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const plan.limit);
        mark::set(plan.mark);
        if libc::chdir(plan.cwd) != 0 {
            return FAILED_FOLDER;
        }
        libc::execve(plan.path, plan.argv, plan.envp);
    }
    FAILED_PROGRAM
}

/// Default dispositions and an empty mask: what we ignore or block is not the program's affair.
unsafe fn reset_signals(role: Role) {
    // SAFETY: the handlers are this process's own copy; all-zero is a valid `sigaction` that
    // means the default, and a valid, if not portable, set that `sigemptyset` then empties.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        for signal in 1..=64 {
            let asks =
                matches!(signal, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM);
            action.sa_sigaction =
                if role == Role::Guard && asks { libc::SIG_IGN } else { libc::SIG_DFL };
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// While it lives, this thread gets no signals.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: both sets are writable, and changing the mask concerns this thread alone.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut old: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
            Self(old)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was in force before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}
