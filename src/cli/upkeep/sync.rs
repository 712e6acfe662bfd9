//! `--sync-from-remote` and `--sync-to-remote`.

use std::fmt::Write as _;

use super::cache::json;
use crate::base::ByteSize;
use crate::base::text::{count, shown};
use crate::cli::args::{Cli, Format};
use crate::cli::{Call, Code, Failure, build};
use crate::ops::{self, Direction, Location, Project, Synced};

/// How many things that were left out are named, unless all is told.
const SHOWN: usize = 10;

pub(super) fn from(cli: &Cli, call: &Call, builds: bool) -> Result<u8, Failure> {
    let project = Project::load(&Location { manifest: cli.manifest.clone() })?;
    let options = build::options(&cli.flags, cli.targets.clone(), call);
    let mut done = project.sync_from(&options)?;
    // For the profile of the run that follows.
    let _ = call.fetched.set(std::mem::take(&mut done.requests));
    tell(&done, cli, call, builds)
}

pub(super) fn to(cli: &Cli, call: &Call, builds: bool) -> Result<u8, Failure> {
    let done = ops::sync_to(&call.settings.config, cli.flags.dry_run)?;
    tell(&done, cli, call, builds)
}

/// Where there is a build as well, the standard output belongs to its events and tables.
fn tell(done: &Synced, cli: &Cli, call: &Call, builds: bool) -> Result<u8, Failure> {
    let output = &call.settings.config.output;
    for warning in &done.warnings {
        call.screen.warning(&shown(warning.as_bytes()));
    }
    for refused in &done.refused {
        let problem = shown(refused.problem.as_bytes());
        call.screen.warning(&format!("`{}` is not used: {problem}", refused.url));
    }
    let words = || if output.quiet { String::new() } else { words(done, output.verbose) };
    match (cli.flags.output, builds) {
        (Format::Json, false) => call.screen.output(json(done)?.as_bytes())?,
        (Format::Json, true) => {}
        (Format::Text, false) => call.screen.output(words().as_bytes())?,
        (Format::Text, true) => call.screen.error(&words()),
    }
    tracing::info!(
        remote = done.remote,
        records = done.records,
        objects = done.objects,
        bytes = done.bytes,
        refused = done.refused.len(),
        "synchronised"
    );
    let code = if done.refused.is_empty() { Code::Success } else { Code::NetworkError };
    Ok(code as u8)
}

/// A line for each thing that was left out, and a last one that counts.
fn words(done: &Synced, all: bool) -> String {
    let mut out = String::new();
    let most = if all { usize::MAX } else { SHOWN };
    for one in done.left_out.iter().take(most) {
        let (what, why) = (shown(one.what.as_bytes()), shown(one.why.as_bytes()));
        add(&mut out, format_args!("left out: {what}: {why}"));
    }
    if done.left_out.len() > most {
        let more = done.left_out.len() - most;
        add(&mut out, format_args!("left out: {more} more; `--verbose` names all"));
    }
    let moved = format!(
        "{} and {} ({})",
        count(done.records, "record"),
        count(done.objects, "object"),
        ByteSize(done.bytes)
    );
    let would = if done.dry_run { "would have " } else { "" };
    let there = format!(
        "{} and {}",
        count(done.records_there, "record"),
        count(done.objects_there, "object")
    );
    let remote = &done.remote;
    match done.direction {
        Direction::FromRemote => add(
            &mut out,
            format_args!(
                "{would}fetched {moved} from `{remote}`; {there} were here already, and it has \
                 nothing for {}",
                count(done.missing, "task")
            ),
        ),
        Direction::ToRemote => add(
            &mut out,
            format_args!("{would}stored {moved} at `{remote}`; {there} were there already"),
        ),
    }
    out
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string cannot fail");
}
