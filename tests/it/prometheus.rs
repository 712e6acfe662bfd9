//! Figures for Prometheus: what the page says, who serves it and how, and that a real Prometheus
//! takes it.

mod clumsy;
mod dashboard;
mod textfile;

use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::prometheus::{Answer, Prometheus, Samples, announced, ask, promtool};
use crate::support::{Background, Project, wait_until};

/// Two tasks in a row and one beside them, which fails while `broken` is there.
const MANIFEST: &str = "\
task one {
  cmd = cp in one; sleep 0.05
  inputs = in
  outputs = one
}

task two {
  cmd = cp one two
  inputs = one
  outputs = two
}

task beside {
  cmd = test ! -e broken
  inputs = in
}
";

/// What promtool has against names that other programs know already. Each has a twin without.
const FINDINGS: [&str; 1] =
    ["reprovm_execution_time_ms metric names should not contain abbreviated units"];

fn project() -> Project {
    let project = Project::new();
    project.file("in", "1").manifest(MANIFEST);
    // So that a run with nothing to do need not suspect that it was just written to.
    let file = std::fs::File::options().append(true).open(project.path("manifest.txt"));
    let old = SystemTime::now() - Duration::from_secs(60);
    file.and_then(|file| file.set_modified(old)).expect("an older manifest");
    project
}

/// Runs until a run with nothing to do leaves no more than a note. Returns how many that took.
fn run_until_noted(project: &Project) -> usize {
    let mut runs = 0;
    wait_until("a run that reads no manifest", || {
        project.json(["manifest.txt"]).executed_nothing();
        runs += 1;
        !project.read(".reprovm/totals.notes").is_empty()
    });
    runs
}

/// An exporter of the project, and where it is.
#[track_caller]
fn exporter(project: &Project) -> (Background, String) {
    let mut exporter = project.spawn(["--prometheus-exporter", "--port", "0"]);
    let address = announced(&mut exporter);
    (exporter, address)
}

#[track_caller]
fn page(address: &str) -> Answer {
    let answer = ask(address, "GET", "/metrics").expect("an answer");
    assert_eq!(answer.code, 200, "{}", answer.body);
    answer
}

#[test]
fn a_folder_without_a_manifest_has_a_page_that_promtool_accepts() {
    let project = Project::new();
    let (mut exporter, address) = exporter(&project);
    let page = page(&address);
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(promtool(&page.body), FINDINGS);
    for (name, kind) in [
        ("tasks_total", "counter"),
        ("tasks_executed", "gauge"),
        ("tasks_cached", "gauge"),
        ("tasks_failed", "gauge"),
        ("cache_hit_rate", "gauge"),
        ("execution_time_ms", "gauge"),
        ("memory_bytes", "gauge"),
        ("cpu_usage_percent", "gauge"),
        ("errors_total", "counter"),
        ("retries_total", "counter"),
        ("cache_hits_total", "counter"),
        ("cache_misses_total", "counter"),
        ("timeouts_total", "counter"),
        ("cas_objects", "gauge"),
        ("cas_bytes", "gauge"),
        ("cache_entries", "gauge"),
        ("peak_memory_bytes", "gauge"),
        ("elapsed_seconds", "gauge"),
        ("build_info", "gauge"),
        ("task_duration_seconds", "histogram"),
        ("task_queue_wait_seconds", "histogram"),
        ("restore_duration_seconds", "histogram"),
        ("remote_request_duration_seconds", "histogram"),
    ] {
        let line = format!("# TYPE reprovm_{name} {kind}\n");
        assert!(page.body.contains(&line), "no {line}{}", page.body);
    }
    // Nothing was made in a folder that only was looked at.
    assert!(!project.exists(".reprovm"));
    exporter.signal(Signal::SIGTERM);
    exporter.wait().code(143);
}

