//! Webhooks: what is sent when, the signature, tries and their end, the forms of Slack and
//! Discord.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{GOOD, MIXED, answering, bodies, events, nobody, project, receiver, with_webhook};
use crate::support::{Certificate, Fake, Project, Server, Wrong, source_root, wait_until};

#[test]
fn the_end_of_a_run_is_posted_with_its_figures_and_what_failed() {
    let receiver = receiver();
    let project = with_webhook(MIXED, &receiver);
    let run = project.json(["manifest.txt"]);
    run.code(6).stderr("");
    let [body] = &bodies(&receiver)[..] else { panic!("{:?}", receiver.seen()) };
    let told = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    assert_eq!((told("event"), body["version"].as_u64()), ("run_failed".into(), Some(1)));
    assert_eq!(told("project"), project.root().to_str().expect("a plain path"));
    assert_eq!(told("manifest"), "manifest.txt");
    assert_eq!(told("run"), run.events()[0]["run"].as_str().expect("an id"));
    assert_eq!(told("title"), "project: run failed, with 1 failed task");
    let text = told("text");
    assert!(text.starts_with("2 tasks: 1 executed, 1 failed in 0."), "{body}");
    assert!(text.ends_with("s\nbad: exit code 3"), "{body}");
    let figures = &body["figures"];
    let number = |name: &str| figures[name].as_u64();
    assert_eq!(
        ["total", "successful", "failed", "executed", "skipped"].map(number),
        [Some(2), Some(1), Some(1), Some(1), Some(0)]
    );
    assert_eq!(body["failed_tasks"], json!([{ "task": "bad", "reason": "exit code 3" }]));
    assert!(!told("host").is_empty() && told("time").ends_with('Z'), "{body}");
    // Commands may hold secrets.
    assert!(!body.to_string().contains("exit 3") && !body.to_string().contains("a.txt"), "{body}");
    let seen = &receiver.seen()[0];
    assert_eq!((seen.path.as_str(), seen.header("x-reprovm-event")), ("/hook", Some("run_failed")));
    assert_eq!(seen.header("x-reprovm-delivery"), body["id"].as_str());
    assert_eq!(seen.header("x-reprovm-signature"), None, "there is no key");
}

#[test]
fn a_run_that_succeeds_or_has_nothing_to_do_is_told_and_a_dry_run_is_not() {
    let receiver = receiver();
    let project = with_webhook(GOOD, &receiver);
    project.run(["-n", "manifest.txt"]).success();
    assert_eq!(receiver.connections(), 0);
    for _ in 0..2 {
        project.run(["manifest.txt"]).success();
    }
    assert_eq!(events(&receiver), ["run_completed", "run_completed"]);
    assert_eq!(bodies(&receiver)[1]["figures"]["up_to_date"], 1);
    project.run(["--set", "notifications.enabled=0", "manifest.txt"]).success();
    assert_eq!(receiver.connections(), 2);
}

#[test]
fn each_event_goes_to_the_channels_that_want_it() {
    let (all, some, none) = (receiver(), receiver(), receiver());
    let mut project = project(MIXED);
    for (name, value) in [
        ("REPROVM_WEBHOOK_URL", all.url()),
        ("REPROVM_NOTIFICATIONS_WEBHOOK_EVENTS", "all".into()),
        ("REPROVM_SLACK_WEBHOOK", some.url()),
        ("REPROVM_NOTIFICATIONS_SLACK_EVENTS", "task_failed, warning".into()),
        ("REPROVM_DISCORD_WEBHOOK", none.url()),
        ("REPROVM_NOTIFICATIONS_DISCORD_EVENTS", "run_completed".into()),
    ] {
        project.env(name, value);
    }
    project.run(["-j1", "manifest.txt"]).code(6).stderr_lacks("warning");
    let mut told = events(&all);
    assert_eq!(told.pop().as_deref(), Some("run_failed"));
    told.sort_unstable();
    assert_eq!(told, ["task_completed", "task_failed"]);
    let [one] = &bodies(&some)[..] else { panic!("{:?}", some.seen()) };
    assert_eq!(one["text"], "✘ project: task bad failed");
    assert_eq!(none.connections(), 0);
}

