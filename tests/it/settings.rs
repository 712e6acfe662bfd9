//! Every setting that is in use changes what the program does. The table below has a scenario for
//! each; a setting without one fails the test, as does a scenario for a setting that is not there.

use std::collections::BTreeSet;

use crate::audit::set as audit;
use crate::notify::set as told;
use crate::support::{Project, Run, Streams, Terminal, Tmpfs, prometheus, wait_until};
use crate::sync::set;

/// Shows that a setting changes something: runs the program without it and with it.
type Scenario = fn();

const SCENARIOS: &[(&str, Scenario)] = &[
    ("audit.enabled", audit::enabled),
    ("audit.log_file", audit::log_file),
    ("audit.log_to_syslog", audit::log_to_syslog),
    ("audit.syslog_address", audit::syslog_address),
    ("audit.log_to_console", audit::log_to_console),
    ("audit.on_full", audit::on_full),
    ("audit.key_file", audit::key_file),
    ("audit.anchor_file", audit::anchor_file),
    ("backup.auto_backup", auto_backup),
    ("backup.backup_dir", backup_dir),
    ("backup.max_backups", max_backups),
    ("cache.cache_dir", cache_dir),
    ("backup.compression", backup_compression),
    ("compression.enabled", compression_enabled),
    ("compression.algorithm", compression_algorithm),
    ("compression.level", compression_level),
    ("cache.max_cache_size_mb", max_cache_size_mb),
    ("cache.cache_ttl_hours", cache_ttl_hours),
    ("execution.parallel_jobs", parallel_jobs),
    ("execution.retry_attempts", retry_attempts),
    ("execution.retry_delay_ms", retry_delay_ms),
    ("execution.timeout_seconds", timeout_seconds),
    ("execution.grace_seconds", grace_seconds),
    ("execution.fail_fast", fail_fast),
    ("execution.force", force),
    ("execution.jobserver", jobserver),
    ("execution.lock_wait_seconds", lock_wait_seconds),
    ("history.keep_runs", keep_runs),
    ("history.max_size_mb", max_size_mb),
    ("logging.log_file", log_file),
    ("logging.log_level", log_level),
    ("logging.log_colors", log_colors),
    ("logging.log_format", log_format),
    ("logging.log_max_size_mb", log_max_size_mb),
    ("logging.log_max_files", log_max_files),
    ("logging.log_to_console", log_to_console),
    ("notifications.enabled", told::enabled),
    ("notifications.webhook_url", told::webhook_url),
    ("notifications.webhook_secret", told::webhook_secret),
    ("notifications.webhook_events", told::webhook_events),
    ("notifications.slack_webhook", told::slack_webhook),
    ("notifications.slack_events", told::slack_events),
    ("notifications.discord_webhook", told::discord_webhook),
    ("notifications.discord_events", told::discord_events),
    ("notifications.email_to", told::email_to),
    ("notifications.email_from", told::email_from),
    ("notifications.email_events", told::email_events),
    ("notifications.smtp_host", told::smtp_host),
    ("notifications.smtp_port", told::smtp_port),
    ("notifications.smtp_tls", told::smtp_tls),
    ("notifications.smtp_user", told::smtp_user),
    ("notifications.smtp_password", told::smtp_password),
    ("notifications.command", told::command),
    ("notifications.command_events", told::command_events),
    ("notifications.notify_on_complete", told::notify_on_complete),
    ("notifications.notify_on_error", told::notify_on_error),
    ("notifications.title", told::title),
    ("notifications.text", told::text),
    ("notifications.delivery_timeout_seconds", told::delivery_timeout_seconds),
    ("notifications.delivery_retries", told::delivery_retries),
    ("notifications.delivery_delay_ms", told::delivery_delay_ms),
    ("notifications.max_wait_seconds", told::max_wait_seconds),
    ("notifications.allow_private", told::allow_private),
    ("output.verbose", verbose),
    ("output.quiet", quiet),
    ("output.replay", replay),
    ("performance.enable_metrics", enable_metrics),
    ("performance.metrics_file", metrics_file),
    ("performance.metrics_interval_seconds", metrics_interval_seconds),
    ("performance.enable_profiling", enable_profiling),
    ("performance.profile_file", profile_file),
    ("prometheus.enabled", prometheus_enabled),
    ("prometheus.address", prometheus_address),
    ("prometheus.port", prometheus_port),
    ("prometheus.metrics_path", prometheus_metrics_path),
    ("prometheus.textfile", prometheus_textfile),
    ("output.progress", progress),
    ("rate_limiting.max_concurrent_tasks", max_concurrent_tasks),
    ("rate_limiting.max_cpu_percent", max_cpu_percent),
    ("rate_limiting.max_memory_mb", max_memory_mb),
    ("rate_limiting.max_tasks_per_second", max_tasks_per_second),
    ("rate_limiting.max_disk_percent", max_disk_percent),
    ("rate_limiting.max_cache_operations_per_second", max_cache_operations_per_second),
    ("remote_cas.enabled", set::enabled),
    ("remote_cas.backend", set::backend),
    ("remote_cas.endpoint", set::endpoint),
    ("remote_cas.bucket", set::bucket),
    ("remote_cas.prefix", set::prefix),
    ("remote_cas.region", set::region),
    ("remote_cas.use_ssl", set::use_ssl),
    ("remote_cas.access_key", set::access_key),
    ("remote_cas.secret_key", set::secret_key),
    ("remote_cas.mode", set::mode),
    ("remote_cas.request_timeout_seconds", set::request_timeout_seconds),
    ("security.max_input_size_mb", max_input_size_mb),
    ("security.validate_checksums", validate_checksums),
    ("security.deny_dangerous", deny_dangerous),
];

