//! Limits hold tasks back, say so, and never for ever.

use serde_json::{Value, json};

use nix::sys::signal::Signal;

use crate::support::{Project, Run, Streams, Terminal, Tmpfs, wait_until};

/// A project with this manifest.
fn of(manifest: &str) -> Project {
    let project = Project::new();
    project.manifest(manifest);
    project
}

/// So many tasks of no effort.
fn quick(count: usize) -> String {
    (0..count).map(|number| format!("task t{number} {{\n  cmd = echo {number}\n}}\n")).collect()
}

/// Two tasks that succeed only if they are at work at the same time.
fn meeting() -> String {
    let one = |own: &str, other: &str| {
        format!(
            "task {own} {{\n  cmd = touch {own}.up; i=0; until [ -e {other}.up ]; do sleep 0.02; \
             i=$((i+1)); [ $i -lt 500 ] || exit 1; done\n}}\n"
        )
    };
    one("a", "b") + &one("b", "a")
}

/// Two tasks that keep a core busy until there is a file `go`. Whichever is first, the other one
/// has to wait where the machine may not be busy.
const BUSY: &str = "task a {\n  cmd = touch a.up; while [ ! -e go ]; do :; done\n}\n\
    task b {\n  cmd = touch b.up; while [ ! -e go ]; do :; done\n}\n";

/// What limits were hit, in order.
fn hits(run: &Run) -> Vec<String> {
    let events = run.events_of("limit_hit");
    events.iter().map(|event| event["limit"].as_str().expect("a limit").to_owned()).collect()
}

/// From the beginning of the run to the last event of this kind.
fn nanoseconds_until_last(run: &Run, kind: &str) -> i64 {
    let time = |event: &Value| event["time_ns"].as_i64().expect("a time");
    let last = run.events_of(kind).iter().map(time).max().expect("an event");
    last - time(&run.events_of("run_started")[0])
}

/// The limit held something back, and no other did; or else the machine was so slow that the limit
/// was never reached.
#[track_caller]
fn assert_held_or_slow(run: &Run, limit: &str, took: i64) {
    let hits = hits(run);
    assert!(hits.iter().all(|hit| hit == limit), "{hits:?}");
    assert!(!hits.is_empty() || took > 2_000_000_000, "{}", run.transcript());
}

/// Every hit is lifted in the end, and none is told twice.
#[track_caller]
fn assert_paired(run: &Run) {
    let mut on = Vec::new();
    for event in run.events() {
        let limit = event["limit"].clone();
        match event["type"].as_str() {
            Some("limit_hit") => {
                assert!(!on.contains(&limit), "{limit} twice\n{}", run.transcript());
                on.push(limit);
            }
            Some("limit_lifted") => {
                assert!(on.contains(&limit), "{limit}\n{}", run.transcript());
                on.retain(|one| *one != limit);
            }
            _ => {}
        }
    }
    assert!(on.is_empty(), "{on:?} is never lifted\n{}", run.transcript());
}

#[test]
fn without_limits_nothing_is_held_back_or_told_of_limits() {
    let project = of(&quick(20));
    let run = project.json(["-j", "2", "manifest.txt"]);
    assert_eq!(run.success().summary().executed, 20);
    for kind in ["limits_in_force", "limit_hit", "limit_lifted", "jobserver_unused"] {
        assert!(run.events_of(kind).is_empty(), "{kind}\n{}", run.transcript());
    }
    project.run(["-V", "-f", "manifest.txt"]).success().stderr_lacks("limits:");
}

#[test]
fn starts_in_a_second_are_limited_and_a_second_is_had_at_once() {
    let project = of(&quick(11));
    let run = project.json(["-j", "4", "--set", "max_tasks_per_second=5", "manifest.txt"]);
    assert_eq!(run.success().summary().executed, 11);
    // Five at once, and six of five in a second.
    let took = nanoseconds_until_last(&run, "task_started");
    assert!(took >= 1_200_000_000, "{}", run.transcript());
    assert_held_or_slow(&run, "starts", took);
    assert_paired(&run);
    let found = project.json(["--set", "max_tasks_per_second=5", "manifest.txt"]);
    assert!(hits(&found).is_empty(), "what need not run starts nothing");
}

