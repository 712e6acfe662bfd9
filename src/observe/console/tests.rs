//! Hand-made events in, exact text out.

use super::*;
use crate::event::{HitSource, InputChange};

fn name(text: &str) -> TaskName {
    TaskName::parse(text).expect("a good name")
}

fn run_started(tasks: usize, dry_run: bool) -> Event {
    Event::RunStarted {
        version: "1.2.3".into(),
        manifest: "manifest.txt".into(),
        project: "/p".into(),
        jobs: 4,
        targets: Vec::new(),
        tasks,
        dry_run,
        force: false,
        containment: "cgroup".into(),
    }
}

fn started(task: &str, command: &str) -> Event {
    Event::TaskStarted { task: name(task), attempt: 1, command: command.into() }
}

fn wrote(task: &str, text: &str) -> Event {
    let output = Output::Bytes(text.as_bytes().into());
    Event::TaskOutput { task: name(task), replayed: false, output }
}

fn finished(task: &str, outcome: Outcome, reasons: &[MissReason]) -> Event {
    let usage = Usage { duration_ms: 120, attempts: 1, ..Usage::default() };
    Event::TaskFinished { task: name(task), outcome, usage, reasons: reasons.to_vec() }
}

fn failed(task: &str, code: i32, withheld: &[&str]) -> Event {
    let withheld = withheld.iter().map(|name| (*name).to_owned()).collect();
    finished(task, Outcome::Failed { failure: Failure::Exit { code, withheld } }, &[])
}

fn hit(task: &str, restored: usize, saved_ms: u64) -> Event {
    let (key, from) = (Digest::of(b"k"), HitSource::Local);
    Event::CacheHit { task: name(task), key, from, saved_ms, restored, restore_us: 5 }
}

fn skipped(task: &str, failed: &str) -> Event {
    let because = SkipReason::DependencyFailed { task: name(failed) };
    Event::TaskSkipped { task: name(task), because }
}

fn run_finished(summary: Summary) -> Event {
    Event::RunFinished { summary }
}

fn text(detail: Detail, events: &[Event]) -> String {
    coloured(detail, events, false)
}

fn coloured(detail: Detail, events: &[Event], colour: bool) -> String {
    let mut out = Vec::new();
    let mut console = Console::new(&mut out, detail, Paint(colour));
    for (seq, event) in events.iter().enumerate() {
        let seq = seq as u64 + 1;
        let event = Stamped { seq, time_ns: 0, run: "r".into(), event: event.clone() };
        console.observe(&event).expect("room in memory");
    }
    console.finish().expect("room in memory");
    String::from_utf8(out).expect("text")
}

/// Two tasks run at once, one is restored, one fails, and one needs it.
fn mixed() -> Vec<Event> {
    let changed = |path: &str| MissReason::InputChanged { path: path.into() };
    vec![
        run_started(12, false),
        Event::TasksUpToDate { count: 7, saved_ms: 3000 },
        started("a", "cc -c a.c"),
        started("b", "cc -c b.c\ncc -c c.c"),
        hit("gen", 2, 1200),
        finished("gen", Outcome::Cached, &[]),
        wrote("b", "b.c:1: wrong\nno newline"),
        wrote("a", "a.c:1: warning\n"),
        finished("a", Outcome::Executed, &[changed("a.c"), changed("a.h")]),
        failed("b", 1, &["CC"]),
        skipped("app", "b"),
        finished("docs", Outcome::UpToDate, &[]),
        run_finished(Summary {
            total: 12,
            executed: 1,
            cached: 1,
            up_to_date: 8,
            failed: 1,
            skipped: 1,
            elapsed_ms: 520,
            saved_ms: 4200,
            ..Summary::default()
        }),
    ]
}

#[test]
fn a_run_is_a_line_for_each_task_and_its_words_below_it() {
    assert_eq!(
        text(Detail::Normal, &mixed()),
        "\
12 tasks, 7 up to date, 4 jobs
[*] gen  restored 2 files, saved 1.20s
[✔] a  0.12s  `a.c` changed, `a.h` changed
a.c:1: warning
[X] b  exit code 1  0.12s
  $ cc -c b.c
  > cc -c c.c
b.c:1: wrong
no newline
  help: the command names `CC`, which is set here but not passed: add `pass_env = CC`
[ ] app  skipped: `b` failed
[*] docs  up to date
failed: `b`
12 tasks: 1 executed, 1 cached, 8 up to date, 1 failed, 1 skipped in 0.52s, saved 4.20s
"
    );
}

