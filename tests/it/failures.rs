//! Tasks that fail: retries, what still runs, what is skipped and why, and what is remembered.

use serde_json::{Value, json};

use crate::support::Project;

/// Counts its attempts in a file and fails with 40 and their number until the third.
fn counting(name: &str, retries: &str) -> String {
    format!(
        "task {name} {{\n  {retries}\n  outputs = out-{name}\n  cmd = ```\n    \
         if test -e out-{name}; then echo stale > stale-{name}; fi\n    \
         echo x >> tries-{name}; echo x > out-{name}\n    \
         n=$(wc -l < tries-{name})\n    echo attempt $n\n    \
         test $n -ge 3 || exit $((40 + n))\n  ```\n}}\n"
    )
}

// P7.
#[test]
fn a_task_is_tried_again_as_often_as_it_says_and_the_last_code_is_kept() {
    let project = Project::new();
    let text =
        [counting("never", ""), counting("once", "retries = 1"), counting("twice", "retries = 2")];
    project.manifest(&text.concat());
    let run = project.json(["-j", "3", "manifest.txt"]);
    run.code(6);
    assert_eq!(run.executed(), ["twice"]);
    let told: Vec<Value> = run.events_of("task_retrying");
    let retries =
        |task: &str| -> Vec<&Value> { told.iter().filter(|event| event["task"] == task).collect() };
    assert_eq!([retries("never").len(), retries("once").len(), retries("twice").len()], [0, 1, 2]);
    for task in ["once", "twice"] {
        for (event, number) in retries(task).into_iter().zip([1_u64, 2]) {
            assert_eq!(event["attempt"], number, "{event}");
            let because = json!({"failure": "exit", "code": 40 + number, "withheld": []});
            assert_eq!(event["because"], because, "{event}");
            // One second and then two, a quarter more or less.
            let delay = event["delay_ms"].as_u64().expect("a number");
            assert!((750 * number..=1250 * number).contains(&delay), "{event}");
        }
    }
    for event in run.events_of("task_finished") {
        let (attempts, code) = match event["task"].as_str() {
            Some("never") => (1, json!(41)),
            Some("once") => (2, json!(42)),
            _ => (3, Value::Null),
        };
        assert_eq!(event["usage"]["attempts"], attempts, "{event}");
        assert_eq!(event["outcome"]["failure"]["code"], code, "{event}");
    }
    assert_eq!(run.events().last().expect("events")["summary"]["retries"], 3);
    // No attempt saw what the one before it had made.
    for task in ["never", "once", "twice"] {
        assert!(!project.exists(format!("stale-{task}")), "{task}");
    }
    let text = project.run(["manifest.txt", "once"]);
    text.success().stderr_has("[✔] once").stderr_has("attempt 3");
}

/// The clock of files goes in ticks: what a command makes at once may bear a time from before its
/// start.
#[test]
fn what_a_command_makes_in_its_first_moment_is_cleared_away_before_it_is_tried_again() {
    let project = Project::new();
    let one = |number: u32| {
        format!(
            "task t{number} {{\n  cmd = test ! -e out{number} || exit 9; : > out{number}; exit 1\n  \
             retries = 1\n  outputs = out{number}\n}}\n"
        )
    };
    project.manifest(&(0..40).map(one).collect::<String>());
    let run = project.json(["-j", "2", "--set", "retry_delay_ms=0", "manifest.txt"]);
    run.code(6);
    let codes: Vec<Value> = run
        .events_of("task_finished")
        .iter()
        .map(|end| end["outcome"]["failure"]["code"].clone())
        .collect();
    assert_eq!(codes, vec![json!(1); 40], "{}", run.transcript());
}

const CHAIN: &str = "\
task bad {
  cmd = exit 4
  outputs = out/bad
}

task one {
  cmd = touch ran-one; cp out/bad out/one
  inputs = out/bad
  outputs = out/one
}

task two {
  cmd = touch ran-two
  deps = bad
}

task far {
  cmd = touch ran-far
  deps = one
}

task fine {
  cmd = echo fine > out/fine
  outputs = out/fine
}

task after_fine {
  cmd = cp out/fine out/after
  inputs = out/fine
  outputs = out/after
}

task both {
  cmd = touch ran-both
  deps = after_fine, two
}
";

