//! Time limits of tasks, against real processes: who is ended, how it is told, what is kept.

use serde_json::json;

use crate::support::{Project, wait_until};

/// Ends well at once where `quick` is there; else it ignores TERM, and so do its children, of
/// which some have left its process group.
const STUBBORN: &str = "\
task stubborn {
  timeout = 300ms
  outputs = out/stubborn
  cmd = ```
    if test -e quick; then echo whole > out/stubborn; exit 0; fi
    trap '' TERM
    echo half > out/stubborn
    echo started
    setsid sleep 1000 &
    setsid sh -c '(sleep 1000 &); sleep 1000' &
    (sleep 1000 &)
    while :; do sleep 1000; done
  ```
}
";

#[test]
fn what_ignores_term_is_killed_after_the_grace_with_all_that_left_its_group() {
    let project = Project::new();
    project.manifest(STUBBORN);
    let mut run = project.spawn_json(["--set", "grace_seconds=1", "manifest.txt"]);
    wait_until("the stubborn processes", || run.is_over() || project.processes().len() >= 6);
    let run = run.wait();
    run.code(11);
    assert_eq!(project.processes().len(), 0, "{:?}", project.processes());
    assert_eq!(run.tasks_with("failed"), ["stubborn"]);
    let finished = &run.events_of("task_finished")[0];
    let failure = json!({"failure": "timed_out", "after_ms": 300});
    assert_eq!(finished["outcome"]["failure"], failure, "{finished}");
    assert_eq!(run.events_of("task_output")[0]["output"], "started\n");
    assert_eq!(run.events().last().expect("events")["summary"]["timeouts"], 1);
    // Nothing of it was kept: not the half, not that it is done.
    project.file("quick", "");
    let again = project.json(["manifest.txt"]);
    assert_eq!(again.success().executed(), ["stubborn"]);
    let reasons = &again.events_of("cache_miss")[0]["reasons"];
    assert_eq!(reasons, &json!([{"reason": "last_run_failed"}]));
    assert_eq!(project.read("out/stubborn"), "whole\n");
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn the_limit_of_the_command_line_asks_first_and_a_tasks_own_goes_before_it() {
    let project = Project::new();
    project.manifest(
        "task asked {\n  cmd = trap 'echo asked > asked; exit 0' TERM; sleep 1000 & wait\n}\n\
         task patient {\n  timeout = 1h\n  outputs = patient\n  \
         cmd = until test -e asked; do sleep 0.02; done; echo done > patient\n}\n",
    );
    let run = project.run(["-j", "2", "-t", "1", "manifest.txt"]);
    // That it ended with code 0 when it was asked does not make it a success.
    run.code(11).stderr_has("[X] asked  timed out after 1.00s").stderr_has("[✔] patient");
    assert_eq!(project.read("asked"), "asked\n");
    // The other is done; the limit of the command line is not in the key.
    let again = project.json(["-t", "1", "manifest.txt"]);
    again.code(11);
    assert_eq!((again.summary().up_to_date, again.summary().failed), (1, 1));
}

#[test]
fn the_code_for_timeouts_is_given_only_where_nothing_else_failed() {
    let project = Project::new();
    project.manifest(
        "task slow {\n  timeout = 50ms\n  cmd = sleep 1000\n}\n\
         task bad {\n  cmd = exit 3\n}\n",
    );
    project.run(["manifest.txt", "slow"]).code(11);
    project.run(["manifest.txt", "bad"]).code(6);
    let both = project.json(["manifest.txt"]);
    both.code(6);
    assert_eq!(both.tasks_with("failed"), ["bad", "slow"]);
}
