//! `cache verify`, `cache clean` and `cache stats`.

use std::fmt::Write as _;

use serde::Serialize;

use super::pins;
use crate::base::ByteSize;
use crate::base::text::{count, shown};
use crate::cli::args::{CacheVerb, Flags, Format};
use crate::cli::{Call, Code, Failure};
use crate::observe::{Paint, words};
use crate::ops::{self, CacheHistory, CacheStats, Cleaned, Fault, Form, Verified};

/// The bit of an exit code that says: and something could not be read. No other code has it, but 99
/// for a fault of the program.
const UNREADABLE_TOO: u8 = 64;
/// How many tasks a list of them names.
const MOST_TASKS: usize = 5;

pub(in crate::cli) fn run(verb: &CacheVerb, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    match verb {
        CacheVerb::Verify { repair } => verify(flags, *repair, call),
        CacheVerb::Clean => clean(flags, call),
        CacheVerb::Stats => stats(flags, call),
        CacheVerb::Recompress { algorithm, level } => {
            super::recompress::run(algorithm.as_deref(), *level, flags, call)
        }
        CacheVerb::Pin { tasks, remove: true, manifest } => {
            pins::unpin(tasks, manifest.as_ref(), flags, call)
        }
        CacheVerb::Pin { tasks, remove: false, manifest } => {
            pins::pin(tasks, manifest.as_ref(), flags, call)
        }
        CacheVerb::Pins => pins::list(flags, call),
    }
}

pub(super) fn verify(flags: &Flags, repair: bool, call: &Call) -> Result<u8, Failure> {
    if repair && flags.dry_run {
        call.screen.warning("a dry run repairs nothing");
    }
    let busy = || call.screen.error(words::GC_BUSY);
    let found = ops::verify_cache(&call.settings.config, repair && !flags.dry_run, busy)?;
    let text = match flags.output {
        Format::Json => json(&found)?,
        Format::Text => verified(&found, call.screen.output_paint()),
    };
    call.screen.output(text.as_bytes())?;
    Ok(code_of_flaws(|fault| found.left(fault)))
}

/// Damage and what cannot be read are told apart, also where there are both.
fn code_of_flaws(has: impl Fn(Fault) -> bool) -> u8 {
    let damage = if has(Fault::Object) {
        Code::CasError
    } else if has(Fault::Record) || has(Fault::Dangling) {
        Code::CacheError
    } else {
        Code::Success
    };
    match (damage, has(Fault::Unreadable)) {
        (Code::Success, true) => Code::FileIo as u8,
        (damage, true) => damage as u8 | UNREADABLE_TOO,
        (damage, false) => damage as u8,
    }
}

/// A line for each flaw, and a last one that counts.
fn verified(found: &Verified, paint: Paint) -> String {
    let mut out = String::new();
    for flaw in &found.flaws {
        let what = match flaw.fault {
            Fault::Object => "damaged object",
            Fault::Record => "damaged record",
            Fault::Dangling => "dangling record",
            Fault::Unreadable => "unreadable",
        };
        let done = match (flaw.repaired, flaw.fault) {
            (false, _) => "",
            (true, Fault::Dangling) => " (removed)",
            (true, _) => " (set aside)",
        };
        let problem = shown(flaw.problem.as_bytes());
        add(&mut out, format_args!("{} `{}`: {problem}{done}", paint.error(what), flaw.path));
    }
    let Verified { objects, bytes, records, .. } = found;
    let seen = format!(
        "{} ({}) and {}",
        count(*objects, "object"),
        ByteSize(*bytes),
        count(*records, "record")
    );
    let repaired = found.flaws.iter().filter(|flaw| flaw.repaired).count();
    let verdict = match (found.flaws.len(), repaired) {
        (0, _) => "all sound".to_owned(),
        (all, 0) if found.repair => format!("{}, none could be repaired", count(all, "flaw")),
        (all, 0) => {
            format!("{}; `reprovm cache verify --repair` takes them away", count(all, "flaw"))
        }
        (all, some) => format!("{}, {some} repaired", count(all, "flaw")),
    };
    add(&mut out, format_args!("{seen}: {verdict}"));
    if let Some(report) = &found.report {
        add(&mut out, format_args!("report: {}", shown(report.as_bytes())));
    }
    out
}

/// Cleans, and that is all.
pub(super) fn clean(flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let done = do_clean(flags, call)?;
    let text = match flags.output {
        Format::Json => json(&done)?,
        Format::Text => format!("{}\n", cleaned(&done)),
    };
    call.screen.output(text.as_bytes())?;
    Ok(code_of_clean(&done, call))
}

/// Cleans before a build, whose events and tables the standard output belongs to.
pub(super) fn clean_first(flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let done = do_clean(flags, call)?;
    if !call.settings.config.output.quiet && flags.output == Format::Text {
        call.screen.error(&format!("{}\n", cleaned(&done)));
    }
    Ok(code_of_clean(&done, call))
}

fn do_clean(flags: &Flags, call: &Call) -> Result<Cleaned, Failure> {
    let config = &call.settings.config;
    let cleaned = ops::clean_cache(config, &call.command, flags.dry_run, |holder| {
        call.screen.error(&format!("{}\n", words::busy(holder)));
    })?;
    Ok(cleaned)
}

