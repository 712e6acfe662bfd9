//! More than one run at a time: in one project, inside a task, and of another project inside a
//! task.

use crate::support::{Project, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_reprovm");

// T4 in part.
#[test]
fn a_second_run_says_for_whom_it_waits_and_then_finds_all_done() {
    let project = Project::new();
    project.manifest(
        "task t {\n  cmd = touch up; until test -e go; do sleep 0.02; done; echo x >> ran; echo x > out\n  \
         outputs = out\n}\n",
    );
    let first = project.spawn_json(["manifest.txt"]);
    wait_until("the first run", || project.exists("up"));
    let mut second = project.spawn_json(["manifest.txt"]);
    let third = project.spawn(["manifest.txt"]);
    let holder = first.pid();
    second.wait_for_event("workspace_busy", &format!("\"pid\":{holder}"));
    let waiting = format!("waiting for another run in this project (process {holder} on `");
    wait_until("the words of the third", || {
        String::from_utf8_lossy(&third.stderr_so_far()).contains(&waiting)
    });
    // Looking needs no turn.
    project.run(["-n", "manifest.txt"]).success();
    project.file("go", "");
    assert_eq!(first.wait().success().executed(), ["t"]);
    second.wait().executed_nothing();
    third.wait().success();
    assert_eq!(project.read("ran"), "x\n");
}

#[test]
fn a_run_inside_a_task_of_the_same_project_is_refused_and_does_not_hang() {
    let project = Project::new();
    project.manifest(&format!(
        "task fine {{\n  cmd = echo x > fine\n  outputs = fine\n}}\n\
         task inner {{\n  cmd = {PROGRAM} manifest.txt fine; echo \"code $?\"; exit 7\n}}\n\
         task deep {{\n  cmd = sh -c 'cd .; setsid -w {PROGRAM} -C . manifest.txt fine'\n}}\n"
    ));
    let run = project.spawn(["manifest.txt"]);
    let pid = run.pid();
    let run = run.wait();
    let words = format!(
        "a task of process {pid} runs reprovm in the project that this process is building"
    );
    run.code(6).stderr_has(&words).stderr_has("code 1\n").stderr_has("[X] inner  exit code 7");
    run.stderr_has("[X] deep  exit code 1").stderr_has("[✔] fine");
}

#[test]
fn a_run_of_another_project_inside_a_task_works() {
    let project = Project::new();
    project
        .file("sub/in", "1")
        .file("sub/manifest.txt", "task copy {\n  cmd = cp in out\n  inputs = in\n  outputs = out\n}\n")
        .manifest(&format!(
            "task sub {{\n  cmd = {PROGRAM} -C sub\n  inputs = sub/in sub/manifest.txt\n  outputs = sub/out\n}}\n\
             task user {{\n  cmd = cp sub/out out\n  inputs = sub/out\n  outputs = out\n}}\n"
        ));
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["sub", "user"]);
    assert_eq!(project.read("out"), "1");
    project.file("sub/in", "2");
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["sub", "user"]);
    assert_eq!(project.read("out"), "2");
    project.json(["manifest.txt"]).executed_nothing();
    project.json(["-C", "sub"]).executed_nothing();
}

/// A task that is different each time it runs, in two checkouts with one cache.
const BY_CHANCE: &str = "task t {\n  cmd = touch up; until test -e go; do sleep 0.02; done; \
                         cat /proc/sys/kernel/random/uuid > out; echo same > same\n  \
                         outputs = out same\n}\n";

// T7.
#[test]
fn two_results_under_one_key_are_told_and_the_first_stays() {
    let cache = Project::new();
    // Without leases, as where the file system has no locks: else the second takes the first's.
    cache.file("cas/leases", "in the way");
    let shared = format!("--cache-dir={}", cache.root().display());
    let [slow, quick] = [Project::new(), Project::new()];
    let start = |project: &Project| {
        project.manifest(BY_CHANCE);
        let run = project.spawn_json([shared.as_str(), "manifest.txt"]);
        wait_until("the command", || project.exists("up"));
        run
    };
    let runs = (start(&slow), start(&quick));
    quick.file("go", "");
    let first = runs.1.wait();
    assert!(first.success().events_of("task_not_reproducible").is_empty());
    slow.file("go", "");
    let second = runs.0.wait();
    let told = second.success().events_of("task_not_reproducible");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["task"], "t");
    assert_eq!(told[0]["outputs"], serde_json::json!(["out"]));
    assert_eq!(told[0]["replaced"], false);
    // What was made stands until it is lost; what comes back then is the first.
    assert_ne!(slow.read("out"), quick.read("out"));
    slow.json([shared.as_str(), "manifest.txt"]).success().executed_nothing();
    assert_ne!(slow.read("out"), quick.read("out"));
    slow.remove("out");
    slow.json([shared.as_str(), "manifest.txt"]).success().executed_nothing();
    assert_eq!(slow.read("out"), quick.read("out"));
}

#[test]
fn a_forced_run_that_makes_something_else_says_so_and_replaces_it() {
    let project = Project::new();
    project.file("go", "").manifest(BY_CHANCE);
    project.run(["manifest.txt"]).success().stderr_lacks("reproducible");
    let before = project.read("out");
    project.run(["--force", "manifest.txt"]).success().stderr_has(
        "`t` is not reproducible: with the same key it made different `out` than before",
    );
    let after = project.read("out");
    assert_ne!(before, after);
    project.remove("out");
    project.json(["manifest.txt"]).success().executed_nothing();
    assert_eq!(project.read("out"), after);
}
