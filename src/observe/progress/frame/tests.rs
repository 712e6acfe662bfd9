//! Hand-made events in, exact lines out.

use super::*;
use crate::base::TaskName;
use crate::event::{Event, Holder, Outcome, SkipReason, Stamped, Usage};

const SECOND: i64 = 1_000_000_000;
const PLAIN: Style = Style { paint: Paint(false), unicode: true };

fn name(text: &str) -> TaskName {
    TaskName::parse(text).expect("a good name")
}

fn run_started(tasks: usize, jobs: usize) -> Event {
    Event::RunStarted {
        version: "1.2.3".into(),
        manifest: "manifest.txt".into(),
        project: "/p".into(),
        jobs,
        targets: Vec::new(),
        tasks,
        dry_run: false,
        force: false,
        containment: String::new(),
    }
}

fn expected(tasks: &[(&str, u64)]) -> Event {
    let durations_ms = tasks.iter().map(|&(task, ms)| (name(task), ms)).collect();
    Event::TasksExpected { durations_ms }
}

fn started(task: &str) -> Event {
    Event::TaskStarted { task: name(task), attempt: 1, command: "x".into() }
}

fn finished(task: &str, duration_ms: u64) -> Event {
    let usage = Usage { duration_ms, attempts: 1, ..Usage::default() };
    let (outcome, reasons) = (Outcome::Executed, Vec::new());
    Event::TaskFinished { task: name(task), outcome, usage, reasons }
}

fn restored(task: &str) -> Event {
    let (outcome, usage) = (Outcome::Cached, Usage::default());
    Event::TaskFinished { task: name(task), outcome, usage, reasons: Vec::new() }
}

/// Each event with the second at which it happened.
fn folded(events: &[(i64, Event)]) -> Fold {
    let mut fold = Fold::default();
    for (seq, (second, event)) in (1..).zip(events) {
        let time_ns = second * SECOND;
        fold.fold(&Stamped { seq, time_ns, run: "r".into(), event: event.clone() });
    }
    fold
}

fn at(fold: &Fold, columns: usize, rows: usize, second: i64) -> Vec<String> {
    lines(fold, PLAIN, Size { columns, rows }, second * SECOND)
}

/// Ten tasks with two jobs; after four seconds six are done, and two run.
fn midway() -> Fold {
    let mut events = vec![
        (0, run_started(10, 2)),
        (0, Event::TasksUpToDate { count: 1, saved_ms: 0 }),
        (0, expected(&[("e", 90_000), ("f", 4_000), ("g", 10_000)])),
    ];
    for (second, task) in [(1, "a"), (2, "b"), (2, "c"), (3, "d")] {
        events.push((second - 1, started(task)));
        events.push((second, finished(task, 1000)));
    }
    events.push((3, restored("h")));
    events.push((2, started("f")));
    events.push((1, started("e")));
    folded(&events)
}

#[test]
fn the_line_follows_the_width() {
    let fold = midway();
    // 90 - 3 seconds are left of `e`, which is more than the rest by two.
    assert_eq!(
        at(&fold, 200, 8, 4),
        ["Building [████████████████████████░░░░░░░░░░░░░░░░] 60.0% (6/10) 1.2 tasks/s ETA: \
          1m27s"]
    );
    assert_eq!(
        at(&fold, 80, 24, 4),
        ["Building [███████████████████░░░░░░░░░░░░░] 60.0% (6/10) 1.2 tasks/s ETA: 1m27s"]
    );
    assert_eq!(at(&fold, 58, 24, 4), ["Building [██████░░░░] 60.0% (6/10) 1.2 tasks/s ETA: 1m27s"]);
    assert_eq!(at(&fold, 57, 24, 4), ["Building [████████████░░░░░░░░░] 60.0% (6/10) ETA: 1m27s"]);
    assert_eq!(at(&fold, 40, 24, 4), ["Building [█████████░░░░░░] 60.0% (6/10)"]);
    assert_eq!(at(&fold, 30, 24, 4), ["Building 60.0% (6/10)"]);
    assert_eq!(at(&fold, 12, 24, 4), ["Building..."]);
    assert_eq!(at(&fold, 0, 0, 4), [""]);
}

#[test]
fn no_line_reaches_the_last_column() {
    let fold = midway();
    for columns in 1..240 {
        for line in at(&fold, columns, 24, 100) {
            assert!(line.chars().count() < columns, "{columns}: {line}");
        }
    }
}

#[test]
fn a_wide_and_tall_terminal_shows_what_runs_longest_first() {
    let fold = midway();
    assert_eq!(
        at(&fold, 100, 10, 65)[1..],
        ["[~] e                         1m04s", "[~] f                         1m03s"]
    );
    assert_eq!(at(&fold, 99, 10, 65).len(), 1);
    assert_eq!(at(&fold, 100, 9, 65).len(), 1);
}

