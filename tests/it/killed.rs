//! The program killed with -9 while its tasks have children everywhere: none survives, and the
//! next run is right.

use std::fmt::Write as _;

use nix::sys::signal::Signal;

use crate::support::{Background, Project, wait_until};

/// What a task can start, and how many processes it is in all, the shell included.
const KINDS: [(&str, &str, usize); 4] = [
    ("plain", "sleep 1000 &", 2),
    ("session", "setsid sleep 1000 &", 2),
    ("double", "(sleep 1000 &); (setsid sh -c '(sleep 1000 &); sleep 1000' &)", 4),
    ("nested", "setsid sh -c 'setsid setsid sleep 1000 & sleep 1000' &", 3),
];

/// A task of each kind: it starts its processes, then waits for `go`.
fn tasks() -> String {
    let mut text = String::new();
    for (name, start, _) in KINDS {
        let _ = write!(
            text,
            "task {name} {{\n  outputs = out/{name}\n  cmd = ```\n    \
             if test -e go; then echo whole > out/{name}; exit 0; fi\n    \
             echo half > out/{name}\n    {start}\n    touch up-{name}\n    \
             while :; do sleep 1000; done\n  ```\n}}\n"
        );
    }
    text
}

/// Kills the program when `moment` has come; nothing that it started is left then.
#[track_caller]
fn kill_when(project: &Project, moment: impl Fn(&Background) -> bool) {
    let mut run = project.spawn_json(["-j", "4", "manifest.txt"]);
    wait_until("the moment to kill", || moment(&run) || run.is_over());
    run.signal(Signal::SIGKILL);
    run.wait().signal(9);
    wait_until("the end of all", || project.processes().is_empty());
}

// P4.
#[test]
fn killed_at_any_moment_no_process_survives_and_the_next_run_is_right() {
    let project = Project::new();
    project.manifest(&tasks());
    let up = |project: &Project, count: usize| {
        KINDS.iter().filter(|(name, ..)| project.exists(format!("up-{name}"))).count() >= count
    };
    let clear = |project: &Project| {
        for (name, ..) in KINDS {
            if project.exists(format!("up-{name}")) {
                project.remove(format!("up-{name}"));
            }
        }
    };
    let told =
        |run: &Background, kind: &str| String::from_utf8_lossy(&run.stdout_so_far()).contains(kind);
    kill_when(&project, |run| told(run, "run_started"));
    clear(&project);
    kill_when(&project, |run| told(run, "task_started"));
    clear(&project);
    kill_when(&project, |_| up(&project, 1));
    clear(&project);
    kill_when(&project, |_| project.processes().len() >= 6);
    clear(&project);
    // All that was started lives: each shell sleeps in a child of its own beside.
    let all: usize = KINDS.iter().map(|(.., count)| count + 1).sum();
    kill_when(&project, |_| up(&project, 4) && project.processes().len() > all);
    project.file("go", "");
    let next = project.json(["manifest.txt"]);
    assert_eq!(next.success().executed(), ["double", "nested", "plain", "session"]);
    for (name, ..) in KINDS {
        assert_eq!(project.read(format!("out/{name}")), "whole\n");
    }
    project.json(["manifest.txt"]).executed_nothing();
}

/// Processes that leave the group and the session, and take nothing of their environment along.
const HIDDEN: &str = "\
task hidden {
  cmd = ```
    setsid env -i sleep 1000 &
    (env -i setsid sh -c '(setsid sleep 1000 < /dev/null > /dev/null 2>&1 &); sleep 1000; :' &)
    touch up
    while :; do sleep 1000; done
  ```
}
";

#[track_caller]
fn hidden_processes_end(project: &Project, mut run: Background) {
    // The program, the shell with its sleep, and the four that hide.
    wait_until("the hidden processes", || {
        run.is_over() || (project.exists("up") && project.processes().len() == 7)
    });
    run.signal(Signal::SIGKILL);
    run.wait().signal(9);
    wait_until("the end of all", || project.processes().is_empty());
}

#[test]
fn what_hides_its_environment_too_is_ended() {
    let project = Project::new();
    project.manifest(HIDDEN);
    hidden_processes_end(&project, project.spawn(["manifest.txt"]));
}

#[test]
fn what_hides_its_environment_too_is_ended_where_there_are_no_control_groups() {
    let project = Project::new();
    project.manifest(HIDDEN);
    // In a view of the file system of its own, where nothing is mounted at the usual places.
    let user = if nix::unistd::geteuid().is_root() { "" } else { "--map-root-user" };
    let script = format!(
        "exec unshare {user} --mount sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"' sh \"$@\""
    );
    let run = project.by_shell(&script, ["-V", "-n", "manifest.txt"]).wait();
    if run.code != Some(0) {
        eprintln!("NOT TESTED: no view without control groups here: {}", run.err());
        return;
    }
    let run = project.by_shell(&script, ["-V", "manifest.txt"]);
    wait_until("the means", || run.stderr_so_far().windows(8).any(|word| word == b"[~] hidd"));
    let said = String::from_utf8_lossy(&run.stderr_so_far()).into_owned();
    assert!(said.contains("an inherited mark") && !said.contains("a control group"), "{said}");
    hidden_processes_end(&project, run);
}