#[test]
fn warnings_of_a_run_can_be_told() {
    let receiver = receiver();
    let project = with_webhook("task a {\n  cmd = echo x >> in\n  inputs = in\n}\n", &receiver);
    let told = ["--set", "webhook_events=warning", "manifest.txt"];
    project.file("in", "text").run(told).success();
    let [body] = &bodies(&receiver)[..] else { panic!("{:?}", receiver.seen()) };
    assert_eq!(
        (body["event"].as_str(), body["task"]["name"].as_str()),
        (Some("warning"), Some("a"))
    );
    assert_eq!(body["problem"], "`a`: result kept but not saved: `in` changed while it ran");
}

#[test]
fn warnings_from_before_the_first_task_and_from_after_the_end_are_told_too() {
    let receiver = receiver();
    let mut project = with_webhook(GOOD, &receiver);
    project.env("MAKEFLAGS", "-j2 --jobserver-auth=-2,-2").file("file", "");
    project.env("REPROVM_AUTO_BACKUP", "1").env("REPROVM_BACKUP_DIR", "file/backups");
    let run = project.run(["--set", "webhook_events=warning", "manifest.txt"]);
    run.success().stderr_has("warning: no jobserver: ").stderr_has("warning: no backup was made: ");
    let problems: Vec<String> = bodies(&receiver)
        .iter()
        .map(|body| body["problem"].as_str().expect("a problem").to_owned())
        .collect();
    let [slots, backup] = &problems[..] else { panic!("{problems:?}") };
    assert!(slots.starts_with("no jobserver: make did not hand it on"), "{slots}");
    assert!(backup.starts_with("no backup was made: "), "{backup}");
}

#[test]
fn a_run_that_cannot_begin_is_an_error_with_its_words() {
    let receiver = receiver();
    let project = with_webhook("task a {\n  deps = b\n}\ntask b {\n  deps = a\n}\n", &receiver);
    project.run(["manifest.txt"]).code(7);
    project.manifest("task a {\n  inputs = none\n}\n").run(["manifest.txt"]).code(2);
    project.run(["other.txt"]).code(2);
    let problems: Vec<Value> =
        bodies(&receiver).iter().map(|body| body["problem"].clone()).collect();
    assert_eq!(events(&receiver), ["error"; 3]);
    assert!(problems[0].as_str().is_some_and(|text| text.contains("cycle")), "{problems:?}");
    assert_eq!(problems[1], "input `none` of task `a` is missing");
    assert_eq!(problems[2], "no manifest at `other.txt`");
}

#[test]
fn what_fails_before_a_run_or_after_it_is_an_error_too() {
    let receiver = receiver();
    let mut project = with_webhook(GOOD, &receiver);
    let remote = nobody().replace("/hook", "/cache");
    project.env("REPROVM_REMOTE_CAS_URL", &remote);
    project.run(["--sync-from-remote", "manifest.txt"]).code(10);
    assert_eq!(events(&receiver), ["error"]);
    let problem = bodies(&receiver)[0]["problem"].as_str().expect("a problem").to_owned();
    assert!(problem.contains("no connection"), "{problem}");
    project.run(["--sync-to-remote", "manifest.txt"]).code(10);
    assert_eq!(events(&receiver), ["error", "run_completed", "error"]);
    // Without a run there is nobody to tell.
    project.run(["--sync-to-remote"]).code(10);
    assert_eq!(events(&receiver).len(), 3);
}

