//! The trace: JSON in the form that Chrome began and Perfetto reads, an event a line. One row a
//! slot has each task, and within it what its time went to; waiting for a slot lies beside the
//! rows, since any number of tasks can wait at once. What was asked of a remote store before the
//! run has rows of its own, as many as there were requests at once.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::base::TaskName;
use crate::event::{Account, Failure, Outcome, Request, Span, TaskAccount, Turn, Work};
use crate::observe::words;

/// The groups of rows.
const SLOTS: u32 = 1;
const QUEUE: u32 = 2;
const REMOTE: u32 = 3;

/// One event of the format.
#[derive(Debug, Serialize)]
struct Mark<'a> {
    name: &'a str,
    /// Kinds of work are told apart by this.
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'a str,
    ph: &'a str,
    /// Microseconds since the run began, or what came before it.
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    /// What a begin and an end have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    pid: u32,
    tid: usize,
    #[serde(skip_serializing_if = "Map::is_empty")]
    args: Map<String, Value>,
}

impl<'a> Mark<'a> {
    fn new(name: &'a str, cat: &'a str, ph: &'a str, ts: i64) -> Self {
        Self { name, cat, ph, ts, dur: None, id: None, pid: SLOTS, tid: 0, args: Map::new() }
    }
}

/// Writes the trace of a run, and of what was asked of a remote store before it.
pub(super) fn write(account: &Account, fetched: &[Request], file: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let head = account.beginning.clone().unwrap_or_default();
    let first = fetched.iter().map(|request| request.began_ns).min();
    let zero_ns = first.map_or(head.time_ns, |first| first.min(head.time_ns));
    let about = json!({
        "run": account.run, "version": head.version, "manifest": head.manifest,
        "project": head.project, "jobs": head.jobs, "began_ns": zero_ns,
    });
    write!(out, "{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[")?;
    let mut lines = Lines { out: &mut out, any: false };
    names(account, &mut lines)?;
    remote(fetched, zero_ns, &mut lines)?;
    for (number, name) in account.ended.iter().enumerate() {
        let Some(task) = account.tasks.get(name) else { continue };
        if let Some(turn) = &task.turn {
            let began_us = (turn.began_ns - zero_ns) / 1000;
            slot(name, task, (turn, began_us), &mut lines)?;
            waiting(name, (number, began_us), task.waited_us(), &mut lines)?;
        }
    }
    out.write_all(b"\n]}\n")?;
    out.flush()
}

struct Lines<'a, W> {
    out: &'a mut W,
    any: bool,
}

impl<W: Write> Lines<'_, W> {
    fn put(&mut self, mark: &Mark<'_>) -> io::Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        serde_json::to_writer(&mut *self.out, mark).map_err(io::Error::from)
    }
}

/// What the rows and their groups are called.
fn names<W: Write>(account: &Account, lines: &mut Lines<'_, W>) -> io::Result<()> {
    for (pid, name) in [(SLOTS, "slots"), (QUEUE, "waiting for a slot")] {
        let args = Map::from_iter([("name".to_owned(), json!(name))]);
        lines.put(&Mark { pid, args, ..Mark::new("process_name", "", "M", 0) })?;
    }
    let turns = account.tasks.values().filter_map(|task| task.turn.as_ref());
    let slots: BTreeSet<usize> = turns.map(|turn| turn.slot).collect();
    for slot in slots {
        row_name(SLOTS, slot + 1, "slot", lines)?;
        let args = Map::from_iter([("sort_index".to_owned(), json!(slot))]);
        lines.put(&Mark { tid: slot + 1, args, ..Mark::new("thread_sort_index", "", "M", 0) })?;
    }
    Ok(())
}

