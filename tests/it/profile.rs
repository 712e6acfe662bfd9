//! `--profile`: the trace has the form that Perfetto and chrome://tracing read, and says what
//! happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::Project;

const FILE: &str = ".reprovm/profile.json";

fn trace(project: &Project, path: &str) -> Value {
    serde_json::from_str(&project.read(path)).expect("a trace is JSON")
}

/// The events of this phase.
fn of<'a>(trace: &'a Value, phase: &str) -> Vec<&'a Value> {
    let events = trace["traceEvents"].as_array().expect("a list of events");
    events.iter().filter(|event| event["ph"] == phase).collect()
}

fn number(event: &Value, name: &str) -> i64 {
    event[name].as_i64().unwrap_or_else(|| panic!("no `{name}` in {event}"))
}

/// When a complete event begins and ends.
fn times(event: &Value) -> (i64, i64) {
    let begin = number(event, "ts");
    (begin, begin + number(event, "dur"))
}

/// Checks the form of a trace: rows, their names, spans that do not overlap, and pieces that lie
/// in the span of their task. Returns the tasks, each with its pieces.
fn checked(trace: &Value, jobs: usize) -> BTreeMap<String, Vec<Value>> {
    let complete = of(trace, "X");
    let rows: BTreeSet<i64> = complete.iter().map(|event| number(event, "tid")).collect();
    assert!(rows.len() <= jobs, "{rows:?}");
    for row in &rows {
        let named = of(trace, "M").iter().any(|event| {
            event["name"] == "thread_name"
                && event["tid"] == *row
                && event["args"]["name"] == format!("slot {row}")
        });
        assert!(named, "row {row} has no name");
    }
    let mut tasks = BTreeMap::new();
    for row in rows {
        let here = || complete.iter().filter(|event| number(event, "tid") == row);
        let mut whole: Vec<&Value> =
            here().filter(|event| event["cat"] == "task").copied().collect();
        whole.sort_by_key(|event| times(event));
        for pair in whole.windows(2) {
            assert!(times(pair[0]).1 <= times(pair[1]).0, "{pair:?}");
        }
        let mut pieces: Vec<Value> =
            here().filter(|event| event["cat"] != "task").map(|event| (*event).clone()).collect();
        pieces.sort_by_key(times);
        for pair in pieces.windows(2) {
            assert!(times(&pair[0]).1 <= times(&pair[1]).0, "{pair:?}");
        }
        for task in whole {
            let (begin, end) = times(task);
            let inside = |piece: &Value| begin <= times(piece).0 && times(piece).1 <= end;
            let (own, others): (Vec<_>, Vec<_>) = pieces.into_iter().partition(inside);
            pieces = others;
            let name = task["name"].as_str().expect("a name").to_owned();
            tasks.insert(name, [vec![task.clone()], own].concat());
        }
        assert!(pieces.is_empty(), "pieces of no task: {pieces:?}");
    }
    let (begins, ends) = (of(trace, "b"), of(trace, "e"));
    assert_eq!(begins.len(), ends.len());
    for (begin, end) in begins.iter().zip(&ends) {
        assert_eq!((&begin["id"], &begin["name"]), (&end["id"], &end["name"]));
        assert_eq!(begin["cat"], "queue");
        assert!(number(begin, "ts") < number(end, "ts"), "{begin} {end}");
    }
    tasks
}

fn kinds(pieces: &[Value]) -> Vec<(&str, &str)> {
    pieces
        .iter()
        .skip(1)
        .map(|piece| {
            (piece["cat"].as_str().expect("a kind"), piece["name"].as_str().expect("a name"))
        })
        .collect()
}

const MANIFEST: &str = "\
task first {
  cmd = sleep 0.1; cp in got
  inputs = in
  outputs = got
}
task second {
  cmd = sleep 0.1; cp got out
  inputs = got
  outputs = out
}
task alone {
  cmd = sleep 0.01
}
task again {
  cmd = [ -e once ] || { touch once; exit 1; }
  retries = 1
}
task bad {
  cmd = exit 7
}
task group {
  deps = alone, again
}
";

