//! The forms that messages have on their way: JSON of ours, of Slack and of Discord, and a mail.
//! What others could take for an address of many people, or for markup, is taken as text.

use serde_json::{Value, json};

use super::words::value;
use super::{FailedTask, Notice, What};
use crate::base::clock;
use crate::config::{Notifications, Template};
use crate::event::NoticeKind;

/// What Slack takes of a block of text, in characters.
const SLACK_TEXT: usize = 3000;
/// What Discord takes of a title and of a description.
const DISCORD_TITLE: usize = 256;
const DISCORD_TEXT: usize = 4096;
/// The version of our own form; a new one is no longer understood by readers of the old.
const VERSION: u32 = 1;

/// A template with the values of a message, each made safe for where it goes.
fn fill(template: &Template, notice: &Notice, safe: fn(&str) -> String) -> String {
    template.render(&|field| safe(&value(notice, field)))
}

fn plain(text: &str) -> String {
    text.to_owned()
}

/// Our own form.
pub fn webhook(notice: &Notice, settings: &Notifications) -> Vec<u8> {
    let Notice { kind, id, time_ns, run, manifest, whence, what } = notice;
    let mut body = json!({
        "version": VERSION,
        "id": id,
        "event": kind.name(),
        "time": clock::rfc3339_ms(*time_ns),
        "program": concat!("reprovm ", env!("CARGO_PKG_VERSION")),
        "host": whence.host,
        "project": whence.folder,
        "manifest": manifest,
        "run": run,
        "title": fill(&settings.title, notice, plain),
        "text": fill(&settings.text, notice, plain),
    });
    let mut add = |name: &str, value: Value| {
        body.as_object_mut().expect("it was made as an object").insert(name.to_owned(), value);
    };
    match what {
        What::Task { task, reason, duration_ms } => add(
            "task",
            json!({ "name": task.as_str(), "reason": reason, "duration_ms": duration_ms }),
        ),
        What::Run { summary, failed } => {
            let successful = summary.executed + summary.settled();
            add(
                "figures",
                json!({
                    "total": summary.total,
                    "successful": successful,
                    "failed": summary.failed,
                    "executed": summary.executed,
                    "cached": summary.cached,
                    "up_to_date": summary.up_to_date,
                    "skipped": summary.skipped,
                    "cancelled": summary.cancelled,
                    "elapsed_ms": summary.elapsed_ms,
                    "saved_ms": summary.saved_ms,
                    "interrupted": summary.interrupted,
                }),
            );
            let tasks: Vec<&FailedTask> = failed.iter().collect();
            add("failed_tasks", json!(tasks));
            add("failed_tasks_left_out", json!(summary.failed.saturating_sub(failed.len())));
        }
        What::Problem { task, text } => {
            add("problem", json!(text));
            if let Some(task) = task {
                add("task", json!({ "name": task.as_str() }));
            }
        }
        What::Health(checks) => add("checks", json!(checks)),
        What::Test => {}
    }
    body.to_string().into_bytes()
}

/// What an incoming webhook of Slack takes.
pub fn slack(notice: &Notice, settings: &Notifications) -> Vec<u8> {
    let title = fit(fill(&settings.title, notice, slack_text), SLACK_TEXT);
    let text = fit(fill(&settings.text, notice, slack_text), SLACK_TEXT);
    let section =
        |text: &str| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    // An empty block is refused, and all with it.
    let blocks: Vec<Value> =
        [&title, &text].into_iter().filter(|text| !text.is_empty()).map(|it| section(it)).collect();
    let mark = if notice.kind.is_good() { "✔" } else { "✘" };
    json!({ "text": format!("{mark} {title}"), "blocks": blocks }).to_string().into_bytes()
}

/// Slack's three characters. Without them nothing is a mention, a link or a channel.
fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a webhook of Discord takes.
pub fn discord(notice: &Notice, settings: &Notifications) -> Vec<u8> {
    let colour = match notice.kind {
        kind if kind.is_good() => 0x2e_a0_43,
        NoticeKind::Warning => 0xd2_99_22,
        _ => 0xcf_22_2e,
    };
    json!({
        "embeds": [{
            "title": fit(fill(&settings.title, notice, discord_text), DISCORD_TITLE),
            "description": fit(fill(&settings.text, notice, discord_text), DISCORD_TEXT),
            "color": colour,
            "timestamp": clock::rfc3339_ms(notice.time_ns),
        }],
        // Nobody is called, whatever the text says.
        "allowed_mentions": { "parse": [] },
    })
    .to_string()
    .into_bytes()
}

