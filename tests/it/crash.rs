//! Crash injection: the program is killed, or a call of it fails, at its Nth file-changing system
//! call, for N evenly spread over a run, or all N with `REPROVM_TEST_LONG=1`. Whatever N is, the
//! store stays whole, and the next run makes what a clean build makes.

use std::cell::RefCell;

use nix::sys::signal::Signal;

use crate::support::supervisor::{Fault, Watched, is_permitted, watched};
use crate::support::{
    Project, Run, Tree, assert_same_tree, assert_store_is_whole, long, records, say, wait_until,
};

/// Name, command, inputs, outputs. Each command fails where a part of it fails.
const TASKS: [(&str, &str, &str, &str); 6] = [
    ("text", "cat a.txt b.txt > out/text && echo joined", "a.txt b.txt", "out/text"),
    ("upper", "tr a-z A-Z < out/text > out/upper", "out/text", "out/upper"),
    (
        "tree",
        "mkdir -p out/tree/sub out/tree/hollow && cp a.txt out/tree/sub/a && \
         ln -s sub/a out/tree/link && : > out/tree/empty && cp b.txt out/tree/$(head -c 3 a.txt)",
        "a.txt b.txt",
        "out/tree",
    ),
    (
        "tool",
        "{ echo '#!/bin/sh' && echo \"cat <<E\" && cat a.txt && echo E; } > out/tool && chmod 755 out/tool",
        "a.txt",
        "out/tool",
    ),
    ("big", "{ cat a.txt && head -c 1500000 /dev/zero; } > out/big", "a.txt", "out/big"),
    (
        "last",
        "{ ./out/tool && cat out/upper out/tree/link && ls out/tree; } > out/last",
        "out/tool out/upper out/tree",
        "out/last",
    ),
];

const ARGS: [&str; 5] = ["-j", "2", "-o", "json", "manifest.txt"];

fn new_project(text: &str) -> Project {
    let project = Project::new();
    let manifest: String = TASKS
        .iter()
        .map(|(name, cmd, inputs, outputs)| {
            format!(
                "task {name} {{\n  cmd = {cmd}\n  inputs = {inputs}\n  outputs = {outputs}\n}}\n\n"
            )
        })
        .collect();
    project.manifest(&manifest).file("a.txt", text).file("b.txt", "bbb\n");
    project
}

/// The tree that the commands make, one after another, without the program.
fn expected(text: &str) -> Tree {
    let project = new_project(text);
    let script: Vec<&str> = TASKS.iter().map(|(_, cmd, ..)| *cmd).collect();
    let mut command = std::process::Command::new("/bin/sh");
    command.arg("-ec").arg(format!("mkdir out\n{}", script.join("\n")));
    let output = command.current_dir(project.root()).env("LANG", "C").output();
    assert!(output.expect("a shell").status.success());
    project.tree()
}

/// What the run is about that is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Nothing is there.
    Cold,
    /// The same, and what is stored is compressed.
    Compressed,
    /// All was built with this text and with another; now it is this one's turn again.
    Restore,
    /// Built with another text.
    Rebuild,
}

/// What to do to the run, and what the next run finds.
#[derive(Debug, Clone, Copy)]
struct Plan {
    work: Work,
    fault: fn(u64) -> Fault,
    /// Whether the text changes once more before the next run.
    edited: bool,
    /// How many points unless all are tried.
    sample: u64,
}

/// The project in the state in which the struck run finds it, and the text that it holds.
struct Scene {
    project: Project,
    text: String,
    round: u64,
}

impl Scene {
    fn new(work: Work) -> Self {
        let project = new_project("two\n");
        if ![Work::Cold, Work::Compressed].contains(&work) {
            project.run(ARGS).success();
            project.file("a.txt", "one\n").run(ARGS).success();
        }
        Self { project, text: "one\n".to_owned(), round: 0 }
    }

