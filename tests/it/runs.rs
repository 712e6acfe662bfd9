//! The history: what `reprovm runs` says of real runs, what is kept of them, and what of it is
//! bounded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Project, Run, Tmpfs, files_below, wait_until};

const RUNS: &str = ".reprovm/runs";

/// A failure, what is skipped for it, a task that needs a second attempt, and two that depend on
/// each other.
const MANIFEST: &str = "\
task fetch {
  cmd = cp in got
  inputs = in
  outputs = got
}
task build {
  cmd = echo building; sleep 0.3; cat got > out
  inputs = got
  outputs = out
}
task flaky {
  cmd = [ -e again ] || { touch again; echo at first; exit 3; }
  retries = 1
}
task bad {
  cmd = echo one; echo the last words; [ -e fixed ]
}
task after {
  cmd = true
  deps = bad
}
";
const QUICK: [&str; 3] = ["--set", "execution.retry_delay_ms=1", "manifest.txt"];

fn project() -> Project {
    let project = Project::new();
    project.file("in", "1\n").manifest(MANIFEST);
    project
}

/// The journals, as names.
fn journals(project: &Project) -> Vec<String> {
    let folder = project.path(RUNS);
    let files = if folder.exists() { files_below(&folder, &[]) } else { Vec::new() };
    files.iter().map(|path| path.display().to_string()).collect()
}

/// The one answer of a verb with `-o json`.
#[track_caller]
fn answer(project: &Project, args: &[&str]) -> Value {
    let run = project.json(args.iter().copied());
    run.success();
    let mut events = run.events();
    assert_eq!(events.len(), 1, "{}", run.transcript());
    events.remove(0)
}

/// The runs, the newest first.
#[track_caller]
fn list(project: &Project) -> Vec<Value> {
    answer(project, &["runs", "list"])["runs"].as_array().expect("a list").clone()
}

/// The names in a list of tasks.
fn tasks(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one["task"].as_str().or(one.as_str()).expect("a name")).collect()
}

#[test]
fn a_run_is_listed_and_shown_with_what_failed_and_where_its_time_went() {
    let project = project();
    project.run(["-j2"].iter().chain(&QUICK)).code(6);
    let runs = list(&project);
    assert_eq!(runs.len(), 1);
    let summary = &runs[0]["summary"];
    assert_eq!((&runs[0]["state"], &summary["executed"]), (&"failed".into(), &3.into()));
    assert_eq!((&summary["failed"], &summary["skipped"]), (&1.into(), &1.into()));
    assert_eq!(runs[0]["command"], format!("reprovm -j2 {}", QUICK.join(" ")));

    let shown = answer(&project, &["runs", "show"]);
    assert_eq!(shown["id"], runs[0]["id"]);
    assert_eq!(shown["settings"]["execution.retry_delay_ms"], "1");
    assert_eq!((&shown["jobs"], &shown["skipped"]), (&2.into(), &1.into()));
    let failed = &shown["failed"][0];
    assert_eq!((&failed["task"], &failed["failure"]["code"]), (&"bad".into(), &1.into()));
    assert_eq!((&failed["output"], &failed["skipped"]), (&"one\nthe last words".into(), &1.into()));
    assert_eq!(failed["reasons"][0]["reason"], "no_record");
    assert_eq!(tasks(&shown["slowest"])[0], "build", "{shown}");
    // What waited for `fetch` follows it, and nothing else was as long.
    assert_eq!(tasks(&shown["critical_path"]["steps"]), ["fetch", "build"], "{shown}");
    let busy = shown["critical_path"]["busy_us"].as_u64().expect("a number");
    assert!(
        (300_000..=1000 * summary["elapsed_ms"].as_u64().expect("a number") + 1000).contains(&busy)
    );
    let cache = &shown["cache"];
    assert_eq!((&cache["hits"], &cache["misses"]), (&0.into(), &4.into()));
    assert!(cache["store_us"].as_u64() > Some(0) && cache["key_us"].as_u64() > Some(0), "{cache}");

    let text = project.run(["runs", "show"]);
    text.success().stdout_has(", failed\n").stdout_has("    | the last words\n");
    text.stdout_has("  bad  exit code 1  ").stdout_has("1 task skipped because of it");
    text.stdout_has("critical path: 2 tasks, ")
        .stdout_has("  0 hits, 4 misses (0.0 %), saved 0.00s");
    text.stdout_has("  execution.retry_delay_ms = 1\n")
        .stdout_has("3 executed, 1 failed, 1 skipped");
    let id = runs[0]["id"].as_str().expect("a name");
    project.run(["runs", "list"]).success().stdout_has(&id[..8]).stdout_has("  failed  ");
}