// P8, P9.
#[test]
fn what_does_not_need_the_failed_task_runs_and_each_skip_names_its_cause() {
    let project = Project::new();
    let run = project.manifest(CHAIN).json(["manifest.txt"]);
    run.code(6);
    assert_eq!(run.tasks_with("failed"), ["bad"]);
    assert_eq!(run.executed(), ["after_fine", "fine"]);
    let failed = |task: &str| json!({"reason": "dependency_failed", "task": task});
    let expected = [("both", "two"), ("far", "one"), ("one", "bad"), ("two", "bad")]
        .map(|(task, because)| (task.to_owned(), failed(because)));
    assert_eq!(run.skips(), expected);
    assert_eq!((run.summary().skipped, run.summary().failed), (4, 1));
    for task in ["one", "two", "far", "both"] {
        assert!(!project.exists(format!("ran-{task}")), "{task} was started");
    }
    let text = project.run(["manifest.txt"]);
    text.code(6).stderr_has("[X] bad  exit code 4").stderr_has("[ ] one  skipped: `bad` failed");
}

#[test]
fn fail_fast_starts_nothing_more_and_lets_what_runs_end() {
    let project = Project::new();
    project.manifest(
        "task bad {\n  cmd = until test -e up; do sleep 0.02; done; exit 1\n}\n\
         task slow {\n  cmd = touch up; until test -e go; do sleep 0.02; done; echo x > slow\n  \
         outputs = slow\n}\n\
         task later {\n  cmd = touch ran\n  deps = slow\n}\n",
    );
    let mut run = project.spawn_json(["--fail-fast", "-j", "2", "manifest.txt"]);
    run.wait_for_event("task_finished", "\"bad\"");
    project.file("go", "");
    let run = run.wait();
    run.code(6);
    assert_eq!(
        (run.executed(), run.tasks_with("failed")),
        (vec!["slow".into()], vec!["bad".into()])
    );
    assert_eq!(run.skips(), [("later".to_owned(), json!({"reason": "fail_fast", "task": "bad"}))]);
    assert!(!project.exists("ran"));
    // Without the flag the same project runs what is left; the slow one is done.
    let next = project.json(["manifest.txt"]);
    next.code(6);
    assert_eq!((next.executed(), next.summary().up_to_date), (vec!["later".into()], 1));
}

#[test]
fn fail_fast_does_not_wait_for_another_try_and_the_last_one_counts() {
    let project = Project::new();
    project.manifest(
        "task again {\n  cmd = echo x >> tries; exit 41\n  retries = 3\n}\n\
         task bad {\n  cmd = until test -e go; do sleep 0.02; done; exit 1\n}\n",
    );
    let mut run = project.spawn_json(["--fail-fast", "-j", "2", "--set", "retry_delay_ms=3600000"]);
    run.wait_for_event("task_retrying", "again");
    project.file("go", "");
    let run = run.wait();
    run.code(6);
    assert_eq!(run.tasks_with("failed"), ["again", "bad"], "{}", run.transcript());
    assert_eq!(project.read("tries"), "x\n");
    let again = run.events_of("task_finished").into_iter().find(|event| event["task"] == "again");
    assert_eq!(again.expect("its end")["outcome"]["failure"]["code"], 41, "{}", run.transcript());
}

// P14.
#[test]
fn a_failed_task_is_not_remembered_as_done() {
    let project = Project::new();
    project.file("in", "1").manifest(
        "task t {\n  cmd = cp in out; echo x >> ran; test ! -e broken\n  inputs = in\n  outputs = out\n}\n\
         task user {\n  cmd = cp out user\n  inputs = out\n  outputs = user\n}\n",
    );
    project.run(["manifest.txt"]).success();
    project.file("in", "2").file("broken", "");
    for ran in 2..4 {
        project.run(["manifest.txt"]).code(6);
        assert_eq!(project.read("ran").lines().count(), ran);
    }
    assert_eq!(project.read("user"), "1");
    project.remove("broken");
    let run = project.json(["manifest.txt"]);
    assert_eq!(run.success().executed(), ["t", "user"]);
    assert_eq!(project.read("user"), "2");
    // Also not under the key that it had before it failed: that one is whole.
    project.file("in", "1").file("broken", "");
    project.json(["manifest.txt"]).executed_nothing();
    assert_eq!((project.read("out"), project.read("user")), ("1".into(), "1".into()));
}

#[test]
fn a_failed_task_is_told_of_a_variable_that_it_named_and_did_not_get() {
    let mut project = Project::new();
    project.env("MY_TOKEN", "1").manifest("task need {\n  cmd = test -n \"$MY_TOKEN\"\n}\n");
    project.run(["manifest.txt"]).code(6).stderr_has(
        "help: the command names `MY_TOKEN`, which is set here but not passed: \
         add `pass_env = MY_TOKEN`",
    );
    project.manifest("task need {\n  cmd = test -n \"$MY_TOKEN\"\n  pass_env = MY_TOKEN\n}\n");
    project.run(["manifest.txt"]).success();
}
