//! Real commands through a runner, by each of its means.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::process::proc;
use super::runner::{Command, Ended, Runner};
use super::{Feed, cgroup, direct, feed};
use crate::base::CancelLevel;
use crate::base::clock::{self, Stopwatch};
use crate::event::Usage;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// A runner without a guard: the test binary cannot be one.
fn runner(slots: usize, grace: Duration, use_cgroup: bool) -> Runner {
    Runner::with(slots, grace, None, use_cgroup).expect("a runner")
}

/// Each of the means that this machine has.
fn means() -> Vec<bool> {
    if cgroup::is_granted() { vec![false, true] } else { vec![false] }
}

fn env() -> Vec<(OsString, OsString)> {
    vec![("HOME".into(), "/nowhere".into()), ("PATH".into(), PATH.into())]
}

/// What is to be run; a test changes what it is about.
struct Job<'a> {
    text: &'a str,
    shell: Option<Vec<String>>,
    cwd: PathBuf,
    env: Vec<(OsString, OsString)>,
    timeout: Option<Duration>,
}

fn job(text: &str) -> Job<'_> {
    Job { text, shell: None, cwd: std::env::temp_dir(), env: env(), timeout: None }
}

fn run_in(runner: &Runner, slot: usize, job: &Job<'_>) -> std::io::Result<(Ended, String, Usage)> {
    let mut log = tempfile::tempfile().expect("a temporary file");
    let command = Command {
        task: &format!("task-{slot}"),
        text: job.text,
        shell: job.shell.as_deref(),
        cwd: job.cwd.clone(),
        env: job.env.clone(),
        timeout: job.timeout,
        stdin: None,
        log: &log,
    };
    let (ended, usage) = runner.run(slot, &command)?;
    log.rewind().expect("a seekable file");
    let mut output = Vec::new();
    log.read_to_end(&mut output).expect("the log is readable");
    Ok((ended, String::from_utf8_lossy(&output).into_owned(), usage))
}

fn run(job: &Job<'_>) -> (Ended, String) {
    let runner = runner(1, LONG, false);
    let (ended, output, _) = run_in(&runner, 0, job).expect("it starts");
    runner.finish();
    (ended, output)
}

/// Runs `work` while another thread calls `tick` whenever it wants to be called.
fn ticking<T>(runner: &Runner, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let ticker = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let next = runner.tick(clock::instant()).expect("it always wants to be called");
                thread::park_timeout(next.saturating_duration_since(clock::instant()));
            }
        });
        let result = work();
        done.store(true, Ordering::SeqCst);
        ticker.thread().unpark();
        result
    })
}

/// Waits until `holds`, and fails when that takes too long.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let watch = Stopwatch::start();
    while !holds() {
        assert!(watch.elapsed() < LONG, "{what} did not come to hold");
        thread::yield_now();
    }
}

/// The processes, zombies included, whose command line holds the marker.
fn marked(marker: &str) -> BTreeSet<i32> {
    let holds = |pid: i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(marker))
    };
    proc::all().iter().map(|p| p.pid).filter(|&pid| holds(pid)).collect()
}

/// Children of this process that have ended and were not reaped.
fn zombies() -> usize {
    let own = i32::try_from(std::process::id()).expect("ids are small");
    proc::all().iter().filter(|p| p.parent == own && p.zombie).count()
}

#[test]
fn exit_codes_and_signals_are_told_apart() {
    assert_eq!(run(&job("exit 7")), (Ended::Exit(7), String::new()));
    assert_eq!(run(&job("/bin/true")).0, Ended::Exit(0));
    let (ended, _) = run(&job("kill -KILL $$"));
    assert_eq!(ended, Ended::Signal { signal: libc::SIGKILL, core_dumped: false });
}

#[test]
fn both_streams_arrive_in_the_order_of_writing() {
    let text = "for i in 1 2 3; do echo out $i; echo err $i >&2; done\nprintf 'no newline'";
    let expected = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nno newline";
    assert_eq!(run(&job(text)), (Ended::Exit(0), expected.to_owned()));
}

