//! Mail, against aiosmtpd.

use std::fs;

use serde_json::Value;

use super::{GOOD, MIXED, nobody, project};
use crate::support::{Certificate, Project, Server, files_below};

/// A project that sends mail there.
fn mailing(manifest: &str, server: &Server, tls: &str) -> Project {
    let mut project = project(manifest);
    for (name, value) in [
        ("ENABLED", "1"),
        ("EMAIL_TO", "team@example.com, boss@example.com"),
        ("EMAIL_FROM", "ci@example.com"),
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", &server.port.to_string()),
        ("SMTP_TLS", tls),
    ] {
        project.env(format!("REPROVM_NOTIFICATIONS_{name}"), value);
    }
    project
}

/// What the server took.
fn mails(server: &Server) -> Vec<Value> {
    let read = |path| fs::read(server.data().join(path)).expect("a mail");
    let files = files_below(&server.data(), &[]);
    files.into_iter().map(|path| serde_json::from_slice(&read(path)).expect("JSON")).collect()
}

#[test]
fn mail_goes_out_in_the_open_and_with_both_kinds_of_encryption() {
    let certificate = Certificate::new();
    for tls in ["none", "starttls", "tls"] {
        let server = Server::mail(tls, &certificate);
        let mut project = mailing(MIXED, &server, tls);
        if tls != "none" {
            let run = project.run(["manifest.txt"]);
            run.code(6).stderr_has("invalid peer certificate");
            assert_eq!(mails(&server).len(), 0, "what is not trusted gets nothing");
            project.env("SSL_CERT_FILE", &certificate.cert);
        }
        project.run(["manifest.txt"]).code(6).stderr_lacks("warning");
        let [mail] = &mails(&server)[..] else { panic!("{tls}: {:?}", mails(&server)) };
        assert_eq!(mail["from"], "ci@example.com");
        assert_eq!(mail["to"], serde_json::json!(["team@example.com", "boss@example.com"]));
        assert_eq!(mail["encrypted"], tls != "none", "{tls}");
        let text = mail["text"].as_str().expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        for line in [
            "Subject: project: run failed, with 1 failed task",
            "From: ci@example.com",
            "To: team@example.com, boss@example.com",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(head.lines().any(|one| one == line), "{line}\n{head}");
        }
        assert!(head.contains("\r\nMessage-ID: <") && head.contains("\r\nDate: "), "{head}");
        assert!(body.contains("bad: exit code 3\r\n"), "{body}");
        assert!(body.contains("-- \r\n") || body.contains("-- =\r\n") || body.contains("--=20"));
    }
}

#[test]
fn a_server_that_offers_no_encryption_gets_no_mail_where_that_is_wanted() {
    let server = Server::mail("none", &Certificate::new());
    let run = mailing(GOOD, &server, "starttls").run(["manifest.txt"]);
    run.success().stderr_has(&format!("warning: email by `127.0.0.1:{}`: ", server.port));
    run.stderr_has("see the `smtp_` settings");
    assert_eq!(mails(&server).len(), 0);
}

#[test]
fn a_server_that_wants_a_login_gets_it_encrypted_and_it_is_never_told() {
    let certificate = Certificate::new();
    let server = Server::mail("login", &certificate);
    let mut project = mailing(GOOD, &server, "starttls");
    project.env("SSL_CERT_FILE", &certificate.cert);
    project.env("REPROVM_NOTIFICATIONS_SMTP_USER", "ci");
    for (password, mails_now) in [("hunter3", 0), ("hunter2", 1)] {
        project.env("REPROVM_NOTIFICATIONS_SMTP_PASSWORD", password);
        let log = ["-V", "--log-file", "r.log", "--log-level", "debug", "-f", "manifest.txt"];
        let run = project.run(log);
        run.success().stderr_lacks("hunter").stdout_lacks("hunter");
        assert!(!project.read("r.log").contains("hunter"));
        if mails_now == 0 {
            run.stderr_has("the server answered 535: ");
        }
        let mails = mails(&server);
        assert_eq!(mails.len(), mails_now, "{}", run.transcript());
        assert!(mails.iter().all(|mail| mail["login"] == true && mail["encrypted"] == true));
    }
}

#[test]
fn what_a_server_refuses_is_named_with_its_words_and_what_may_pass_is_tried_again() {
    let server = Server::mail("none", &Certificate::new());
    let mut project = mailing(GOOD, &server, "none");
    project.env("REPROVM_NOTIFICATIONS_EMAIL_TO", "nobody@example.com");
    let run = project.run(["manifest.txt"]);
    run.success().stderr_has("the server answered 550: no such mailbox;");
    project.env("REPROVM_NOTIFICATIONS_EMAIL_TO", "later@example.com");
    let run = project.run(["manifest.txt"]);
    run.success().stderr_has("the server answered 451: come back later (tried 4 times);");
    let port = nobody().trim_end_matches("/hook").rsplit(':').next().expect("a port").to_owned();
    project.env("REPROVM_NOTIFICATIONS_SMTP_PORT", port);
    project.run(["manifest.txt"]).success().stderr_has("Connection refused");
}

#[test]
fn a_server_that_says_nothing_takes_no_more_than_its_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut project = project(GOOD);
    for (name, value) in [
        ("ENABLED", "1"),
        ("EMAIL_TO", "a@example.com"),
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", &silent.local_addr().expect("its address").port().to_string()),
        ("DELIVERY_TIMEOUT_SECONDS", "1"),
        ("DELIVERY_RETRIES", "0"),
    ] {
        project.env(format!("REPROVM_NOTIFICATIONS_{name}"), value);
    }
    let run = project.run(["manifest.txt"]);
    run.success().stderr_has("was not delivered: it was not done within 1 seconds;");
}

#[test]
fn a_name_with_line_breaks_adds_no_header() {
    let server = Server::mail("none", &Certificate::new());
    let mut project = mailing(GOOD, &server, "none");
    let folder = project.outside().join("x\r\nBcc: evil@example.com\r\n\r\nbody");
    fs::create_dir(&folder).expect("any name");
    project.stand_in(&folder);
    project.manifest(GOOD).run(["manifest.txt"]).success().stderr_lacks("warning");
    let mail = &mails(&server)[0];
    let text = mail["text"].as_str().expect("text");
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    assert!(!head.contains("\r\nBcc") && !head.contains("\nBcc"), "{head}");
    assert_eq!(mail["to"].as_array().map(Vec::len), Some(2), "{mail}");
}
