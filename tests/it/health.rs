//! How things stand: the checks of the cache and the machine, and several flags in one call.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Project, Run, Tmpfs, files_below, wait_until};

const NAMES: [&str; 6] = ["cache", "cas", "disk", "memory", "locks", "remote"];

fn built() -> Project {
    let project = Project::new();
    project.manifest("task one {\n  cmd = echo alpha > one.txt\n  outputs = one.txt\n}\n");
    project.run(["manifest.txt"]).success();
    project
}

fn data(run: &Run) -> Value {
    serde_json::from_str(&run.out()).unwrap_or_else(|_| panic!("no JSON\n{}", run.transcript()))
}

#[track_caller]
fn check(run: &Run, name: &str, status: &str, message: &str) {
    let health = data(run);
    let check = &health["checks"][name];
    let said = check["message"].as_str().unwrap_or_default();
    assert!(check["status"] == status && said.contains(message), "{name}: {health}");
}

#[test]
fn a_built_project_is_healthy_and_nothing_is_left_of_the_probes() {
    let project = built();
    let before = files_below(&project.path(".reprovm"), &[]);
    let run = project.run(["health", "-o", "json"]);
    check(run.success(), "cache", "OK", "can be read and written, 1 record read");
    check(&run, "cas", "OK", "an object was written, read back and removed");
    check(&run, "locks", "OK", "no run is at work; the last was process ");
    check(&run, "remote", "OK", "not configured");
    assert_eq!(files_below(&project.path(".reprovm"), &[]), before);
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn a_disk_that_has_room_for_bytes_and_not_for_files_is_told() {
    let project = built();
    let Some(_disk) = Tmpfs::mount(&project.path(".reprovm"), "512m,nr_inodes=40") else { return };
    for number in 0..38 {
        project.file(format!(".reprovm/{number}"), "");
    }
    let run = project.run(["health", "-o", "json"]);
    check(&run, "disk", "WARNING", ", room for 1 more files (2 %)");
}

#[test]
fn the_report_has_the_documented_form() {
    let project = built();
    let health = data(project.run(["--health-check", "-o", "json"]).success());
    let checks = health["checks"].as_object().expect("an object");
    let mut names = NAMES;
    names.sort_unstable();
    assert_eq!(checks.keys().map(String::as_str).collect::<Vec<_>>(), names);
    let rank = |status: &Value| {
        let known = ["OK", "UNKNOWN", "WARNING", "CRITICAL"];
        known.iter().position(|known| status == known).expect("a known status")
    };
    let worst = checks.values().map(|check| rank(&check["status"])).max();
    assert_eq!(Some(rank(&health["status"])), worst, "{health}");
    assert!(checks.values().all(|check| check["response_time_ms"].is_u64()), "{health}");
    let memory = checks["memory"]["message"].as_str().expect("a message");
    let disk = checks["disk"]["message"].as_str().expect("a message");
    assert!(memory.contains(" free (") && disk.contains(" free ("), "{health}");
    let text = project.run(["health"]).success().out();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("health  "), "{text}");
    for (line, name) in lines[1..].iter().zip(NAMES) {
        assert!(line.starts_with(&format!("{name:6}  ")) && line.ends_with(" ms)"), "{text}");
    }
    assert_eq!(lines.len(), 7, "{text}");
}

#[test]
fn where_no_run_ever_was_nothing_is_made() {
    let project = Project::new();
    let run = project.run(["health", "-o", "json"]);
    check(run.success(), "cache", "OK", "no records yet");
    check(&run, "cas", "OK", "no objects yet");
    check(&run, "locks", "OK", "no run is at work");
    assert!(!project.exists(".reprovm"));
    let elsewhere = project.outside().join("none/yet");
    let elsewhere = elsewhere.to_str().expect("a plain path");
    project.run(["health", "--cache-dir", elsewhere]).success();
    assert!(!project.outside().join("none").exists());
}