#[test]
fn two_runs_are_compared_with_the_reasons_of_what_ran_again() {
    let project = project();
    project.run(QUICK).code(6);
    project.file("in", "2\n").file("fixed", "").remove("out");
    project.manifest(&MANIFEST.replace("sleep 0.3", "sleep 0.9"));
    project.run(QUICK).success();
    let found = answer(&project, &["runs", "compare", "last~1", "last"]);
    // On a busy machine others may be slower too, by less.
    assert_eq!(tasks(&found["slower"])[0], "build", "{found}");
    assert_eq!(tasks(&found["mended"]), ["bad"]);
    assert_eq!(tasks(&found["newly_failed"]), [""; 0]);
    assert_eq!(tasks(&found["newly_run"]), ["after"], "{found}");
    assert_eq!(
        (&found["before"]["state"], &found["after"]["state"]),
        (&"failed".into(), &"succeeded".into())
    );
    let back = project.run(["runs", "compare", "last", "last~1"]);
    back.success().stdout_has("newly failed: `bad`\n").stdout_has("faster:\n  build  ");
    back.stdout_has("hit rate  ").stdout_has(&format!("executed    {:20}  3\n", "4"));
    project.run(["runs", "compare", "last", "last"]).success().stdout_has("no task ran otherwise");

    // A result that was there before and is needed again, and a reason that a person can read.
    project.file("in", "3\n");
    project.run(QUICK).success();
    let third = answer(&project, &["runs", "compare", "last~1", "last"]);
    assert_eq!(tasks(&third["newly_run"]), [""; 0], "both ran `fetch` and `build`: {third}");
    project.run(["-f", "-q"].iter().chain(&QUICK)).success();
    let forced = project.run(["runs", "compare", "last~1", "last"]);
    forced.success().stdout_has("newly run:\n").stdout_has("forced\n");
}

#[test]
fn a_replay_prints_what_the_run_had_printed() {
    let project = project();
    // The first run has a failure and a retry, the second a hit and words that are shown again.
    let first = project.run(QUICK);
    first.code(6).stderr_has("retrying").stderr_has("the last words");
    let told = project.run(["runs", "replay"]);
    told.success().stdout("").stderr(&first.err());
    project.remove("got").remove("out").file("fixed", "");
    let second = project.json(["--replay"].iter().chain(&QUICK));
    second.success();
    assert_eq!(second.tasks_with("cached"), ["build", "fetch"]);
    project.json(["runs", "replay", "last"]).success().stdout(&second.out());
    project.run(["runs", "replay", "last~1"]).success().stderr(&first.err());
    project.run(["-q", "runs", "replay", "last~1"]).success().stderr_lacks("building");
    let verbose = project.run(["-V", "--stats", "runs", "replay", "last~1"]);
    verbose.success().stderr_has("  $ cp in got\n").stderr_has("hit rate");
}

#[test]
fn long_words_and_bytes_that_are_no_text_are_replayed_while_the_cache_has_them() {
    let project = Project::new();
    project.manifest(
        "task bytes {\n  cmd = printf 'a\\377b\\n'\n}\n\
         task long {\n  cmd = i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done\n  deps = bytes\n}\n\
         task longer {\n  cmd = seq 300000\n  deps = long\n}\n",
    );
    let run = project.run(["manifest.txt"]);
    run.success();
    assert!(run.stderr_bytes().contains(&0xff));
    let journal = &journals(&project)[0];
    let length = project.path(RUNS).join(journal).metadata().expect("a journal").len();
    assert!(length < 200_000, "{length} bytes for two that are longer than that");
    let again = project.run(["runs", "replay"]);
    assert!(again.success().stderr_bytes() == run.stderr_bytes(), "not what was printed");
    let events = project.json(["runs", "replay"]);
    let outputs = events.events_of("task_output");
    assert!(outputs.iter().all(|event| event["output"].is_string()));

    project.run(["cache", "clean"]).success();
    let less = project.run(["runs", "replay"]).success().err();
    assert!(less.contains("line 0\n") && less.contains("line 19999\n"), "both ends are kept");
    assert!(less.contains("are not kept ...\n") && less.len() < 200_000);
}