#[test]
fn a_run_that_is_interrupted_is_told_as_such() {
    let receiver = receiver();
    let project = with_webhook("task a {\n  cmd = touch up; sleep 60\n}\n", &receiver);
    let mut run = project.spawn(["manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    run.signal(Signal::SIGINT).signal(Signal::SIGINT);
    run.wait().code(130);
    let [body] = &bodies(&receiver)[..] else { panic!("{:?}", receiver.seen()) };
    assert_eq!(body["title"], "project: run interrupted by SIGINT");
    assert_eq!(
        (body["event"].as_str(), body["figures"]["interrupted"].as_i64()),
        (Some("run_failed"), Some(2))
    );
}

#[test]
fn critical_health_is_told_and_good_health_is_not() {
    let receiver = receiver();
    let project = with_webhook(GOOD, &receiver);
    project.run(["--set", "notifications.enabled=0", "manifest.txt"]).success();
    project.run(["health"]).success();
    assert_eq!(receiver.connections(), 0);
    project.remove(".reprovm/cas/objects").file(".reprovm/cas/objects", "a file");
    project.run(["health"]).code(9).stderr("");
    let [body] = &bodies(&receiver)[..] else { panic!("{:?}", receiver.seen()) };
    assert_eq!((body["event"].as_str(), body["run"].as_str()), (Some("health_failed"), None));
    let cas = body["checks"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "cas"));
    assert_eq!(cas.expect("the check")["status"], "CRITICAL");
    assert!(body["text"].as_str().is_some_and(|text| text.contains("cas: CRITICAL: ")), "{body}");
    let run = project.by_shell("\"$1\" health > /dev/full", [""; 0]).wait();
    run.code(3).stderr_has("cannot write to the standard output");
    assert_eq!(events(&receiver), ["health_failed"; 2], "nor is it lost where none can read it");
}

/// A block of the documentation that begins so.
fn example(kind: &str) -> Vec<String> {
    let page = std::fs::read_to_string(source_root().join("docs/notifications.md"));
    let page = page.expect("the page");
    let head = format!("```{kind}\n");
    let blocks = page.split(&head).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_examples_of_the_documentation_are_as_the_program_is() {
    let receiver = receiver();
    let project = with_webhook(MIXED, &receiver);
    let files = example("ini");
    assert_eq!(files.len(), 2);
    for text in files {
        project.file("some.conf", text).chmod("some.conf", 0o600);
        let run = project.run(["config", "check", "some.conf"]);
        run.success().stdout("`some.conf` can be used\n");
    }
    project.run(["manifest.txt"]).code(6);
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let [shown] = &example("json")[..] else { panic!("one example") };
    let shown: Value = serde_json::from_str(shown).expect("JSON");
    let body = &bodies(&receiver)[0];
    assert_eq!(keys(&shown), keys(body));
    assert_eq!(keys(&shown["figures"]), keys(&body["figures"]));
}

/// The example of the documentation is the judge.
#[test]
fn a_signature_proves_who_sent_a_message_and_when() {
    let [example] = &example("python")[..] else { panic!("one example") };
    let receiver = receiver();
    let mut project = with_webhook(GOOD, &receiver);
    project.env("REPROVM_NOTIFICATIONS_WEBHOOK_SECRET", "hunter2");
    project.run(["manifest.txt"]).success();
    let seen = &receiver.seen()[0];
    let signature = seen.header("x-reprovm-signature").expect("a signature").to_owned();
    project.file("verify.py", example);
    project.file("body", &seen.body);
    let verify = |key: &str, header: &str, body: &str| {
        let script = format!(
            "import verify; print(verify.is_genuine({key:?}, {header:?}, open({body:?}, 'rb').read()))"
        );
        let mut python = std::process::Command::new("python3");
        let output = python.args(["-c", &script]).current_dir(project.root()).output();
        let output = output.expect("python3");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim() == "True"
    };
    assert!(verify("hunter2", &signature, "body"));
    assert!(!verify("hunter3", &signature, "body"));
    let (time, rest) = signature.split_once(',').expect("two parts");
    let time: i64 = time.trim_start_matches("t=").parse().expect("seconds");
    assert!(!verify("hunter2", &format!("t={},{rest}", time - 1), "body"), "another time");
    project.file("body2", [&seen.body[..], b" "].concat());
    assert!(!verify("hunter2", &signature, "body2"), "another body");
}

#[test]
fn what_may_pass_is_tried_again_as_the_same_message() {
    for (statuses, said) in [
        (&[500, 503, 429, 200][..], None),
        (&[500; 9], Some("the answer was 500 Internal Server Error (tried 4 times)")),
        (&[400; 9], Some("the answer was 400 Bad Request;")),
        (&[404; 9], Some("see whether the address is right, and was not taken back")),
    ] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let receiver = answering(move |_| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Wrong::Status(statuses[count], String::new())
        });
        let run = with_webhook(GOOD, &receiver).run(["manifest.txt"]);
        run.success();
        let tries = if statuses[0] >= 500 { 4 } else { 1 };
        let seen = receiver.seen();
        assert_eq!(seen.len(), tries, "{}", run.transcript());
        assert!(seen.iter().all(|one| one.body == seen[0].body));
        match said {
            None => run.stderr_lacks("warning"),
            Some(said) => run.stderr_has(said).stderr_has(&format!(
                "warning: webhook at `{}`: `run_completed` was not delivered: ",
                receiver.url()
            )),
        };
        assert!(run.err().matches("warning").count() <= 1, "it is named once");
    }
}