#[test]
fn standard_input_is_empty_and_no_other_descriptor_is_open() {
    assert_eq!(run(&job("cat")), (Ended::Exit(0), String::new()));
    let keep = File::open("/dev/null").expect("it is there");
    // The descriptor of the folder itself is the fourth.
    let (ended, output) = run(&job("ls /proc/self/fd"));
    assert_eq!((ended, output.as_str()), (Ended::Exit(0), "0\n1\n2\n3\n"));
    drop(keep);
}

#[test]
fn signals_are_at_their_defaults_and_none_is_blocked() {
    let (_, output) = run(&job("grep -E '^Sig(Blk|Ign):' /proc/self/status"));
    for line in output.lines() {
        let set = line.rsplit('\t').next().expect("a last field");
        // The upper half are real-time signals, of which the C library keeps two for itself.
        let set = u64::from_str_radix(set, 16).expect("a set in hex") & 0x7fff_ffff;
        assert_eq!(set, 0, "{output}");
    }
    assert_eq!(output.lines().count(), 2);
    // A pipe whose reader has gone ends the writer, as it does in a terminal.
    assert_eq!(run(&job("yes | head -n 1")), (Ended::Exit(0), "y\n".to_owned()));
}

#[test]
fn the_command_leads_a_group_of_its_own() {
    for text in ["/bin/cat /proc/self/stat", "exec cat '/proc/self/stat'"] {
        let (_, output) = run(&job(text));
        let fields: Vec<&str> = output.split_whitespace().collect();
        assert_eq!(fields.first(), fields.get(4), "{output}");
    }
}

#[test]
fn the_command_sees_its_environment_its_folder_and_the_tag_only() {
    let mut job = job("/usr/bin/env");
    job.cwd = "/usr".into();
    job.env.push(("X".into(), "a b".into()));
    job.env.push(("REPROVM_RUN".into(), "outer/t".into()));
    let (_, output) = run(&job);
    let (tags, rest): (Vec<&str>, Vec<&str>) =
        output.lines().partition(|line| line.starts_with("REPROVM_RUN="));
    assert_eq!(rest, ["HOME=/nowhere", &format!("PATH={PATH}"), "X=a b", "PWD=/usr"]);
    assert_eq!(tags.len(), 1);
    assert!(
        tags[0].starts_with("REPROVM_RUN=outer/t,") && tags[0].ends_with("/task-0"),
        "{tags:?}"
    );
}

#[test]
fn another_shell_reads_the_text() {
    let mut job = job("a text | with $syntax");
    job.shell = Some(vec!["printf".into(), "<%s>".into()]);
    assert_eq!(run(&job), (Ended::Exit(0), "<a text | with $syntax>".to_owned()));
}

#[test]
fn what_cannot_be_started_says_why() {
    let runner = runner(1, LONG, false);
    let error = |job: &Job<'_>| run_in(&runner, 0, job).expect_err("cannot start").to_string();
    let mut shell = job("x");
    shell.shell = Some(vec!["no-such-shell".into()]);
    assert!(error(&shell).contains("`no-such-shell`"));
    let mut folder = job("ls");
    folder.cwd = "/no/such/folder".into();
    assert!(error(&folder).contains("cannot enter the folder `/no/such/folder`: No such file"));
    assert!(error(&job("echo \0")).contains("NUL"));
    // The slot is free again.
    assert_eq!(run_in(&runner, 0, &job("echo on")).expect("starts").1, "on\n");
    runner.finish();
}

#[test]
fn the_direct_way_is_no_other_than_the_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    for (name, content, mode) in [
        ("script", "#!/bin/sh\necho \"$0 $*\"\nexit 3\n", 0o755),
        ("plain", "echo no interpreter line: $1\n", 0o755),
        ("lost", "#!/no/such/interpreter\n", 0o755),
        ("data", "not a program\n", 0o644),
    ] {
        write(&here.join(name), content, mode);
    }
    let texts = [
        "ls /proc/self/fd",
        "no-such-command a b",
        "./script a=1 %b ^c",
        "./plain x",
        "./lost",
        "./data",
        ".",
        "./",
        "/",
        "/etc",
        "script one",
        "plain two",
        "lost",
        "data",
        "a=b env",
        "expr 1 + 2",
        "basename /a/b.c .c",
        "cat /no/such",
        "true",
        "false x",
        "pwd",
        "echo a  b",
        "/bin/echo  a \t b ",
        "/usr/bin/env",
        "ls nothing-here",
        "%1",
        "-x",
        "sh -c exit",
        "test a",
        "kill -l",
        "command ls -d /",
        "uname",
        "/bin/pwd",
        "bin/x",
        "date --nonsense",
    ];
    for path in [PATH, &format!("{PATH}:."), &format!(":{PATH}"), "", "/no/such:/etc"] {
        for text in texts {
            let mut job = job(text);
            job.cwd = here.to_path_buf();
            job.env[1].1 = path.into();
            same_both_ways(&job);
        }
    }
    let mut job = job("ls");
    job.env.truncate(1);
    same_both_ways(&job);
}

