//! A scenario for each setting of the audit log: without it and with it.

use std::os::unix::net::UnixDatagram;

use crate::support::{Project, Run};

fn one() -> Project {
    let project = Project::new();
    project.manifest("task a {\n  cmd = true\n}\n");
    project
}

fn run(project: &Project, settings: &[&str]) -> Run {
    let mut args = vec!["--set", "audit.enabled=1"];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    args.push("manifest.txt");
    project.run(args)
}

pub(crate) fn enabled() {
    let project = one();
    project.run(["manifest.txt"]).success();
    assert!(!project.exists(".reprovm/audit.log"));
    run(&project, &[]).success();
    assert!(project.exists(".reprovm/audit.log"));
}

pub(crate) fn log_file() {
    let project = one();
    run(&project, &["audit.log_file=sub/other.log"]).success();
    assert!(project.exists("sub/other.log") && !project.exists(".reprovm/audit.log"));
}

/// How many messages a socket at this path gets from a run.
fn messages(project: &Project, name: &str, settings: &[&str]) -> usize {
    let path = project.outside().join(name);
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_nonblocking(true).expect("a mode");
    let address = format!("audit.syslog_address={}", project.outside().join("log").display());
    run(project, &[settings, &[&address]].concat()).success();
    let mut count = 0;
    while socket.recv(&mut [0; 65_536]).is_ok() {
        count += 1;
    }
    count
}

pub(crate) fn log_to_syslog() {
    let project = one();
    assert_eq!(messages(&project, "log", &[]), 0);
    std::fs::remove_file(project.outside().join("log")).expect("a socket");
    assert!(messages(&project, "log", &["audit.log_to_syslog=1"]) > 0);
}

pub(crate) fn syslog_address() {
    let project = one();
    assert!(messages(&project, "log", &["audit.log_to_syslog=1"]) > 0);
    assert_eq!(messages(&project, "other", &["audit.log_to_syslog=0"]), 0);
}

pub(crate) fn log_to_console() {
    let project = one();
    run(&project, &[]).success().stderr_lacks("type=TASK_START");
    let printed = run(&project, &["audit.log_to_console=1", "execution.force=1"]);
    printed.success().stderr_has("type=TASK_START");
}

pub(crate) fn on_full() {
    let project = one();
    project.file("letter", "dear all\n");
    let file = "audit.log_file=letter";
    run(&project, &[file]).code(3).stderr_has("it is no audit log");
    run(&project, &[file, "audit.on_full=warn"]).success().stderr_has("it is no audit log");
    assert_eq!(project.read("letter"), "dear all\n");
}

pub(crate) fn key_file() {
    let project = one();
    run(&project, &[]).success();
    assert!(!project.read(".reprovm/audit.log").contains(" seal="));
    project.file("key", "5a".repeat(32)).chmod("key", 0o600);
    run(&project, &["audit.key_file=key"]).success();
    assert!(project.read(".reprovm/audit.log").contains(" seal="));
}

pub(crate) fn anchor_file() {
    let project = one();
    run(&project, &["audit.anchor_file=anchors"]).success();
    let anchor: serde_json::Value = serde_json::from_str(&project.read("anchors")).expect("JSON");
    let lines = project.read(".reprovm/audit.log").lines().count();
    assert_eq!(anchor["seq"], lines);
}