#[test]
fn one_that_wants_to_be_left_alone_is_within_the_bound_and_not_beyond() {
    let limited = |seconds: &'static str| {
        let first = std::sync::atomic::AtomicBool::new(true);
        answering(move |_| match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => Wrong::Status(429, format!("Retry-After: {seconds}\r\n")),
            false => Wrong::Status(200, String::new()),
        })
    };
    let receiver = limited("0.4");
    with_webhook(GOOD, &receiver).run(["manifest.txt"]).success().stderr_lacks("warning");
    assert_eq!(receiver.seen().len(), 2);
    let receiver = limited("3600");
    let run = with_webhook(GOOD, &receiver).run(["manifest.txt"]);
    run.success().stderr_has("was not delivered: the answer was 429 Too Many Requests; ");
    assert_eq!(receiver.seen().len(), 1);
}

#[test]
fn one_that_is_slow_or_gone_holds_up_neither_the_run_nor_the_others() {
    let (silent, good) = (answering(|_| Wrong::Silent), receiver());
    let mut project = with_webhook(GOOD, &silent);
    let bound = ["--set", "max_wait_seconds=1", "--set", "webhook_events=all", "manifest.txt"];
    let run = project.run(bound);
    // One waits for its answer, and one for its turn.
    run.success().within(Duration::from_secs(60)).stderr_has(&format!(
        "warning: webhook at `{}`: `task_completed` was not delivered: it was not done within 1 \
         seconds of the end; 1 more are lost; see whether",
        silent.url()
    ));
    assert_eq!(run.err().matches("warning").count(), 1, "{}", run.transcript());

    project.env("REPROVM_SLACK_WEBHOOK", good.url());
    let mut held = project.spawn(["--set", "max_wait_seconds=3600", "manifest.txt"]);
    wait_until("the message to the other", || good.seen().len() == 1);
    assert!(!held.is_over());
    held.signal(Signal::SIGKILL);

    // What was taken is delivered, however long the answer goes on.
    let endless = answering(|_| Wrong::Drip);
    with_webhook(GOOD, &endless).run(["manifest.txt"]).success().stderr_lacks("warning");

    let mut project = super::project(MIXED);
    project.env("REPROVM_WEBHOOK_URL", nobody());
    let run = project.run(["--set", "webhook_events=all", "manifest.txt"]);
    run.code(6).stderr_has("no connection: Connection refused");
    assert_eq!(run.err().matches("warning").count(), 1, "{}", run.transcript());
}

#[test]
fn another_run_need_not_wait_until_messages_of_the_first_are_delivered() {
    let slow = answering(|_| Wrong::Silent);
    let project = with_webhook(GOOD, &slow);
    let patient = ["--set", "max_wait_seconds=3600", "--set", "delivery_timeout_seconds=3600"];
    let mut first = project.spawn(patient.into_iter().chain(["manifest.txt"]));
    wait_until("the message", || slow.seen().len() == 1);
    let off = ["--set", "notifications.enabled=0", "--no-wait", "manifest.txt"];
    project.run(off).success();
    assert!(!first.is_over());
    first.signal(Signal::SIGKILL);
}

#[test]
fn a_signal_ends_the_waiting_and_changes_no_exit_code() {
    let slow = answering(|_| Wrong::Silent);
    let mut project = with_webhook(GOOD, &slow);
    project.env("REPROVM_NOTIFICATIONS_COMMAND", "touch up; sleep 3000 & sleep 3000");
    let patient = ["--set", "max_wait_seconds=3600", "--set", "delivery_timeout_seconds=3600"];
    let mut run = project.spawn(patient.into_iter().chain(["manifest.txt"]));
    wait_until("the messages", || slow.seen().len() == 1 && project.exists("up"));
    // What comes in the moment between the run and the waiting is not heard.
    wait_until("the end", || run.signal(Signal::SIGINT).is_over());
    let run = run.wait();
    run.success().stderr_has("`run_completed` was not delivered: a signal ended the waiting");
    run.stderr_has("warning: command: `run_completed` was not delivered: it was not done in time");
    wait_until("the end of the command", || project.processes().is_empty());
}