#[test]
fn quiet_says_failures_only() {
    assert_eq!(
        text(Detail::Quiet, &mixed()),
        "\
[X] b  exit code 1  0.12s
  $ cc -c b.c
  > cc -c c.c
b.c:1: wrong
no newline
  help: the command names `CC`, which is set here but not passed: add `pass_env = CC`
"
    );
}

#[test]
fn verbose_shows_commands_keys_and_all_reasons() {
    let reasons: Vec<_> =
        (0..5).map(|i| MissReason::InputChanged { path: i.to_string() }).collect();
    let key = Digest::of(b"k");
    let events = [
        run_started(2, false),
        Event::TasksUpToDate { count: 1, saved_ms: 500 },
        Event::TaskQueued { task: name("a"), after: None },
        Event::CacheMiss { task: name("a"), key, reasons: reasons.clone() },
        started("a", "make a"),
        finished("a", Outcome::Executed, &reasons),
    ];
    let expected = format!(
        "\
reprovm 1.2.3: `manifest.txt` in `/p`
containment: cgroup
2 tasks, 1 up to date, 4 jobs
[*] 1 task up to date  saved 0.50s
[ ] a  queued
[~] a
  $ make a
[✔] a  0.12s  `0` changed, `1` changed, `2` changed, `3` changed, `4` changed  key {}
",
        key.short()
    );
    assert_eq!(text(Detail::Verbose, &events), expected);
    let short = text(Detail::Normal, &events);
    assert!(short.ends_with("`2` changed, and 2 more\n"), "{short}");
}

#[test]
fn nothing_to_do_is_one_line() {
    let done = |total| Summary { total, up_to_date: total, elapsed_ms: 14, ..Summary::default() };
    let run = |total| {
        let settled = Event::TasksUpToDate { count: total, saved_ms: 9000 };
        text(Detail::Normal, &[run_started(total, false), settled, run_finished(done(total))])
    };
    assert_eq!(run(12), "up to date: 12 tasks in 0.01s\n");
    assert_eq!(run(1), "up to date: 1 task in 0.01s\n");
    assert_eq!(run(0), "nothing to do: no tasks\n");
}

#[test]
fn a_dry_run_says_what_would_happen() {
    let planned = |task: &str, reasons: &[MissReason], restore, waits_for: &[&str]| {
        let waits_for = waits_for.iter().map(|task| name(task)).collect();
        Event::TaskPlanned { task: name(task), reasons: reasons.to_vec(), restore, waits_for }
    };
    let events = [
        run_started(12, true),
        Event::TasksUpToDate { count: 9, saved_ms: 0 },
        planned("a", &[MissReason::CommandChanged], false, &[]),
        planned("b", &[], true, &[]),
        planned("c", &[], false, &["a"]),
        run_finished(Summary { total: 12, planned: 3, up_to_date: 9, ..Summary::default() }),
    ];
    assert_eq!(
        text(Detail::Normal, &events),
        "\
12 tasks, 9 up to date
[ ] a  would run: command changed
[ ] b  would be restored
[ ] c  depends on `a`
would run 2 of 12 tasks, restore 1; 1 depends on results of others
"
    );
}

#[test]
fn warnings_are_said_once_even_when_quiet() {
    let damaged = Event::CacheDamaged {
        what: "object".into(),
        path: "cas/ab".into(),
        problem: "wrong digest".into(),
    };
    let degraded = Event::CacheDegraded { problem: "cannot write `x`: no space".into() };
    let changes = vec![InputChange::Changed { path: "a.c".into() }];
    let not_saved = Event::TaskNotSaved { task: name("a"), changes };
    let events = [damaged.clone(), degraded.clone(), damaged, degraded, not_saved];
    assert_eq!(
        text(Detail::Quiet, &events),
        "\
warning: object `cas/ab`: wrong digest; set aside
warning: cannot write `x`: no space; results stand but are not saved; make room or give access there, or set `cache_dir`
warning: `a`: result kept but not saved: `a.c` changed while it ran
"
    );
}

#[test]
fn a_retry_shows_what_the_attempt_wrote() {
    let because = Failure::Exit { code: 7, withheld: Vec::new() };
    let retrying = Event::TaskRetrying { task: name("a"), attempt: 1, delay_ms: 1000, because };
    let usage = Usage { duration_ms: 300, attempts: 2, ..Usage::default() };
    let events = [
        run_started(1, false),
        started("a", "flaky"),
        wrote("a", "first\n"),
        retrying,
        wrote("a", "second\n"),
        Event::TaskFinished {
            task: name("a"),
            outcome: Outcome::Executed,
            usage,
            reasons: vec![MissReason::Forced],
        },
    ];
    assert_eq!(
        text(Detail::Normal, &events),
        "\
1 task, 4 jobs
[~] a  exit code 7, retrying in 1.00s
first
[✔] a  0.30s (2 attempts)  forced
second
"
    );
    assert_eq!(text(Detail::Quiet, &events), "");
}

