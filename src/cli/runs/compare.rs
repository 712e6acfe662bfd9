//! `runs compare`: two runs side by side.

use super::show::{duration, reasons};
use super::{add, state};
use crate::base::text::count;
use crate::cli::args::{Flags, Format};
use crate::cli::upkeep::cache::json;
use crate::cli::{Call, Code, Failure};
use crate::event::{Comparison, Pace};
use crate::observe::{Paint, words};
use crate::ops::{self, Compared};

/// How many tasks of a kind are named.
const MOST: usize = 10;

pub(super) fn run(before: &str, after: &str, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let found = ops::compare_runs(before, after, &call.settings.config)?;
    let text = match flags.output {
        Format::Json => json(&found)?,
        Format::Text => text(&found, call.screen.output_paint()),
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

fn text(found: &Compared, paint: Paint) -> String {
    let mut out = String::new();
    figures(&mut out, found);
    let Comparison { slower, faster, newly_run, newly_failed, mended } = &found.differences;
    paces(&mut out, "slower:", slower, paint);
    paces(&mut out, "faster:", faster, paint);
    if !newly_run.is_empty() {
        add(&mut out, format_args!("\n{}", paint.bold("newly run:")));
    }
    for one in newly_run.iter().take(MOST) {
        let (took, why) = (duration(one.took_us), reasons(&one.reasons, paint));
        add(&mut out, format_args!("  {}  {took}{why}", one.task));
    }
    more(&mut out, newly_run.len());
    for (what, names) in [("newly failed:", newly_failed), ("failed no more:", mended)] {
        if !names.is_empty() {
            add(&mut out, format_args!("\n{} {}", paint.bold(what), words::tasks(names, MOST)));
        }
    }
    if found.differences == Comparison::default() {
        add(&mut out, format_args!("\nno task ran otherwise"));
    }
    out
}

/// The figures of both, a row each.
fn figures(out: &mut String, found: &Compared) {
    let both = [(&found.before, &found.costs_before), (&found.after, &found.costs_after)];
    let columns = both.map(|(head, costs)| {
        let sum = &head.summary;
        [
            head.id[..8].to_owned(),
            head.started.clone(),
            state(head.state).to_owned(),
            sum.total.to_string(),
            sum.executed.to_string(),
            sum.cached.to_string(),
            sum.up_to_date.to_string(),
            sum.failed.to_string(),
            words::duration(sum.elapsed_ms),
            words::duration(sum.cpu_ms),
            format!("{:.1} %", costs.hit_rate * 100.0),
            words::duration(costs.saved_ms),
            duration(costs.store_us),
            duration(costs.restore_us),
        ]
    });
    let names = [
        "run",
        "started",
        "ended",
        "tasks",
        "executed",
        "cached",
        "up to date",
        "failed",
        "elapsed",
        "processor",
        "hit rate",
        "saved",
        "storing",
        "restoring",
    ];
    let [before, after] = columns;
    for ((name, before), after) in names.iter().zip(before).zip(after) {
        add(out, format_args!("{name:10}  {before:20}  {after}"));
    }
}

fn paces(out: &mut String, what: &str, paces: &[Pace], paint: Paint) {
    if paces.is_empty() {
        return;
    }
    add(out, format_args!("\n{}", paint.bold(what)));
    for Pace { task, before_us, after_us } in paces.iter().take(MOST) {
        let (before, after) = (duration(*before_us), duration(*after_us));
        add(out, format_args!("  {task}  {before} -> {after}"));
    }
    more(out, paces.len());
}

fn more(out: &mut String, number: usize) {
    if number > MOST {
        add(out, format_args!("  and {}", count(number - MOST, "more task")));
    }
}