#[test]
fn every_task_lies_in_the_row_of_its_slot_with_what_its_time_went_to() {
    let project = Project::new();
    project.file("in", "x").manifest(MANIFEST);
    let quick = ["--set", "execution.retry_delay_ms=2"];
    let run = project.run(["--profile", "-j2"].iter().chain(&quick).chain(&["manifest.txt"]));
    run.code(6).stderr_has("critical path: 2 tasks, ").stderr_has("\n  first  0.");
    run.stderr_has(&format!("profile: `{FILE}`, for ui.perfetto.dev"));
    let first = trace(&project, FILE);
    assert_eq!(first["otherData"]["jobs"], 2);
    let tasks = checked(&first, 2);
    let names: Vec<&str> = tasks.keys().map(String::as_str).collect();
    assert_eq!(names, ["again", "alone", "bad", "first", "second"]);
    for (name, pieces) in &tasks {
        let commands = kinds(pieces).iter().filter(|kind| **kind == ("command", "command")).count();
        assert_eq!(commands, if name == "again" { 2 } else { 1 }, "{name}: {pieces:?}");
    }
    assert!(kinds(&tasks["again"]).contains(&("pause", "pause")));
    assert!(kinds(&tasks["first"]).contains(&("hash", "key")));
    assert!(kinds(&tasks["first"]).contains(&("cache", "store")));
    let about = |task: &str| tasks[task][0]["args"].clone();
    assert_eq!(
        (&about("bad")["outcome"], &about("bad")["exit_code"]),
        (&"failed".into(), &7.into())
    );
    assert_eq!(
        (&about("second")["after"], &about("second")["exit_code"]),
        (&"first".into(), &0.into())
    );
    assert_eq!(about("first")["reasons"], "no record");
    assert_eq!(about("first")["key"].as_str().expect("a key").len(), 64);
    let command = |task: &str| {
        let piece = tasks[task].iter().find(|piece| piece["cat"] == "command").expect("a command");
        times(piece)
    };
    assert!(command("first").1 - command("first").0 >= 100_000, "{:?}", command("first"));
    assert!(command("first").1 <= command("second").0, "what depends comes later");
    // Five tasks for two slots.
    assert!(!of(&first, "b").is_empty(), "some had to wait");

    project.remove("got").remove("out");
    project.run(["--profile", "-q", "manifest.txt", "second"]).success().stderr("");
    let tasks = checked(&trace(&project, FILE), 64);
    let restored: Vec<&str> = tasks.keys().map(String::as_str).collect();
    assert_eq!(restored, ["first", "second"]);
    for pieces in tasks.values() {
        assert!(kinds(pieces).contains(&("cache", "restore")), "{pieces:?}");
        assert!(!kinds(pieces).contains(&("command", "command")));
        assert_eq!(pieces[0]["args"]["outcome"], "cached");
        assert!(number(&pieces[0]["args"], "saved_ms") >= 100);
    }
}

#[test]
fn a_profile_is_also_of_a_run_with_nothing_to_do_and_never_of_a_dry_one() {
    let project = Project::new();
    project.manifest("task t {\n  cmd = true\n}\n");
    let dry = project.run(["-n", "--profile", "manifest.txt"]);
    dry.success().stderr_has("warning: a dry run runs nothing, so there is no profile of it");
    assert!(!project.exists(FILE));
    project.run(["manifest.txt"]).success().stderr_lacks("critical path");
    assert!(!project.exists(FILE));
    let run = project.run(["--profile", "manifest.txt"]);
    run.success().stderr_has("critical path: no task had its turn\n");
    assert_eq!(checked(&trace(&project, FILE), 0).len(), 0);
    let set = ["--profile", "--set", "profile_file=nowhere/trace.json", "-f", "manifest.txt"];
    let run = project.run(set);
    run.success().stderr_has("warning: profile: cannot create `nowhere/trace.json");
}