#[test]
fn a_flood_of_skipped_tasks_is_cut_and_counted() {
    let mut events = vec![run_started(31, false), failed("a", 1, &[])];
    events.extend((0..30).map(|i| skipped(&format!("t{i}"), "a")));
    events.push(run_finished(Summary { total: 31, failed: 1, skipped: 30, ..Summary::default() }));
    let cut = text(Detail::Normal, &events);
    assert_eq!(cut.matches("skipped: `a` failed").count(), 10);
    assert!(cut.contains("[ ] and 20 more\nfailed: `a`\n31 tasks: 1 failed, 30 skipped"), "{cut}");
    assert_eq!(text(Detail::Verbose, &events).matches("skipped: `a` failed").count(), 30);
}

#[test]
fn output_that_comes_after_its_line_gets_a_header_only_if_needed() {
    let replayed = |task: &str| Event::TaskOutput {
        task: name(task),
        replayed: true,
        output: Output::Bytes(b"words\n".as_slice().into()),
    };
    let events = [
        run_started(3, false),
        finished("a", Outcome::Executed, &[]),
        wrote("a", "own\n"),
        replayed("b"),
        wrote("c", ""),
    ];
    assert_eq!(
        text(Detail::Normal, &events),
        "3 tasks, 4 jobs\n[✔] a  0.12s\nown\n[*] b  output\nwords\n"
    );
}

#[test]
fn a_large_output_is_shown_though_its_file_loses_its_name() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let long = "0123456789\n".repeat(50_000);
    file.write_all(long.as_bytes()).expect("room for it");
    let path = file.path().to_str().expect("a printable path").to_owned();
    let (len, object) = (long.len() as u64, Digest::of(b"x"));
    let output = Output::File { path, len, object, held: None };
    let mut out = Vec::new();
    let mut console = Console::new(&mut out, Detail::Normal, Paint(false));
    let mut tell = |event| {
        let event = Stamped { seq: 1, time_ns: 0, run: "r".into(), event };
        console.observe(&event).expect("room in memory");
    };
    tell(started("a", "loud"));
    tell(Event::TaskOutput { task: name("a"), replayed: false, output });
    file.close().expect("a removable file");
    tell(finished("a", Outcome::Executed, &[]));
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with(&format!("[✔] a  0.12s\n{long}")));
}

#[test]
fn an_output_that_cannot_be_read_is_a_warning() {
    let (path, object) = ("/nowhere/log".into(), Digest::of(b"abc"));
    let output = Output::File { path, len: 3, object, held: None };
    let shown =
        text(Detail::Quiet, &[Event::TaskOutput { task: name("a"), replayed: false, output }]);
    assert!(shown.starts_with("warning: the output of `a` cannot be shown: "), "{shown}");
}

#[test]
fn an_interrupted_run_says_so() {
    let because = SkipReason::Cancelled;
    let events = [
        run_started(2, false),
        started("a", "sleep"),
        Event::CancelRequested { signal: 2 },
        finished("a", Outcome::Cancelled, &[]),
        Event::TaskSkipped { task: name("b"), because },
        run_finished(Summary {
            total: 2,
            cancelled: 2,
            interrupted: Some(2),
            ..Summary::default()
        }),
    ];
    assert_eq!(
        text(Detail::Normal, &events),
        "\
2 tasks, 4 jobs
SIGINT: waiting for running tasks to end; once more kills them
[ ] a  cancelled
[ ] b  cancelled
interrupted by SIGINT: 2 tasks: 2 cancelled in 0.00s
"
    );
}

#[test]
fn colour_adds_nothing_but_colour() {
    let text = coloured(Detail::Normal, &mixed(), true);
    assert!(text.contains("\x1b[32m[✔]\x1b[0m a"), "{text}");
    let mut plain = text;
    while let Some(start) = plain.find('\x1b') {
        let end = start + plain[start..].find('m').expect("the end of a sequence");
        plain.replace_range(start..=end, "");
    }
    assert_eq!(plain, self::text(Detail::Normal, &mixed()));
}