    /// What there was before is good, so that the next round can begin from it.
    fn next(&mut self, work: Work) {
        self.round += 1;
        match work {
            Work::Cold => self.project = new_project(&self.text),
            Work::Compressed => {
                self.project = new_project(&self.text);
                self.project.env("REPROVM_COMPRESSION", "zstd");
            }
            Work::Restore => {
                self.text = if self.text == "one\n" { "two\n" } else { "one\n" }.to_owned();
                self.project.file("a.txt", &self.text).remove("out/upper");
            }
            Work::Rebuild => {
                self.text = format!("r{:02}\n", self.round);
                self.project.file("a.txt", &self.text);
            }
        }
    }
}

/// Strikes at each point, and after each checks that all is right. Returns how often it struck.
fn strike(plan: Plan) -> u64 {
    if !is_permitted() {
        return kill_at_random_moments(plan);
    }
    let mut scene = Scene::new(plan.work);
    scene.next(plan.work);
    let total = watched(&scene.project, &ARGS, Fault::Never).calls;
    assert!(total > 20, "only {total} calls in a run");
    let all = long() > 0;
    let mut count = 0;
    for at in points(total, if all { u64::MAX } else { plan.sample }) {
        scene.next(plan.work);
        let struck = watched(&scene.project, &ARGS, (plan.fault)(at));
        if struck.struck.is_none() {
            // Two runs do not make quite the same number of calls.
            assert!(at * 3 > total, "{plan:?} ended before call {at} of {total}");
            struck.run.success();
            break;
        }
        count += 1;
        let name = format!("{:?} at call {at} ({:?}) of {total}", plan.work, struck.struck);
        let checked = RefCell::new(&mut scene);
        let check =
            std::panic::AssertUnwindSafe(|| check(plan, *checked.borrow_mut(), &struck, &name));
        if let Err(panic) = std::panic::catch_unwind(check) {
            say(&format!("{name}: the struck run {}", struck.run.transcript()));
            std::panic::resume_unwind(panic);
        }
    }
    say(&format!("{:?}: struck at {count} points of about {total}", plan.work));
    count
}

/// So many points, evenly spread; or one after another for as long as the runs have calls.
fn points(total: u64, sample: u64) -> Box<dyn Iterator<Item = u64>> {
    if sample == u64::MAX {
        return Box::new(1..);
    }
    let step = total as f64 / sample as f64;
    Box::new((0..sample).map(move |i| (step * (i as f64 + 0.5)) as u64 + 1))
}

fn check(plan: Plan, scene: &mut Scene, struck: &Watched, name: &str) {
    let project = &scene.project;
    assert_store_is_whole(project, name);
    match (plan.fault)(1) {
        Fault::KillAt(_) => {
            // The run may have been at its very end.
            assert!(struck.run.signal == Some(9) || struck.run.code == Some(0), "{name}");
        }
        _ => check_failed(&struck.run, project, &scene.text, name),
    }
    if plan.edited {
        scene.text = format!("e{:02}\n", scene.round);
        project.file("a.txt", &scene.text);
    }
    let known = records(project);
    let next = project.run(ARGS);
    next.success();
    for miss in next.events_of("cache_miss") {
        let key = miss["key"].as_str().expect("a key");
        assert!(!known.contains(key), "{name}: {miss} is in the cache\n{}", next.transcript());
    }
    assert_same_tree(&project.tree(), &expected(&scene.text));
    project.run(ARGS).executed_nothing();
    assert_store_is_whole(project, name);
}

/// A run in which a call failed: all is right, or it says what is wrong.
fn check_failed(run: &Run, project: &Project, text: &str, name: &str) {
    if run.code == Some(0) {
        assert_same_tree(&project.tree(), &expected(text));
        return;
    }
    assert!(run.signal.is_none() && run.code != Some(101), "{name}\n{}", run.transcript());
    let said = format!("{}{}", run.out(), run.err());
    let causes = ["No space left on device", "Input/output error", "I/O error"];
    assert!(
        causes.iter().any(|cause| said.contains(cause)),
        "{name}: no cause\n{}",
        run.transcript()
    );
}

