//! Processes of tasks as the kernel has them: exits by signals, zombies, descriptors.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Project, Run};

/// How the tasks of a run failed.
fn failures(run: &Run) -> Vec<(String, Value)> {
    let finished = run.events_of("task_finished");
    let failed = finished.iter().filter(|event| event["outcome"]["status"] == "failed");
    let mut all: Vec<(String, Value)> = failed
        .map(|event| {
            let task = event["task"].as_str().expect("a name").to_owned();
            (task, event["outcome"]["failure"].clone())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

// P6.
#[test]
fn a_task_that_a_signal_ended_is_told_so_and_not_kept() {
    let project = Project::new();
    project.manifest(
        "task killed {\n  cmd = echo x > killed; kill -KILL $$\n  outputs = killed\n}\n\
         task crashed {\n  cmd = ulimit -c 0; echo x > crashed; kill -SEGV $$\n  outputs = crashed\n}\n",
    );
    for _ in 0..2 {
        let run = project.json(["manifest.txt"]);
        run.code(6);
        let by = |signal: i32| json!({"failure": "signal", "signal": signal, "core_dumped": false});
        let expected = [("crashed".to_owned(), by(11)), ("killed".to_owned(), by(9))];
        assert_eq!(failures(&run), expected, "{}", run.transcript());
    }
    let run = project.run(["manifest.txt"]);
    run.code(6).stderr_has("[X] crashed  killed by SIGSEGV").stderr_has("killed by SIGKILL");
}

#[test]
fn a_status_that_the_shell_hides_is_a_success() {
    let project = Project::new();
    project.manifest(
        "task hidden {\n  cmd = sh -c 'kill -SEGV $$' | cat > hidden\n  outputs = hidden\n}\n\
         task piped {\n  cmd = false | true\n}\n",
    );
    let run = project.json(["manifest.txt"]);
    assert_eq!(run.success().executed(), ["hidden", "piped"]);
}

// P7.
#[test]
fn exit_codes_of_tasks_are_told_exactly() {
    let project = Project::new();
    let codes = [1, 2, 42, 126, 127, 128, 139, 255];
    let mut text = "task fine {\n  cmd = exit 0\n}\n".to_owned();
    for code in codes {
        let _ = write!(text, "task exit{code:03} {{\n  cmd = exit {code}\n}}\n");
    }
    let run = project.manifest(&text).json(["manifest.txt"]);
    run.code(6);
    assert_eq!(run.executed(), ["fine"]);
    let expected: Vec<(String, Value)> = codes
        .iter()
        .map(|code| {
            let failure = json!({"failure": "exit", "code": code, "withheld": []});
            (format!("exit{code:03}"), failure)
        })
        .collect();
    assert_eq!(failures(&run), expected);
}

/// Whether the kernel gives this test a process namespace of its own; it says so if not.
#[expect(clippy::print_stderr, reason = "what is not tested has to be said")]
fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(UNSHARE).arg("true").status();
    let granted = tried.is_ok_and(|status| status.success());
    if !granted {
        eprintln!("NOT TESTED: the kernel refuses a new process namespace here");
    }
    granted
}

const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

// P12.
#[test]
fn as_the_first_process_of_a_container_it_reaps_orphans_while_it_runs() {
    if !has_namespaces() {
        return;
    }
    let project = Project::new();
    // Each waits until no zombie is left in the namespace, which holds this run alone: `going`
    // beside its own orphans, `after` those of a task that has ended.
    let no_zombie = "n=0; while cat /proc/[0-9]*/stat 2>/dev/null | grep -q ') Z '; do \
                     n=$((n+1)); test $n -lt 500 || exit 9; sleep 0.02; done";
    project.manifest(&format!(
        "let clean = {no_zombie}\n\
         task orphans {{\n  cmd = for i in 1 2 3 4 5 6 7 8; do (sh -c 'sleep 0.01; exit 3' &); done\n}}\n\
         task after {{\n  deps = orphans\n  cmd = {{{{clean}}}}\n}}\n\
         task going {{\n  cmd = for i in 1 2 3 4 5 6 7 8; do (setsid env -i sh -c 'exit 3' &); done; {{{{clean}}}}\n}}\n\
         task first {{\n  cmd = test $PPID = 1\n}}\n\
         task bad {{\n  cmd = (true &); exit 5\n}}\n"
    ));
    let script = format!("exec unshare {} \"$@\"", UNSHARE.join(" "));
    let fine = ["-o", "json", "manifest.txt", "after", "going", "first"];
    let run = project.by_shell(&script, fine).wait();
    assert_eq!(run.success().executed(), ["after", "first", "going", "orphans"]);
    let run = project.by_shell(&script, ["-o", "json", "manifest.txt"]).wait();
    run.code(6);
    assert_eq!(run.tasks_with("failed"), ["bad"]);
}

#[test]
fn hundreds_of_jobs_work_under_a_low_limit_of_descriptors() {
    let project = Project::new();
    let mut text = String::new();
    for number in 0..300 {
        let _ = write!(
            text,
            "task t{number} {{\n  cmd = cp in out/{number}\n  outputs = out/{number}\n}}\n"
        );
    }
    project.file("in", "x").manifest(&text);
    let script = "ulimit -n 64 && exec \"$@\"";
    let run = project.by_shell(script, ["-o", "json", "-j", "256", "manifest.txt"]).wait();
    assert_eq!(run.success().summary().executed, 300);
    assert_eq!(run.events_of("cache_degraded").len(), 0, "{}", run.transcript());
    for number in 0..300 {
        assert_eq!(project.read(format!("out/{number}")), "x");
    }
    // What was kept is whole: all of it comes back under the same limit.
    project.remove("out");
    let run = project.by_shell(script, ["-o", "json", "-j", "256", "manifest.txt"]).wait();
    run.executed_nothing();
    assert_eq!(run.summary().cached, 300);
}
