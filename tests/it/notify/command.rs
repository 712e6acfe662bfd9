//! A command of the user's that reads each message.

use std::time::Duration;

use serde_json::Value;

use super::{GOOD, MIXED, project};
use crate::support::{Project, wait_until};

fn with_command(manifest: &str, command: &str) -> Project {
    let mut project = project(manifest);
    project.env("REPROVM_NOTIFICATIONS_ENABLED", "1");
    project.env("REPROVM_NOTIFICATIONS_COMMAND", command);
    project
}

#[test]
fn a_command_reads_each_event_and_sees_no_secret() {
    let line = "cat >> told; echo \"$REPROVM_EVENT $MINE\" >> names; env >> seen";
    let mut project = with_command(MIXED, line);
    project.env("MINE", "x").env("REPROVM_NOTIFICATIONS_SMTP_PASSWORD", "hunter2");
    project.env("REPROVM_NOTIFICATIONS_COMMAND_EVENTS", "task_failed run_failed");
    project.run(["manifest.txt"]).code(6).stderr_lacks("warning");
    let told: Vec<Value> = project
        .read("told")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object on each line"))
        .collect();
    let names: Vec<_> = told.iter().map(|one| one["event"].as_str().expect("a name")).collect();
    assert_eq!(names, ["task_failed", "run_failed"]);
    assert_eq!(told[1]["failed_tasks"][0]["task"], "bad");
    assert_eq!(project.read("names"), "task_failed x\nrun_failed x\n");
    assert!(!project.read("seen").contains("hunter2"));
}

#[test]
fn a_command_that_fails_is_named_once_with_what_it_wrote_and_changes_no_exit_code() {
    let project = with_command(GOOD, "echo no \"such\" place >&2; echo x >> runs; exit 4");
    let run = project.run(["--set", "command_events=all", "manifest.txt"]);
    run.success().stderr_has(
        "warning: command: `task_completed` was not delivered: it ended with exit code 4 (\"no \
         such place\"); 1 more are lost; see `notifications.command`\n",
    );
    assert_eq!(run.err().matches("warning").count(), 1);
    assert_eq!(project.read("runs"), "x\nx\n", "what failed is not done twice");
    let loud = with_command(GOOD, "yes | head -c 3000000; kill -9 $$");
    let run = loud.run(["manifest.txt"]);
    run.success().stderr_has("it was killed by SIGKILL (\"y y");
    assert!(run.err().len() < 2000);
}

#[test]
fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    let hangs = "trap '' TERM; touch up; sleep 3000 & setsid sleep 3000 & sleep 3000";
    for (set, said) in [
        ("max_wait_seconds=1", "was not delivered: it was not done "),
        ("delivery_timeout_seconds=1", "it was not done within 1 seconds, and was killed"),
    ] {
        let project = with_command(GOOD, hangs);
        let run = project.run(["--set", set, "manifest.txt"]);
        run.success().within(Duration::from_secs(60)).stderr_has(said);
        assert!(project.exists("up"));
        wait_until("the end of all that it started", || project.processes().is_empty());
    }
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let run = with_command(GOOD, "no-such-program").run(["manifest.txt"]);
    run.success().stderr_has("it ended with exit code 127 (").stderr_has("no-such-program");
    with_command(GOOD, "cat")
        .run(["notify", "test"])
        .success()
        .stdout_has("delivered: exit code 0");
}
