//! `cache pin` and `cache pins`.

use std::path::PathBuf;

use super::cache::{add, json};
use crate::base::ByteSize;
use crate::base::text::shown;
use crate::cli::args::{Flags, Format};
use crate::cli::{Call, Code, Failure, build};
use crate::ops::{self, Location, Pin, Project};

pub(super) fn pin(
    tasks: &[String],
    manifest: Option<&PathBuf>,
    flags: &Flags,
    call: &Call,
) -> Result<u8, Failure> {
    let location = Location { manifest: manifest.cloned() };
    let options = build::options(flags, Vec::new(), call);
    let pinned = Project::load(&location)?.pin(&options, tasks)?;
    say(&pinned, "pinned", flags, call)
}

pub(super) fn unpin(
    names: &[String],
    manifest: Option<&PathBuf>,
    flags: &Flags,
    call: &Call,
) -> Result<u8, Failure> {
    let location = Location { manifest: manifest.cloned() };
    let removed = ops::unpin(&call.settings.config, &location, flags.dry_run, names)?;
    say(&removed, "no longer pinned:", flags, call)
}

pub(super) fn list(flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let all = ops::pins(&call.settings.config)?;
    say(&all, "", flags, call)
}

fn say(pins: &[Pin], verb: &str, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let text = match flags.output {
        Format::Json => json(&pins)?,
        Format::Text => {
            let mut out = String::new();
            for pin in pins {
                let gap = if verb.is_empty() { "" } else { " " };
                add(&mut out, format_args!("{verb}{gap}{}", line(pin)));
            }
            out
        }
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

/// `0123456789abcdef  task `a` of `/home/x/project` (manifest.txt): 1.5 KiB`
fn line(pin: &Pin) -> String {
    let [project, manifest, task] =
        [&pin.project, &pin.manifest, &pin.task].map(|text| shown(text.as_bytes()));
    let state = match (pin.key, pin.bytes) {
        (_, Some(bytes)) => ByteSize(bytes).to_string(),
        (None, None) => "no result yet, the next is kept".to_owned(),
        (Some(_), None) => "its result is gone, the next is kept".to_owned(),
    };
    format!("{}  task `{task}` of `{project}` ({manifest}): {state}", pin.id)
}