/// Each request in the first row that is free when it begins.
fn remote<W: Write>(fetched: &[Request], zero_ns: i64, lines: &mut Lines<'_, W>) -> io::Result<()> {
    if fetched.is_empty() {
        return Ok(());
    }
    let args = Map::from_iter([("name".to_owned(), json!("remote store"))]);
    lines.put(&Mark { pid: REMOTE, args, ..Mark::new("process_name", "", "M", 0) })?;
    let mut all: Vec<&Request> = fetched.iter().collect();
    all.sort_by_key(|request| request.began_ns);
    // When the last request of each row ended.
    let mut rows: Vec<i64> = Vec::new();
    for Request { kind, name, began_ns, took_us } in all {
        let ts = (began_ns - zero_ns) / 1000;
        let end = ts.saturating_add_unsigned(*took_us);
        let row = rows.iter().position(|&busy_until| busy_until <= ts).unwrap_or(rows.len());
        match rows.get_mut(row) {
            Some(busy_until) => *busy_until = end,
            None => {
                rows.push(end);
                row_name(REMOTE, rows.len(), "requests", lines)?;
            }
        }
        let args = Map::from_iter([("name".to_owned(), json!(name))]);
        let mark = Mark::new(kind, "remote", "X", ts);
        lines.put(&Mark { dur: Some(*took_us), pid: REMOTE, tid: row + 1, args, ..mark })?;
    }
    Ok(())
}

/// What a row is called: a word and its number.
fn row_name<W: Write>(
    pid: u32,
    tid: usize,
    word: &str,
    lines: &mut Lines<'_, W>,
) -> io::Result<()> {
    let args = Map::from_iter([("name".to_owned(), json!(format!("{word} {tid}")))]);
    lines.put(&Mark { pid, tid, args, ..Mark::new("thread_name", "", "M", 0) })
}

/// The task in its row, and the pieces of its time within it.
fn slot<W: Write>(
    name: &TaskName,
    task: &TaskAccount,
    (turn, began_us): (&Turn, i64),
    lines: &mut Lines<'_, W>,
) -> io::Result<()> {
    let tid = turn.slot + 1;
    let whole = Mark::new(name.as_str(), "task", "X", began_us);
    lines.put(&Mark { dur: Some(turn.took_us), tid, args: about(task), ..whole })?;
    for Span { work, at_us, took_us } in &turn.spans {
        let (name, cat) = kind(*work);
        let ts = began_us.saturating_add_unsigned(*at_us);
        lines.put(&Mark { dur: Some(*took_us), tid, ..Mark::new(name, cat, "X", ts) })?;
    }
    Ok(())
}

/// A wait as a begin and an end, which may overlap with others.
fn waiting<W: Write>(
    name: &TaskName,
    (number, until_us): (usize, i64),
    waited_us: u64,
    lines: &mut Lines<'_, W>,
) -> io::Result<()> {
    if waited_us == 0 {
        return Ok(());
    }
    let since_us = until_us.saturating_sub_unsigned(waited_us);
    for (ph, ts) in [("b", since_us), ("e", until_us)] {
        let mark = Mark::new(name.as_str(), "queue", ph, ts);
        lines.put(&Mark { id: Some(number + 1), pid: QUEUE, ..mark })?;
    }
    Ok(())
}

fn kind(work: Work) -> (&'static str, &'static str) {
    match work {
        Work::Key => ("key", "hash"),
        Work::Lookup => ("lookup", "cache"),
        Work::Restore => ("restore", "cache"),
        Work::Prepare => ("prepare", "files"),
        Work::Command => ("command", "command"),
        Work::Wait => ("wait", "pause"),
        Work::Pause => ("pause", "pause"),
        Work::Store => ("store", "cache"),
    }
}