#[test]
fn a_run_that_was_killed_is_listed_as_not_ended_with_what_it_was_at() {
    let project = Project::new();
    project.manifest(
        "task done {\n  cmd = echo x > done\n  outputs = done\n}\n\
         task endless {\n  cmd = touch up; sleep 600\n  deps = done\n}\n",
    );
    let mut run = project.spawn(["manifest.txt"]);
    wait_until("the second task", || project.exists("up"));
    let told = || journals(&project).first().map(|name| project.read(format!("{RUNS}/{name}")));
    wait_until("its start in the journal", || {
        told().is_some_and(|text| text.contains("\"type\":\"task_started\",\"task\":\"endless\""))
    });
    assert_eq!(list(&project)[0]["state"], "running");
    run.signal(Signal::SIGKILL);
    run.wait().signal(9);
    let runs = list(&project);
    assert_eq!(
        (&runs[0]["state"], &runs[0]["summary"]["executed"]),
        (&"did_not_end".into(), &1.into())
    );
    assert_eq!(tasks(&answer(&project, &["runs", "show"])["unfinished"]), ["endless"]);
    project.run(["runs", "list"]).success().stdout_has("  did not end  2 tasks: 1 executed in ");
    project.run(["runs", "show"]).stdout_has("had begun and did not end: `endless`\n");
    let again = project.run(["runs", "replay"]);
    again.success().stderr_has("[✔] done").stderr_has("warning: the run did not come to its end");
}

