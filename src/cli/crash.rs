//! What a panic leaves: a report in `.reprovm`, a word on stderr, and an exit code. A panic in
//! any thread counts, whether or not the thread that runs the program notices.

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::exit::Code;
use crate::base::text::shown;
use crate::base::{clock, fs};
use crate::observe::Recent;
use crate::ops;

/// Whether a thread of this process has panicked.
static CRASHED: AtomicBool = AtomicBool::new(false);

/// Runs the program, from here on with reports of crashes. The answer: its exit code, or that of
/// a crash.
pub(super) fn guarded(command: String, recent: &Recent, program: impl FnOnce() -> u8) -> u8 {
    let recent = recent.clone();
    panic::set_hook(Box::new(move |info| {
        // What follows the first panic is mostly its consequence.
        if !CRASHED.swap(true, Ordering::SeqCst) {
            report(info, &command, &recent);
        }
    }));
    let ended = panic::catch_unwind(AssertUnwindSafe(program));
    match ended {
        Ok(code) if !CRASHED.load(Ordering::SeqCst) => code,
        _ => Code::Unknown as u8,
    }
}

fn report(info: &PanicHookInfo<'_>, command: &str, recent: &Recent) {
    let time = clock::rfc3339_ms(clock::now_ns());
    let message = shown(info.payload_as_str().unwrap_or("(no text)").as_bytes()).into_owned();
    let place = info.location().map_or_else(|| "(unknown)".to_owned(), ToString::to_string);
    let text = text(&time, (&message, &place), command, recent);
    let mut err = std::io::stderr().lock();
    // Where even stderr cannot be written there is nobody to tell.
    let _ = match write(&time, &text) {
        Ok(path) => writeln!(
            err,
            "fatal: reprovm crashed: {message}\n  report: {}\n  help: what is built stays; run \
             the same again, and if it crashes again hand this report to the maintainers",
            path.display()
        ),
        Err(error) => {
            writeln!(err, "fatal: reprovm crashed, and cannot write a report: {error}\n{text}")
        }
    };
    drop(err);
    tracing::error!(fatal = true, message = "program crashed", problem = message, place);
}

/// The report. A panic while it is made would be the end, so nothing here can.
fn text(time: &str, (message, place): (&str, &str), command: &str, recent: &Recent) -> String {
    let folder = std::env::current_dir().unwrap_or_default();
    let current = thread::current();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "reprovm crash report\n\ntime: {time}\nversion: {}\nsystem: {}\ncommand: {command}\nfolder: \
         {}\nprocess: {}\nthread: {}\nthreads: {}\n\nmessage: {message}\nplace: {place}\n\nlast \
         events:\n",
        env!("CARGO_PKG_VERSION"),
        system(),
        shown(folder.as_os_str().as_encoded_bytes()),
        std::process::id(),
        current.name().unwrap_or("(no name)"),
        threads().join(", "),
    );
    for line in recent.lines() {
        let _ = writeln!(text, "  {line}");
    }
    let _ = write!(text, "\nbacktrace:\n{}", Backtrace::force_capture());
    text
}

/// The kernel and the machine.
fn system() -> String {
    nix::sys::utsname::uname().map_or_else(
        |error| error.to_string(),
        |name| {
            let parts = [name.sysname(), name.release(), name.machine()];
            parts.map(|part| shown(part.as_encoded_bytes()).into_owned()).join(" ")
        },
    )
}

/// The names of the threads that live, as the kernel has them.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let name = |task: std::fs::DirEntry| std::fs::read(task.path().join("comm")).ok();
    let mut names: Vec<String> =
        tasks.filter_map(name).map(|name| shown(name.trim_ascii_end()).into_owned()).collect();
    names.sort_unstable();
    names
}

/// Writes the report where it can be: in the project, else among temporary files.
fn write(time: &str, text: &str) -> Result<PathBuf, fs::FileError> {
    let inside = ops::crash_report(time);
    let inside = std::env::current_dir().unwrap_or_default().join(inside);
    let name = format!("reprovm-{}-{}", std::process::id(), file_name(&inside));
    let outside = std::env::temp_dir().join(name);
    write_to(&inside, text).or_else(|_| write_to(&outside, text))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn write_to(path: &Path, text: &str) -> Result<PathBuf, fs::FileError> {
    if let Some(folder) = path.parent() {
        fs::create_private_dir(folder)?;
    }
    let mut file = fs::create_new(path)?;
    fs::Context::at(file.write_all(text.as_bytes()), "write", path)?;
    Ok(path.to_path_buf())
}