#[test]
fn cache_operations_are_limited_and_a_run_with_nothing_to_do_has_none() {
    let tasks: String = (0..6)
        .map(|number| {
            format!(
                "task t{number} {{\n  cmd = echo {number} > o{number}\n  outputs = o{number}\n}}\n"
            )
        })
        .collect();
    let project = of(&tasks);
    let args = ["--set", "max_cache_operations_per_second=5", "manifest.txt"];
    let run = project.json(args);
    assert_eq!(run.success().summary().executed, 6);
    // Six are looked up and six are saved: five at once, the last of the others 1.4 s later.
    let took = nanoseconds_until_last(&run, "run_finished");
    assert!(took >= 1_200_000_000, "{}", run.transcript());
    assert_held_or_slow(&run, "cache_operations", took);
    assert_paired(&run);
    let nothing = project.json(args);
    assert!(hits(nothing.executed_nothing()).is_empty());
}

#[test]
fn tasks_that_would_exceed_the_memory_together_run_one_after_the_other_once_that_is_known() {
    // The commands differ from run to run: what is known of a task is what it last did.
    let large = |around: &str| {
        let dd = "dd if=/dev/zero of=/dev/null bs=60M count=1 2>/dev/null";
        let command = around.replace("DD", dd);
        format!(
            "task a {{\n  cmd = {command}\n}}\ntask b {{\n  cache = off\n  cmd = {command}\n}}\n"
        )
    };
    let project = of(&large("DD"));
    let run = |limit: &str| project.json(["-j", "2", "-f", "--max-memory", limit, "manifest.txt"]);
    run("100").success();
    let peaks = project.json(["-f", "manifest.txt"]).events_of("task_finished");
    let peak = peaks[0]["usage"]["peak_rss_bytes"].as_u64().expect("a number");
    assert!((60 << 20..90 << 20).contains(&peak), "{peak}");
    // Each fails where the other is at work.
    project
        .manifest(&large("mkdir busy && DD && until [ -e go ]; do sleep 0.02; done && rmdir busy"));
    let mut apart = project.spawn_json(["-j", "2", "-f", "--max-memory", "100", "manifest.txt"]);
    apart.wait_for_event("limit_hit", "\"limit\":\"memory\"");
    project.file("go", "");
    let apart = apart.wait();
    assert_eq!(apart.success().summary().executed, 2);
    assert_eq!(hits(&apart), ["memory"]);
    assert_paired(&apart);
    let held = &apart.events_of("limit_hit")[0];
    assert_eq!(held["ceiling"], 100 << 20);
    assert!(held["measured"].as_u64().expect("a number") >= 120 << 20, "{held}");
    // With room for both they meet.
    project.manifest(&meeting());
    assert!(hits(run("300").success()).is_empty());
}

#[test]
fn a_task_larger_than_all_of_the_memory_runs_alone() {
    let project = of("task large {\n  cmd = dd if=/dev/zero of=/dev/null bs=60M count=1\n}\n");
    project.run(["manifest.txt"]).success();
    // Whichever is first, those that may not run beside it have to wait.
    let go = "until [ -e go ]; do sleep 0.02; done";
    let small = |name: &str| {
        format!(
            "task {name} {{\n  cmd = test ! -e alone && {go} && test ! -e alone && echo {name}\n}}\n"
        )
    };
    let large =
        format!("task large {{\n  cmd = mkdir alone && {go} && sleep 0.1; rmdir alone\n}}\n");
    project.manifest(&(small("x") + &large + &small("y") + &small("z")));
    let mut run = project.spawn_json(["-j", "3", "--max-memory", "50", "manifest.txt"]);
    run.wait_for_event("limit_hit", "\"limit\":\"memory\"");
    project.file("go", "");
    let run = run.wait();
    assert_eq!(run.success().summary().executed, 4);
    assert_paired(&run);
}

