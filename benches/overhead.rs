//! What it costs to see what happens: the program with each of its parts and without it, round
//! about: `cargo bench --bench overhead [-- TASKS ROUNDS] [PART...]`. The tasks do the same each
//! time, so the processor time that they take themselves shows how fast the machine is just then:
//! the time of all is told in units of it. And since parts work in threads of their own, so is what
//! all threads take but those that run tasks.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// Something to switch on.
struct Part {
    name: &'static str,
    /// What it is compared with; itself: it is what others are compared with.
    base: &'static str,
    args: &'static [&'static str],
    /// The file that shows that it was on.
    leaves: Option<&'static str>,
    on_terminal: bool,
}

const NOTHING: Part =
    Part { name: "nothing", base: "nothing", args: &[], leaves: None, on_terminal: false };
const QUIET: &[&str] = &["-q", "--set", "history.keep_runs=0"];

/// The last one shows how far the method itself can be trusted.
const PARTS: &[Part] = &[
    NOTHING,
    Part { name: "log", args: &["-l", "run.log"], leaves: Some("run.log"), ..NOTHING },
    Part {
        name: "metrics",
        args: &["-m", "m.json", "--set", "prometheus.textfile=m.prom"],
        leaves: Some("m.prom"),
        ..NOTHING
    },
    Part {
        name: "journal",
        args: &["--set", "history.keep_runs=20"],
        leaves: Some(".reprovm/runs"),
        ..NOTHING
    },
    Part {
        name: "audit",
        args: &["--set", "audit.enabled=1"],
        leaves: Some(".reprovm/audit.log"),
        ..NOTHING
    },
    Part {
        name: "limits",
        args: &[
            "--max-cpu",
            "100",
            "--max-memory",
            "1000000",
            "--set",
            "max_tasks_per_second=1000000",
            "--set",
            "max_disk_percent=100",
            "--set",
            "max_cache_operations_per_second=1000000",
        ],
        ..NOTHING
    },
    Part { name: "the same", ..NOTHING },
    Part {
        name: "terminal",
        base: "terminal",
        args: &["--set", "history.keep_runs=0", "--no-progress"],
        leaves: None,
        on_terminal: true,
    },
    Part {
        name: "progress",
        base: "terminal",
        args: &["--set", "history.keep_runs=0"],
        leaves: None,
        on_terminal: true,
    },
];

/// Seconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    /// Processor time of the program and all its tasks.
    all: f64,
    /// Of the tasks.
    tasks: f64,
    /// Of the threads of the program that run no tasks.
    aside: f64,
}

/// How often is looked at what the threads have used: what one uses behind the last look is lost.
const LOOK: Duration = Duration::from_millis(10);

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = args.iter().filter_map(|arg| arg.parse().ok());
    let (tasks, rounds) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(15));
    let named: Vec<&Part> =
        PARTS.iter().filter(|part| args.iter().any(|arg| arg == part.name)).collect();
    let is_wanted = |part: &Part| {
        named.is_empty() || named.iter().any(|one| one.name == part.name || one.base == part.name)
    };
    let parts: Vec<&Part> = PARTS.iter().filter(|part| is_wanted(part)).collect();
    let folder = workload(tasks);
    let mut costs: Vec<Vec<Cost>> = parts.iter().map(|_| Vec::new()).collect();
    // The first run makes the state that all others begin with.
    run(folder.path(), &NOTHING);
    for round in 0..rounds {
        for turn in 0..parts.len() {
            let at = (turn + round) % parts.len();
            costs[at].push(run(folder.path(), parts[at]));
        }
    }
    println!(
        "with         wall s  processor s   of it tasks   to without   middle half        \
         other threads"
    );
    for (part, own) in parts.iter().zip(&costs) {
        let left = part.leaves.map(|path| folder.path().join(path));
        assert!(left.is_none_or(|path| path.exists()), "{} has left nothing", part.name);
        let base = parts.iter().position(|one| one.name == part.base).expect("it was run too");
        let ratios = sorted(
            own.iter()
                .zip(&costs[base])
                .map(|(with, without)| (with.all / with.tasks) / (without.all / without.tasks)),
        );
        let aside = own.iter().zip(&costs[base]).map(|(with, without)| {
            (with.aside / with.tasks - without.aside / without.tasks)
                / (without.all / without.tasks)
        });
        println!(
            "{:<10} {:>8.3} {:>12.3} {:>13.3} {:>12.4}   {:.4} to {:.4} {:>+12.2} %",
            part.name,
            median(own.iter().map(|cost| cost.wall)),
            median(own.iter().map(|cost| cost.all)),
            median(own.iter().map(|cost| cost.tasks)),
            ratios[ratios.len() / 2],
            ratios[ratios.len() / 4],
            ratios[ratios.len() * 3 / 4],
            median(aside) * 100.0,
        );
    }
    let checks = (0..rounds).map(|_| verb(folder.path(), &["health"], false).all);
    println!("a health check takes {:.4} s of the processor", median(checks));
}

