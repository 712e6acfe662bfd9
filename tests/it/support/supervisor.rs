//! Runs the program under a supervisor that counts its file-changing system calls, over all its
//! threads and processes, and at one of them kills it or lets the call fail. By seccomp's user
//! notification: the caller stands still until it is answered, so that the count is exact.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use libc::{c_int, c_long, seccomp_notif, seccomp_notif_resp, sock_filter};

use super::{Background, PATIENCE, Project, Run};

/// What happens at a call; they are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Never,
    /// `kill -9`, before the call has done anything.
    KillAt(u64),
    /// The call fails with this error.
    FailAt(u64, i32),
}

/// A run that was watched, with all that it started.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) run: Run,
    /// How many calls were counted.
    pub(crate) calls: u64,
    /// The number of the system call that the fault struck.
    pub(crate) struck: Option<c_long>,
}

/// Whether this machine lets a process watch its children so.
pub(crate) fn is_permitted() -> bool {
    let mut command = Command::new("/bin/true");
    let Ok((ours, _theirs)) = prepare(&mut command) else { return false };
    command.stdout(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let listener = receive(&ours);
    let done = listener.and_then(|listener| serve(&listener, Path::new("/"), Fault::Never, 0));
    child.wait().is_ok_and(|status| status.success()) && done.is_ok()
}

/// Runs the program in the project, and returns when it and all that it started have ended.
#[track_caller]
pub(crate) fn watched(project: &Project, args: &[&str], fault: Fault) -> Watched {
    let mut command = project.command(args);
    let (ours, theirs) = prepare(&mut command).expect("a pair of sockets");
    let background = Background::start(command);
    drop(theirs);
    let listener = receive(&ours).expect("the program sends its listener before it begins");
    let (calls, struck) =
        serve(&listener, project.root(), fault, background.pid()).expect("calls to answer");
    Watched { run: background.wait(), calls, struck }
}

/// Lets the command put itself under a filter before it begins, and send us the listener.
fn prepare(command: &mut Command) -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let filter = filter();
    let socket = theirs.as_raw_fd();
    // SAFETY: between fork and exec only system calls are made; the filter was made before.
    unsafe {
        command.pre_exec(move || send(socket, listen(&filter)?));
    }
    Ok((ours, theirs))
}

/// Calls that change files, whatever they are given.
const CHANGING: &[c_long] = &[
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fchmodat,
    libc::SYS_truncate,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
];

/// Calls that change a file that is open, and which argument that is. They count where the file
/// lies in the project.
const CHANGING_OPEN: &[(c_long, usize)] = &[
    (libc::SYS_write, 0),
    (libc::SYS_pwrite64, 0),
    (libc::SYS_writev, 0),
    (libc::SYS_sendfile, 0),
    (libc::SYS_ftruncate, 0),
    (libc::SYS_fallocate, 0),
    (libc::SYS_fchmod, 0),
    (libc::SYS_fsync, 0),
    (libc::SYS_fdatasync, 0),
    (libc::SYS_copy_file_range, 2),
];

