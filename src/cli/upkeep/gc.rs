//! `gc`: what goes, a line each, and how much that is.

use super::cache::{add, json};
use crate::base::ByteSize;
use crate::base::text::{count, shown};
use crate::cli::args::{Flags, Format};
use crate::cli::{Call, Code, Failure};
use crate::observe::words;
use crate::ops::{self, Garbage, Gone, Reason, What};

pub(in crate::cli) fn run(flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let busy = || {
        let text = "waiting for another collection, or for a verification or backup of this cache";
        call.screen.error(&format!("{text}\n"));
    };
    let done = ops::collect_garbage(&call.settings.config, flags.dry_run, busy)?;
    let text = match flags.output {
        Format::Json => json(&done)?,
        Format::Text => listed(&done, call.settings.config.output.quiet),
    };
    call.screen.output(text.as_bytes())?;
    for problem in &done.problems {
        call.screen.warning(&shown(problem.as_bytes()));
    }
    for note in &done.notes {
        call.screen.warning(note);
    }
    if done.totals.unfinished {
        // It has all the time that it needs: only what is told above can have ended it.
        call.screen.warning("the cache is collected only in part");
    } else if let Some(problem) = words::not_collected(&done.totals).filter(|_| !done.dry_run) {
        call.screen.warning(&problem);
    }
    Ok(if done.problems.is_empty() { Code::Success } else { Code::FileIo } as u8)
}

fn listed(done: &Garbage, quiet: bool) -> String {
    let mut out = String::new();
    for gone in done.removed.iter().filter(|_| !quiet) {
        let what = match gone.what {
            What::Record => "record",
            What::Object => "object",
            What::Leftover => "leftover",
        };
        add(
            &mut out,
            format_args!("{what} {}  {}  {}", gone.name, ByteSize(gone.bytes), why(gone)),
        );
    }
    let totals = &done.totals;
    let verb = if done.dry_run { "would remove" } else { "removed" };
    let mut sum = format!(
        "{verb} {} and {}",
        count(totals.records, "record"),
        count(totals.objects, "object")
    );
    if totals.remains > 0 {
        sum.push_str(&format!(", and {}", count(totals.remains, "leftover")));
    }
    sum.push_str(&format!(": {} in {}", ByteSize(totals.bytes), count(totals.files(), "file")));
    if let (Some(bytes), Some(files)) = (totals.kept_bytes, totals.kept_files) {
        sum.push_str(&format!("; {} in {} left", ByteSize(bytes), count(files, "file")));
    }
    add(&mut out, format_args!("{sum}"));
    out
}

fn why(gone: &Gone) -> String {
    let time = crate::base::clock::rfc3339(gone.time_ns);
    match gone.reason {
        Reason::Age => format!("too old: last used {time}"),
        Reason::Size => format!("the cache is too large: last used {time}"),
        Reason::Dangling => "an object of it is not there".to_owned(),
        Reason::Unneeded => "only records need it that go".to_owned(),
        Reason::Orphan => format!("no record names it: written {time}"),
        Reason::Stale => format!("left unfinished by a dead run: written {time}"),
        Reason::Damaged => format!("damaged: set aside {time}"),
        Reason::DeadLock => "a lock of a dead run".to_owned(),
    }
}