fn discord_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_~`|>[]()#@<".contains(c) {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

/// Subject and text of a mail.
pub fn mail(notice: &Notice, settings: &Notifications) -> (String, String) {
    let mut text = fill(&settings.text, notice, plain);
    text.push_str(&format!("\n\n-- \n{} on {}", notice.whence.folder, notice.whence.host));
    if let Some(run) = &notice.run {
        text.push_str(&format!(", run {run}"));
    }
    text.push('\n');
    (fill(&settings.title, notice, plain), text)
}

/// Not longer than is taken: cut at the end of a line where there is one, and never inside of what
/// stands for one character.
fn fit(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        return text;
    }
    let mut short: String = text.chars().take(most - 2).collect();
    match short.rfind('\n') {
        Some(end) => short.truncate(end + 1),
        None => {
            let whole = |at: &usize| short[*at..].contains(';');
            if let Some(at) = short.rfind('&').filter(|at| !whole(at)) {
                short.truncate(at);
            }
            let slashes = short.chars().rev().take_while(|&c| c == '\\').count();
            short.truncate(short.len() - slashes % 2);
        }
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::TaskName;
    use crate::config::{Environment, Settings};
    use crate::event::Summary;
    use crate::observe::notify::{HealthCheck, Whence};

    fn settings() -> Notifications {
        let none = Environment::default();
        Settings::load(&[], &none, Vec::new()).expect("defaults").config.notifications
    }

    fn notice(kind: NoticeKind, what: What) -> Notice {
        let whence = Arc::new(Whence { folder: "/p/my_app".into(), host: "here".into() });
        Notice { run: Some("r1".into()), ..Notice::new(kind, 1_000_000_000, whence, what) }
    }

    fn failed(reason: &str, tasks: usize) -> Notice {
        let summary =
            Summary { total: tasks + 1, executed: 1, failed: tasks, ..Summary::default() };
        let one = |number| FailedTask {
            task: TaskName::parse(&format!("t{number}")).expect("a good name"),
            reason: reason.to_owned(),
        };
        let failed = (0..tasks.min(20)).map(one).collect();
        notice(NoticeKind::RunFailed, What::Run { summary: Box::new(summary), failed })
    }

    fn parse(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("JSON")
    }

    #[test]
    fn our_own_form_says_what_there_is() {
        let body = parse(&webhook(&failed("exit code 2", 22), &settings()));
        assert_eq!(body["event"], "run_failed");
        assert_eq!(body["time"], "1970-01-01T00:00:01.000Z");
        assert_eq!(body["figures"]["successful"], 1);
        assert_eq!(body["failed_tasks"][1], json!({ "task": "t1", "reason": "exit code 2" }));
        assert_eq!(body["failed_tasks_left_out"], 2);
        assert_eq!(body["title"], "my_app: run failed, with 22 failed tasks");
        let text = body["text"].as_str().expect("text");
        assert!(text.starts_with("23 tasks: 1 executed, 22 failed in 0.00s\nt0: exit code 2\n"));
        assert!(text.ends_with("\nand 2 more"));
        let check = |name, status| HealthCheck { name, status, message: "m".into() };
        let health = What::Health(vec![check("cas", "CRITICAL"), check("disk", "OK")]);
        let body = parse(&webhook(&notice(NoticeKind::HealthFailed, health), &settings()));
        assert_eq!(body["text"], "1 of 2 checks are critical\ncas: CRITICAL: m");
        assert_eq!(body["checks"][1]["name"], "disk");
    }

    #[test]
    fn slack_gets_text_in_which_nobody_is_called() {
        let body = parse(&slack(&failed("<!channel> & <@U1>", 1), &settings()));
        let text = body["blocks"][1]["text"]["text"].as_str().expect("text");
        assert!(text.ends_with("t0: &lt;!channel&gt; &amp; &lt;@U1&gt;"), "{text}");
        assert_eq!(body["blocks"][0]["text"]["type"], "mrkdwn");
        let long = parse(&slack(&failed(&"<".repeat(250), 20), &settings()));
        let text = long["blocks"][1]["text"]["text"].as_str().expect("text");
        assert!(text.chars().count() <= SLACK_TEXT && text.ends_with("\n…"), "{text}");
    }

    #[test]
    fn discord_gets_text_in_which_nobody_is_called_and_nothing_is_markup() {
        let body = parse(&discord(&failed("@everyone `x` a_b", 1), &settings()));
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
        let embed = &body["embeds"][0];
        assert_eq!(embed["title"], "my\\_app: run failed, with 1 failed task");
        let text = embed["description"].as_str().expect("text");
        assert!(text.ends_with("t0: \\@everyone \\`x\\` a\\_b"), "{text}");
        let long = parse(&discord(&failed(&"@".repeat(300), 20), &settings()));
        let text = long["embeds"][0]["description"].as_str().expect("text");
        assert!(text.chars().count() <= DISCORD_TEXT, "{}", text.chars().count());
    }

    #[test]
    fn what_is_cut_ends_between_characters() {
        assert_eq!(fit("abc".into(), 3), "abc");
        assert_eq!(fit("ab\ncdef".into(), 6), "ab\n…");
        assert_eq!(fit("a&amp;bcd".into(), 6), "a…");
        assert_eq!(fit("ab\\_cd".into(), 5), "ab…");
        assert_eq!(fit("äöüßäöü".into(), 5), "äöü…");
    }

    #[test]
    fn a_mail_says_where_it_comes_from() {
        let (subject, text) = mail(&notice(NoticeKind::Test, What::Test), &settings());
        assert_eq!(subject, "my_app: test message");
        assert_eq!(text, "messages arrive here\n\n-- \n/p/my_app on here, run r1\n");
    }
}