fn code_of_clean(done: &Cleaned, call: &Call) -> u8 {
    for problem in &done.problems {
        call.screen.warning(&shown(problem.as_bytes()));
    }
    let code = if done.problems.is_empty() { Code::Success } else { Code::FileIo };
    code as u8
}

/// `removed 3 objects and 2 records, 1.5 KiB`
fn cleaned(done: &Cleaned) -> String {
    let verb = if done.dry_run { "would remove" } else { "removed" };
    let mut text = format!(
        "{verb} {} and {}, {}",
        count(done.objects, "object"),
        count(done.records, "record"),
        ByteSize(done.bytes)
    );
    if done.remains > 0 {
        write!(text, ", with {} of damaged or unfinished things", count(done.remains, "file"))
            .expect("writing to a string cannot fail");
    }
    if done.state {
        text.push_str("; the state of this project");
    }
    text
}

fn stats(flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let stats = ops::cache_stats(&call.settings.config)?;
    let text = match flags.output {
        Format::Json => json(&stats)?,
        Format::Text => table(&stats),
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

fn table(stats: &CacheStats) -> String {
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "none".to_owned());
    let rows = [
        ("folder", shown(stats.cache_dir.as_bytes()).into_owned()),
        ("records", stats.total_entries.to_string()),
        ("damaged", stats.damaged_entries.to_string()),
        ("objects", format!("{} ({})", stats.cas_objects_count, ByteSize(stats.cas_objects_bytes))),
        ("orphans", format!("{} ({})", stats.orphans_count, ByteSize(stats.orphans_bytes))),
        ("compressed", compressed(stats)),
        ("total size", ByteSize(stats.total_size_bytes).to_string()),
        ("oldest", time(&stats.oldest)),
        ("newest", time(&stats.newest)),
        ("work saved", format!("{} when all is used once", words::duration(stats.recorded_ms))),
    ];
    let mut out = String::new();
    for (name, value) in rows {
        add(&mut out, format_args!("{name:10}  {value}"));
    }
    if let Some(rate) = stats.hit_rate {
        history(&mut out, rate, &stats.history);
    }
    out
}

/// `5 of 6 objects (zstd 4, gzip 1), 1.0 KiB for 4.0 KiB (25.0 %)`
fn compressed(stats: &CacheStats) -> String {
    let packed = || stats.forms.iter().filter(|(form, _)| **form != Form::Bare);
    let objects: usize = packed().map(|(_, of_form)| of_form.objects).sum();
    if objects == 0 {
        return "none".to_owned();
    }
    let each: Vec<String> =
        packed().map(|(form, of_form)| format!("{} {}", form.name(), of_form.objects)).collect();
    let (stored, raw) = (ByteSize(stats.cas_objects_bytes), ByteSize(stats.cas_raw_bytes));
    let (all, each) = (count(stats.cas_objects_count, "object"), each.join(", "));
    let percent = stats.compression_ratio * 100.0;
    format!("{objects} of {all} ({each}), {stored} for {raw} ({percent:.1} %)")
}

/// What the cache did in the last runs; of what is not known nothing is said.
fn history(out: &mut String, rate: f64, history: &CacheHistory) {
    let runs = count(history.runs, "run");
    add(out, format_args!("hit rate    {:.1} % in the last {runs}", rate * 100.0));
    if !history.savers.is_empty() {
        add(out, format_args!("\nsaved most in these runs:"));
    }
    for task in history.savers.iter().take(MOST_TASKS) {
        let (saved, hits) = (words::duration(task.saved_ms), count(task.hits, "hit"));
        add(out, format_args!("  {}  {saved} by {hits}", task.task));
    }
    if !history.losers.is_empty() {
        add(out, format_args!("\ntake longer to store and restore than to run:"));
    }
    for task in history.losers.iter().take(MOST_TASKS) {
        let ms = |us: u64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
        let part = |what, us: Option<u64>| us.map(|us| format!(", {what} {}", ms(us)));
        let run = task.run_us.map(ms).unwrap_or_default();
        let store = part("storing", task.store_us).unwrap_or_default();
        let restore = part("restoring", task.restore_us).unwrap_or_default();
        add(out, format_args!("  {}  running {run}{store}{restore}", task.task));
    }
    if history.losers.len() > MOST_TASKS {
        add(out, format_args!("  and {}", count(history.losers.len() - MOST_TASKS, "more task")));
    }
}

pub(in crate::cli) fn json(data: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(data).map_err(|error| Failure::Output(error.into()))?;
    Ok(text + "\n")
}

pub(super) fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_damage_from_what_cannot_be_read() {
        let code = |flaws: &[Fault]| code_of_flaws(|fault| flaws.contains(&fault));
        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[Fault::Record, Fault::Object]), 9);
        assert_eq!(code(&[Fault::Dangling]), 8);
        assert_eq!(code(&[Fault::Unreadable]), 3);
        assert_eq!(code(&[Fault::Unreadable, Fault::Record]), 72);
        assert_eq!(code(&[Fault::Unreadable, Fault::Object, Fault::Dangling]), 73);
    }
}