/// Calls that open a file, and where their flags stand: they count where they can make or empty
/// it.
const OPENING: &[(c_long, u32)] = &[
    (libc::SYS_openat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
];

fn filter() -> Vec<sock_filter> {
    let step = |code: u32, k: u32, jt: u8, jf: u8| sock_filter { code: code as u16, jt, jf, k };
    let load = |at: u32| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let answer = |what: u32| step(libc::BPF_RET | libc::BPF_K, what, 0, 0);
    let equal =
        |k: c_long, jf: u8| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k as u32, 0, jf);
    let makes = (libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
    let mut steps = vec![load(0)];
    for call in CHANGING.iter().chain(CHANGING_OPEN.iter().map(|(call, _)| call)) {
        steps.extend([equal(*call, 1), answer(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    for (call, flags) in OPENING {
        steps.extend([
            equal(*call, 4),
            load(16 + 8 * flags),
            step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, makes, 0, 1),
            answer(libc::SECCOMP_RET_USER_NOTIF),
            answer(libc::SECCOMP_RET_ALLOW),
        ]);
    }
    steps.push(answer(libc::SECCOMP_RET_ALLOW));
    steps
}

/// Puts this process under the filter; what hears of its calls.
fn listen(filter: &[sock_filter]) -> io::Result<RawFd> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // Without the second flag a signal to the caller would make it call, and count, again.
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: the program lives until the call returns, and is as long as it says.
    let fd = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd as RawFd) }
}

/// Room for one descriptor beside a message, aligned as its head must be.
type Beside = [u64; 4];

/// A message of one byte and one descriptor.
fn message(byte: &mut libc::iovec, beside: &mut Beside) -> libc::msghdr {
    // SAFETY: an all-zero `msghdr` is a valid value of that plain C struct.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = byte;
    message.msg_iovlen = 1;
    message.msg_control = beside.as_mut_ptr().cast();
    // SAFETY: arithmetic only.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<c_int>() as u32) } as _;
    message
}

fn send(socket: RawFd, fd: RawFd) -> io::Result<()> {
    let mut byte = [0_u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut beside: Beside = [0; 4];
    let message = message(&mut vector, &mut beside);
    // SAFETY: the buffer beside has room for one head and one descriptor, and all that the
    // message names lives until it is sent.
    let sent = unsafe {
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(size_of::<c_int>() as u32) as _;
        libc::CMSG_DATA(head).cast::<c_int>().write_unaligned(fd);
        libc::sendmsg(socket, &raw const message, 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0_u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut beside: Beside = [0; 4];
    let mut message = message(&mut vector, &mut beside);
    // SAFETY: all that the message names lives on; the head is looked at only if there is one,
    // and the descriptor in it is ours alone.
    unsafe {
        let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
        if libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) < 0 {
            return Err(io::Error::last_os_error());
        }
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        if head.is_null() {
            return Err(io::Error::other("no descriptor came"));
        }
        Ok(OwnedFd::from_raw_fd(libc::CMSG_DATA(head).cast::<c_int>().read_unaligned()))
    }
}

/// Answers until nobody is left under the filter: how many calls counted, and which was struck.
fn serve(
    listener: &OwnedFd,
    root: &Path,
    fault: Fault,
    program: i32,
) -> io::Result<(u64, Option<c_long>)> {
    let begun = Instant::now();
    let (mut calls, mut struck) = (0, None);
    while let Some(call) = next_call(listener)? {
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other("the program did not come to an end"));
        }
        let number = c_long::from(call.data.nr);
        let counts = counts(&call, root);
        calls += u64::from(counts);
        match fault {
            Fault::KillAt(at) if counts && at == calls => {
                struck = Some(number);
                // The caller may be a task; it is not answered any more. Until the program is
                // dead it cannot do anything else either, because all its calls wait for us.
                kill(program);
                kill(call.pid as i32);
            }
            Fault::FailAt(at, error) if counts && at == calls => {
                struck = Some(number);
                answer(listener, call.id, Some(error))?;
            }
            _ => answer(listener, call.id, None)?,
        }
    }
    Ok((calls, struck))
}

fn kill(pid: i32) {
    // SAFETY: sends a signal and touches no memory; who is dead already hears nothing.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// The next call that waits; none where nobody is left.
fn next_call(listener: &OwnedFd) -> io::Result<Option<seccomp_notif>> {
    loop {
        let mut wait = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives until the call returns.
        let ready = unsafe { libc::poll(&raw mut wait, 1, PATIENCE.as_millis() as c_int) };
        if ready < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            continue;
        }
        if ready <= 0 {
            return Err(io::Error::other("the program neither calls nor ends"));
        }
        if wait.revents & libc::POLLIN == 0 {
            return Ok(None);
        }
        // SAFETY: the kernel wants zeros, and fills in a plain C struct.
        let (got, call) = unsafe {
            let mut call: seccomp_notif = mem::zeroed();
            let got =
                libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call);
            (got, call)
        };
        if got == 0 {
            return Ok(Some(call));
        }
        // The caller was killed meanwhile, or we were interrupted.
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) {
            return Err(error);
        }
    }
}

/// Lets the call happen, or fail.
fn answer(listener: &OwnedFd, id: u64, error: Option<i32>) -> io::Result<()> {
    let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let (error, flags) = error.map_or((0, flags), |error| (-error, 0));
    let mut reply = seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the reply lives until the call returns.
    let sent = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut reply)
    };
    // Who was killed while it waited needs no answer.
    match io::Error::last_os_error() {
        error if sent < 0 && error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// Whether the call changes a file that concerns us: not the test's files that stdout leads to,
/// a pipe, or a control group.
fn counts(call: &seccomp_notif, root: &Path) -> bool {
    let number = c_long::from(call.data.nr);
    match CHANGING_OPEN.iter().find(|(known, _)| *known == number) {
        None => true,
        Some((_, argument)) => {
            let fd = call.data.args[*argument] as i32;
            let file = std::fs::read_link(format!("/proc/{}/fd/{fd}", call.pid));
            file.is_ok_and(|file| file.starts_with(root))
        }
    }
}