#[test]
fn the_page_has_the_figures_of_all_runs_and_of_the_last_one() {
    let project = project();
    let (mut exporter, address) = exporter(&project);
    assert_eq!(Samples::at(&address).get("tasks_total"), 0.0);

    project.json(["manifest.txt"]).success();
    let cold = Samples::at(&address);
    for (name, value) in [
        ("tasks", 3.0),
        ("tasks_executed", 3.0),
        ("tasks_cached", 0.0),
        ("cache_hit_rate", 0.0),
        ("tasks_total", 3.0),
        ("runs_total{result=\"succeeded\"}", 1.0),
        ("cache_misses_total", 3.0),
        ("task_duration_seconds_count{outcome=\"executed\"}", 3.0),
        ("task_queue_wait_seconds_count", 3.0),
        ("restore_duration_seconds_count", 0.0),
    ] {
        assert_eq!(cold.get(name), value, "{name}");
    }
    assert!(cold.get("execution_seconds") >= 0.05 && cold.get("peak_memory_bytes") > 0.0);
    assert!(cold.get("memory_bytes") > 0.0 && cold.get("run_timestamp_seconds") > 1.7e9);
    let sum = cold.get("task_duration_seconds_sum{outcome=\"executed\"}");
    assert!((sum - cold.get("execution_time_ms") / 1000.0).abs() < 1e-9);
    let quick = cold.get("task_duration_seconds_bucket{outcome=\"executed\",le=\"0.05\"}");
    assert!(quick <= 2.0, "one of them sleeps for as long");

    // A run with nothing to do counts, and takes the place of the last one.
    project.json(["manifest.txt"]).executed_nothing();
    let idle = Samples::at(&address);
    assert_eq!((idle.get("tasks_executed"), idle.get("tasks_cached")), (0.0, 3.0));
    assert_eq!((idle.get("tasks_total"), idle.get("tasks_executed_total")), (6.0, 3.0));
    assert_eq!((idle.get("cache_hit_rate"), idle.get("cache_hits_total")), (1.0, 3.0));
    assert_eq!(idle.get("runs_total{result=\"succeeded\"}"), 2.0);
    assert_ne!(idle.get("saved_seconds_total"), 0.0);

    project.remove("two");
    project.json(["manifest.txt"]).executed_nothing();
    assert_eq!(Samples::at(&address).get("restore_duration_seconds_count"), 1.0);

    project.file("in", "2").file("broken", "");
    let set = ["--set", "retry_attempts=2", "--set", "retry_delay_ms=1", "manifest.txt"];
    project.json(set).code(6);
    let failed = Samples::at(&address);
    for (name, value) in [
        ("tasks_failed", 1.0),
        ("tasks_failed_total", 1.0),
        ("retries_total", 2.0),
        ("errors_total{kind=\"task\"}", 1.0),
        ("errors_total{kind=\"cache\"}", 0.0),
        ("runs_total{result=\"succeeded\"}", 3.0),
        ("runs_total{result=\"failed\"}", 1.0),
        ("tasks_total", 12.0),
        ("task_duration_seconds_count{outcome=\"failed\"}", 1.0),
    ] {
        assert_eq!(failed.get(name), value, "{name}");
    }
    // A dry run is no run.
    project.json(["-n", "manifest.txt"]).success();
    assert_eq!(Samples::at(&address).get("tasks_total"), 12.0);
    exporter.signal(Signal::SIGINT);
    exporter.wait().code(130);
}

#[test]
fn the_page_counts_the_cache_as_cache_stats_does() {
    let project = project();
    project.run(["--cache-dir", "elsewhere", "manifest.txt"]).success();
    let stats = project.run(["-o", "json", "--cache-dir", "elsewhere", "cache", "stats"]);
    let stats: Value = serde_json::from_str(&stats.success().out()).expect("JSON");
    let args = ["--cache-dir", "elsewhere", "--prometheus-exporter", "--port", "0"];
    let mut exporter = project.spawn(args);
    let samples = Samples::at(&announced(&mut exporter));
    for (name, of_stats) in [
        ("cas_objects", "cas_objects_count"),
        ("cas_bytes", "cas_objects_bytes"),
        ("cache_entries", "total_entries"),
    ] {
        let value = samples.get(name);
        assert!(value > 0.0, "{name}");
        assert_eq!(Some(value), stats[of_stats].as_f64(), "{name}");
    }
}

