//! Slots are shared: with `make` in tasks, with runs in tasks, and with a `make` around the run.

use crate::support::{Project, Run};

/// Counts how many of it are at work, and writes each count that it has seen.
const WORK: &str = r#"#!/bin/sh
count() { flock 9; n=$(($(cat running 2>/dev/null || echo 0) $1)); echo $n > running; }
cd "$(dirname "$0")" || exit 1
( count +1; echo $n >> seen ) 9>> lock
sleep 0.1
( count -1 ) 9>> lock
"#;

/// Three pieces of work that succeed only if they are at work at the same time.
const MEET: &str = "all: x y z\nx y z:\n\t@touch met.$@; i=0; \
    until [ -e met.x ] && [ -e met.y ] && [ -e met.z ]; do sleep 0.02; i=$$((i+1)); \
    [ $$i -lt 500 ] || exit 1; done\n";

fn project() -> Project {
    let project = Project::new();
    project.file("work", WORK).chmod("work", 0o755);
    project
}

/// A makefile in this folder with so many pieces of work.
fn makefile(project: &Project, folder: &str, pieces: usize) {
    let names: Vec<String> = (0..pieces).map(|piece| format!("p{piece}")).collect();
    let names = names.join(" ");
    project.file(format!("{folder}/Makefile"), format!("all: {names}\n{names}:\n\t@../work\n"));
}

/// How much work was done, and how much of it at a time at most.
fn seen(project: &Project) -> (usize, u32) {
    let seen = project.read("seen");
    project.remove("seen");
    assert_eq!(project.read("running"), "0\n", "all of it has ended");
    let counts = seen.lines().map(|line| line.parse().expect("a number"));
    (seen.lines().count(), counts.max().unwrap_or(0))
}

fn left_in_stage(project: &Project) -> usize {
    std::fs::read_dir(project.path(".reprovm/stage")).expect("a folder").count()
}

#[test]
fn makes_in_tasks_share_the_slots_of_the_run() {
    let project = project();
    makefile(&project, "a", 6);
    makefile(&project, "b", 6);
    project.manifest("task a {\n  cmd = make -s -C a\n}\ntask b {\n  cmd = make -s -C b\n}\n");
    project.json(["-j", "2", "manifest.txt", "a"]).success();
    assert_eq!(seen(&project), (6, 2), "a make alone has all slots");
    project.json(["-f", "-j", "2", "manifest.txt"]).success();
    assert_eq!(seen(&project), (12, 2), "two share them");
    project.json(["-f", "-j", "1", "manifest.txt"]).success();
    assert_eq!(seen(&project), (12, 1));
    let off = ["-f", "-j", "2", "--set", "execution.jobserver=off", "manifest.txt", "a"];
    project.json(off).success();
    assert_eq!(seen(&project), (6, 1), "without -j and without a jobserver make does one thing");
}

#[test]
fn runs_in_tasks_share_the_slots_by_a_pipe_and_by_a_fifo() {
    let project = project();
    let inner: String =
        (0..5).map(|task| format!("task t{task} {{\n  cmd = ../work\n}}\n")).collect();
    project.file("a/manifest.txt", &inner).file("b/manifest.txt", &inner);
    let program = env!("CARGO_BIN_EXE_reprovm");
    let task = |name: &str| {
        format!("task {name} {{\n  cmd = {program} -f -C {name} -o json manifest.txt\n}}\n")
    };
    project.manifest(&(task("a") + &task("b")));
    for kind in ["pipe", "fifo"] {
        let set = format!("execution.jobserver={kind}");
        let run = project.json(["-f", "-j", "2", "--set", &set, "manifest.txt"]);
        assert_eq!(run.success().summary().executed, 2);
        assert_eq!(seen(&project), (10, 2), "{kind}");
        assert_eq!(left_in_stage(&project), 0, "{kind}");
        run.stdout_lacks("jobserver_unused");
    }
    let off = ["-f", "-j", "2", "--set", "execution.jobserver=off", "manifest.txt"];
    project.json(off).success();
    assert!(seen(&project).0 == 10);
}

/// `make` with these flags and these targets of the makefile, in the project.
#[track_caller]
fn make(project: &Project, args: &str) -> Run {
    project.by_shell(&format!("REPROVM=\"$1\" exec make -s {args}"), [""; 0]).wait()
}