#[test]
fn a_cache_that_cannot_be_used_is_critical_with_the_code_of_its_kind() {
    let project = built();
    project.remove(".reprovm/cas/objects").file(".reprovm/cas/objects", "a file");
    let run = project.run(["health", "-o", "json"]);
    check(run.code(9), "cas", "CRITICAL", "`.reprovm/cas/objects`");
    assert_eq!(data(&run)["status"], "CRITICAL");
    project.remove(".reprovm/cache").file(".reprovm/cache", "a file");
    let run = project.run(["--health-check", "-o", "json"]);
    check(run.code(8), "cache", "CRITICAL", "`.reprovm/cache`");
    // The object cannot be written: where it would be made is a file.
    let project = built();
    project.remove(".reprovm/cas/tmp").file(".reprovm/cas/tmp", "a file");
    project.run(["health"]).code(9).stdout_has("cas     CRITICAL  ");
}

#[test]
fn a_damaged_record_is_a_warning_since_it_costs_a_miss_only() {
    let project = built();
    let record = files_below(&project.path(".reprovm/cache"), &[]).remove(0);
    project.file(format!(".reprovm/cache/{}", record.display()), "no record");
    let run = project.run(["health", "-o", "json"]);
    check(run.success(), "cache", "WARNING", "1 of 1 record cannot be used");
}

#[test]
fn a_run_at_work_is_named_and_a_dead_one_is_no_problem() {
    let project = Project::new();
    project.manifest("task slow {\n  cmd = touch up; until [ -e go ]; do sleep 0.01; done\n}\n");
    let mut run = project.spawn(["manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    let pid = run.pid();
    let health = project.run(["health", "-o", "json"]);
    check(health.success(), "locks", "OK", &format!("a run is at work (process {pid} on `"));
    run.signal(Signal::SIGKILL);
    run.wait().signal(9);
    let health = project.run(["health", "-o", "json"]);
    check(
        health.success(),
        "locks",
        "OK",
        &format!("no run is at work; the last was process {pid}"),
    );
    project.file("go", "").run(["--no-wait", "manifest.txt"]).success();
}

#[test]
fn a_remote_store_of_a_kind_that_is_not_there_is_a_warning() {
    let project = built();
    let health = |backend: &str| {
        let set = format!("remote_cas.backend={backend}");
        project.run(["--set", "remote_cas.enabled=true", "--set", &set, "health", "-o", "json"])
    };
    check(health("s3").success(), "remote", "OK", "configured");
    check(health("gcs").success(), "remote", "WARNING", "not in this version");
}

#[test]
fn several_flags_are_done_one_after_the_other() {
    let project = built();
    let all = ["--health-check", "--list-tasks", "--verify-cache"];
    let said = project.run(all).success().out();
    let places = ["health  ", "\none\n", ": all sound\n"].map(|part| said.find(part));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{said}");
    // A manifest that is named is not built where things are only looked at.
    project.remove("one.txt").run(["--verify-cache", "manifest.txt"]).success();
    assert!(!project.exists("one.txt"));
    project.remove("manifest.txt");
    let without = project.run(all);
    without.code(2).stderr_has("no manifest at `manifest.txt`");
    without.stdout_has("health  ").stdout_has(": all sound\n");
    project.remove(".reprovm/cas/objects").file(".reprovm/cas/objects", "a file");
    project.run(all).code(9).stderr_has("no manifest").stdout_has("unreadable `");
}

#[test]
fn what_this_version_cannot_do_is_said_with_what_to_do_instead() {
    let project = built();
    for flag in ["--sync-from-remote", "--sync-to-remote"] {
        let plain = project.run([flag]);
        plain.code(14).stderr_has(&format!("`{flag}` needs a remote store"));
        plain.stderr_has("remote_cas.enabled").stderr_has("REPROVM_REMOTE_CAS_URL");
        for backend in ["gcs", "azure", "custom"] {
            let set = format!("remote_cas.backend={backend}");
            let run = project.run([flag, "--set", "remote_cas.enabled=true", "--set", &set]);
            run.code(14)
                .stderr_has(&format!("the remote store `{backend}` is not in this version"));
        }
    }
    project.remove("one.txt").run(["--sync-from-remote", "manifest.txt"]).code(14);
    assert!(!project.exists("one.txt"), "nothing is built on a store that was not fetched");
}
