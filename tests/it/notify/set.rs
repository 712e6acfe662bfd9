//! What each setting of notifications changes, for the table of settings: seen by who is told.

use std::path::Path;

use super::{GOOD, MIXED, answering, bodies, events, project, receiver};
use crate::support::{Certificate, Fake, Project, Run, Server, Wrong};

/// A run with these settings beside those that let it tell receivers here.
fn run(project: &Project, settings: &[&str]) -> Run {
    let all = settings.iter().flat_map(|one| ["--set".to_owned(), format!("notifications.{one}")]);
    let mut args: Vec<String> = all.collect();
    args.extend(["-f".to_owned(), "manifest.txt".to_owned()]);
    project.run(args)
}

/// The same, with a setting for the address of a receiver.
fn told(receiver: &Fake, key: &str, manifest: &str, settings: &[&str]) -> Run {
    let url = format!("{key}={}/hook", receiver.url());
    run(&project(manifest), &[&["enabled=1", url.as_str()], settings].concat())
}

/// What a webhook gets.
fn webhook(manifest: &str, settings: &[&str]) -> Fake {
    let receiver = receiver();
    told(&receiver, "webhook_url", manifest, settings).stderr_lacks("warning");
    receiver
}

pub(crate) fn enabled() {
    assert_eq!(webhook(GOOD, &["enabled=0"]).connections(), 0);
    assert_eq!(events(&webhook(GOOD, &[])), ["run_completed"]);
}

pub(crate) fn webhook_url() {
    let receiver = webhook(GOOD, &[]);
    assert_eq!(receiver.seen()[0].path, "/hook");
    assert_eq!(bodies(&receiver)[0]["version"], 1);
}

pub(crate) fn webhook_secret() {
    let signed =
        |set: &[&str]| webhook(GOOD, set).seen()[0].header("x-reprovm-signature").is_some();
    assert!(signed(&["webhook_secret=key"]) && !signed(&[]));
}

/// A channel gets what its list says.
fn events_of(key: &str, list: &str) {
    let count = |set: &str| {
        let receiver = receiver();
        told(&receiver, key, MIXED, &[&format!("{list}={set}")]).code(6);
        receiver.connections()
    };
    assert_eq!((count("default"), count("all"), count("warning")), (1, 3, 0));
}

pub(crate) fn webhook_events() {
    events_of("webhook_url", "webhook_events");
}

pub(crate) fn slack_webhook() {
    let receiver = receiver();
    told(&receiver, "slack_webhook", GOOD, &[]);
    assert!(bodies(&receiver)[0]["blocks"].is_array());
}

pub(crate) fn slack_events() {
    events_of("slack_webhook", "slack_events");
}

pub(crate) fn discord_webhook() {
    let receiver = receiver();
    told(&receiver, "discord_webhook", GOOD, &[]);
    assert!(bodies(&receiver)[0]["embeds"].is_array());
}

pub(crate) fn discord_events() {
    events_of("discord_webhook", "discord_events");
}

/// Mail to a host of this machine where nobody takes it: the warning names where.
fn mailed(settings: &[&str]) -> Run {
    let mail = ["enabled=1", "email_to=a@example.com", "smtp_host=127.0.0.9", "smtp_port=9"];
    run(&project(GOOD), &[&mail, settings].concat())
}

pub(crate) fn email_to() {
    mailed(&[]).success().stderr_has("warning: email by `127.0.0.9:9`");
    mailed(&["email_to="]).success().stderr_lacks("warning");
}

pub(crate) fn email_from() {
    let server = Server::mail("none", &Certificate::new());
    let port = format!("smtp_port={}", server.port);
    let taken = ["smtp_host=127.0.0.1", &port, "smtp_tls=none"];
    let from = |set: &str| {
        mailed(&[&taken[..], &[set]].concat()).success().stderr_lacks("warning");
        let folder = std::fs::read_dir(server.data()).expect("a folder");
        let last = folder.map(|entry| entry.expect("an entry").path()).max().expect("a mail");
        std::fs::read_to_string(Path::new(&last)).expect("a mail")
    };
    assert!(from("email_from=ci@example.com").contains("\"from\": \"ci@example.com\""));
    assert!(from("email_from=").contains("\"from\": \"a@example.com\""));
}