#[test]
fn the_page_agrees_with_the_file_of_metrics_and_the_last_event() {
    let project = project();
    project.file("broken", "");
    let run = project.json(["-m", "figures.json", "manifest.txt"]);
    let summary = run.code(6).events().last().expect("an event")["summary"].clone();
    let file: Value = serde_json::from_str(&project.read("figures.json")).expect("JSON");
    let (_exporter, address) = exporter(&project);
    let page = Samples::at(&address);
    let number = |value: &Value| value.as_f64().expect("a number");
    for (name, of_file, of_event) in [
        ("tasks", &file["tasks"]["total"], &summary["total"]),
        ("tasks_executed", &file["tasks"]["executed"], &summary["executed"]),
        ("tasks_failed", &file["tasks"]["failed"], &summary["failed"]),
        ("cache_misses_total", &file["cache"]["misses"], &summary["cache_misses"]),
        ("execution_time_ms", &file["timing_ms"]["total"], &summary["timing"]["total_ms"]),
        ("peak_memory_bytes", &file["resources"]["peak_memory_bytes"], &summary["peak_rss_bytes"]),
    ] {
        assert_eq!(page.get(name), number(of_file), "{name}");
        assert_eq!(page.get(name), number(of_event), "{name}");
    }
    let cpu = number(&file["resources"]["cpu_usage_percent"]);
    assert!((page.get("cpu_usage_percent") - cpu).abs() < 0.001);
    assert_eq!(page.get("cpu_seconds_total") * 1000.0, number(&summary["cpu_ms"]).round());
}

#[test]
fn a_prometheus_server_scrapes_the_exporter_and_a_run() {
    let project = project();
    project.json(["manifest.txt"]).success();
    project.manifest(&format!(
        "{MANIFEST}\ntask slow {{\n  cmd = until [ -e go ]; do sleep 0.02; done\n}}\n"
    ));
    let (mut exporter, alone) = exporter(&project);
    let mut run = project.spawn(["--prometheus-exporter", "--port", "0", "manifest.txt"]);
    let beside = announced(&mut run);
    let server = Prometheus::start(&[&alone, &beside]);
    wait_until("both targets", || server.is_up(&alone) && server.is_up(&beside));
    let value = |name: &str, at: &str| server.value(&format!("{name}{{instance=\"{at}\"}}"));
    wait_until("the samples", || {
        value("reprovm_tasks_total", &alone) == Some(3.0)
            && value("reprovm_tasks_total", &beside) == Some(7.0)
            && value("reprovm_tasks_cached", &beside) == Some(3.0)
    });
    // The run that goes on is no run yet, and its figures are not the exporter's.
    for at in [&alone, &beside] {
        let runs = format!("sum(reprovm_runs_total{{instance=\"{at}\"}})");
        assert_eq!(server.value(&runs), Some(1.0), "{at}");
    }
    project.file("go", "");
    run.wait().success();
    wait_until("the run's figures from the exporter", || {
        value("reprovm_tasks_total", &alone) == Some(7.0)
            && server
                .value(&format!("reprovm_runs_total{{instance=\"{alone}\",result=\"succeeded\"}}"))
                == Some(2.0)
    });
    let p90 = format!(
        "histogram_quantile(0.9, reprovm_task_duration_seconds_bucket{{instance=\"{alone}\",outcome=\"executed\"}})"
    );
    assert!(server.value(&p90).is_some_and(|seconds| seconds > 0.0));
    exporter.signal(Signal::SIGTERM);
    exporter.wait().code(143);
    wait_until("the exporter to be missed", || !server.is_up(&alone));
}