/// A project of tasks that do next to nothing, each something else.
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own files")]
fn workload(tasks: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut manifest = String::new();
    for n in 0..tasks {
        writeln!(manifest, "task t{n} {{\n  cmd = true {n}\n}}").expect("a string takes all");
    }
    fs::write(folder.path().join("manifest.txt"), manifest).expect("a writable folder");
    folder
}

/// One run of all tasks.
fn run(folder: &Path, part: &Part) -> Cost {
    let quiet = if part.on_terminal { &[][..] } else { QUIET };
    verb(folder, &[quiet, part.args, &["-f", "-j", "2", "manifest.txt"]].concat(), part.on_terminal)
}

/// The program once, with its messages to a terminal that somebody reads, or to nobody.
#[expect(clippy::zombie_processes, reason = "it is waited for by its id, for its figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark starts and times the program")]
fn verb(folder: &Path, args: &[&str], on_terminal: bool) -> Cost {
    let size = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = on_terminal.then(|| openpty(&size, None).expect("a pseudo-terminal"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprovm"));
    command.args(args).current_dir(folder).env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let master = pty.map(|pty| {
        command.stderr(pty.slave);
        File::from(pty.master)
    });
    let begin = Instant::now();
    let child = command.spawn().expect("the program starts");
    // Its handle of the terminal goes with it, so that the reader comes to an end.
    drop(command);
    let reader = master.map(|mut master| {
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while master.read(&mut buffer).is_ok_and(|count| count > 0) {}
        })
    });
    let pid = i32::try_from(child.id()).expect("a process id fits");
    let aside = other_threads(pid);
    let (all, tasks) = processor_times(pid);
    let wall = begin.elapsed().as_secs_f64();
    if let Some(reader) = reader {
        reader.join().expect("the reader does not panic");
    }
    Cost { wall, all, tasks, aside }
}

/// Waits for the end. The processor time of the threads whose names do not begin with `task-`.
fn other_threads(pid: i32) -> f64 {
    let mut used: HashMap<String, f64> = HashMap::new();
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    while let WaitStatus::StillAlive =
        waitid(Id::Pid(Pid::from_raw(pid)), flags).expect("a child of ours")
    {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let read = |what| fs::read_to_string(thread.path().join(what)).unwrap_or_default();
            let (name, times) = (read("comm"), read("schedstat"));
            let time = times.split(' ').next().and_then(|time| time.parse::<f64>().ok());
            if let Some(time) = time.filter(|_| !name.starts_with("task-")) {
                used.insert(thread.file_name().to_string_lossy().into_owned(), time / 1e9);
            }
        }
        thread::sleep(LOOK);
    }
    used.values().sum()
}

/// Of a process that has ended, whose figures are there until it is waited for: the processor
/// time with all tasks, and that of the tasks.
fn processor_times(pid: i32) -> (f64, f64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its figures");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = |at: usize| -> f64 {
        fields.split_whitespace().nth(at).and_then(|field| field.parse().ok()).expect("a number")
    };
    // SAFETY: it only asks.
    let in_a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let tasks = (ticks(13) + ticks(14)) / in_a_second;

    let mut status = 0;
    // SAFETY: all-zero is a valid value of that plain C struct.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both structures are writable.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
    assert!(waited == pid && status == 0, "the run failed with status {status}");
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(used.ru_utime) + seconds(used.ru_stime), tasks)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values[values.len() / 2]
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
