//! A run after a small change looks only at what the change can concern, and does and says what
//! the long way does.

use std::fs;

use crate::support::{Project, Run, wait_until};

/// Pairs of tasks, each independent of the others, and one that reads what all make.
const PAIRS: usize = 40;

fn pairs() -> Project {
    let mut project = Project::new();
    project.env("REPROVM_LOG_LEVEL", "DEBUG");
    let mut text = String::new();
    for at in 0..PAIRS {
        project.file(format!("src/{at}"), format!("{at}\n"));
        text.push_str(&format!(
            "task copy{at} {{\n  cmd = grep -v '^#' src/{at} > out/{at}\n  inputs = src/{at}\n  outputs = out/{at}\n}}\n\
             task sum{at} {{\n  cmd = sha256sum < out/{at} > out/{at}.sum\n  inputs = out/{at}\n  outputs = out/{at}.sum\n}}\n",
        ));
    }
    text.push_str("task some {\n  cmd = cat out/1.sum out/2.sum > out/some\n  inputs = out/1.sum out/2.sum\n  outputs = out/some\n}\n");
    text.push_str("task all {\n  deps = sum0 sum1 some\n}\n");
    project.manifest(&text);
    built(&project);
    project
}

/// Builds until the next run can take the short way.
fn built(project: &Project) {
    wait_until("the manifest to be old enough", || {
        project.run(["manifest.txt"]).success();
        let names = fs::read_dir(project.path(".reprovm/state")).expect("the folder of states");
        let mut names = names.map(|entry| entry.expect("an entry").file_name());
        names.any(|name| name.to_string_lossy().ends_with(".compiled"))
    });
}

/// Runs, and says how many tasks were looked at where that were not all.
fn run(project: &Project, more: &[&str]) -> (Run, Option<usize>) {
    let log = project.path("log");
    if log.exists() {
        project.remove("log");
    }
    let mut args = vec!["--log-file", "log", "manifest.txt"];
    args.extend(more);
    let run = project.json(args);
    let log = project.read("log");
    let looked = log.lines().find(|line| line.contains("only these tasks are looked at"));
    let count = looked.and_then(|line| line.split("tasks=").nth(1));
    (run, count.map(|count| count.trim().parse().expect("a number")))
}

#[test]
fn an_edit_is_told_as_the_long_way_tells_it_and_only_what_it_concerns_is_looked_at() {
    let project = pairs();
    project.file("src/7", "other\n");
    let (edited, looked) = run(&project, &[]);
    assert_eq!(edited.success().executed(), ["copy7", "sum7"]);
    assert_eq!(looked, Some(2));
    let started = &edited.events_of("run_started")[0];
    assert_eq!(started["tasks"], 2 * PAIRS + 2);
    assert_eq!(edited.events_of("tasks_up_to_date")[0]["count"], 2 * PAIRS);
    let sum = edited.summary();
    assert_eq!((sum.total, sum.executed, sum.up_to_date), (2 * PAIRS + 2, 2, 2 * PAIRS));
    // The reason is known though the state was read in part.
    let reasons = &edited.events_of("cache_miss")[0]["reasons"];
    assert_eq!(reasons[0]["path"], "src/7");
    let (again, looked) = run(&project, &[]);
    assert_eq!(again.executed_nothing().summary().up_to_date, 2 * PAIRS + 2);
    assert_eq!(looked, None);
}