#[test]
fn a_run_in_a_make_takes_its_slots_from_it() {
    let project = project();
    let tasks: String =
        (0..5).map(|task| format!("task t{task} {{\n  cmd = ./work\n}}\n")).collect();
    project.manifest(&tasks).file(
        "Makefile",
        "all: run p0 p1 p2 p3 p4\np0 p1 p2 p3 p4:\n\t@./work\n\
         run:\n\t+$(REPROVM) -f -o json manifest.txt\n\
         own:\n\t+$(REPROVM) -f -j 2 manifest.txt\n\
         plain:\n\t$(REPROVM) -f manifest.txt\n\
         off:\n\t+$(REPROVM) -f --set jobserver=off manifest.txt\n\
         flags:\n\t+$(REPROVM) -f --set jobserver=off flags.txt\n",
    );
    let run = make(&project, "-j2 all");
    assert_eq!(run.success().events_of("run_started")[0]["jobs"], 2);
    assert!(run.events_of("jobserver_unused").is_empty());
    assert_eq!(seen(&project), (10, 2), "together");
    let own = make(&project, "-j2 own");
    own.success().stderr_has("make offers its own, but `parallel_jobs` (`--jobs`) is set");
    let plain = make(&project, "-j2 plain");
    plain.success().stderr_has("put `+` before the command in the makefile");
    make(&project, "-j2 off").success().stderr_lacks("jobserver");
    let seen = "task a {\n  cmd = echo \"<$MAKEFLAGS>\"\n  inherit_env = true\n}\n";
    project.file("flags.txt", seen);
    make(&project, "-j2 flags").success().stderr_has("<>\n");
    make(&project, "run").success().stdout_lacks("jobserver_unused");
}

#[test]
fn slots_that_a_killed_make_had_are_put_back() {
    let project = project();
    let kill = "all: x y z\nx y:\n\t@touch up.$@; sleep 60; true\n\
                z:\n\t@until [ -e up.x ] && [ -e up.y ]; do sleep 0.01; done; kill -9 $$PPID\n";
    project.file("kill.mk", kill).file("meet.mk", MEET).manifest(
        "task a {\n  cmd = if mkdir second; then make -f kill.mk; else make -f meet.mk; fi\n  \
         retries = 1\n}\n",
    );
    let run = project.json(["-j", "3", "--set", "retry_delay_ms=1", "manifest.txt"]);
    assert_eq!(run.success().executed(), ["a"]);
    assert_eq!(run.events_of("task_retrying").len(), 1, "{}", run.transcript());
    assert!(project.exists("up.x") && project.exists("met.z"));
}

#[test]
fn the_jobserver_is_in_no_key_and_a_task_may_have_makeflags_of_its_own() {
    let project = Project::new();
    project.manifest(
        "task given {\n  cmd = echo \"$MAKEFLAGS\" > given\n  outputs = given\n}\n\
         task own {\n  cmd = echo \"$MAKEFLAGS\" > own\n  env = MAKEFLAGS=k\n  outputs = own\n}\n\
         task all {\n  cmd = echo \"$MAKEFLAGS\" > all\n  inherit_env = on\n  outputs = all\n}\n",
    );
    project.run(["-j", "2", "manifest.txt"]).success();
    let given = project.read("given");
    assert!(given.starts_with("-j2 --jobserver-fds="), "{given}");
    assert_eq!((project.read("own"), project.read("all")), ("k\n".to_owned(), given));
    project.remove("given");
    project.json(["--set", "jobserver=off", "-j", "5", "manifest.txt"]).executed_nothing();
}

#[test]
fn a_fifo_that_has_no_place_is_told_and_the_run_goes_on() {
    let mut project = Project::new();
    let root = project.outside().join("a b");
    std::fs::create_dir(&root).expect("a folder");
    project.stand_in(&root);
    project.manifest("task a {\n  cmd = echo \"none$MAKEFLAGS\" > a\n  outputs = a\n}\n");
    let run = project.run(["--set", "jobserver=fifo", "manifest.txt"]);
    run.success().stderr_has("warning: no jobserver: ").stderr_has("cannot stand in MAKEFLAGS");
    assert_eq!(project.read("a"), "none\n");
    assert_eq!(left_in_stage(&project), 0);
}
