//! The helpers checked against `/bin/sh`: a helper that cannot fail would prove nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::background::holds_within;
use super::tree::differences;
use super::{Entry, Project, Run, Summary, Tree, assert_same_tree, wait_until};

fn shell() -> Project {
    Project::of_program("/bin/sh")
}

fn script(text: &str) -> Run {
    shell().run(["-c", text])
}

/// The message of the failed check.
fn failure(check: impl FnOnce()) -> String {
    let caught = catch_unwind(AssertUnwindSafe(check)).expect_err("the check must fail");
    caught.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn checks_of_a_run_hold_and_fail() {
    let run = script("echo out; echo err >&2; exit 3");
    run.code(3).stdout("out\n").stderr("err\n").stdout_has("ou").stderr_has("er");
    run.stdout_lacks("err").stderr_lacks("out").says("out").says("err").within(Duration::MAX);
    assert!(
        failure(|| {
            run.success();
        })
        .contains("ended with code 3")
    );
    assert!(
        failure(|| {
            run.stdout("out");
        })
        .contains("stdout is not")
    );
    assert!(
        failure(|| {
            run.stderr("out");
        })
        .contains("stderr is not")
    );
    assert!(
        failure(|| {
            run.stdout_has("x");
        })
        .contains("stdout lacks `x`")
    );
    assert!(
        failure(|| {
            run.stderr_has("x");
        })
        .contains("stderr lacks `x`")
    );
    assert!(
        failure(|| {
            run.stdout_lacks("out");
        })
        .contains("stdout has `out`")
    );
    assert!(
        failure(|| {
            run.stderr_lacks("err");
        })
        .contains("stderr has `err`")
    );
    assert!(
        failure(|| {
            run.says("x");
        })
        .contains("nowhere `x`")
    );
    assert!(
        failure(|| {
            run.within(Duration::ZERO);
        })
        .contains("took")
    );
}

#[test]
fn events_are_parsed_and_counted() {
    let project = shell();
    // `sh -o json` is no shell, so the flag goes behind a script that prints what it was given.
    let run = project.file("run", "echo '{\"type\":\"task_finished\",\"task\":\"b\",\"outcome\":{\"status\":\"executed\"}}'
echo '{\"type\":\"task_finished\",\"task\":\"a\",\"outcome\":{\"status\":\"executed\"}}'
echo '{\"type\":\"task_finished\",\"task\":\"c\",\"outcome\":{\"status\":\"failed\"}}'
echo '{\"type\":\"run_finished\",\"summary\":{\"total\":3,\"executed\":2,\"cached\":0,\"up_to_date\":0,\"failed\":1,\"skipped\":0,\"cancelled\":0,\"more\":1}}'
").run(["run"]);
    assert_eq!(run.executed(), ["a", "b"]);
    assert_eq!(run.tasks_with("failed"), ["c"]);
    assert_eq!(run.events().len(), 4);
    let expected = Summary { total: 3, executed: 2, failed: 1, ..Summary::default() };
    assert_eq!(run.summary(), expected);
    assert!(
        failure(|| {
            run.executed_nothing();
        })
        .contains("executed: 2")
    );
    assert!(
        failure(|| {
            script("echo no json").events();
        })
        .contains("no stream of events")
    );
    let cut = script("echo '{\"type\":\"task_queued\"}'");
    assert!(
        failure(|| {
            cut.summary();
        })
        .contains("the last event is")
    );
}

#[test]
fn a_run_sees_a_clean_environment() {
    let mut project = shell();
    project.env("EXTRA", "1").env("EXTRA", "2");
    let names = project.run(["-c", "env | cut -d= -f1 | sort"]).success().out();
    let known =
        ["EXTRA", "HOME", "LANG", "PATH", "PWD", "REPROVM_SYSTEM_CONFIG", "SHLVL", "OLDPWD", "_"];
    assert!(names.lines().all(|name| known.contains(&name)), "{names}");
    project.run(["-c", "echo $EXTRA"]).stdout("2\n");
    let home = project.run(["-c", "echo $HOME"]).out();
    assert!(home.trim_end().ends_with("/home") && project.outside().join("home").is_dir());
    assert_eq!(project.run(["-c", "pwd -P"]).out().trim_end(), project.root().to_string_lossy());
}

#[test]
fn the_watchdog_ends_what_hangs() {
    let project = shell();
    let hanging = project.spawn(["-c", "echo begun; while :; do :; done"]);
    let pid = nix::unistd::Pid::from_raw(hanging.pid());
    wait_until("the first word", || hanging.stdout_so_far() == b"begun\n");
    let message = failure(|| {
        hanging.wait_within(Duration::from_millis(1));
    });
    assert!(message.contains("still ran after") && message.contains("begun"), "{message}");
    wait_until("its end", || nix::sys::signal::kill(pid, None).is_err());
    assert!(!holds_within(Duration::ZERO, || false));
}

#[test]
fn signals_reach_the_program_and_its_group() {
    let project = shell();
    let mut alone = project.spawn(["-c", "echo up >&2; while :; do :; done"]);
    wait_until("its start", || alone.stderr_so_far() == b"up\n");
    assert!(!alone.is_over());
    alone.signal(Signal::SIGKILL);
    alone.wait().signal(9);
    let mut group = project.spawn(["-c", "trap 'exit 7' TERM; echo up; while :; do :; done"]);
    wait_until("its start", || group.stdout_so_far() == b"up\n");
    group.signal_group(Signal::SIGTERM);
    group.wait().code(7);
}

#[test]
fn processes_in_the_project_are_seen_wherever_they_went() {
    let project = shell();
    let other = shell();
    assert!(project.processes().is_empty());
    let mut run = project.spawn(["-c", "setsid env -i /bin/sleep 1000 & echo up >&2; wait"]);
    wait_until("both", || project.processes().len() == 2 && run.stderr_len() == 3);
    assert!(project.processes().contains(&run.pid()) && other.processes().is_empty());
    assert_eq!((run.stderr_len(), run.stderr_so_far().as_slice()), (3, b"up\n".as_slice()));
    run.signal(Signal::SIGKILL);
    run.wait().signal(9);
    wait_until("the first to end", || project.processes().len() == 1);
    for pid in project.processes() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    }
    wait_until("the end of both", || project.processes().is_empty());
}

#[test]
fn events_are_waited_for_and_scripts_start_the_program() {
    let project = shell();
    let line = "echo '{\"type\":\"task_queued\",\"task\":\"a\"}'; read x < go";
    let mut run = project.by_shell("export A=1; exec \"$@\"", ["-c", &format!("{line}; exit $A")]);
    run.wait_for_event("task_queued", "\"a\"");
    project.file("go", "x\n");
    assert!(matches!(run.wait().code, Some(1 | 2)));
}

#[test]
fn a_picture_shows_every_difference() {
    let project = Project::new();
    project.file("a/b", "x").dir("empty").symlink("nowhere", "link").file(".reprovm/x", "y");
    project.chmod("a/b", 0o640);
    let before = project.tree();
    assert_eq!(project.mode("a/b"), 0o640);
    assert_eq!(before.len(), 4, "{before:?}");
    assert_eq!(before.get(Path::new("link")), Some(&Entry::Link { target: "nowhere".into() }));
    project.touch("a/b");
    assert_same_tree(&project.tree(), &before);
    let seen = |change: &dyn Fn()| {
        let before = project.tree();
        change();
        differences(&project.tree(), &before)
    };
    assert_eq!(
        seen(&|| {
            project.chmod("a/b", 0o600);
        })
        .len(),
        1
    );
    assert_eq!(
        seen(&|| {
            project.file("a/b", "y");
        })
        .len(),
        1
    );
    assert_eq!(
        seen(&|| {
            project.remove("empty");
        })
        .len(),
        1
    );
    assert_eq!(
        seen(&|| {
            project.remove("link").symlink("else", "link");
        })
        .len(),
        1
    );
    let message = failure(|| assert_same_tree(&project.tree(), &Tree::new()));
    assert!(message.contains("link: is a link to else, should be nothing"), "{message}");
    assert!(project.exists("link") && !project.exists("empty"));
    assert_eq!(project.read("a/b"), "y");
}

#[test]
fn touching_changes_the_time_and_nothing_else() {
    let project = Project::new();
    project.manifest("task a {\n}\n");
    let time = || project.path("manifest.txt").metadata().and_then(|data| data.modified());
    let before = time().expect("a time");
    project.touch("manifest.txt");
    assert!(time().expect("a time") > before);
    assert_eq!(project.bytes("manifest.txt"), b"task a {\n}\n");
}