#[test]
fn what_comes_out_the_same_stops_there_and_what_depends_on_two_waits_for_both() {
    let project = pairs();
    project.file("src/1", "# a remark\n1\n").file("src/2", "2\nmore\n");
    let (edited, looked) = run(&project, &[]);
    assert_eq!(edited.success().executed(), ["copy1", "copy2", "some", "sum2"]);
    // With `all`, and `sum0`, whose result is a part of that of `all`.
    assert_eq!(looked, Some(7));
    assert_eq!(edited.summary().up_to_date, 2 * PAIRS + 2 - 4);
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn after_many_edits_the_long_way_finds_all_of_them_done() {
    let project = pairs();
    for round in 0..5 {
        for at in [3, 4, 5] {
            project.file(format!("src/{at}"), format!("{round} {at}\n"));
        }
        let (edited, looked) = run(&project, &[]);
        assert_eq!((edited.success().executed().len(), looked), (6, Some(6)), "{round}");
    }
    // `--graph` and a new manifest take the long way.
    project.json(["--graph", "manifest.txt"]).executed_nothing();
    project.manifest(&format!("{}\n# longer\n", project.read("manifest.txt")));
    project.json(["manifest.txt"]).executed_nothing();
    assert_eq!(project.read("out/4"), "4 4\n");
}

#[test]
fn lost_and_edited_outputs_come_back() {
    let project = pairs();
    let before = project.tree();
    project.remove("out/9").file("out/11.sum", "mine\n").chmod("out/13", 0o600);
    let (mended, looked) = run(&project, &[]);
    mended.executed_nothing();
    assert!(looked.is_some());
    project.remove("log");
    assert_eq!(project.tree(), before);
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn a_failure_is_tried_again_and_a_good_edit_ends_it() {
    let project = pairs();
    // Nothing is left of it, and grep says so by its code.
    project.file("src/7", "# only\n");
    let (failed, _) = run(&project, &[]);
    failed.code(6);
    run(&project, &[]).0.code(6);
    project.file("src/7", "7\n");
    let (mended, _) = run(&project, &[]);
    assert_eq!(mended.success().summary().failed, 0);
    project.json(["manifest.txt"]).executed_nothing();
    assert_eq!(project.read("out/7"), "7\n");
}

#[test]
fn an_input_that_is_gone_is_the_error_that_it_always_is() {
    let project = pairs();
    project.remove("src/7");
    let (gone, looked) = run(&project, &[]);
    gone.code(2).stderr_has("input `src/7` of task `copy7` is missing");
    assert_eq!(looked, None);
    project.file("src/7", "7\n");
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn targets_are_looked_at_alone() {
    let project = pairs();
    project.run(["manifest.txt", "sum7", "sum8"]).success();
    project.file("src/7", "new\n").file("src/9", "new\n");
    let (edited, looked) = run(&project, &["sum7", "sum8"]);
    assert_eq!(edited.success().executed(), ["copy7", "sum7"]);
    // Of `src/9` the state knows, and so nothing is sure but what is looked at.
    assert!(looked.is_none_or(|count| count == 2));
    assert_eq!(edited.summary().total, 4);
    let (rest, _) = run(&project, &[]);
    assert_eq!(rest.success().executed(), ["copy9", "sum9"]);
}

#[test]
fn a_journal_that_has_grown_long_is_taken_into_the_state() {
    let mut project = Project::new();
    project.env("REPROVM_LOG_LEVEL", "DEBUG");
    // What a run notes of the task is some 20 KiB.
    let long = "long".repeat(30);
    let outputs = (0..60).map(|at| format!("out/{long}{at}")).collect::<Vec<_>>();
    project.file("in", "0").file("other", "").manifest(&format!(
        "task t {{\n  cmd = for at in $(seq 0 59); do cat in > out/{long}$at; done\n  \
         inputs = in\n  outputs = {}\n}}\ntask u {{\n  cmd = true\n  inputs = other\n}}\n",
        outputs.join(" "),
    ));
    built(&project);
    let journal = |project: &Project| {
        let names = fs::read_dir(project.path(".reprovm/state")).expect("the folder of states");
        let mut paths = names.map(|entry| entry.expect("an entry").path());
        let path = paths.find(|path| path.extension().is_some_and(|kind| kind == "journal"));
        path.map_or(0, |path| path.metadata().expect("a journal").len())
    };
    let mut lengths = Vec::new();
    for edit in 1..10 {
        project.file("in", edit.to_string());
        let (edited, looked) = run(&project, &[]);
        assert_eq!(edited.success().executed(), ["t"]);
        assert_eq!(project.read(&outputs[59]), edit.to_string());
        lengths.push(journal(&project));
        // The run that finds it long is the one that looks at all.
        let was_long = lengths.iter().rev().nth(1).is_some_and(|length| *length > 64 << 10);
        assert_eq!(
            (looked, lengths.last() == Some(&0)),
            match was_long {
                true => (None, true),
                false => (Some(1), false),
            }
        );
    }
    assert!(lengths.contains(&0), "{lengths:?}");
}

#[test]
fn a_change_that_concerns_most_takes_the_long_way() {
    let project = pairs();
    for at in 0..PAIRS {
        project.file(format!("src/{at}"), format!("new {at}\n"));
    }
    let (edited, looked) = run(&project, &[]);
    assert_eq!(edited.success().executed().len(), 2 * PAIRS + 1);
    assert_eq!(looked, None);
}

#[test]
fn a_dangerous_command_is_warned_of_with_its_place() {
    let project = Project::new();
    project.file("in", "1\n").manifest(
        "task t {\n  cmd = cat in > out; true || rm -rf /\n  inputs = in\n  outputs = out\n}\n",
    );
    built(&project);
    project.file("in", "2\n");
    project.run(["manifest.txt"]).success().stderr_has("manifest.txt:2");
}

#[test]
fn a_damaged_file_of_an_earlier_run_costs_only_time() {
    for kind in [".compiled", ".standing", ".state", ".journal"] {
        let project = pairs();
        project.file("src/7", "other\n");
        // Something stays in the journal.
        run(&project, &[]).0.success();
        let names = fs::read_dir(project.path(".reprovm/state")).expect("the folder of states");
        let mut paths = names.map(|entry| entry.expect("an entry").path());
        let path = paths.find(|path| path.to_string_lossy().ends_with(kind)).expect(kind);
        let mut bytes = fs::read(&path).expect("the file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        fs::write(&path, bytes).expect("a file");
        project.file("src/9", "other\n");
        let (edited, _) = run(&project, &[]);
        let ran = edited.success().executed();
        assert!(ran.contains(&"copy9".to_owned()), "{kind}: {ran:?}");
        assert_eq!(project.read("out/9"), "other\n", "{kind}");
        project.json(["manifest.txt"]).executed_nothing();
    }
}
