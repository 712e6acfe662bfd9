//! What is left when the program itself breaks. A debug build panics for real where
//! `REPROVM_DEBUG_PANIC` tells it to.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Project, Run, wait_until};

const ONE: &str = "task a {\n  cmd = echo x > out\n  outputs = out\n}\n";

/// The reports in a folder.
fn reports(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("crash-"))
        .collect();
    found.sort();
    found
}

/// The one report of a run that crashed, and that stderr and the exit code say so.
#[track_caller]
fn report(project: &Project, run: &Run) -> String {
    run.code(99).stderr_has("fatal: reprovm crashed: ");
    let found = reports(project.path(".reprovm"));
    assert_eq!(found.len(), 1, "{found:?}\n{}", run.transcript());
    run.stderr_has(&format!("report: {}", found[0].display()));
    let name = found[0].strip_prefix(project.root()).expect("it lies in the project");
    assert_eq!(project.mode(name), 0o600);
    project.read(name)
}

#[test]
fn a_panic_of_the_main_thread_leaves_a_report() {
    let mut project = Project::new();
    project.manifest(ONE);
    project.env("REPROVM_DEBUG_PANIC", "main");
    let run = project.run(["-l", "log", "--set", "remote_cas.secret_key=hush", "manifest.txt"]);
    run.stderr_lacks("sets nothing");
    let report = report(&project, &run);
    for part in [
        "\nversion: ",
        "\nsystem: Linux ",
        "\nthread: main\n",
        "\ncommand: reprovm -l log --set remote_cas.secret_key=*** manifest.txt\n",
        "\nmessage: told to panic at main\n",
        "\nplace: src/",
        "\nlast events:\n",
        "\nbacktrace:\n",
        "reprovm::cli::run",
    ] {
        assert!(report.contains(part), "no `{part}`\n{report}");
    }
    assert!(report.contains(&format!("\nfolder: {}\n", project.root().display())), "{report}");
    assert!(!report.contains("hush"), "{report}");
    let log = project.read("log");
    assert!(log.contains(" FATAL cli::crash ") && log.contains("program crashed"), "{log}");
}

#[test]
fn a_panic_of_a_worker_ends_all_tasks_and_the_run() {
    let mut project = Project::new();
    project.manifest(
        "task long {\n  cmd = echo $$ > pid && exec sleep 600\n}\n\
         task first {\n  cmd = until [ -s pid ]; do sleep 0.01; done\n}\n\
         task boom {\n  cmd = true\n  deps = first\n}\n",
    );
    project.env("REPROVM_DEBUG_PANIC", "boom");
    let run = project.run(["-j", "2", "manifest.txt"]);
    let report = report(&project, &run);
    assert!(report.contains("\nthread: task-"), "{report}");
    // The latest events may not have been delivered yet; this one was.
    assert!(report.contains(" 1 run_started\n"), "{report}");
    let pid = project.read("pid").trim().parse().expect("a number");
    wait_until("the task to be gone", || kill(Pid::from_raw(pid), None).is_err());
    // The next run believes nothing that the crash left half done.
    project.env("REPROVM_DEBUG_PANIC", "");
    project.json(["manifest.txt", "boom"]).success();
}

#[test]
fn a_panic_between_two_tasks_ends_all_tasks_and_the_run() {
    let mut project = Project::new();
    project.manifest(
        "task long {\n  cmd = echo $$ > pid && exec sleep 600\n}\n\
         task first {\n  cmd = until [ -s pid ]; do sleep 0.01; done\n}\n\
         task after {\n  cmd = touch after\n  deps = first\n}\n",
    );
    project.env("REPROVM_DEBUG_PANIC", "turn");
    let run = project.run(["-j", "2", "manifest.txt"]);
    assert!(report(&project, &run).contains("\nthread: task-"));
    assert!(!project.exists("after"));
    let pid = project.read("pid").trim().parse().expect("a number");
    wait_until("the task to be gone", || kill(Pid::from_raw(pid), None).is_err());
}

#[test]
fn a_panic_of_the_loop_ends_all_tasks_and_the_run() {
    let mut project = Project::new();
    project.manifest("task long {\n  cmd = echo $$ > pid && exec sleep 600\n}\n");
    project.env("REPROVM_DEBUG_PANIC", "loop");
    let mut run = project.spawn(["manifest.txt"]);
    wait_until("the task to run", || {
        run.is_over() || (project.exists("pid") && project.read("pid").ends_with('\n'))
    });
    run.signal(Signal::SIGTERM);
    let run = run.wait();
    assert!(report(&project, &run).contains("\nthread: main\n"));
    let pid = project.read("pid").trim().parse().expect("a number");
    wait_until("the task to be gone", || kill(Pid::from_raw(pid), None).is_err());
}

#[test]
fn a_panic_of_a_listener_is_not_passed_over() {
    let mut project = Project::new();
    project.manifest(ONE);
    project.env("REPROVM_DEBUG_PANIC", "listener");
    let run = project.run(["manifest.txt"]);
    assert!(report(&project, &run).contains("\nthread: events\n"));
    assert_eq!(project.read("out"), "x\n");
}

#[test]
fn where_the_project_cannot_be_written_the_report_lies_elsewhere() {
    let mut project = Project::new();
    project.manifest(ONE).file(".reprovm", "in the way").dir("tmp");
    let tmp = project.path("tmp");
    project.env("REPROVM_DEBUG_PANIC", "main").env("TMPDIR", &tmp);
    let run = project.run(["manifest.txt"]);
    let found = reports(tmp);
    assert_eq!(found.len(), 1, "{}", run.transcript());
    run.code(99).stderr_has(&format!("report: {}", found[0].display()));
    project.env("TMPDIR", project.path("nowhere/at/all"));
    project.file("nowhere", "in the way");
    let run = project.run(["manifest.txt"]);
    run.code(99).stderr_has("cannot write a report").stderr_has("\nbacktrace:\n");
}
