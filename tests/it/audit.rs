//! The audit log through the program: what is written when, that all of it is one chain, and what
//! is looked up in it.

mod crash;
mod full;
pub(crate) mod set;
mod syslog;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Project, Run, wait_until};

/// Settings in the project's own file, with the log switched on.
fn audited(project: &Project, more: &str) {
    project.file(".reprovm/reprovm.conf", format!("[audit]\nenabled = 1\n{more}\n"));
    project.chmod(".reprovm/reprovm.conf", 0o600).chmod(".reprovm", 0o755);
}

/// A project with the log switched on.
fn project(manifest: &str) -> Project {
    let project = Project::new();
    project.manifest(manifest);
    audited(&project, "");
    project
}

/// The lines of these types, as data.
#[track_caller]
fn query(project: &Project, args: &[&str]) -> Vec<Value> {
    let run = project.run([&["-o", "json", "audit", "query"], args].concat());
    run.success();
    run.out().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The log is as it was written.
#[track_caller]
fn assert_whole(project: &Project) -> Run {
    let run = project.run(["audit", "verify"]);
    run.success().stdout_has("as it was written, up to seq ");
    run
}

fn types(lines: &[Value]) -> BTreeSet<String> {
    lines.iter().map(|line| line["type"].as_str().expect("a type").to_owned()).collect()
}

#[test]
fn a_limit_that_holds_tasks_back_and_verbs_that_change_the_cache_are_in_the_log() {
    let tasks: String = (0..6).map(|at| format!("task t{at} {{\n  cmd = : {at}\n}}\n")).collect();
    let project = project(&tasks);
    project.run(["-j", "6", "--set", "max_tasks_per_second=2", "manifest.txt"]).success();
    let held = query(&project, &["--type", "RESOURCE_LIMIT"]);
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!((&held[0]["resource"], &held[0]["action"]), (&"starts".into(), &"hold-back".into()));
    project.run(["cache", "pin", "t0"]).success();
    project.run(["cache", "recompress"]).success();
    project.run(["gc"]).success();
    let begun = query(&project, &["--type", "SYSTEM_START"]);
    let verbs: Vec<_> =
        begun.iter().map(|line| line["resource"].as_str().expect("words")).collect();
    assert_eq!(verbs, ["audit-log", "build", "cache pin", "cache recompress", "gc"]);
    assert_whole(&project);
}

const COPY: &str = "task copy {\n  cmd = cp in out\n  inputs = in\n  outputs = out\n}\n";

#[test]
fn each_of_the_fifteen_types_has_its_cause() {
    let project = project(&format!(
        "{COPY}\
         task fails {{\n  cmd = exit 3\n}}\n\
         task slow {{\n  cmd = sleep 1000\n  timeout = 200ms\n}}\n\
         task danger {{\n  cmd = : chmod 777 /; true || chmod 777 /\n}}\n\
         task again {{\n  cmd = test -e again || {{ touch again; exit 1; }}\n  retries = 1\n}}\n"
    ));
    project.file("in", "words");
    project.run(["manifest.txt", "copy"]).success();
    assert_eq!(
        types(&query(&project, &[])),
        ["CACHE_MISS", "CACHE_STORE", "CONFIG_LOAD", "SYSTEM_START", "SYSTEM_STOP"]
            .iter()
            .chain(&["TASK_COMPLETE", "TASK_START"])
            .map(|name| (*name).to_owned())
            .collect()
    );
    let one = |kind: &str| -> Value {
        let found = query(&project, &["--type", kind]);
        found.last().unwrap_or_else(|| panic!("no line of {kind}")).clone()
    };
    assert_eq!(
        (one("TASK_START")["resource"].as_str(), one("TASK_START")["action"].as_str()),
        (Some("copy"), Some("execute"))
    );
    assert_eq!(one("CACHE_STORE")["success"], true);

    // Nothing to do; and a result that comes back.
    project.run(["manifest.txt", "copy"]).success();
    assert_eq!(one("CACHE_HIT")["details"], "count=1");
    project.remove("out").run(["manifest.txt", "copy"]).success();
    assert_eq!(
        (&one("CACHE_HIT")["action"], &one("CACHE_HIT")["resource"]),
        (&"restore".into(), &"copy".into())
    );

    project.run(["manifest.txt", "fails"]).code(6);
    assert_eq!(
        (&one("TASK_FAIL")["success"], &one("TASK_FAIL")["resource"]),
        (&false.into(), &"fails".into())
    );
    assert_eq!(one("SYSTEM_STOP")["success"], false);
    project.run(["--set", "retry_delay_ms=1", "manifest.txt", "again"]).success();
    assert_eq!(
        (&one("WARNING")["action"], &one("WARNING")["resource"]),
        (&"retry".into(), &"again".into())
    );
    assert!(one("CONFIG_CHANGE")["details"].as_str().expect("words").contains(" before and are "));
    project.run(["manifest.txt", "slow"]).code(11);
    assert_eq!(
        (&one("RESOURCE_LIMIT")["resource"], &one("RESOURCE_LIMIT")["action"]),
        (&"slow".into(), &"time".into())
    );
    project.run(["manifest.txt", "danger"]).success();
    assert_eq!(one("SECURITY_VIOLATION")["action"], "allow");

    project.run(["manifest.txt", "nowhere"]).code(1);
    assert!(one("ERROR")["details"].as_str().expect("words").contains("no task `nowhere`"));
    // Others may write to the cache: it is refused.
    project.dir("shared/cas").chmod("shared", 0o777);
    project.run(["--cache-dir", "shared", "-f", "manifest.txt", "copy"]).code(12);
    assert_eq!(one("PERMISSION_DENIED")["resource"], "shared");

    assert_eq!(types(&query(&project, &[])).len(), 15);
    assert_whole(&project);
    assert_eq!(project.mode(".reprovm/audit.log"), 0o600);
}

#[test]
fn the_line_has_its_form_and_a_name_cannot_make_another() {
    let evil = "x\u{202e}\" type=TASK_FAIL ]\\n\u{1b}[2J";
    let project = project(&format!("task a {{\n  cmd = : '{evil}'\n}}\n"));
    project.run(["manifest.txt"]).success();
    let log = project.read(".reprovm/audit.log");
    let start = log.lines().find(|line| line.contains("type=TASK_START")).expect("a start");
    let (time, rest) = start.split_once("] ").expect("a time");
    assert!(time.len() == 20 && time.starts_with("[20"), "{start}");
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).expect("users").expect("a user");
    let head =
        format!("type=TASK_START user={} resource=a action=execute success=1 details=", user.name);
    assert!(rest.starts_with(&head), "{start}");
    assert!(!log.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{log}");
    let details = query(&project, &["--type", "task_start"])[0]["details"].clone();
    assert_eq!(details, format!("attempt=1 command=: '{evil}'"));
    let (seq, process) = ("seq=", "process=");
    assert!(start.contains(seq) && start.contains(process), "{start}");
    assert_whole(&project);
}

#[test]
fn calls_that_only_look_and_dry_runs_leave_no_line() {
    let project = project("task a {\n  cmd = true\n}\n");
    for args in [
        &["-n", "manifest.txt"][..],
        &["--list-tasks", "manifest.txt"],
        &["config", "show"],
        &["explain", "a"],
        &["cache", "stats"],
        &["health"],
        &["backup", "list"],
        &["cache", "verify"],
    ] {
        project.run(args);
        assert!(!project.exists(".reprovm/audit.log"), "{args:?}");
    }
    project.run(["audit", "verify"]).code(2);
    project.run(["manifest.txt"]).success();
    project.run(["cache", "clean"]).success();
    project.run(["backup", "create", "one"]);
    project.run(["--clean-cache", "manifest.txt"]).success();
    let starts = query(&project, &["--type", "SYSTEM_START", "--resource", "*"]);
    let verbs: Vec<&str> = starts.iter().filter_map(|line| line["resource"].as_str()).collect();
    assert_eq!(
        verbs,
        ["audit-log", "build", "cache clean", "backup create", "cache clean + build"]
    );
    let ends = query(&project, &["--type", "SYSTEM_STOP"]);
    assert_eq!(ends.len(), 4);
    assert_whole(&project);
}

#[test]
fn without_the_setting_there_is_no_log() {
    let project = Project::new();
    project.manifest("task a {\n  cmd = true\n}\n").run(["manifest.txt"]).success();
    assert!(!project.exists(".reprovm/audit.log"));
}

#[test]
fn no_secret_and_no_value_of_a_variable_is_in_the_log() {
    let mut project = project(
        "task a {\n  cmd = echo $TOKEN $CANARY > out\n  pass_env = TOKEN CANARY\n  outputs = out\n}\n",
    );
    project.env("TOKEN", "hush-token").env("CANARY", "hush-canary");
    project.env("REPROVM_REMOTE_CAS_SECRET_KEY", "hush-secret");
    project.env("REPROVM_WEBHOOK_URL", "https://hooks.example/hush-hook");
    project.file("key", "5a".repeat(32)).chmod("key", 0o600);
    let set = ["--set", "remote_cas.access_key=hush-access", "--set", "audit.key_file=key"];
    project.run(set.iter().chain(&["manifest.txt"])).success();
    project.env("TOKEN", "hush-other");
    project.run(set.iter().chain(&["manifest.txt"])).success();
    let log = project.read(".reprovm/audit.log");
    assert!(log.contains("`TOKEN` changed"), "{log}");
    assert!(log.contains("remote_cas.access_key=***"), "{log}");
    assert!(!log.contains("hush") && !log.contains(&"5a".repeat(8)), "{log}");
}

#[test]
fn the_console_has_the_lines_of_the_file() {
    let project = project("task a {\n  cmd = true\n}\n");
    let run = project.run(["--set", "audit.log_to_console=1", "manifest.txt"]);
    let log = project.read(".reprovm/audit.log");
    assert!(log.lines().count() >= 7, "{log}");
    for line in log.lines() {
        run.success().stderr_has(line);
    }
}

#[test]
fn a_line_is_found_by_its_type_its_resource_and_its_time() {
    let project = project(&format!("{COPY}task other {{\n  cmd = true\n}}\n"));
    project.file("in", "words").run(["-j", "1", "manifest.txt"]).success();
    let of = |args: &[&str]| query(&project, args).len();
    assert_eq!(of(&["--type", "TASK_START"]), 2);
    assert_eq!(of(&["--type", "task_start,TASK_COMPLETE"]), 4);
    assert_eq!(of(&["--type", "TASK_START", "--type", "CACHE_STORE"]), 4);
    assert_eq!(of(&["--type", "TASK_START", "--resource", "copy"]), 1);
    assert_eq!(of(&["--type", "TASK_START", "--resource", "co*"]), 1);
    assert_eq!(of(&["--type", "TASK_START", "--resource", "cop"]), 0);
    let all = of(&[]);
    let time =
        query(&project, &["--type", "TASK_START"])[0]["time"].as_str().expect("a time").to_owned();
    let day = &time[..10];
    assert_eq!((of(&["--since", day]), of(&["--until", day])), (all, all));
    assert_eq!(
        (of(&["--since", "2000-01-01", "--until", "2001-01-01"]), of(&["--since", "2999-01-01"])),
        (0, 0)
    );
    assert_eq!(of(&["--until", "2000-01-01T00:00:00+01:00"]), 0);
    let exact = time.replace('T', " ").replace('Z', "");
    assert!(of(&["--since", &time, "--until", &exact, "--type", "TASK_START"]) >= 1);

    let text = project.run(["audit", "query", "--type", "TASK_START", "--resource", "copy"]);
    let line = text.success().out();
    assert!(
        line.lines().count() == 1 && line.contains(" resource=copy ") && !line.contains("prev="),
        "{line}"
    );
    project
        .run(["audit", "query", "--type", "TASK"])
        .code(1)
        .stderr_has("the types are TASK_START");
    project
        .run(["audit", "query", "--since", "yesterday"])
        .code(1)
        .stderr_has("`yesterday` is no time");
    // A line that was changed is not believed.
    let log = project.read(".reprovm/audit.log").replace("resource=copy", "resource=kopy");
    project.file("other.log", log);
    let found = project.run(["audit", "query", "other.log", "--resource", "kopy"]);
    found.success().stdout("").stderr_has("lines of the audit log cannot be read");
}

#[test]
fn the_report_counts_and_lists_the_failures() {
    let project = project(&format!("{COPY}task fails {{\n  cmd = exit 3\n}}\n"));
    project.file("in", "words").run(["manifest.txt"]).code(6);
    project.run(["manifest.txt", "copy"]).success();
    let run = project.run(["-o", "json", "audit", "report"]);
    let report: Value = serde_json::from_str(&run.success().out()).expect("JSON");
    let all = project.read(".reprovm/audit.log").lines().count();
    assert_eq!(report["all"]["lines"], all, "{report}");
    assert_eq!(report["types"].as_object().expect("types").len(), 15);
    assert_eq!(report["types"]["TASK_FAIL"], serde_json::json!({"lines": 1, "failed": 1}));
    assert_eq!(report["types"]["SYSTEM_STOP"], serde_json::json!({"lines": 2, "failed": 1}));
    assert_eq!(report["failures"][0]["resource"], "fails");
    let users = report["users"].as_object().expect("users");
    assert!(users.len() == 1 && users.values().all(|user| user["lines"] == all), "{report}");
    let text = project.run(["audit", "report"]);
    text.success().stdout_has("TASK_FAIL           1 (1 failed)\n").stdout_has("last failures\n");
    let none = project.run(["audit", "report", "--since", "2999-01-01"]);
    none.success().stdout_has("lines               0\n").stdout_has("first               none\n");
}

#[test]
fn an_edited_a_deleted_and_a_moved_line_are_named_and_a_cut_end_by_the_anchor() {
    let project = project(COPY);
    audited(&project, "anchor_file = anchors");
    project.file("in", "words").run(["manifest.txt"]).success();
    project.file("in", "other").run(["manifest.txt"]).success();
    let log = project.read(".reprovm/audit.log");
    let lines: Vec<&str> = log.lines().collect();
    let judged = |lines: &[&str], args: &[&str]| -> Run {
        project.file("t.log", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        project.run([&["audit", "verify", "t.log"], args].concat())
    };
    judged(&lines, &["--anchor", "anchors"]).success().stdout_has("2 anchors: as it was written");
    let edited = lines[4].replace("success=1", "success=0");
    let mut changed = lines.clone();
    changed[4] = &edited;
    judged(&changed, &[]).code(13).stdout_has("line 5: edited: ");
    let mut changed = lines.clone();
    changed.remove(6);
    judged(&changed, &[]).code(13).stdout_has("line 7: deleted: ");
    let mut changed = lines.clone();
    changed.swap(3, 8);
    judged(&changed, &[]).code(13).stdout_has("line 4: reordered").stdout_has("line 9: reordered");
    let mut changed = lines.clone();
    changed.insert(5, lines[2]);
    judged(&changed, &[]).code(13).stdout_has("line 6: duplicated: ");
    let mut changed = lines.clone();
    changed.insert(5, "[2024-11-16 14:30:00] type=TASK_START");
    let run = judged(&changed, &["-o", "json"]);
    let found: Value = serde_json::from_str(&run.code(13).out()).expect("JSON");
    assert_eq!(
        (&found["findings"][0]["line"], &found["findings"][0]["damage"]),
        (&6.into(), &"inserted".into())
    );

    let keep = lines.len() - 3;
    judged(&lines[..keep], &[]).success();
    let at = format!("line {keep}: cut tail: ");
    judged(&lines[..keep], &["--anchor", "anchors"]).code(13).stdout_has(&at);
    let last: Value =
        serde_json::from_str(project.read("anchors").lines().last().expect("an anchor"))
            .expect("JSON");
    let anchor = format!("{}:{}", last["seq"], last["hash"].as_str().expect("a hash"));
    judged(&lines[..keep], &["--anchor", &anchor]).code(13).stdout_has(&at);
    project.remove("t.log");
    project.run(["audit", "verify", "t.log", "--anchor", &anchor]).code(13).stdout_has("missing");
    project.run(["audit", "verify", "--anchor", "in"]).code(1).stderr_has("no anchor in `in`");

    // With all told, the end of a run says how far the log got.
    let told = project.run(["-V", "manifest.txt"]);
    let (_, said) = told
        .success()
        .err()
        .rsplit_once("audit log: seq ")
        .map(|(a, b)| (a.len(), b.to_owned()))
        .expect("an anchor");
    let anchor = said.trim().replace(" hash ", ":");
    project.run(["audit", "verify", "--anchor", &anchor]).success();
}

#[test]
fn a_sealed_log_is_proved_with_the_copy_of_its_first_key() {
    let project = project(COPY);
    project.file("in", "words").file("first.key", "a7".repeat(32)).chmod("first.key", 0o600);
    project.file("live.key", "a7".repeat(32)).chmod("live.key", 0o600);
    audited(&project, "key_file = live.key");
    for text in ["one", "two", "three"] {
        project.file("in", text).run(["manifest.txt"]).success();
    }
    assert_ne!(project.read("live.key"), "a7".repeat(32), "the first key is gone");
    assert_eq!(project.mode("live.key"), 0o600);
    let proved = project.run(["audit", "verify", "--key", "first.key"]);
    proved.success().stdout_has(" seals: as it was written");
    project.file("wrong.key", "a8".repeat(32)).chmod("wrong.key", 0o600);
    project.run(["audit", "verify", "--key", "wrong.key"]).code(13).stdout_has("bad seal");
    project.run(["audit", "verify", "--key", "live.key"]).code(1).stderr_has("not the initial one");
    // The end is cut: the key that lives is further than the log.
    let log = project.read(".reprovm/audit.log");
    let keep = log.lines().count() - 4;
    let cut: String = log.lines().take(keep).map(|line| format!("{line}\n")).collect();
    project.file(".reprovm/audit.log", cut).chmod(".reprovm/audit.log", 0o600);
    project.run(["audit", "verify"]).success();
    project.run(["audit", "verify", "--key", "first.key"]).code(13).stdout_has("cut tail");
    project.remove(".reprovm/audit.log").run(["audit", "verify"]).code(2);
    let gone = project.run(["audit", "verify", "--key", "first.key"]);
    gone.code(13).stdout_has("missing: there is no log, and the key of this machine says");
    // A key that others may read is none.
    project.chmod("live.key", 0o644);
    project.run(["manifest.txt"]).code(3).stderr_has("chmod 600");
}

#[test]
fn programs_that_share_a_log_make_one_chain() {
    let projects: Vec<Project> = (0..4).map(|_| project(&many(20))).collect();
    let log = projects[0].outside().join("shared.log");
    let set = format!("audit.log_file={}", log.display());
    let runs: Vec<_> = projects
        .iter()
        .map(|project| project.spawn(["-j", "2", "--set", &set, "manifest.txt"]))
        .collect();
    for run in runs {
        run.wait().success();
    }
    let path = log.to_str().expect("a path");
    projects[0].run(["audit", "verify", path]).success();
    let text = fs::read_to_string(&log).expect("the log");
    assert_eq!(text.matches(" type=TASK_COMPLETE ").count(), 80);
    assert_eq!(text.matches(" type=SYSTEM_STOP ").count(), 4);
    assert_eq!(text.matches(" action=gap ").count(), 0, "all of them were alive");
    let last = text.lines().rfind(|line| line.contains(" open=")).expect("an end");
    assert!(last.contains(" open=- "), "{last}");
}

fn many(count: usize) -> String {
    (0..count).map(|n| format!("task t{n} {{\n  cmd = : {n}\n}}\n")).collect()
}

#[test]
fn an_interrupted_run_has_its_last_line() {
    let project = project("task a {\n  cmd = touch up; sleep 1000\n}\n");
    let mut run = project.spawn(["manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    run.signal(nix::sys::signal::Signal::SIGINT);
    run.wait().code(130);
    let last = query(&project, &[]).pop().expect("a line");
    assert_eq!((&last["type"], &last["success"]), (&"SYSTEM_STOP".into(), &false.into()));
    assert_eq!(query(&project, &["--type", "WARNING"])[0]["details"], "by SIGINT");
    assert_eq!(query(&project, &["--type", "TASK_FAIL"])[0]["success"], false);
    assert_whole(&project);
}

#[test]
fn a_log_with_no_reader_behind_it_is_printed_without_an_error() {
    let project = project(&many(3));
    project.run(["manifest.txt"]).success();
    let mut command = project.command(["audit", "query"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
    drop(child.stdout.take());
    assert!(child.wait().expect("an end").success());
}

#[test]
fn the_commands_of_the_page_can_be_used() {
    let page = include_str!("../../docs/audit.md");
    let project = project(COPY);
    project.file("in", "words").dir("safe");
    let setting = "key_file = audit.key\nanchor_file = anchors.jsonl";
    let mut used = 0;
    let blocks = page.split("```sh\n").skip(1);
    for line in blocks.flat_map(|block| block.split("\n```").next().unwrap_or_default().lines()) {
        let line = line.split(" #").next().unwrap_or_default().replace("/media/safe", "safe");
        let script = format!("p=$1; reprovm() {{ \"$p\" \"$@\"; }}; {}", line.trim());
        project.by_shell(&script, [""; 0]).wait().success();
        if line.starts_with("cp ") {
            audited(&project, setting);
            project.run(["manifest.txt"]).success();
        }
        used += 1;
    }
    assert!(used >= 9, "only {used} commands were found");
    assert_whole(&project);
}