#[test]
fn a_redirect_is_named_and_not_followed() {
    let elsewhere = receiver();
    let to = format!("Location: {}/hunter2\r\n", elsewhere.url());
    for code in [301, 302, 307, 308] {
        let to = to.clone();
        let receiver = answering(move |_| Wrong::Status(code, to.clone()));
        let run = with_webhook(GOOD, &receiver).run(["manifest.txt"]);
        run.success().stderr_has("redirects are not followed").stderr_lacks("hunter2");
        run.stderr_has(&format!("to `{}`", elsewhere.url()));
        assert_eq!(receiver.seen().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn an_encrypted_receiver_is_trusted_by_its_certificate_only() {
    let Certificate { cert, key, .. } = &Certificate::new();
    let server = Server::nginx(&format!(
        "server {{\n  listen 8443 ssl;\n  ssl_certificate {};\n  ssl_certificate_key {};\n  \
         location / {{ return 200; }}\n}}",
        cert.display(),
        key.display()
    ));
    let mut project = project(GOOD);
    project.env("REPROVM_WEBHOOK_URL", format!("https://127.0.0.1:{}/hook", server.port));
    project.run(["manifest.txt"]).success().stderr_has("invalid peer certificate");
    project.env("SSL_CERT_FILE", cert);
    project.run(["-f", "manifest.txt"]).success().stderr_lacks("warning");
    project.run(["notify", "test"]).success().stdout_has(": delivered: 200");
}

/// Addresses and keys are secrets wherever something could be told of them.
#[test]
fn no_secret_is_told_whatever_goes_wrong() {
    let echo = |status: u16| {
        answering(move |request| match status {
            200 => Wrong::Body(format!("not at {} here", request.path).into_bytes()),
            _ => Wrong::Status(status, String::new()),
        })
    };
    let secrets = |receiver: &Fake| {
        let mut project = project("task a {\n  cmd = env; exit 1\n  inherit_env = true\n}\n");
        let url =
            format!("{}/services/hunter-of-this/hunter-of-that?key=hunter-query", receiver.url());
        for name in ["REPROVM_WEBHOOK_URL", "REPROVM_SLACK_WEBHOOK", "REPROVM_DISCORD_WEBHOOK"] {
            project.env(name, &url);
        }
        project.env("REPROVM_NOTIFICATIONS_WEBHOOK_SECRET", "hunter-key");
        project
    };
    let holds_none = |project: &Project, args: &[&str]| {
        let run = project.run(args);
        for text in [run.out(), run.err()] {
            assert!(!text.contains("hunter"), "{}", run.transcript());
        }
        run
    };
    for receiver in [echo(200), echo(404), echo(307), answering(|_| Wrong::Cut)] {
        let project = secrets(&receiver);
        let log = ["-V", "-o", "json", "--log-file", "r.log", "--log-level", "debug"];
        holds_none(&project, &[&log[..], &["manifest.txt"]].concat()).code(6);
        assert_eq!(receiver.seen().len(), 3, "each channel was tried once");
        holds_none(&project, &["notify", "test"]);
        holds_none(&project, &["config", "show"]).success();
        let logged = project.read("r.log");
        assert!(
            logged.contains("message was not delivered") || logged.contains("message delivered")
        );
        assert!(!logged.contains("hunter"), "{logged}");
    }
    let told = holds_none(&secrets(&echo(200)), &["notify", "test", "webhook"]);
    told.success().stdout_has("delivered: 200 \"not at /***/***/***?*** here\"");
}

#[test]
fn slack_and_discord_get_their_own_forms_and_call_nobody() {
    let (slack, discord) = (receiver(), receiver());
    let mut project = project("task a_b {\n  cmd = true\n  outputs = <!channel>&@everyone\n}\n");
    project.env("REPROVM_SLACK_WEBHOOK", slack.url());
    project.env("REPROVM_DISCORD_WEBHOOK", discord.url());
    project.run(["manifest.txt"]).code(6).stderr_lacks("warning");
    let text = |body: &Value| body["blocks"][1]["text"]["text"].as_str().expect("text").to_owned();
    let body = &bodies(&slack)[0];
    assert_eq!(body["text"], "✘ project: run failed, with 1 failed task");
    assert_eq!(body["blocks"][0]["type"], "section");
    let said = "a_b: output `&lt;!channel&gt;&amp;@everyone` was not made";
    assert!(text(body).ends_with(said), "{body}");
    let body = &bodies(&discord)[0];
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
    let embed = &body["embeds"][0];
    assert_eq!(embed["title"], "project: run failed, with 1 failed task");
    let said = "a\\_b: output \\`\\<!channel\\>&\\@everyone\\` was not made";
    assert!(embed["description"].as_str().is_some_and(|text| text.ends_with(said)), "{body}");
    assert!(slack.seen()[0].header("x-reprovm-event").is_none(), "only our own form has it");
}

/// As the variable is used that has been known for longest.
#[test]
fn a_webhook_of_slack_or_discord_gets_their_form_by_its_host() {
    for (host, field) in [
        ("hooks.slack.com", "blocks"),
        ("discord.com", "embeds"),
        ("ptb.discord.com", "embeds"),
        ("discordapp.com", "embeds"),
        ("hooks.slack.com.example.com", "version"),
        ("notdiscord.com", "version"),
    ] {
        let proxy = receiver();
        let mut project = project(GOOD);
        project.env("REPROVM_WEBHOOK_URL", format!("http://{host}/services/x"));
        project.env("http_proxy", proxy.url());
        project.run(["manifest.txt"]).success().stderr_lacks("warning");
        assert_eq!(proxy.seen()[0].path, format!("http://{host}/services/x"));
        assert!(!bodies(&proxy)[0][field].is_null(), "{host}");
    }
}

#[test]
fn messages_say_what_their_templates_say() {
    let receiver = receiver();
    let project = with_webhook(MIXED, &receiver);
    let set = [
        "--set",
        "notifications.title={event} of {project} by {manifest}",
        "--set",
        "notifications.text={{{task}}}\\n{details}",
        "--set",
        "webhook_events=run_failed",
        "manifest.txt",
    ];
    project.run(set).code(6).stderr_lacks("warning");
    let body = &bodies(&receiver)[0];
    assert_eq!(body["title"], "run_failed of project by manifest.txt");
    assert_eq!(body["text"], "{}\nbad: exit code 3");
}

#[test]
fn mistakes_in_the_settings_are_told_before_anything_runs() {
    let mut project = project("task a {\n  cmd = touch ran\n}\n");
    project.env("REPROVM_NOTIFICATIONS_ENABLED", "1");
    for (setting, said) in [
        ("title={tsak}", "there is no `{tsak}`, but there is `{task}`"),
        ("notifications.text=a {task", "a `{` has no `}`"),
        ("webhook_events=run_faild", "there is an event `run_failed`"),
        ("webhook_url=hooks.example.com", "`***` is not allowed for `notifications.webhook_url`"),
        ("email_to=builds", "allowed is addresses such as builds@example.com"),
        ("email_from=a@b.c d@e.f", "allowed is an address such as builds@example.com"),
        ("email_to=a@example.com", "`notifications.smtp_host` is not"),
    ] {
        project.run(["--set", setting, "manifest.txt"]).code(14).stderr_has(said);
    }
    let login = ["smtp_host=h", "email_to=a@b.c", "smtp_user=me"];
    let with = |more: &[&str]| {
        let all = login.iter().chain(more).flat_map(|setting| ["--set", setting]);
        project.run(all.chain(["manifest.txt"]).collect::<Vec<_>>())
    };
    with(&[]).code(14).stderr_has("only one of `notifications.smtp_user`");
    with(&["smtp_password=p", "smtp_tls=none"]).code(14).stderr_has("without encryption");
    assert!(!project.exists("ran"));
}

#[test]
fn a_test_message_says_what_came_back() {
    let (good, bad) = (receiver(), answering(|_| Wrong::Status(403, String::new())));
    let mut project = project(GOOD);
    project.run(["notify", "test"]).code(14).stderr_has("no channel is set");
    project
        .run(["notify", "test", "slack"])
        .code(14)
        .stderr_has("set `notifications.slack_webhook`");
    project.run(["notify", "test", "slakc"]).code(1).stderr_has("'slack'");
    project.env("REPROVM_WEBHOOK_URL", good.url());
    let line = format!("webhook at `{}`: delivered: 200 (", good.url());
    project.run(["notify", "test"]).success().stdout_has(&line).stderr("");
    assert_eq!(events(&good), ["test"]);
    project.env("REPROVM_SLACK_WEBHOOK", bad.url());
    let run = project.run(["notify", "test"]);
    run.code(10).stdout_has(&line);
    run.stdout_has(&format!(
        "slack at `{}`: not delivered: the answer was 403 Forbidden",
        bad.url()
    ));
    run.stdout_has("help: see whether the address is right");
    project.run(["notify", "test", "webhook"]).success();
    let run = project.run(["-o", "json", "notify", "test"]);
    let tried: Value = serde_json::from_str(&run.code(10).out()).expect("JSON");
    assert_eq!((&tried[0]["channel"], &tried[0]["delivered"]), (&json!("webhook"), &json!(true)));
    assert_eq!((&tried[1]["channel"], &tried[1]["delivered"]), (&json!("slack"), &json!(false)));
    let off = project.run(["--set", "notifications.enabled=0", "notify", "test", "webhook"]);
    off.success().stderr_has("`notifications.enabled` is not set");
}