#[test]
fn a_full_disk_on_which_nothing_runs_ends_the_run_and_is_named() {
    let project = of(&(quick(30) + "task last {\n  cmd = touch made\n  deps = t0\n}\n"));
    let folder = project.outside().join("cache");
    std::fs::create_dir(&folder).expect("a folder");
    let Some(_disk) = Tmpfs::mount(&folder, "1m") else { return };
    std::fs::write(folder.join("filling"), vec![b'x'; 700_000]).expect("there is room");
    let cache = folder.to_str().expect("a path");
    let run = |ceiling: &str, more: &[&str]| {
        let set = format!("max_disk_percent={ceiling}");
        let args = ["-j", "2", "--cache-dir", cache, "--set", &set, "manifest.txt"];
        project.run(more.iter().chain(&args))
    };
    let full = run("50", &["-o", "json"]);
    full.code(6);
    let failed = full.tasks_with("failed");
    assert!((1..=2).contains(&failed.len()), "not every task says it\n{}", full.transcript());
    let outcome = &full.events_of("task_finished")[0]["outcome"]["failure"];
    assert_eq!((&outcome["failure"], &outcome["path"]), (&"disk_full".into(), &cache.into()));
    assert_eq!(hits(&full), ["disk"]);
    assert_paired(&full);
    assert!(!project.exists("made"));
    run("50", &[])
        .code(6)
        .stderr_has(&format!("the disk of `{cache}` is "))
        .stderr_has("% full, the limit is 50 %")
        .stderr_has("help: make room there");
    run("95", &[]).success();
    assert!(project.exists("made"));
}

#[test]
fn a_busy_machine_holds_back_all_but_one_task_and_the_run_comes_to_its_end() {
    let project = of(BUSY);
    let mut run = project.spawn_json(["-j", "2", "--max-cpu", "1", "manifest.txt"]);
    run.wait_for_event("limit_hit", "\"limit\":\"cpu\"");
    assert!(!(project.exists("a.up") && project.exists("b.up")), "one waits");
    project.file("go", "");
    let run = run.wait();
    assert_eq!(run.success().summary().executed, 2);
    assert_eq!(hits(&run), ["cpu"]);
    assert_paired(&run);
}

#[test]
fn a_run_that_waits_at_a_limit_can_be_stopped_and_leaves_what_waited_as_it_was() {
    let project = of(BUSY);
    let mut run = project.spawn_json(["-j", "2", "--max-cpu", "1", "manifest.txt"]);
    run.wait_for_event("limit_hit", "\"limit\":\"cpu\"");
    run.signal(Signal::SIGINT);
    let run = run.wait();
    run.code(130);
    assert_paired(&run);
    let started = run.events_of("task_started");
    assert_eq!((started.len(), run.summary().cancelled), (1, 2), "{}", run.transcript());
    assert!(project.processes().is_empty());
    let waited = if started[0]["task"] == "a" { "b" } else { "a" };
    assert!(!project.exists(format!("{waited}.up")));
    project.file("go", "");
    let rest = project.json(["manifest.txt"]);
    assert_eq!(rest.success().summary().executed, 2);
    assert_eq!(rest.reasons(waited)[0]["reason"], "no_record");
}

#[test]
fn a_run_that_waits_for_the_cache_can_be_stopped() {
    let project = of(&quick(40));
    let set = ["--set", "max_cache_operations_per_second=1"];
    let mut run = project.spawn_json(set.iter().chain(&["-j", "2", "manifest.txt"]));
    run.wait_for_event("limit_hit", "\"limit\":\"cache_operations\"");
    run.signal(Signal::SIGINT);
    let run = run.wait();
    run.code(130);
    assert_paired(&run);
    // All of them would have taken more than a minute.
    assert!(run.summary().executed < 40, "{}", run.transcript());
}