#[expect(clippy::disallowed_methods, reason = "a file for a test")]
fn write(path: &Path, content: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).expect("a file");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode");
}

/// The text as it is, and with a shell that is given explicitly.
fn same_both_ways(job: &Job<'_>) {
    let ours = run(job);
    let by_shell = Job { shell: Some(vec!["/bin/sh".into(), "-c".into()]), ..copy(job) };
    // The names that the shells themselves add differ from shell to shell, and the tag from run
    // to run.
    let plain = |output: String| -> BTreeSet<String> {
        let ours = |line: &&str| {
            !["_=", "SHLVL=", "OLDPWD=", "REPROVM_RUN="].iter().any(|name| line.starts_with(name))
        };
        output.lines().filter(ours).map(|line| line.replace("/bin/sh: 1:", "sh: 1:")).collect()
    };
    let theirs = run(&by_shell);
    assert_eq!(ours.0, theirs.0, "{:?}", job.text);
    assert_eq!(plain(ours.1), plain(theirs.1), "{:?}", job.text);
}

fn copy<'a>(job: &Job<'a>) -> Job<'a> {
    Job {
        text: job.text,
        shell: job.shell.clone(),
        cwd: job.cwd.clone(),
        env: job.env.clone(),
        timeout: job.timeout,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_plain_words_arrive_as_a_shell_would_hand_them_on(
        text in "(/bin/echo|basename|expr|dirname|echo|test)([ \t]{1,2}[A-Za-z0-9_./,:+@%=^-]{1,6}){0,4}[ \t]?"
    ) {
        same_both_ways(&job(&text));
    }

    #[test]
    fn any_text_is_split_or_left_alone(text in "\\PC{0,20}") {
        if let Some(words) = direct::words(&text) {
            prop_assert!(!words.is_empty());
            prop_assert_eq!(words, text.split_whitespace().collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_timeout_ends_a_child_that_ignores_term() {
    for use_cgroup in means() {
        let runner = runner(1, SHORT, use_cgroup);
        let mut job = job("trap '' TERM; sleep 98761 & while :; do sleep 98761; done");
        job.timeout = Some(SHORT);
        let (ended, _, usage) = ticking(&runner, || run_in(&runner, 0, &job)).expect("it starts");
        assert_eq!(ended, Ended::TimedOut);
        assert!(usage.duration_ms >= 100 && usage.attempts == 1, "{usage:?}");
        assert_eq!(marked("98761"), BTreeSet::new());
        runner.finish();
    }
}

#[test]
fn a_timeout_asks_first() {
    let runner = runner(1, LONG, false);
    let mut job = job("trap 'echo asked; exit 0' TERM; sleep 98762 & wait");
    job.timeout = Some(SHORT);
    let (ended, output, _) = ticking(&runner, || run_in(&runner, 0, &job)).expect("it starts");
    assert_eq!((ended, output.as_str()), (Ended::TimedOut, "asked\n"));
    runner.finish();
}

#[test]
fn a_stopped_command_is_ended_too() {
    let runner = runner(1, LONG, false);
    let mut job = job("kill -STOP $$");
    job.timeout = Some(SHORT);
    let ended = ticking(&runner, || run_in(&runner, 0, &job)).expect("it starts").0;
    assert_eq!(ended, Ended::TimedOut);
    runner.finish();
}

#[test]
fn what_left_the_group_ends_with_the_task() {
    for use_cgroup in means() {
        for (timeout, rest) in [(None, ""), (Some(SHORT), "; sleep 98763")] {
            let runner = runner(1, SHORT, use_cgroup);
            let text =
                format!("setsid sh -c 'setsid sleep 98763 & sleep 98763' & (sleep 98763 &){rest}");
            let mut job = job(&text);
            job.timeout = timeout;
            let (ended, ..) = ticking(&runner, || run_in(&runner, 0, &job)).expect("it starts");
            let expected = if timeout.is_none() { Ended::Exit(0) } else { Ended::TimedOut };
            assert_eq!(ended, expected);
            assert_eq!(marked("98763"), BTreeSet::new(), "cgroup: {use_cgroup}");
            runner.finish();
        }
    }
}

#[test]
fn what_left_the_group_and_hides_its_environment_ends_with_the_task() {
    for use_cgroup in means() {
        let runner = runner(1, SHORT, use_cgroup);
        let text = "setsid env -i sleep 98764 & echo done";
        let (ended, output, _) = run_in(&runner, 0, &job(text)).expect("it starts");
        assert_eq!((ended, output.as_str()), (Ended::Exit(0), "done\n"));
        assert_eq!(marked("98764"), BTreeSet::new(), "cgroup: {use_cgroup}");
        runner.finish();
    }
}

#[test]
fn a_leftover_that_is_about_to_end_may_finish_its_words() {
    for use_cgroup in means() {
        let runner = runner(1, LONG, use_cgroup);
        let text = "(sleep 0.02; echo last words) & echo first";
        let (_, output, _) = run_in(&runner, 0, &job(text)).expect("it starts");
        assert_eq!(output, "first\nlast words\n");
        runner.finish();
    }
}

#[test]
fn after_strays_were_ended_in_a_slot_the_next_command_there_lives() {
    for use_cgroup in means() {
        let runner = runner(1, SHORT, use_cgroup);
        for _ in 0..3 {
            let stray = run_in(&runner, 0, &job("setsid sleep 98768 & echo one"));
            assert_eq!(stray.expect("it starts").0, Ended::Exit(0));
            let next = run_in(&runner, 0, &job("sh -c 'echo two'")).expect("it starts");
            assert_eq!((next.0, next.1.as_str()), (Ended::Exit(0), "two\n"));
        }
        runner.finish();
        assert_eq!(marked("98768"), BTreeSet::new());
    }
}

#[test]
fn strays_of_one_task_end_while_those_of_another_go_on() {
    for use_cgroup in means() {
        let runner = runner(2, SHORT, use_cgroup);
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = job("setsid sleep 98765 & until test -e go; do sleep 0.01; done");
        first.cwd = folder.path().to_path_buf();
        thread::scope(|scope| {
            let slow = scope.spawn(|| run_in(&runner, 0, &first).expect("it starts").0);
            eventually("the stray", || !marked("98765").is_empty());
            let text = "setsid sleep 98766 & echo";
            assert_eq!(run_in(&runner, 1, &job(text)).expect("it starts").0, Ended::Exit(0));
            assert_eq!(marked("98766"), BTreeSet::new());
            assert!(!marked("98765").is_empty());
            write(&folder.path().join("go"), "", 0o644);
            assert_eq!(slow.join().expect("no panic"), Ended::Exit(0));
        });
        assert_eq!(marked("98765"), BTreeSet::new());
        runner.finish();
    }
}

#[test]
fn what_a_running_task_left_to_itself_outlives_a_command_beside_the_run() {
    let runner = runner(1, SHORT, false);
    let folder = tempfile::tempdir().expect("a folder");
    // Without an environment, and ours as soon as its parent has ended.
    let mut slow =
        job("(setsid env -i sleep 98769 &) ; until test -e go; do sleep 0.01; done; echo done");
    slow.cwd = folder.path().to_path_buf();
    let own = i32::try_from(std::process::id()).expect("ids are small");
    let orphan = || {
        proc::all().into_iter().any(|found| {
            let line = std::fs::read(format!("/proc/{}/cmdline", found.pid)).unwrap_or_default();
            found.parent == own && !found.zombie && line == b"sleep\x0098769\0"
        })
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| run_in(&runner, 0, &slow).expect("it starts"));
        eventually("the orphan", orphan);
        let beside = Feed { text: "true", env: env(), input: b"", timeout: LONG };
        let fed = feed(&beside, &|| false).expect("it starts");
        assert_eq!(fed.ended, Ended::Exit(0));
        let lives = orphan();
        write(&folder.path().join("go"), "", 0o644);
        assert_eq!(running.join().expect("no panic").1, "done\n");
        assert!(lives, "it is the other task's, and that goes on");
    });
    assert_eq!(marked("98769"), BTreeSet::new());
    runner.finish();
}

#[test]
fn cancelling_asks_and_cancelling_again_kills() {
    for (level, expected) in [(CancelLevel::Graceful, "asked\n"), (CancelLevel::Now, "")] {
        let runner = runner(2, LONG, false);
        let folder = tempfile::tempdir().expect("a folder");
        let mut job = job("trap 'echo asked; exit 1' TERM; echo >up; sleep 98767 & wait");
        job.cwd = folder.path().to_path_buf();
        let (ended, output, _) = thread::scope(|scope| {
            let running = scope.spawn(|| run_in(&runner, 0, &job).expect("it starts"));
            eventually("the command", || folder.path().join("up").exists());
            runner.cancel(level);
            running.join().expect("no panic")
        });
        assert_eq!((ended, output.as_str()), (Ended::Cancelled, expected));
        assert_eq!(marked("98767"), BTreeSet::new());
        // What would start later does not.
        let (ended, output, _) =
            run_in(&runner, 1, &super::tests::job("echo late")).expect("no error");
        assert_eq!((ended, output.as_str()), (Ended::Cancelled, ""));
        runner.finish();
    }
}

#[test]
fn hundreds_at_once_leave_no_zombie_and_no_descriptor() {
    for use_cgroup in means() {
        let runner = runner(100, LONG, use_cgroup);
        thread::scope(|scope| {
            for slot in 0..100 {
                let runner = &runner;
                scope.spawn(move || {
                    for round in 0..3 {
                        let text = format!("sh -c 'exit {round}' & echo {slot}");
                        let (ended, output, _) =
                            run_in(runner, slot, &job(&text)).expect("it starts");
                        assert_eq!((ended, output), (Ended::Exit(0), format!("{slot}\n")));
                    }
                });
            }
        });
        eventually("reaping", || {
            runner.tick(clock::instant());
            zombies() == 0
        });
        runner.finish();
    }
}

#[test]
fn a_slot_is_sound_after_what_was_left_behind_was_killed() {
    for use_cgroup in means() {
        let runner = runner(1, LONG, use_cgroup);
        for round in 0..3 {
            let (ended, output, _) =
                run_in(&runner, 0, &job("sleep 98741 & echo left")).expect("it starts");
            assert_eq!((ended, output.as_str()), (Ended::Exit(0), "left\n"), "round {round}");
            assert_eq!(marked("98741"), BTreeSet::new());
        }
        runner.finish();
    }
}

#[test]
fn usage_is_what_the_command_used() {
    let runner = runner(1, LONG, false);
    let text = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let (_, _, usage) = run_in(&runner, 0, &job(text)).expect("it starts");
    assert!(usage.user_ms >= 5 && usage.duration_ms >= usage.user_ms / 2, "{usage:?}");
    assert!(usage.peak_rss_bytes > 100 * 1024, "{usage:?}");
    runner.finish();
}

#[test]
fn the_containment_names_the_means() {
    let tags = runner(1, LONG, false);
    assert_eq!(
        tags.containment(),
        "process groups, parent-death signals, a subreaper and an inherited mark"
    );
    let groups = runner(1, LONG, true);
    assert!(groups.containment().starts_with("a control group"));
}

#[test]
fn a_command_that_failed_for_want_of_memory_is_told_from_others() {
    let killed = Ended::Signal { signal: 9, core_dumped: false };
    assert_eq!(killed.for_want_of(Some(5)), Ended::OutOfMemory(5));
    assert_eq!(Ended::Exit(137).for_want_of(Some(5)), Ended::OutOfMemory(5));
    for ended in [Ended::Exit(0), Ended::TimedOut, Ended::Cancelled] {
        assert_eq!(ended.for_want_of(Some(5)), ended);
    }
    assert_eq!(killed.for_want_of(None), killed);
}