#[test]
fn a_run_that_was_interrupted_says_so() {
    let project = Project::new();
    project.manifest("task t {\n  cmd = touch up; sleep 600\n}\n");
    let mut run = project.spawn(["manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    run.signal(Signal::SIGINT);
    run.wait().code(130);
    assert_eq!(list(&project)[0]["state"], "interrupted");
    project.run(["runs", "show"]).success().stdout_has(", interrupted\n");
}

#[test]
fn a_run_that_has_nothing_to_do_leaves_no_journal_and_neither_does_one_that_only_looks() {
    let project = project();
    project.file("fixed", "").file("again", "");
    project.run(["-n", "manifest.txt"]).success();
    assert_eq!(journals(&project), [""; 0]);
    project.run(["manifest.txt"]).success();
    assert_eq!(journals(&project).len(), 1);
    for args in [&["manifest.txt"][..], &["manifest.txt", "build"], &["-n", "-f", "manifest.txt"]] {
        project.run(args).success();
        assert_eq!(journals(&project).len(), 1, "{args:?}");
    }
    let folder = project.path(RUNS);
    let mode = |path: &std::path::Path| {
        path.metadata().expect("something is there").permissions().mode() & 0o777
    };
    assert_eq!((mode(&folder), mode(&folder.join(&journals(&project)[0]))), (0o700, 0o600));
}

#[test]
fn the_oldest_go_when_there_are_too_many_or_they_are_too_large() {
    let project = Project::new();
    project.manifest("task t {\n  cmd = seq 9000\n}\n");
    let run = |set: &str| {
        project.run(["-f", "-q", "--set", set, "manifest.txt"]).success();
        let newest = list(&project)[0]["id"].as_str().expect("a name").to_owned();
        (newest, journals(&project))
    };
    let mut names = Vec::new();
    for _ in 0..6 {
        let (newest, kept) = run("history.keep_runs=3");
        names.push(format!("{newest}.jsonl"));
        let mut last: Vec<_> = names.iter().rev().take(3).cloned().collect();
        last.sort();
        assert_eq!(kept, last);
    }
    // What is no journal is not touched.
    project.file(format!("{RUNS}/notes.jsonl"), "mine").file(format!("{RUNS}/0123.txt"), "too");
    assert_eq!(run("history.keep_runs=1").1.len(), 3);
    assert_eq!(run("history.keep_runs=0").1.len(), 3, "none is written, and none removed");

    // Each has some 45 KB of words.
    let journal = || journals(&project).into_iter().find(|name| name.len() == 22);
    let one = project.bytes(format!("{RUNS}/{}", journal().expect("a journal")));
    assert!(one.len() > 40_000, "{}", one.len());
    for at in 0..30 {
        project.file(format!("{RUNS}/{at:016x}.jsonl"), &one);
    }
    let total = |names: &[String]| -> u64 {
        let sizes = names.iter().map(|name| project.path(RUNS).join(name).metadata());
        sizes.map(|data| data.expect("a journal").len()).sum()
    };
    assert!(total(&journals(&project)) > 1 << 20);
    let (newest, kept) = run("history.max_size_mb=1");
    assert!(total(&kept) <= 1 << 20 && kept.len() > 15, "{} of {}", total(&kept), kept.len());
    assert!(kept.contains(&format!("{newest}.jsonl")) && kept.contains(&"notes.jsonl".to_owned()));
}

#[test]
fn a_journal_with_torn_or_foreign_lines_is_read_and_it_is_said() {
    let project = project();
    let run = project.run(QUICK);
    run.code(6);
    let path = format!("{RUNS}/{}", journals(&project)[0]);
    let text = project.read(&path);
    let middle = text.find("\n{\"seq\":4,").expect("a fourth event") + 1;
    let (before, after) = text.split_at(middle);
    let odd = format!("{before}{{\"type\":\"of_another_year\"}}\n\0\u{1b}[31m\n{after}");
    project.file(&path, &odd);
    let told = project.run(["runs", "replay"]);
    told.success().stderr_has("warning: 2 lines of the journal are not understood");
    assert!(told.err().starts_with(&run.err()), "{}", told.transcript());
    assert_eq!(answer(&project, &["runs", "show"])["odd"]["foreign"], 2);
    project.file(&path, &text.as_bytes()[..text.len() - 9]);
    assert_eq!(list(&project)[0]["state"], "did_not_end");
    let torn = project.run(["runs", "show"]);
    torn.success().stderr_has("warning: the last line of the journal is torn");
    torn.stdout_has("3 executed, 1 failed, 1 skipped");
    // Of a file that holds no run there is nothing to say but that.
    project.file(format!("{RUNS}/0123456789abcdef.jsonl"), "words\n");
    let listed = project.run(["runs", "list"]);
    listed.success().stderr_has("0123456789abcdef.jsonl` does not say how its run began");
    assert_eq!(listed.out().lines().count(), 1);
    project.remove(&path).dir(&path);
    project.run(["runs", "list"]).success().stderr_has("it is no regular file").stdout("");
}

#[test]
fn runs_are_named_by_as_much_as_is_clear() {
    let project = Project::new();
    project.manifest("task t {\n  cmd = true\n}\n");
    let none = project.run(["runs", "show"]);
    none.code(2).stderr_has("no run is known in this project").stderr_has("help: ");
    project
        .run(["--set", "history.keep_runs=0", "runs", "show"])
        .code(2)
        .stderr_has("history.keep_runs");
    project.run(["runs", "list"]).success().stdout("");
    for _ in 0..2 {
        project.run(["-f", "manifest.txt"]).success();
    }
    let runs = list(&project);
    let ids: Vec<&str> = runs.iter().map(|run| run["id"].as_str().expect("a name")).collect();
    let common = ids[0].bytes().zip(ids[1].bytes()).take_while(|(a, b)| a == b).count();
    for (word, id) in [
        ("last", ids[0]),
        ("last~0", ids[0]),
        ("last~1", ids[1]),
        (&ids[1][..=common], ids[1]),
        (ids[0], ids[0]),
    ] {
        assert_eq!(answer(&project, &["runs", "show", word])["id"], id, "{word}");
    }
    for word in ["last~2", "last~x", "0123456789abcdefx", ""] {
        let run = project.run(["runs", "show", word]);
        run.code(2).stderr_has("there is no run `").stderr_has("`reprovm runs list`");
    }
    let last = if ids[0].ends_with('0') { '1' } else { '0' };
    let text = project.read(format!("{RUNS}/{}.jsonl", ids[0]));
    project.file(format!("{RUNS}/{}{last}.jsonl", &ids[0][..15]), text);
    let both = project.run(["runs", "replay", &ids[0][..15]]);
    both.code(2).stderr_has("is the beginning of several runs: ").stderr_has(ids[0]);
    project.run(["runs"]).code(1);
    project.run(["runs", "compare", "last"]).code(1);
}

#[test]
fn each_project_has_its_own_history_also_where_one_builds_the_other() {
    let project = Project::new();
    let program = env!("CARGO_BIN_EXE_reprovm");
    project.file("inner/manifest.txt", "task within {\n  cmd = sleep 0.1\n}\n");
    project.manifest(&format!("task outer {{\n  cmd = {program} -q -C inner manifest.txt\n}}\n"));
    let beside = Project::new();
    beside.manifest("task beside {\n  cmd = sleep 0.1\n}\n");
    let (first, second) = (project.spawn(["manifest.txt"]), beside.spawn(["manifest.txt"]));
    first.wait().success();
    second.wait().success();
    for (history, args, task) in [
        (&project, &["runs", "show"][..], "outer"),
        (&project, &["-C", "inner", "runs", "show"], "within"),
        (&beside, &["runs", "show"], "beside"),
    ] {
        assert_eq!(tasks(&answer(history, args)["slowest"]), [task]);
    }
    // Two of one project: the second waits for the first, and both are there.
    let other = project.spawn(["-f", "manifest.txt"]);
    project.run(["-f", "manifest.txt"]).success();
    other.wait().success();
    assert_eq!(list(&project).len(), 3);
}

#[test]
fn a_history_on_a_full_disk_costs_no_result_and_is_said_once() {
    let project = Project::new();
    project.manifest(
        "task a {\n  cmd = seq 9000; echo a > a\n  outputs = a\n}\n\
         task b {\n  cmd = seq 9001; echo b > b\n  deps = a\n  outputs = b\n}\n",
    );
    project.dir(RUNS);
    let Some(_disk) = Tmpfs::mount(&project.path(RUNS), "16k") else { return };
    let run = project.run(["manifest.txt"]);
    run.success().stderr_has("No space left");
    assert_eq!(run.err().matches("warning: ").count(), 1, "{}", run.transcript());
    run.stderr_has("is not in the history");
    assert_eq!((project.read("a"), project.read("b")), ("a\n".into(), "b\n".into()));
    project.json(["manifest.txt"]).executed_nothing();
    project.run(["runs", "list"]).success();
}

#[test]
fn the_cache_is_judged_by_the_last_runs() {
    let project = Project::new();
    project.manifest(
        "task short {\n  cmd = echo x > s\n  outputs = s\n}\n\
         task long {\n  cmd = sleep 0.5; echo x > l\n  outputs = l\n}\n",
    );
    let stats = || answer(&project, &["cache", "stats"]);
    project.run(["cache", "stats"]).success().stdout_lacks("hit rate");
    let before = stats();
    assert_eq!((&before["history"]["runs"], &before["hit_rate"]), (&0.into(), &Value::Null));
    project.run(["manifest.txt"]).success();
    project.remove("s").remove("l").run(["manifest.txt"]).success();
    let after = stats();
    let found = &after["history"];
    assert_eq!((&found["runs"], &after["hit_rate"]), (&2.into(), &0.5.into()));
    let savers = &found["savers"];
    assert_eq!((tasks(savers)[0], &savers[0]["hits"]), ("long", &1.into()));
    assert!(savers[0]["saved_ms"].as_u64() >= Some(500), "{savers}");
    assert!(savers[0]["store_us"].as_u64() > Some(0) && savers[0]["restore_us"].as_u64() > Some(0));
    assert!(!tasks(&found["losers"]).contains(&"long"), "{found}");
    let text = project.run(["cache", "stats"]);
    text.success().stdout_has("hit rate    50.0 % in the last 2 runs\n");
    text.stdout_has("saved most in these runs:\n  long  0.");
}

#[test]
fn a_task_that_takes_longer_to_keep_than_to_run_is_named() {
    let project = Project::new();
    // To hash and copy these takes longer than to make a hole of that size.
    project.manifest(
        "task dear {\n  cmd = truncate -s 32M d\n  outputs = d\n}\n\
         task off {\n  cmd = truncate -s 32M o\n  outputs = o\n  cache = off\n}\n",
    );
    project.run(["manifest.txt"]).success();
    let found = answer(&project, &["cache", "stats"])["history"].clone();
    assert_eq!(tasks(&found["losers"]), ["dear"], "{found}");
    let dear = &found["losers"][0];
    assert!(dear["store_us"].as_u64() > dear["run_us"].as_u64(), "{dear}");
    assert_eq!(dear["restore_us"], Value::Null, "it was never restored");
    let text: Run = project.run(["cache", "stats"]);
    text.stdout_has("take longer to store and restore than to run:\n  dear  running ");
    text.stdout_has(", storing ").stdout_lacks("restoring");
    assert!(fs::metadata(project.path("d")).expect("an output").len() == 32 << 20);
}
