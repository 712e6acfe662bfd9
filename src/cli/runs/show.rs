//! `runs show`: one run in full.

use super::{add, say_odd, state};
use crate::base::text::{count, shown};
use crate::cli::args::{Flags, Format};
use crate::cli::upkeep::cache::json;
use crate::cli::{Call, Code, Failure};
use crate::event::{Costs, MissReason};
use crate::observe::{Paint, path_text, summary_text, words};
use crate::ops::{self, FailedTask, RunReport};

/// How many reasons a line lists, and how many tasks that did not end.
const MOST: usize = 3;

pub(super) fn run(which: Option<&str>, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let report = ops::show_run(which, &call.settings.config)?;
    let text = match flags.output {
        Format::Json => json(&report)?,
        Format::Text => {
            say_odd(&report.odd, call);
            text(&report, call.screen.output_paint())
        }
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

fn text(report: &RunReport, paint: Paint) -> String {
    let mut out = String::new();
    let head = &report.head;
    let title = format!("run {}", head.id);
    let state = state(head.state);
    add(&mut out, format_args!("{}  {}, {state}", paint.bold(&title), head.started));
    add(&mut out, format_args!("  {}", shown(head.command.as_bytes())));
    let (manifest, project) = (shown(head.manifest.as_bytes()), shown(report.project.as_bytes()));
    let (jobs, version) = (count(report.jobs, "job"), &report.version);
    add(&mut out, format_args!("  `{manifest}` in `{project}`, {jobs}, reprovm {version}"));
    for (name, value) in &report.settings {
        add(&mut out, format_args!("  {name} = {}", shown(value.as_bytes())));
    }
    add(&mut out, format_args!("  {}", summary_text(&head.summary)));
    if !report.unfinished.is_empty() {
        let names = words::tasks(&report.unfinished, MOST);
        add(&mut out, format_args!("  had begun and did not end: {names}"));
    }
    if report.missing_events > 0 {
        let missing = report.missing_events;
        add(&mut out, format_args!("  {missing} events of it are not in the journal"));
    }
    if !report.failed.is_empty() {
        add(&mut out, format_args!("\n{}", paint.error("failed:")));
        report.failed.iter().for_each(|task| failed(&mut out, task, paint));
    }
    if !report.slowest.is_empty() {
        add(&mut out, format_args!("\n{}", paint.bold("slowest:")));
    }
    for task in &report.slowest {
        let (took, why) = (duration(task.took_us), reasons(&task.reasons, paint));
        add(&mut out, format_args!("  {}  {took}{why}", task.task));
    }
    out.push('\n');
    out.push_str(&path_text(&report.critical_path, head.summary.elapsed_ms, paint));
    cache(&mut out, &report.cache, paint);
    out
}

fn failed(out: &mut String, task: &FailedTask, paint: Paint) {
    let why = words::failure(&task.failure);
    let attempts = match task.attempts {
        0 | 1 => String::new(),
        attempts => format!(" ({attempts} attempts)"),
    };
    let (took, reasons) = (duration(task.took_us), reasons(&task.reasons, paint));
    add(out, format_args!("  {}  {why}  {took}{attempts}{reasons}", task.task));
    for line in task.output.lines() {
        add(out, format_args!("    | {}", shown(line.as_bytes())));
    }
    if task.skipped > 0 {
        add(out, format_args!("    {} skipped because of it", count(task.skipped, "task")));
    }
}

fn cache(out: &mut String, costs: &Costs, paint: Paint) {
    let Costs { hits, misses, hit_rate, saved_ms, .. } = *costs;
    add(out, format_args!("\n{}", paint.bold("cache:")));
    let (hits, misses) = (count(hits, "hit"), misses_text(misses));
    let saved = words::duration(saved_ms);
    add(out, format_args!("  {hits}, {misses} ({:.1} %), saved {saved}", hit_rate * 100.0));
    let times = [
        ("keys", costs.key_us),
        ("lookups", costs.lookup_us),
        ("restoring", costs.restore_us),
        ("storing", costs.store_us),
    ];
    let times = times.map(|(what, us)| format!("{what} {}", duration(us)));
    add(out, format_args!("  {}", times.join(", ")));
}

/// `count` would say `2 misss`.
fn misses_text(number: usize) -> String {
    if number == 1 { "1 miss".to_owned() } else { format!("{number} misses") }
}

pub(super) fn duration(us: u64) -> String {
    words::duration(us / 1000)
}

pub(super) fn reasons(reasons: &[MissReason], paint: Paint) -> String {
    match words::reasons(reasons, MOST) {
        text if text.is_empty() => text,
        text => format!("  {}", paint.dim(&text)),
    }
}