#[test]
fn after_the_first_failure_what_waits_does_not_start_where_nothing_more_is_to() {
    let project = of(&BUSY.replace("done\n", "done; exit 1\n"));
    let args = ["-j", "2", "--max-cpu", "1", "--fail-fast", "manifest.txt"];
    let mut run = project.spawn_json(args);
    run.wait_for_event("limit_hit", "\"limit\":\"cpu\"");
    project.file("go", "");
    let run = run.wait();
    run.code(6);
    let started = run.events_of("task_started");
    assert_eq!((started.len(), run.summary().failed), (1, 1), "{}", run.transcript());
    let (bad, waited) = if started[0]["task"] == "a" { ("a", "b") } else { ("b", "a") };
    assert_eq!(run.skips(), [(waited.to_owned(), json!({"reason": "fail_fast", "task": bad}))]);
}

#[test]
fn the_number_of_tasks_at_a_time_is_a_limit_that_is_told_and_counted() {
    let project = of(&quick(3));
    let args = ["-j", "2", "--set", "max_concurrent_tasks=1", "manifest.txt"];
    let run = project.json(["--set", "prometheus.textfile=figures.prom"].iter().chain(&args));
    assert_eq!(run.success().summary().executed, 3);
    assert_eq!(hits(&run), ["tasks"]);
    assert_paired(&run);
    let page = project.read("figures.prom");
    assert!(page.contains("reprovm_limit_hits_total{limit=\"tasks\""), "{page}");
    let line = page.lines().find(|line| line.contains("limit=\"tasks\"")).expect("a line");
    assert!(line.ends_with(" 1"), "{line}");
}

#[test]
fn health_says_what_keeps_the_limits_that_are_set() {
    let project = of(&quick(1));
    let limits = ["--max-memory", "512", "--max-cpu", "80"];
    let health = project.run(["health"].iter().chain(&limits));
    health
        .stdout_has("; `max_memory_mb` is kept by ")
        .stdout_has("; `max_cpu_percent` is kept by ");
    project.run(["health"]).stdout_lacks("is kept by");
}

#[test]
fn what_is_waited_for_is_shown() {
    let mut project = of(BUSY);
    project.env("TERM", "xterm-256color").env("NO_COLOR", "1");
    let command = project.command(["-j", "2", "--max-cpu", "1", "manifest.txt"]);
    let mut terminal = Terminal::start(command, 100, 24, Streams::Both);
    wait_until("the limit in the bar", || terminal.raw().contains(" waiting: CPU "));
    project.file("go", "");
    assert_eq!(terminal.wait(), 0);
    project.remove("go");
    let set = ["--set", "max_disk_percent=100", "--set", "max_cache_operations_per_second=900"];
    let args = ["-V", "-f", "-j", "2", "--max-cpu", "1", "--max-memory", "512", "manifest.txt"];
    let told = project.spawn(set.iter().chain(&args));
    wait_until("a limit in the text", || {
        String::from_utf8_lossy(&told.stderr_so_far()).contains("waiting: CPU ")
    });
    project.file("go", "");
    told.wait()
        .success()
        .stderr_has("limits: CPU 1 % (by ")
        .stderr_has("measuring), memory 512.0 MiB (by ")
        .stderr_has("disk 100 % (by measuring), cache operations 900 per second (by counting)")
        .stderr_has("no longer waiting: CPU, after ");
    let log = ["--log-file", "r.log", "--set", "max_concurrent_tasks=1", "-f", "manifest.txt"];
    project.run(log).success();
    let log = project.read("r.log");
    assert!(log.contains("limit is in force") && log.contains("limit holds tasks back"), "{log}");
}