#[test]
fn each_setting_in_use_has_its_scenario() {
    let with: BTreeSet<String> = SCENARIOS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let in_use: BTreeSet<String> = reprovm::config::settings()
        .filter(|setting| setting.is_in_use())
        .map(reprovm::config::Setting::name)
        .collect();
    assert_eq!(with, in_use);
}

#[test]
fn each_setting_in_use_changes_what_the_program_does() {
    std::thread::scope(|scope| {
        let running: Vec<_> =
            SCENARIOS.iter().map(|(name, scenario)| (name, scope.spawn(scenario))).collect();
        let failed: Vec<_> = running
            .into_iter()
            .filter_map(|(name, thread)| thread.join().is_err().then_some(name))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

/// A project with this manifest.
fn of(manifest: &str) -> Project {
    let project = Project::new();
    project.manifest(manifest);
    project
}

/// A run with `--set` for each of these.
#[track_caller]
fn run(project: &Project, settings: &[&str]) -> Run {
    let mut args = vec!["-o", "json"];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    args.push("manifest.txt");
    project.run(args)
}

const ONE: &str = "task a {\n  cmd = echo word; echo text > a.txt\n  outputs = a.txt\n}\n";
const FAILING: &str = "task a {\n  cmd = exit 7\n}\n";
/// Two tasks that see whether they are at work at the same time.
const MEETING: &str = "\
task a {
  cmd = touch a.up; i=0; until [ -e b.up ] || [ $i = 40 ]; do sleep 0.02; i=$((i+1)); done; [ -e b.up ] && touch met; rm a.up
}
task b {
  cmd = touch b.up; i=0; until [ -e a.up ] || [ $i = 40 ]; do sleep 0.02; i=$((i+1)); done; [ -e a.up ] && touch met; rm b.up; true
}
";

/// The manifests in a folder of backups.
fn backups(project: &Project, folder: &str) -> usize {
    let names = std::fs::read_dir(project.path(folder)).into_iter().flatten();
    let manifest = |path: std::path::PathBuf| path.extension().is_some_and(|end| end == "manifest");
    names.filter(|entry| entry.as_ref().is_ok_and(|entry| manifest(entry.path()))).count()
}

fn auto_backup() {
    let project = of(ONE);
    run(&project, &[]).success();
    assert_eq!(backups(&project, ".reprovm/backups"), 0);
    run(&project, &["auto_backup=1", "force=1"]).success();
    assert_eq!(backups(&project, ".reprovm/backups"), 1);
}

fn backup_dir() {
    let project = of(ONE);
    run(&project, &["auto_backup=1", "backup_dir=elsewhere"]).success();
    assert_eq!((backups(&project, "elsewhere"), backups(&project, ".reprovm/backups")), (1, 0));
}

fn max_backups() {
    let project = of(ONE);
    for _ in 0..3 {
        run(&project, &["auto_backup=1", "force=1", "max_backups=2"]).success();
    }
    assert_eq!(backups(&project, ".reprovm/backups"), 2);
}

fn cache_dir() {
    let project = of(ONE);
    run(&project, &["cache.cache_dir=elsewhere"]).success();
    assert!(project.exists("elsewhere/cas/objects") && !project.exists(".reprovm/cas"));
}

/// How many records there are when one is an hour old and the cache is collected.
fn left_after_an_hour(settings: &[&str]) -> usize {
    let project = of("task a {\n  cmd = head -c 1200000 /dev/zero > a\n  outputs = a\n}\n");
    run(&project, &[]).success();
    let record = project.record_of(&project.key("a"));
    let file = std::fs::File::open(&record).expect("the record");
    let hour = std::time::Duration::from_secs(3601);
    file.set_modified(std::time::SystemTime::now() - hour).expect("a time");
    let args = ["gc"].into_iter().chain(settings.iter().flat_map(|setting| ["--set", setting]));
    project.run(args).success();
    usize::from(record.exists())
}

fn max_cache_size_mb() {
    assert_eq!(left_after_an_hour(&[]), 1);
    assert_eq!(left_after_an_hour(&["max_cache_size_mb=1"]), 0);
}

fn cache_ttl_hours() {
    assert_eq!(left_after_an_hour(&["cache_ttl_hours=2"]), 1);
    assert_eq!(left_after_an_hour(&["cache_ttl_hours=1"]), 0);
}

fn parallel_jobs() {
    let project = of(MEETING);
    run(&project, &["parallel_jobs=1"]);
    assert!(!project.exists("met"));
    let started =
        |jobs: &str| run(&project, &[jobs, "force=1"]).events_of("run_started")[0]["jobs"].clone();
    assert_eq!(started("parallel_jobs=1"), 1);
    assert_eq!(started("parallel_jobs=2"), 2);
    assert!(project.exists("met"), "two jobs are at work at the same time");
}

fn max_concurrent_tasks() {
    let project = of(MEETING);
    run(&project, &["parallel_jobs=2", "max_concurrent_tasks=1"]);
    assert!(!project.exists("met"));
}

/// An output that shrinks.
const LONG: &str = "task a {\n  cmd = seq 1 20000 > a.txt\n  outputs = a.txt\n}\n";

/// How many bytes the object has that ends so.
fn object_ending(project: &Project, folder: &str, suffix: &str) -> Option<u64> {
    let folder = project.path(folder);
    let all = crate::support::files_below(&folder, &[]);
    let found = all.into_iter().find(|path| path.to_string_lossy().ends_with(suffix))?;
    Some(folder.join(found).metadata().expect("an object").len())
}

const OBJECTS: &str = ".reprovm/cas/objects";

fn compression_enabled() {
    let project = of(LONG);
    run(&project, &["compression.enabled=0"]).success();
    assert_eq!(object_ending(&project, OBJECTS, ".zst"), None);
    run(&project, &["compression.enabled=1", "force=1"]).success();
    assert_eq!(object_ending(&project, OBJECTS, ".zst"), None, "what is there stays");
    project.remove(".reprovm");
    run(&project, &["compression.enabled=1"]).success();
    assert!(object_ending(&project, OBJECTS, ".zst").is_some());
}

fn compression_algorithm() {
    for (algorithm, suffix) in [("gzip", ".gz"), ("lz4", ".lz4"), ("zlib", ".zz")] {
        let project = of(LONG);
        let set = format!("compression.algorithm={algorithm}");
        run(&project, &["compression.enabled=1", &set]).success();
        assert!(object_ending(&project, OBJECTS, suffix).is_some(), "{algorithm}");
    }
}

fn compression_level() {
    let size = |level: &str| {
        let project = of(LONG);
        run(&project, &["compression.enabled=1", "algorithm=gzip", level]).success();
        object_ending(&project, OBJECTS, ".gz").expect("an object")
    };
    assert!(size("compression.level=12") < size("compression.level=1"));
}

fn backup_compression() {
    let ending = |set: &str, suffix: &str| {
        let project = of(LONG);
        run(&project, &[]).success();
        project.run(["backup", "create", "one", "--set", set]).success();
        object_ending(&project, ".reprovm/backups/objects", suffix).is_some()
    };
    assert!(ending("backup.compression=gzip", ".gz"));
    assert!(!ending("backup.compression=none", ".gz"));
}

/// The limits that are hit with these settings, by six jobs.
fn hits(project: &Project, settings: &[&str]) -> Vec<String> {
    let all: Vec<_> = ["parallel_jobs=6", "force=1"].iter().chain(settings).copied().collect();
    let events = run(project, &all).success().events_of("limit_hit");
    events.iter().map(|event| event["limit"].as_str().expect("a limit").to_owned()).collect()
}

fn max_cpu_percent() {
    let spin = |name: &str| {
        format!("task {name} {{\n  cmd = while [ ! -e go ]; do :; done; : {name}\n}}\n")
    };
    let project = of(&(spin("a") + &spin("b")));
    let args = ["-j", "2", "--set", "max_cpu_percent=1", "manifest.txt"];
    let mut busy = project.spawn_json(args);
    busy.wait_for_event("limit_hit", "\"limit\":\"cpu\"");
    project.file("go", "");
    busy.wait().success();
    assert_eq!(hits(&project, &["max_cpu_percent=off"]), [""; 0]);
}

fn max_memory_mb() {
    let project = of(MEETING);
    hits(&project, &[]);
    assert!(project.exists("met"), "what they use is known from here on");
    project.remove("met");
    run(&project, &["parallel_jobs=2", "force=1", "max_memory_mb=1"]);
    assert!(!project.exists("met"));
}

fn max_tasks_per_second() {
    let project = of(&several());
    assert_eq!(hits(&project, &[]), [""; 0]);
    assert_eq!(hits(&project, &["max_tasks_per_second=2"]).first(), Some(&"starts".to_owned()));
}

/// Tasks that want to start at about the same time.
fn several() -> String {
    (0..6).map(|number| format!("task t{number} {{\n  cmd = echo {number}\n}}\n")).collect()
}

fn max_disk_percent() {
    let project = of("task a {\n  cmd = true\n}\n");
    let Some(_disk) = Tmpfs::mount(project.root(), "1m") else { return };
    project.file("filling", "x".repeat(700_000));
    project.manifest("task a {\n  cmd = true\n}\n");
    run(&project, &["max_disk_percent=50"]).code(6);
    run(&project, &["max_disk_percent=off"]).success();
}

fn max_cache_operations_per_second() {
    let hits = |setting: &str| {
        let project = of(&several());
        run(&project, &["parallel_jobs=6", setting]).success().events_of("limit_hit").len()
    };
    assert!(hits("max_cache_operations_per_second=4") > 0);
    assert_eq!(hits("max_cache_operations_per_second=off"), 0);
}

fn jobserver() {
    let project = of("task a {\n  cmd = echo \"$MAKEFLAGS\" > a.txt\n}\n");
    let given = |kind: &str| {
        run(&project, &["force=1", kind]).success();
        project.read("a.txt")
    };
    assert!(given("jobserver=pipe").contains("--jobserver-fds="));
    assert!(given("jobserver=fifo").contains("--jobserver-auth=fifo:/"));
    assert_eq!(given("jobserver=off"), "\n");
}

fn retry_attempts() {
    let project = of(FAILING);
    assert!(run(&project, &[]).code(6).events_of("task_retrying").is_empty());
    let retried = run(&project, &["retry_attempts=2", "retry_delay_ms=1"]);
    assert_eq!(retried.code(6).events_of("task_retrying").len(), 2);
}

fn retry_delay_ms() {
    let project = of(FAILING);
    let delay = |ms: &str| {
        let run = run(&project, &["retry_attempts=1", ms]);
        run.events_of("task_retrying")[0]["delay_ms"].as_u64().expect("a number")
    };
    assert!(delay("retry_delay_ms=2") < 10);
    assert!((75..=125).contains(&delay("retry_delay_ms=100")));
}

fn timeout_seconds() {
    let project = of("task a {\n  cmd = sleep 60\n}\n");
    let run = run(&project, &["timeout_seconds=1"]);
    run.code(11);
    assert_eq!(run.events_of("task_finished")[0]["outcome"]["failure"]["failure"], "timed_out");
}

fn grace_seconds() {
    let end = "task a {\n  cmd = trap 'sleep 1; touch ended; exit 1' TERM; \
               while :; do sleep 0.1; done\n}\n";
    let patient = of(end);
    run(&patient, &["timeout_seconds=1", "grace_seconds=60"]).code(11);
    assert!(patient.exists("ended"), "it had the time to end by itself");
    let hasty = of(end);
    run(&hasty, &["timeout_seconds=1", "grace_seconds=0"]).code(11);
    assert!(!hasty.exists("ended"));
}

fn fail_fast() {
    let manifest = "task a {\n  cmd = false\n}\ntask b {\n  cmd = true\n}\n";
    let project = of(manifest);
    assert_eq!(run(&project, &["parallel_jobs=1"]).code(6).summary().executed, 1);
    let stopped = run(&of(manifest), &["parallel_jobs=1", "fail_fast=1"]);
    // Which of the two is first is not said; after a failure nothing follows.
    let first = stopped.code(6).events_of("task_finished")[0]["task"].clone();
    assert_eq!(stopped.summary().skipped, usize::from(first == "a"));
}

fn force() {
    let project = of(ONE);
    run(&project, &[]).success();
    run(&project, &[]).executed_nothing();
    assert_eq!(run(&project, &["force=1"]).success().executed(), ["a"]);
}

fn lock_wait_seconds() {
    let project = of("task a {\n  cmd = touch up; until [ -e go ]; do sleep 0.01; done\n}\n");
    let first = project.spawn(["manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    run(&project, &["lock_wait_seconds=0"]).code(11);
    project.file("go", "");
    first.wait().success();
}

fn verbose() {
    let project = of(ONE);
    let said = |set: &str| project.run(["--set", set, "-f", "manifest.txt"]).success().err();
    assert!(!said("verbose=0").contains("$ echo word") && said("verbose=1").contains("echo word"));
}

fn quiet() {
    let project = of(ONE);
    let said = |set: &str| project.run(["--set", set, "-f", "manifest.txt"]).success().err();
    assert!(said("quiet=0").contains("[✔] a"));
    assert_eq!(said("quiet=1"), "");
}

fn replay() {
    let project = of(ONE);
    run(&project, &[]).success();
    assert!(run(&project, &[]).events_of("task_output").is_empty());
    let shown = run(&project, &["replay=1"]);
    assert_eq!(shown.events_of("task_output")[0]["output"], "word\n");
}

fn log_file() {
    let project = of(ONE);
    run(&project, &[]).success();
    assert!(!project.exists("r.log"));
    run(&project, &["logging.log_file=r.log"]).success();
    assert!(project.read("r.log").contains(" INFO "));
}

fn log_level() {
    let lines = |level: &str| {
        let project = of(ONE);
        run(&project, &["log_file=r.log", level]).success();
        project.read("r.log").lines().count()
    };
    assert!(lines("log_level=debug") > lines("log_level=info"));
    assert_eq!(lines("log_level=error"), 0);
}

fn log_colors() {
    let project = of(ONE);
    let coloured = |set: &str| {
        let mut command = project.command(["--set", set, "-f", "manifest.txt"]);
        command.env("TERM", "xterm-256color");
        let mut terminal = Terminal::start(command, 80, 24, Streams::Both);
        assert_eq!(terminal.wait(), 0);
        terminal.raw().contains("\u{1b}[32m")
    };
    assert!(coloured("log_colors=1") && !coloured("log_colors=0"));
}

fn log_format() {
    let first = |format: &str| {
        let project = of(ONE);
        run(&project, &["log_file=r.log", format]).success();
        let text = project.read("r.log");
        serde_json::from_str::<serde_json::Value>(text.lines().next().expect("a line")).is_ok()
    };
    assert!(first("log_format=json") && !first("log_format=text"));
}

/// Runs with a log that is larger than a mebibyte already; says whether it was put aside.
fn puts_aside(settings: &[&str]) -> bool {
    let project = of(ONE);
    project.file("r.log", "x\n".repeat(600_000));
    let mut all = vec!["log_file=r.log"];
    all.extend(settings);
    run(&project, &all).success();
    assert!(project.read("r.log").contains(" INFO "));
    project.exists("r.log.1")
}

fn log_max_size_mb() {
    assert!(puts_aside(&["log_max_size_mb=1"]) && !puts_aside(&["log_max_size_mb=2"]));
}

fn log_max_files() {
    assert!(!puts_aside(&["log_max_size_mb=1", "log_max_files=0"]));
}

fn log_to_console() {
    let project = of(ONE);
    assert!(!run(&project, &["force=1"]).success().err().contains("INFO"));
    assert!(
        run(&project, &["force=1", "logging.log_to_console=1"]).success().err().contains("INFO")
    );
}

fn progress() {
    let mut project = of("task a {\n  cmd = sleep 0.5; until [ -e go ]; do sleep 0.02; done\n}\n");
    project.env("TERM", "xterm-256color").env("NO_COLOR", "1");
    let start = |set: &str| {
        let command = project.command(["--set", set, "-f", "manifest.txt"]);
        Terminal::start(command, 80, 24, Streams::Both)
    };
    let mut shown = start("progress=1");
    wait_until("the bar", || shown.raw().contains("Building ["));
    project.file("go", "");
    assert_eq!(shown.wait(), 0);
    let mut not_shown = start("progress=0");
    assert_eq!(not_shown.wait(), 0);
    assert!(!not_shown.raw().contains("Building ["));
}

fn max_input_size_mb() {
    let project = of("task a {\n  cmd = true\n  inputs = large\n}\n");
    let file = std::fs::File::create(project.path("large")).expect("a file");
    file.set_len((1 << 20) + 1).expect("a sparse file");
    run(&project, &["max_input_size_mb=1"]).code(6);
    run(&project, &["max_input_size_mb=2"]).success();
}

fn validate_checksums() {
    // That a file changed without its signature is found is shown with the security checks; here
    // that everything is read again.
    let project = of(ONE);
    run(&project, &[]).success();
    let state = |project: &Project| {
        let found = std::fs::read_dir(project.path(".reprovm/state")).expect("a folder");
        let mut names: Vec<_> = found.map(|entry| entry.expect("an entry").path()).collect();
        names.sort();
        let path = names.into_iter().find(|path| path.extension().is_some_and(|e| e == "state"));
        path.and_then(|path| path.metadata().ok()).and_then(|meta| meta.modified().ok())
    };
    let before = state(&project);
    run(&project, &[]).executed_nothing();
    assert_eq!(state(&project), before, "nothing was read, so nothing is new");
    run(&project, &["validate_checksums=1"]).executed_nothing();
    assert_ne!(state(&project), before);
}

fn deny_dangerous() {
    let project = of("task a {\n  cmd = test -e never && rm -rf / || true\n}\n");
    run(&project, &["deny_dangerous=1"]).code(12);
    run(&project, &["deny_dangerous=0"]).success();
}

fn enable_metrics() {
    let project = of(ONE);
    run(&project, &[]).success();
    assert!(!project.exists(".reprovm/metrics.json"));
    run(&project, &["enable_metrics=1"]).success();
    assert!(project.read(".reprovm/metrics.json").contains("\"tasks\""));
}

fn metrics_file() {
    let project = of(ONE);
    run(&project, &["enable_metrics=1", "metrics_file=m.json"]).success();
    assert!(project.exists("m.json") && !project.exists(".reprovm/metrics.json"));
}

fn enable_profiling() {
    let project = of(ONE);
    run(&project, &[]).success();
    assert!(!project.exists(".reprovm/profile.json"));
    run(&project, &["enable_profiling=1"]).success();
    assert!(project.read(".reprovm/profile.json").contains("\"traceEvents\""));
}

fn profile_file() {
    let project = of(ONE);
    run(&project, &["enable_profiling=1", "profile_file=p.json"]).success();
    assert!(project.exists("p.json") && !project.exists(".reprovm/profile.json"));
}

/// How many journals there are after two runs that had something to do.
fn journals_after(set: &str) -> usize {
    let project = of(ONE);
    for _ in 0..2 {
        run(&project, &["force=1", set]).success();
    }
    let folder = project.path(".reprovm/runs");
    folder.read_dir().map_or(0, Iterator::count)
}

fn keep_runs() {
    assert_eq!(journals_after("keep_runs=100"), 2);
    assert_eq!(journals_after("keep_runs=1"), 1);
    assert_eq!(journals_after("keep_runs=0"), 0);
}

fn max_size_mb() {
    let task = |n: usize| format!("task t{n} {{\n  cmd = seq 9000\n}}\n");
    let manifest: String = (0..12).map(task).collect();
    // A single one has no more than a quarter.
    for (size, journals) in [("max_size_mb=1", 3), ("max_size_mb=16", 5)] {
        let project = of(&manifest);
        for _ in 0..5 {
            run(&project, &["force=1", size]).success();
        }
        let folder = project.path(".reprovm/runs");
        assert_eq!(folder.read_dir().map_or(0, Iterator::count), journals, "{size}");
    }
}

fn metrics_interval_seconds() {
    let waiting = "task a {\n  cmd = until [ -e go ]; do sleep 0.02; done\n}\n";
    let begin = |interval: &str| {
        let project = of(waiting);
        let set = ["--set", "enable_metrics=1", "--set", interval, "manifest.txt"];
        let run = project.spawn_json(set);
        (project, run)
    };
    let (often, mut first) = begin("metrics_interval_seconds=1");
    let (seldom, second) = begin("metrics_interval_seconds=3600");
    let file = ".reprovm/metrics.json";
    wait_until("figures of a run that goes on", || first.is_over() || often.exists(file));
    assert!(often.read(file).contains("\"finished\": false"));
    assert!(!seldom.exists(file));
    for (project, run) in [(often, first), (seldom, second)] {
        project.file("go", "");
        run.wait().success();
        assert!(project.read(file).contains("\"finished\": true"));
    }
}

/// The page as a run serves it, with these settings.
fn served(address: &str, settings: &[&str]) -> Option<u16> {
    let project = of("task a {\n  cmd = touch up; until [ -e go ]; do sleep 0.02; done\n}\n");
    let sets = settings.iter().flat_map(|setting| ["--set", setting]);
    let mut run = project.spawn(sets.chain(["manifest.txt"]));
    wait_until("the task", || run.is_over() || project.exists("up"));
    assert!(!run.is_over());
    let answer = prometheus::ask(address, "GET", "/metrics");
    project.file("go", "");
    run.wait().success();
    answer.map(|answer| answer.code)
}

/// Host and port.
fn parts(address: &str) -> (&str, &str) {
    address.rsplit_once(':').expect("a port")
}

/// The settings that name this address for the exporter.
fn listening(address: &str) -> [String; 2] {
    let (host, port) = parts(address);
    [format!("prometheus.address={host}"), format!("prometheus.port={port}")]
}

fn prometheus_enabled() {
    let address = prometheus::free_address();
    let [host, port] = &listening(&address);
    assert_eq!(served(&address, &[host, port]), None);
    assert_eq!(served(&address, &["prometheus.enabled=1", host, port]), Some(200));
}

fn prometheus_address() {
    let (one, another) = (prometheus::free_address(), prometheus::free_address());
    let [host, port] = &listening(&one);
    let elsewhere = format!("{}:{}", parts(&another).0, parts(&one).1);
    let set = ["prometheus.enabled=1", host, port];
    assert_eq!((served(&one, &set), served(&elsewhere, &set)), (Some(200), None));
}

fn prometheus_port() {
    let (one, another) = (prometheus::free_address(), prometheus::free_address());
    let [host, port] = &listening(&one);
    let elsewhere = format!("{}:{}", parts(&one).0, parts(&another).1);
    let set = ["prometheus.enabled=1", host, port];
    assert_eq!((served(&one, &set), served(&elsewhere, &set)), (Some(200), None));
}

fn prometheus_metrics_path() {
    let address = prometheus::free_address();
    let [host, port] = &listening(&address);
    let set = ["prometheus.enabled=1", host, port, "metrics_path=/figures"];
    assert_eq!(served(&address, &set), Some(404));
}

fn prometheus_textfile() {
    let project = of(ONE);
    run(&project, &[]).success();
    assert!(!project.exists("r.prom"));
    run(&project, &["textfile=r.prom"]).success();
    assert!(project.read("r.prom").contains("reprovm_tasks_total{"));
}
