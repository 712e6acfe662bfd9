//! What the progress display costs: the program on a pseudo-terminal with and without it, round
//! about: `cargo bench --bench progress`. Prints medians and their ratios: of wall time, of the
//! processor time with all tasks, and of that of the program alone.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

const TASKS: usize = 10_000;
const ROUNDS: usize = 7;

/// Seconds.
struct Cost {
    wall: f64,
    /// Processor time of the program and all its tasks.
    all: f64,
    /// Of the program alone.
    own: f64,
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let folder = workload();
    let modes: [&[&str]; 2] = [&[], &["--no-progress"]];
    let mut costs: [Vec<Cost>; 2] = [Vec::new(), Vec::new()];
    // The first run makes the state that all others begin with.
    run(folder.path(), modes[1]);
    for round in 0..ROUNDS {
        for at in [round % 2, 1 - round % 2] {
            costs[at].push(run(folder.path(), modes[at]));
        }
    }
    let medians = |cost: fn(&Cost) -> f64| {
        [0, 1].map(|at| median(costs[at].iter().map(cost).collect::<Vec<f64>>()))
    };
    let figures = [
        ("wall", medians(|cost| cost.wall)),
        ("processor", medians(|cost| cost.all)),
        ("itself", medians(|cost| cost.own)),
    ];
    println!("             progress     without   ratio");
    for (name, [with, without]) in figures {
        println!("{name:<10} {with:>8.3} s  {without:>8.3} s  {:>6.4}", with / without);
    }
}

/// A project of tasks that do next to nothing.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own files")]
fn workload() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut manifest = String::new();
    for n in 0..TASKS {
        writeln!(manifest, "task t{n} {{\n  cmd = :\n}}").expect("a string takes all");
    }
    fs::write(folder.path().join("manifest.txt"), manifest).expect("a writable folder");
    folder
}

/// One run of all tasks on a terminal that somebody reads.
#[expect(clippy::zombie_processes, reason = "it is waited for by its id, for its figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark starts and times the program")]
fn run(folder: &Path, mode: &[&str]) -> Cost {
    let size = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a pseudo-terminal");
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprovm"));
    command.args(["-f", "manifest.txt"]).args(mode).current_dir(folder);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(pty.slave));
    let mut master = File::from(pty.master);
    let begin = Instant::now();
    let child = command.spawn().expect("the program starts");
    // Its handle of the terminal goes with it, so that the reader comes to an end.
    drop(command);
    let reader = thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while master.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let (all, own) = processor_times(i32::try_from(child.id()).expect("a process id fits"));
    let wall = begin.elapsed().as_secs_f64();
    reader.join().expect("the reader does not panic");
    Cost { wall, all, own }
}

/// Waits for the end. The processor time with all tasks, and without.
fn processor_times(pid: i32) -> (f64, f64) {
    waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        .expect("a child of ours");
    // It has ended, but its figures are there until it is waited for.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its figures");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = |at: usize| -> f64 {
        fields.split_whitespace().nth(at).and_then(|field| field.parse().ok()).expect("a number")
    };
    // SAFETY: it only asks.
    let in_a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let own = (ticks(11) + ticks(12)) / in_a_second;

    let mut status = 0;
    // SAFETY: all-zero is a valid value of that plain C struct.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both structures are writable.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
    assert!(waited == pid && status == 0, "the run failed with status {status}");
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(used.ru_utime) + seconds(used.ru_stime), own)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