/// What there is to say of a task beside its times.
fn about(task: &TaskAccount) -> Map<String, Value> {
    let mut args = Map::new();
    let mut say = |name: &str, value: Value| {
        args.insert(name.to_owned(), value);
    };
    let ended = match &task.outcome {
        Some(Outcome::Executed) => "executed",
        Some(Outcome::Cached) => "cached",
        Some(Outcome::UpToDate) => "up_to_date",
        Some(Outcome::Failed { .. }) => "failed",
        Some(Outcome::Cancelled) => "cancelled",
        None => "did_not_end",
    };
    say("outcome", json!(ended));
    match &task.outcome {
        Some(Outcome::Executed) if task.started => say("exit_code", json!(0)),
        Some(Outcome::Failed { failure }) => {
            if let Failure::Exit { code, .. } = failure {
                say("exit_code", json!(code));
            }
            say("failure", json!(words::failure(failure)));
        }
        _ => {}
    }
    if !task.reasons.is_empty() {
        say("reasons", json!(words::reasons(&task.reasons, usize::MAX)));
    }
    if let Some(key) = &task.key {
        say("key", json!(key.hex()));
    }
    if let Some(after) = &task.after {
        say("after", json!(after));
    }
    if let Some(hit) = &task.hit {
        say("saved_ms", json!(hit.saved_ms));
        say("restored_files", json!(hit.restored));
    }
    say("waited_us", json!(task.waited_us()));
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Stamped};

    fn traced(events: Vec<Event>) -> Vec<Value> {
        traced_after(&[], events)
    }

    fn traced_after(fetched: &[Request], events: Vec<Event>) -> Vec<Value> {
        let mut account = Account::default();
        for (seq, event) in (1..).zip(events) {
            account.fold(&Stamped { seq, time_ns: 2_000, run: "r".into(), event });
        }
        let mut out = Vec::new();
        write(&account, fetched, &mut out).expect("room in memory");
        let trace: Value = serde_json::from_slice(&out).expect("JSON");
        trace["traceEvents"].as_array().expect("a list").clone()
    }

    #[test]
    fn a_run_of_nothing_is_a_trace_too() {
        assert!(traced(Vec::new()).iter().all(|mark| mark["ph"] == "M"));
    }

    #[test]
    fn requests_at_once_have_rows_of_their_own_and_the_first_begins_the_trace() {
        let request = |began_us: i64, took_us| Request {
            kind: "get",
            name: "cas/1".to_owned(),
            // No beginning was told, so it is at 0 of the clock, and these are before it.
            began_ns: -5_000_000 + began_us * 1000,
            took_us,
        };
        // In the order of their ends.
        let marks = traced_after(&[request(1, 2), request(0, 5), request(3, 9)], Vec::new());
        let pieces: Vec<_> = marks
            .iter()
            .filter(|mark| mark["ph"] == "X")
            .map(|mark| [&mark["ts"], &mark["dur"], &mark["tid"]].map(|field| field.clone()))
            .collect();
        let expected = [[0, 5, 1], [1, 2, 2], [3, 9, 2]].map(|row| row.map(|number| json!(number)));
        assert_eq!(pieces, expected);
        assert!(marks.iter().any(|mark| mark["args"]["name"] == "requests 2"));
    }

    #[test]
    fn a_task_lies_in_the_row_of_its_slot_with_its_pieces_and_its_wait() {
        let task = || TaskName::parse("a").expect("a good name");
        let span = |work, at_us, took_us| Span { work, at_us, took_us };
        let spans = vec![span(Work::Key, 0, 3), span(Work::Command, 3, 4)];
        let turn = Turn { slot: 1, began_ns: 9_000, took_us: 8, spans };
        let failure = Failure::Exit { code: 7, withheld: Vec::new() };
        let marks = traced(vec![
            Event::TaskQueued { task: task(), after: None },
            Event::TaskTimed { task: task(), turn },
            Event::TaskFinished {
                task: task(),
                outcome: Outcome::Failed { failure },
                usage: crate::event::Usage::default(),
                reasons: Vec::new(),
            },
        ]);
        let of = |ph: &str| -> Vec<&Value> { marks.iter().filter(|m| m["ph"] == ph).collect() };
        let pieces: Vec<_> = of("X")
            .iter()
            .map(|m| (m["cat"].clone(), m["ts"].clone(), m["dur"].clone(), m["tid"].clone()))
            .collect();
        // No beginning was told, so the times are those of the clock.
        let expected = [("task", 9, 8), ("hash", 9, 3), ("command", 12, 4)]
            .map(|(cat, ts, dur)| (json!(cat), json!(ts), json!(dur), json!(2)));
        assert_eq!(pieces, expected);
        assert_eq!(of("X")[0]["args"]["exit_code"], 7);
        let wait: Vec<_> = [of("b"), of("e")].concat().iter().map(|m| m["ts"].clone()).collect();
        assert_eq!(wait, [json!(2), json!(9)]);
        assert!(of("M").iter().any(|m| m["args"]["name"] == "slot 2"));
    }
}
