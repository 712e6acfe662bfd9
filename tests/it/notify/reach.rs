//! Addresses of this machine and of private networks are reached only where that is allowed.

use super::{GOOD, project, receiver};
use crate::support::Project;

#[test]
fn a_private_address_is_refused_in_every_notation_and_nothing_is_sent() {
    let receiver = receiver();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.01",
        "2130706433",
        "0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        let mut project = Project::new();
        project.manifest(GOOD);
        project.env("REPROVM_NOTIFICATIONS_MAX_WAIT_SECONDS", "60");
        project.env("REPROVM_WEBHOOK_URL", format!("http://{host}:{}/hook", receiver.port));
        // A proxy would connect to it for us.
        project.env("http_proxy", receiver.url());
        let run = project.run(["manifest.txt"]);
        run.success().stderr_has("which is no public address");
        run.stderr_has("set `notifications.allow_private` if it is meant to be reached");
        assert_eq!(run.err().matches("warning").count(), 1, "{}", run.transcript());
    }
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn a_proxy_is_used_where_every_address_is_allowed() {
    let proxy = receiver();
    let mut project = project(GOOD);
    // Only the proxy could know such a name.
    project.env("REPROVM_WEBHOOK_URL", "http://hooks.invalid/hook");
    project.env("http_proxy", proxy.url());
    project.run(["manifest.txt"]).success().stderr_lacks("warning");
    assert_eq!(proxy.seen()[0].path, "http://hooks.invalid/hook");
}

#[test]
fn a_private_mail_server_is_refused_as_well() {
    let receiver = receiver();
    for host in ["127.0.0.1", "0x7f.1", "localhost"] {
        let mut project = Project::new();
        project.manifest(GOOD);
        for (name, value) in [
            ("ENABLED", "1"),
            ("EMAIL_TO", "a@example.com"),
            ("SMTP_HOST", host),
            ("SMTP_PORT", &receiver.port.to_string()),
            ("MAX_WAIT_SECONDS", "60"),
        ] {
            project.env(format!("REPROVM_NOTIFICATIONS_{name}"), value);
        }
        project.run(["manifest.txt"]).success().stderr_has("which is no public address");
    }
    assert_eq!(receiver.connections(), 0);
}
