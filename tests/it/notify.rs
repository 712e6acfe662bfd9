//! Messages to people elsewhere, against receivers of the tests' own on this machine.

mod command;
mod mail;
mod reach;
pub(crate) mod set;
mod webhook;

use serde_json::Value;

use crate::support::{Fake, Project, Request, Wrong, prometheus};

/// A task that succeeds and one that fails.
const MIXED: &str = "\
task good {
  cmd = echo text > a.txt
  outputs = a.txt
}
task bad {
  cmd = exit 3
}
";
const GOOD: &str = "task good {\n  cmd = echo text > a.txt\n  outputs = a.txt\n}\n";

/// A receiver that takes everything.
fn receiver() -> Fake {
    answering(|_| Wrong::Status(200, String::new()))
}

/// A receiver that answers as it is told.
fn answering(answer: impl Fn(&Request) -> Wrong + Send + Sync + 'static) -> Fake {
    Fake::wrong(move |request| Some(answer(request)))
}

/// A project that may tell receivers on this machine, waits for them as long as they need on a
/// busy machine, and not long between tries.
fn project(manifest: &str) -> Project {
    let mut project = Project::new();
    project.manifest(manifest);
    project.env("REPROVM_NOTIFICATIONS_ALLOW_PRIVATE", "1");
    project.env("REPROVM_NOTIFICATIONS_DELIVERY_DELAY_MS", "1");
    project.env("REPROVM_NOTIFICATIONS_DELIVERY_TIMEOUT_SECONDS", "60");
    project.env("REPROVM_NOTIFICATIONS_MAX_WAIT_SECONDS", "60");
    project
}

/// The same, with a webhook at the receiver.
fn with_webhook(manifest: &str, receiver: &Fake) -> Project {
    let mut project = project(manifest);
    project.env("REPROVM_WEBHOOK_URL", format!("{}/hook", receiver.url()));
    project
}

/// What a receiver was sent.
#[track_caller]
fn bodies(receiver: &Fake) -> Vec<Value> {
    let seen = receiver.seen();
    seen.iter()
        .map(|one| {
            assert!(one.is("POST "), "{one:?}");
            assert_eq!(one.header("content-type"), Some("application/json"));
            serde_json::from_slice(&one.body).unwrap_or_else(|error| panic!("{error}: {one:?}"))
        })
        .collect()
}

/// The names of the events that a receiver was sent.
#[track_caller]
fn events(receiver: &Fake) -> Vec<String> {
    let name = |body: &Value| body["event"].as_str().expect("a name").to_owned();
    bodies(receiver).iter().map(name).collect()
}

/// The address of a port where nobody listens.
fn nobody() -> String {
    format!("http://{}/hook", prometheus::free_address())
}
