//! `cache recompress`.

use super::cache::json;
use crate::base::ByteSize;
use crate::base::text::{count, shown};
use crate::cli::args::{Flags, Format};
use crate::cli::{Call, Code, Failure};
use crate::config::Algorithm;
use crate::ops::{self, Packing, Recompressed};

pub(super) fn run(
    algorithm: Option<&str>,
    level: Option<u64>,
    flags: &Flags,
    call: &Call,
) -> Result<u8, Failure> {
    let packing = packing(algorithm, level, call);
    let done = ops::recompress(&call.settings.config, packing, flags.dry_run)?;
    for damaged in &done.damaged {
        call.screen.warning(&format!("damaged object {damaged}; it is left as it is"));
    }
    for problem in &done.problems {
        call.screen.warning(&shown(problem.as_bytes()));
    }
    if !done.damaged.is_empty() {
        call.screen.error("`reprovm cache verify --repair` takes damaged objects away\n");
    }
    let text = match flags.output {
        Format::Json => json(&done)?,
        Format::Text if call.settings.config.output.quiet => String::new(),
        Format::Text => words(&done),
    };
    call.screen.output(text.as_bytes())?;
    let code = match (done.damaged.is_empty(), done.problems.is_empty()) {
        (true, true) => Code::Success,
        (false, _) => Code::CasError,
        (true, false) => Code::FileIo,
    };
    Ok(code as u8)
}

/// What the settings say, unless the flags say something else. A level alone is for the
/// algorithm of the settings, also where they do not compress.
fn packing(algorithm: Option<&str>, level: Option<u64>, call: &Call) -> Packing {
    let settings = &call.settings.config.compression;
    let named = algorithm.and_then(Algorithm::named);
    let chosen = named.unwrap_or(match settings.enabled || level.is_some() {
        true => settings.algorithm,
        false => Algorithm::None,
    });
    Packing::new(chosen, level.unwrap_or(settings.level))
}

/// `12 of 20 objects became zstd (level 3), 1 lay there twice: 4.0 MiB before, 1.0 MiB after`
fn words(done: &Recompressed) -> String {
    let Recompressed { form, level, changed, doubles, dry_run, .. } = done;
    let became = if *dry_run { "would become" } else { "became" };
    let how = match form.suffix() {
        "" => form.name().to_owned(),
        _ => format!("{} (level {level})", form.name()),
    };
    let twice = if *doubles > 0 { format!(", {doubles} lay there twice") } else { String::new() };
    let (before, after) = (ByteSize(done.bytes_before), ByteSize(done.bytes_after));
    let all = count(done.objects, "object");
    format!("{changed} of {all} {became} {how}{twice}: {before} before, {after} after\n")
}
