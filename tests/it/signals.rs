//! A run that is asked to end by a signal: what still happens, what is kept, how it exits, and
//! that the next run is right.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Background, Project, Run, wait_until};

/// Two tasks that write half of their output, then wait for `go`; TERM makes them leave a word.
/// `first` is done before, `later` waits for a free job, `last` for `left`.
const MANIFEST: &str = "\
task first {
  cmd = echo first > out/first
  outputs = out/first
}

task left {
  deps = first
  outputs = out/left
  cmd = ```
    trap 'echo asked > asked-left; exit 1' TERM
    echo half > out/left
    (sleep 1000 &)
    setsid sleep 1000 &
    touch up-left
    until test -e go; do sleep 0.02; done
    echo whole >> out/left
  ```
}

task right {
  deps = first
  outputs = out/right
  cmd = ```
    trap 'echo asked > asked-right; exit 0' TERM
    echo half > out/right
    touch up-right
    until test -e go; do sleep 0.02; done
    echo whole >> out/right
  ```
}

task last {
  cmd = cat out/left > out/last
  inputs = out/left
  outputs = out/last
}

task later {
  deps = first
  cmd = echo later > out/later
  outputs = out/later
}
";

/// A run in which both tasks have written their half.
fn at_work() -> (Project, Background) {
    let project = Project::new();
    project.manifest(MANIFEST);
    let mut run = project.spawn_json(["-j", "2", "-m", "figures.json", "manifest.txt"]);
    wait_until("both tasks", || {
        run.is_over() || (project.exists("up-left") && project.exists("up-right"))
    });
    (project, run)
}

/// What the run owes its user when the signal came; `by` sends it.
fn interrupted(signal: Signal, by: impl Fn(&mut Background)) {
    let (project, mut run) = at_work();
    by(&mut run);
    let run = run.wait();
    run.code(128 + signal as i32);
    assert_eq!(project.processes().len(), 0, "{:?}", project.processes());
    assert!(project.exists("asked-left") && project.exists("asked-right"));
    assert_eq!(run.events_of("cancel_requested")[0]["signal"], signal as i32);
    assert_eq!(run.tasks_with("cancelled"), ["left", "right"]);
    let started = run.events_of("task_started");
    assert!(started.iter().all(|event| event["task"] != "later"), "{}", run.transcript());
    let mut skipped = run.events_of("task_skipped");
    skipped.sort_by_key(|event| event["task"].to_string());
    assert_eq!(skipped.len(), 2, "{}", run.transcript());
    for (event, task) in skipped.iter().zip(["last", "later"]) {
        assert_eq!(
            (&event["task"], &event["because"]),
            (&json!(task), &json!({"reason": "cancelled"}))
        );
    }
    let summary = run.summary();
    assert_eq!((summary.executed, summary.cancelled, summary.failed), (1, 4, 0));
    let figures: serde_json::Value =
        serde_json::from_str(&project.read("figures.json")).expect("JSON");
    let tasks = json!({"total": 5, "executed": 1, "cached": 0, "failed": 0});
    assert_eq!(figures["tasks"], tasks);
    next_run_is_right(&project);
}

/// What was done is done; the halves are not taken for anything.
#[track_caller]
fn next_run_is_right(project: &Project) {
    project.file("go", "");
    let next = project.json(["manifest.txt"]);
    assert_eq!(next.success().executed(), ["last", "later", "left", "right"]);
    assert_eq!(next.summary().up_to_date, 1);
    for (path, content) in [
        ("out/first", "first\n"),
        ("out/left", "half\nwhole\n"),
        ("out/right", "half\nwhole\n"),
        ("out/last", "half\nwhole\n"),
        ("out/later", "later\n"),
    ] {
        assert_eq!(project.read(path), content, "{path}");
    }
    project.json(["manifest.txt"]).executed_nothing();
}

// P1, P2, P3.
#[test]
fn an_interrupt_ends_the_run_in_good_order() {
    interrupted(Signal::SIGINT, |run| {
        run.signal(Signal::SIGINT);
    });
}

#[test]
fn an_interrupt_from_the_terminal_ends_the_run_in_good_order() {
    interrupted(Signal::SIGINT, |run| {
        run.signal_group(Signal::SIGINT);
    });
}

#[test]
fn a_request_to_terminate_ends_the_run_in_good_order() {
    interrupted(Signal::SIGTERM, |run| {
        run.signal(Signal::SIGTERM);
    });
}

#[test]
fn a_closed_terminal_ends_the_run_in_good_order() {
    interrupted(Signal::SIGHUP, |run| {
        run.signal(Signal::SIGHUP);
    });
}

#[test]
fn a_hangup_that_is_ignored_from_the_start_does_not_end_the_run() {
    let project = Project::new();
    project.manifest(MANIFEST);
    let script = "trap '' HUP; exec \"$@\"";
    let mut run = project.by_shell(script, ["-o", "json", "-j", "2", "manifest.txt"]);
    wait_until("both tasks", || project.exists("up-left") && project.exists("up-right"));
    run.signal_group(Signal::SIGHUP);
    project.file("go", "");
    let run = run.wait();
    assert_eq!(run.success().executed(), ["first", "last", "later", "left", "right"]);
    assert_eq!(run.events_of("cancel_requested").len(), 0);
}

/// A run whose only task ignores TERM, and its children too.
fn stubborn() -> (Project, Background) {
    let project = Project::new();
    project.manifest(
        "task stubborn {\n  outputs = out\n  cmd = ```\n    trap '' TERM\n    echo half > out\n    \
         (sleep 1000 &)\n    setsid sleep 1000 &\n    touch up\n    \
         until test -e go; do sleep 0.02; done\n    echo whole > out\n  ```\n}\n",
    );
    let run = project.spawn_json(["manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    (project, run)
}

fn assert_only_cancelled(run: &Run) {
    run.code(130);
    assert_eq!(run.tasks_with("cancelled"), ["stubborn"]);
    assert_eq!(run.events_of("cancel_requested").len(), 1);
}

#[test]
fn a_second_signal_kills_at_once_what_a_first_one_lets_live_for_the_grace() {
    let (project, mut twice) = stubborn();
    let (patient, mut once) = stubborn();
    for run in [&mut once, &mut twice] {
        run.signal(Signal::SIGINT);
        run.wait_for_event("cancel_requested", "\"signal\":2");
    }
    twice.signal(Signal::SIGTERM);
    // The one that was signalled first, and once, is still waiting for its grace to end.
    assert_only_cancelled(&twice.wait());
    assert!(!once.is_over(), "one signal was as quick as two");
    assert_eq!(project.processes().len(), 0, "{:?}", project.processes());
    assert_only_cancelled(&once.wait());
    assert_eq!(patient.processes().len(), 0, "{:?}", patient.processes());
    for project in [project, patient] {
        project.file("go", "");
        assert_eq!(project.json(["manifest.txt"]).success().executed(), ["stubborn"]);
        assert_eq!(project.read("out"), "whole\n");
    }
}