/// Where the exact way is not permitted: killed when it has said so much.
fn kill_at_random_moments(plan: Plan) -> u64 {
    say("WARNING: this machine does not permit seccomp user notification. \
         The crash tests kill at random moments instead, which finds much less.");
    if !matches!((plan.fault)(1), Fault::KillAt(_)) {
        return plan.sample;
    }
    let mut scene = Scene::new(plan.work);
    for at in 0..plan.sample {
        scene.next(plan.work);
        let mut run = scene.project.spawn(ARGS);
        wait_until("its words", || run.is_over() || run.stdout_so_far().len() as u64 >= at * 400);
        run.signal(Signal::SIGKILL);
        let struck = Watched { run: run.wait(), calls: at, struck: None };
        check(plan, &mut scene, &struck, "a random moment");
    }
    plan.sample
}

fn kill(work: Work, edited: bool, sample: u64) -> Plan {
    Plan { work, fault: Fault::KillAt, edited, sample }
}

fn fail(work: Work, fault: fn(u64) -> Fault, sample: u64) -> Plan {
    Plan { work, fault, edited: false, sample }
}

fn no_space(at: u64) -> Fault {
    Fault::FailAt(at, libc::ENOSPC)
}

fn io_error(at: u64) -> Fault {
    Fault::FailAt(at, libc::EIO)
}

/// D1.
#[test]
fn killed_at_any_call_of_a_cold_build_the_next_run_is_right() {
    assert!(strike(kill(Work::Cold, false, 8)) >= 7);
}

#[test]
fn killed_at_any_call_of_a_build_that_compresses_the_next_run_is_right() {
    assert!(strike(kill(Work::Compressed, false, 5)) >= 4);
}

#[test]
fn killed_at_any_call_of_a_restore_the_next_run_is_right() {
    assert!(strike(kill(Work::Restore, false, 6)) >= 5);
}

#[test]
fn killed_at_any_call_of_a_rebuild_the_next_run_is_right() {
    assert!(strike(kill(Work::Rebuild, false, 5)) >= 4);
}

#[test]
fn killed_at_any_call_of_a_restore_the_next_run_with_other_sources_is_right() {
    assert!(strike(kill(Work::Restore, true, 6)) >= 5);
}

#[test]
fn killed_at_any_call_of_a_rebuild_the_next_run_with_other_sources_is_right() {
    assert!(strike(kill(Work::Rebuild, true, 5)) >= 4);
}

/// D2.
#[test]
fn a_full_disk_at_any_call_is_told_and_leaves_nothing_wrong() {
    assert!(strike(fail(Work::Cold, no_space, 6)) >= 5);
    assert!(strike(fail(Work::Restore, no_space, 5)) >= 4);
}

#[test]
fn an_io_error_at_any_call_is_told_and_leaves_nothing_wrong() {
    assert!(strike(fail(Work::Cold, io_error, 6)) >= 5);
    assert!(strike(fail(Work::Restore, io_error, 5)) >= 4);
}

/// The supervisor itself: the count goes over processes, and a struck call has not happened.
#[test]
fn the_supervisor_counts_exactly() {
    if !is_permitted() {
        return;
    }
    let shell = Project::of_program("/bin/sh");
    let script = "mkdir a; (mkdir b); sh -c 'mkdir c'; echo x > d & wait";
    let free = watched(&shell, &["-c", script], Fault::Never);
    assert_eq!((free.calls, free.struck), (5, None), "{}", free.run.transcript());
    for at in 1..=5 {
        let shell = Project::of_program("/bin/sh");
        let killed = watched(&shell, &["-c", script], Fault::KillAt(at));
        assert!(killed.struck.is_some());
        killed.run.signal(9);
        let made = |name: &&str| shell.exists(name);
        let done = ["a", "b", "c", "d"].iter().filter(|name| made(name)).count() as u64;
        assert_eq!(done, (at - 1).min(4), "call {at}");
    }
    let failed = watched(&shell, &["-c", "mkdir z"], Fault::FailAt(1, libc::ENOSPC));
    failed.run.code(1).stderr_has("No space left on device");
}