#[test]
fn tasks_without_room_are_counted() {
    let mut events = vec![(0, run_started(20, 20))];
    events.extend((0..16).map(|n| (n, started(&format!("task-{n}")))));
    let shown = at(&folded(&events), 120, 12, 20);
    assert_eq!(
        shown[1..],
        [
            "[~] task-0                    20s",
            "[~] task-1                    19s",
            "[~] task-2                    18s",
            "[~] task-3                    17s",
            "    and 12 more"
        ]
    );
}

#[test]
fn a_long_name_is_cut_and_its_age_is_not() {
    let fold = folded(&[(0, run_started(1, 1)), (0, started(&"n".repeat(200)))]);
    let line = &at(&fold, 100, 24, 7)[1];
    assert!(line.ends_with("nnn...  7s"), "{line}");
    assert_eq!(line.chars().count(), 99);
}

#[test]
fn colours_add_nothing_but_colours() {
    let fold = midway();
    let size = Size { columns: 80, rows: 24 };
    let style = Style { paint: Paint(true), unicode: false };
    assert_eq!(
        lines(&fold, style, size, 4 * SECOND),
        ["\u{1b}[1mBuilding\u{1b}[0m [\u{1b}[36m###################\u{1b}[0m\
          \u{1b}[2m-------------\u{1b}[0m] 60.0% (6/10) 1.2 tasks/s ETA: 1m27s"]
    );
}

#[test]
fn nothing_but_all_is_a_hundred_percent() {
    assert_eq!(percent(0, 3), "0.0%");
    assert_eq!(percent(9_999, 10_000), "99.9%");
    assert_eq!(percent(3, 3), "100.0%");
}

#[test]
fn rates_and_estimates_have_few_digits() {
    assert_eq!(
        [33, 99, 100, 2_512, 123_456].map(rate),
        [" 1.9 tasks/min", " 5.9 tasks/min", " 0.1 tasks/s", " 2.5 tasks/s", " 123 tasks/s"]
    );
    assert_eq!(
        [1, 59_001, 96_000, 7_380_000].map(words::whole_seconds),
        ["1s", "1m00s", "1m36s", "2h03m"]
    );
}

#[test]
fn before_the_run_a_spinner_turns() {
    let looking = Fold::default();
    let tenth =
        |n: i64, style| lines(&looking, style, Size { columns: 80, rows: 24 }, n * NS_PER_TURN);
    assert_eq!(tenth(0, PLAIN), ["⠋ Looking at files"]);
    assert_eq!(tenth(11, PLAIN), ["⠙ Looking at files"]);
    let ascii = Style { unicode: false, ..PLAIN };
    assert_eq!(tenth(3, ascii), ["\\ Looking at files"]);

    let waiting = folded(&[(
        5,
        Event::WorkspaceBusy { holder: Some(Holder { pid: 12, ..Holder::default() }) },
    )]);
    assert_eq!(at(&waiting, 80, 24, 70), ["⠋ Waiting for the run of process 12  1m05s"]);
    let unknown = folded(&[(5, Event::WorkspaceBusy { holder: None })]);
    assert_eq!(at(&unknown, 20, 24, 6), ["⠋ Waiting for an..."]);
}

#[test]
fn a_run_that_is_stopped_says_so_and_estimates_nothing() {
    let mut events = vec![(0, run_started(4, 1)), (0, expected(&[("a", 9000), ("b", 9000)]))];
    events.push((1, started("a")));
    events.push((2, Event::CancelRequested { signal: 2 }));
    events.push((2, Event::TaskSkipped { task: name("b"), because: SkipReason::Cancelled }));
    assert_eq!(
        at(&folded(&events), 80, 24, 3),
        ["Stopping [██████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░] 25.0% (1/4) 0.3 tasks/s"]
    );
}

#[test]
fn a_limit_that_holds_tasks_back_is_shown_while_it_does_and_there_is_room() {
    use crate::event::{Held, Limit};
    let held = Held { limit: Limit::Memory, measured: 4200 << 20, ceiling: 4 << 30 };
    let mut events = vec![(100, run_started(4, 2)), (101, Event::LimitHit { held })];
    let fold = folded(&events);
    let waiting = "0.0% (0/4) waiting: memory 4.1 GiB of 4.0 GiB";
    assert!(at(&fold, 100, 24, 102)[0].ends_with(waiting), "{:?}", at(&fold, 100, 24, 102));
    assert!(at(&fold, 50, 24, 102)[0].ends_with("0.0% (0/4)"));
    let lifted = Event::LimitLifted { limit: Limit::Memory, held_ms: 1000 };
    events.push((103, lifted));
    assert!(at(&folded(&events), 100, 24, 104)[0].ends_with("0.0% (0/4)"));
}