pub(crate) fn email_events() {
    mailed(&["email_events=run_failed"]).success().stderr_lacks("warning");
    mailed(&["email_events=run_completed"]).success().stderr_has("warning: email");
}

pub(crate) fn smtp_host() {
    mailed(&["smtp_host=127.0.0.8"]).success().stderr_has("email by `127.0.0.8:9`");
}

pub(crate) fn smtp_port() {
    mailed(&["smtp_port=10"]).success().stderr_has("email by `127.0.0.9:10`");
    mailed(&["smtp_port=auto"]).success().stderr_has("email by `127.0.0.9:587`");
}

pub(crate) fn smtp_tls() {
    let usual = |set: &str| mailed(&["smtp_port=auto", set]);
    usual("smtp_tls=tls").success().stderr_has("email by `127.0.0.9:465`");
    usual("smtp_tls=none").success().stderr_has("email by `127.0.0.9:25`");
}

pub(crate) fn smtp_user() {
    mailed(&["smtp_user=ci"]).code(14);
    mailed(&["smtp_user=ci", "smtp_password=x"]).success();
}

pub(crate) fn smtp_password() {
    mailed(&["smtp_password=x"]).code(14);
    mailed(&["smtp_password=x", "smtp_user=ci", "smtp_tls=none"]).code(14);
}

pub(crate) fn command() {
    let project = project(GOOD);
    run(&project, &["enabled=1"]).success();
    assert!(!project.exists("told"));
    run(&project, &["enabled=1", "command=cat > told"]).success().stderr_lacks("warning");
    assert!(project.read("told").contains("run_completed"));
}

pub(crate) fn command_events() {
    let project = project(GOOD);
    run(&project, &["enabled=1", "command=cat > told", "command_events=run_failed"]).success();
    assert!(!project.exists("told"));
}

pub(crate) fn notify_on_complete() {
    assert_eq!(webhook(GOOD, &["notify_on_complete=0", "webhook_events=all"]).connections(), 0);
    let failed = webhook(MIXED, &["notify_on_complete=0", "webhook_events=all"]);
    assert_eq!(events(&failed), ["task_failed", "run_failed"]);
}

pub(crate) fn notify_on_error() {
    let good = webhook(MIXED, &["notify_on_error=0", "webhook_events=all"]);
    assert_eq!(events(&good), ["task_completed"]);
}

pub(crate) fn title() {
    assert_eq!(bodies(&webhook(GOOD, &["title=of {manifest}"]))[0]["title"], "of manifest.txt");
}

pub(crate) fn text() {
    assert_eq!(bodies(&webhook(GOOD, &["text=of {manifest}"]))[0]["text"], "of manifest.txt");
}

pub(crate) fn delivery_timeout_seconds() {
    let silent = answering(|_| Wrong::Silent);
    let patient = ["delivery_timeout_seconds=1", "delivery_retries=0"];
    told(&silent, "webhook_url", GOOD, &patient).success().stderr_has("within 1 seconds;");
}

/// How often one is asked that is always in trouble.
fn tries(settings: &[&str]) -> usize {
    let receiver = answering(|_| Wrong::Status(500, String::new()));
    told(&receiver, "webhook_url", GOOD, settings).success().stderr_has("was not delivered");
    receiver.connections()
}

pub(crate) fn delivery_retries() {
    assert_eq!((tries(&["delivery_retries=0"]), tries(&["delivery_retries=5"])), (1, 6));
}

pub(crate) fn delivery_delay_ms() {
    // The second try would come after the end of the waiting.
    let long = ["delivery_delay_ms=3600000", "max_wait_seconds=30"];
    assert_eq!((tries(&["delivery_delay_ms=1"]), tries(&long)), (4, 1));
}

pub(crate) fn max_wait_seconds() {
    let silent = answering(|_| Wrong::Silent);
    let end = told(&silent, "webhook_url", GOOD, &["max_wait_seconds=0"]);
    end.success().stderr_has("it was not done within 0 seconds of the end");
}

pub(crate) fn allow_private() {
    let receiver = receiver();
    let refused = told(&receiver, "webhook_url", GOOD, &["allow_private=0"]);
    refused.success().stderr_has("which is no public address");
    assert_eq!(receiver.connections(), 0);
}
