//! Which tasks run beside each other and in what order, and what a task sees of the world around it.

use std::fmt::Write as _;

use crate::support::Project;

#[test]
fn of_the_tasks_of_a_pool_no_more_run_at_a_time_than_it_is_deep() {
    let project = Project::new();
    let mut text = "pool narrow {\n  depth = 1\n}\n".to_owned();
    for number in 0..8 {
        // It fails where another one is at work.
        let _ = write!(
            text,
            "task t{number} {{\n  pool = narrow\n  cmd = mkdir busy && sleep 0.02 && rmdir busy && echo {number}\n}}\n"
        );
    }
    let run = project.manifest(&text).json(["-j", "8", "manifest.txt"]);
    assert_eq!(run.success().summary().executed, 8);
    // Without the pool they meet: two of them wait for each other.
    let meet = |own: u8, other: u8| {
        format!(
            "task t{own} {{\n  cmd = touch here{own}; until test -e here{other}; do sleep 0.01; done\n}}\n"
        )
    };
    project.manifest(&(meet(1, 2) + &meet(2, 1))).run(["-j", "8", "manifest.txt"]).success();
}

#[test]
fn a_task_that_inherits_all_variables_has_only_declared_ones_in_its_key() {
    let mut project = Project::new();
    project.env("STRANGE", "one").env("NAMED", "one").manifest(
        "task all {\n  inherit_env = on\n  pass_env = NAMED\n  cmd = echo \"$STRANGE $NAMED\" > all\n  outputs = all\n}\n\
         task few {\n  cmd = echo \"${STRANGE-withheld}\" > few\n  outputs = few\n}\n",
    );
    project.run(["manifest.txt"]).success();
    assert_eq!(
        (project.read("all"), project.read("few")),
        ("one one\n".into(), "withheld\n".into())
    );
    project.env("STRANGE", "two").json(["manifest.txt"]).executed_nothing();
    let run = project.env("NAMED", "two").json(["manifest.txt"]);
    assert_eq!(run.success().executed(), ["all"]);
    assert_eq!(project.read("all"), "two two\n");
}

#[test]
fn what_took_longest_with_all_that_waits_for_it_starts_first() {
    let project = Project::new();
    project.file("in", "1\n").manifest(
        "task quick {\n  cmd = cat in > quick.out\n  inputs = in\n  outputs = quick.out\n}\n\
         task alone {\n  cmd = sleep 0.2; cat in > alone.out\n  inputs = in\n  outputs = alone.out\n}\n\
         task first {\n  cmd = sleep 0.2; cat in > first.out\n  inputs = in\n  outputs = first.out\n}\n\
         task second {\n  cmd = sleep 0.1; cat first.out > second.out\n  inputs = first.out\n  outputs = second.out\n}\n",
    );
    let started = |project: &Project| -> Vec<String> {
        let run = project.json(["-j1", "manifest.txt"]);
        let events = run.success().events_of("task_started");
        events.iter().map(|event| event["task"].as_str().expect("a name").to_owned()).collect()
    };
    // Nothing is known of durations yet.
    assert_eq!(started(&project).len(), 4);
    project.file("in", "2\n");
    assert_eq!(started(&project), ["first", "alone", "second", "quick"]);
}