#[test]
fn a_port_that_is_taken_ends_the_exporter_and_not_a_run() {
    let project = project();
    let (_holder, address) = exporter(&project);
    let port = address.rsplit(':').next().expect("a port");
    let second = project.run(["--prometheus-exporter", "--port", port]);
    second.code(10).stderr_has(&format!("cannot listen on 127.0.0.1:{port}"));
    second.stderr_has("in use").stderr_has("--port 0");
    let run = project.run(["--prometheus-exporter", "--port", port, "manifest.txt"]);
    run.success().stderr_has("warning: cannot listen on").stderr_has("3 executed");
}

#[test]
fn a_run_that_is_stopped_counts_as_interrupted() {
    let project = Project::new();
    project.manifest(
        "task a {\n  cmd = touch up; sleep 1000\n  deps = b\n}\ntask b {\n  cmd = true\n}\n",
    );
    let mut run = project.spawn(["-j", "2", "manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    run.signal(Signal::SIGTERM);
    run.wait().code(143);
    let (_exporter, address) = exporter(&project);
    let page = Samples::at(&address);
    assert_eq!(page.get("runs_total{result=\"interrupted\"}"), 1.0);
    assert_eq!((page.get("tasks_total"), page.get("tasks_executed")), (2.0, 1.0));
    assert_eq!(page.get("tasks_cancelled"), 1.0);
}

#[test]
fn an_exporter_under_nohup_outlives_its_terminal_and_another_does_not() {
    let project = Project::new();
    let args = ["--prometheus-exporter", "--port", "0"];
    let mut under_nohup = project.by_shell("trap '' HUP; exec \"$@\"", args);
    let (mut other, _) = exporter(&project);
    let address = announced(&mut under_nohup);
    for exporter in [&mut under_nohup, &mut other] {
        exporter.signal(Signal::SIGHUP);
    }
    other.wait().code(129);
    assert_eq!(page(&address).code, 200);
    under_nohup.signal(Signal::SIGTERM);
    under_nohup.wait().code(143);
}

#[test]
fn runs_with_nothing_to_do_are_all_counted_also_side_by_side_and_after_many() {
    let project = project();
    project.run(["manifest.txt"]).success();
    let before = 1 + run_until_noted(&project);
    let idle: Vec<Background> = (0..8).map(|_| project.spawn_json(["manifest.txt"])).collect();
    for run in idle {
        run.wait().executed_nothing();
    }
    let notes = project.read(".reprovm/totals.notes");
    assert_eq!(notes.lines().count(), 9, "{notes}");
    let (_exporter, address) = exporter(&project);
    let tasks = 3.0 * (before + 8) as f64;
    assert_eq!(Samples::at(&address).get("tasks_total"), tasks);
    // So many that the next run adds them up.
    let many = notes + &"17 4096 3 10 5\n".repeat(6000);
    project.file(".reprovm/totals.notes", many);
    assert_eq!(Samples::at(&address).get("tasks_total"), tasks + 18000.0);
    project.json(["manifest.txt"]).executed_nothing();
    assert_eq!(project.read(".reprovm/totals.notes"), "");
    let after = Samples::at(&address);
    assert_eq!(after.get("tasks_total"), tasks + 18003.0);
    assert!(after.get("run_timestamp_seconds") > 1.7e9, "the last run is the latest one");
}

#[test]
fn figures_that_are_damaged_or_cannot_be_kept_begin_anew_and_harm_no_run() {
    let project = project();
    project.run(["manifest.txt"]).success();
    project.file(".reprovm/totals.json", "{\"version\":1,\"totals\"").touch("in");
    project.file("in", "2").json(["manifest.txt"]).success();
    let (_exporter, address) = exporter(&project);
    assert_eq!(Samples::at(&address).get("tasks_total"), 3.0);
    for name in ["totals.json", "totals.notes"] {
        project.remove(format!(".reprovm/{name}")).dir(format!(".reprovm/{name}"));
    }
    let run = project.file("in", "3").run(["manifest.txt"]);
    run.success().stderr_lacks("totals");
    project.json(["manifest.txt"]).executed_nothing();
    assert_eq!(Samples::at(&address).get("tasks_total"), 0.0);
}
