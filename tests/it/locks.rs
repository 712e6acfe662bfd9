//! One run at a time in a project: who waits, for whom, how long, and that a dead holder blocks
//! nobody.

use nix::sys::signal::Signal;

use crate::support::{Background, Project, wait_until};

/// A project whose task runs until the file `go` is there.
fn patient() -> Project {
    let project = Project::new();
    project.manifest(
        "task slow {\n  cmd = touch up; until [ -e go ]; do sleep 0.01; done; touch done\n}\n",
    );
    project
}

/// A run that has the lock and a task at work.
fn holding(project: &Project) -> Background {
    let run = project.spawn(["--set", "remote_cas.secret_key=hunter2", "manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    run
}

#[test]
fn a_second_run_says_for_whom_it_waits_and_goes_on() {
    let project = patient();
    let first = holding(&project);
    let second = project.spawn(["manifest.txt"]);
    let holder = format!("waiting for another run in this project (process {} on `", first.pid());
    wait_until("the second run's word", || {
        String::from_utf8_lossy(&second.stderr_so_far()).contains(&holder)
    });
    project.file("go", "");
    first.wait().success();
    let second = second.wait();
    // The command line stands there without its secret.
    second.success().stderr_has(": `reprovm --set remote_cas.secret_key=*** manifest.txt`)");
    assert!(!project.read(".reprovm/lock").contains("hunter2"));
}

#[test]
fn without_waiting_the_second_run_names_the_holder_and_fails_at_once() {
    let project = patient();
    let mut first = holding(&project);
    let pid = first.pid();
    for flags in [["--no-wait", "-q"], ["--wait", "0"], ["--wait", "1"]] {
        let mut args = flags.to_vec();
        args.push("manifest.txt");
        let refused = project.run(args);
        refused
            .code(11)
            .stderr_has(&format!(
                "error: another run is at work in this project (process {pid} on `"
            ))
            .stderr_has("help: wait for it with `--wait SECONDS`");
    }
    assert!(!first.is_over() && !project.exists("done"), "the first run was not disturbed");
    project.file("go", "");
    first.wait().success();
    project.run(["--no-wait", "manifest.txt"]).success();
}

#[test]
fn a_wait_that_is_long_enough_ends_in_a_run() {
    let project = patient();
    let first = holding(&project);
    let second = project.spawn(["--wait", "100", "manifest.txt"]);
    wait_until("the second run's word", || !second.stderr_so_far().is_empty());
    project.file("go", "");
    first.wait().success();
    second.wait().success();
}

#[test]
fn a_dead_holder_blocks_nobody_and_its_file_stays() {
    let project = patient();
    let mut first = holding(&project);
    first.signal(Signal::SIGKILL);
    first.wait().signal(9);
    assert!(project.exists(".reprovm/lock"));
    project.file("go", "");
    project.run(["--no-wait", "manifest.txt"]).success();
    assert!(project.exists(".reprovm/lock"), "the file is never deleted");
}

#[test]
fn a_live_holder_is_not_robbed_whatever_the_file_says() {
    let project = patient();
    let first = holding(&project);
    // Process ids wrap around: this one is dead, or another program's.
    for text in ["", "1\n", "999999999\nlong ago\n", "no number\n\u{1b}[31m"] {
        project.file(".reprovm/lock", text);
        let refused = project.run(["--no-wait", "manifest.txt"]);
        refused.code(11).stderr_has("another run is at work").stderr_lacks("\u{1b}");
    }
    project.file("go", "");
    first.wait().success();
}

#[test]
fn tasks_do_not_inherit_the_lock() {
    let project = Project::new();
    project
        .manifest("task look {\n  cmd = ls -l /proc/self/fd > fds.txt\n  outputs = fds.txt\n}\n");
    project.run(["manifest.txt"]).success();
    assert!(project.read("fds.txt").contains("/dev/null"), "{}", project.read("fds.txt"));
    assert!(!project.read("fds.txt").contains("lock"), "{}", project.read("fds.txt"));
}
