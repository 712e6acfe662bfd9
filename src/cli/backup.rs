//! The verbs about backups, also under the program's other name, `reprovm-backup`.

mod meter;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use meter::Meter;

use super::args::{BackupVerb, Flags, Format};
use super::{Call, Code, Failure, diagnostics};
use crate::base::ByteSize;
use crate::base::text::{count, shown};
use crate::observe::words;
use crate::ops::backup::{BackupName, Backups, Created, How, Listed, Progress, Removed, Verified};

/// Under this name the program takes the verbs about backups directly.
const OTHER_NAME: &str = "reprovm-backup";

/// Puts `backup` before the arguments where the program was started under its other name, whose
/// verb may be written as a flag, as in `--create NAME`.
pub(super) fn under_its_name(mut args: Vec<OsString>) -> Vec<OsString> {
    let name = args.first().and_then(|name| Path::new(name).file_name());
    if name != Some(OsStr::new(OTHER_NAME)) {
        return args;
    }
    if let Some(create) = args.iter_mut().find(|arg| *arg == "--create") {
        *create = "create".into();
    }
    args.insert(1, "backup".into());
    args
}

pub(super) fn run(verb: &BackupVerb, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let backups = Backups::new(&call.settings.config);
    let parse = |name: &str| BackupName::parse(name).map_err(crate::ops::Error::from);
    let mut meter = Meter::new(call);
    let mut told = |progress: Progress| meter.tell(progress);
    let mut code = Code::Success;
    let text = match verb {
        BackupVerb::Create { name, incremental } => {
            let how = if *incremental { How::Incremental } else { How::Full };
            let busy = || call.screen.error(words::GC_BUSY);
            let made = backups.create(&parse(name)?, how, &mut told, busy)?;
            if made.left_out > 0 {
                let left_out = records(made.left_out);
                call.screen.warning(&format!("{left_out} not whole, and left out of the backup"));
            }
            form(flags, call, &made, created)?
        }
        BackupVerb::List => form(flags, call, &backups.list()?, |all| list(all))?,
        BackupVerb::Info { name } => form(flags, call, &backups.info(&parse(name)?)?, info)?,
        BackupVerb::Verify { name } => {
            let found = backups.verify(&parse(name)?, &mut told)?;
            if !found.problems.is_empty() {
                code = Code::CasError;
                report(&found, call);
            }
            form(flags, call, &found, verified)?
        }
        BackupVerb::Restore { name, dest, overwrite } => {
            let made = backups.restore(&parse(name)?, dest, *overwrite, &mut told)?;
            form(flags, call, &made, |made| {
                let bytes = ByteSize(made.bytes);
                let path = shown(made.path.as_bytes());
                format!("backup `{}` is restored to `{path}` ({bytes})\n", made.name)
            })?
        }
        BackupVerb::Delete { name } => pruned(flags, call, &backups.delete(&parse(name)?)?)?,
        BackupVerb::Cleanup { keep } => {
            let keep = usize::try_from(*keep).unwrap_or(usize::MAX);
            pruned(flags, call, &backups.cleanup(keep)?)?
        }
        BackupVerb::ExportMetadata { name } => {
            let name = name.as_deref().map(parse).transpose()?;
            json(&backups.metadata(name.as_ref())?)?
        }
    };
    // What it has drawn goes first.
    drop(meter);
    call.screen.output(text.as_bytes())?;
    Ok(code as u8)
}

/// As JSON, or in words; with `--quiet` in no words.
fn form<T: Serialize>(
    flags: &Flags,
    call: &Call,
    data: &T,
    words: impl FnOnce(&T) -> String,
) -> Result<String, Failure> {
    match flags.output {
        Format::Json => json(data),
        Format::Text if call.settings.config.output.quiet => Ok(String::new()),
        Format::Text => Ok(words(data)),
    }
}

fn json(data: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(data).map_err(|error| Failure::Output(error.into()))?;
    Ok(text + "\n")
}

fn records(count: u64) -> String {
    if count == 1 {
        "1 record of the cache is".into()
    } else {
        format!("{count} records of the cache are")
    }
}

fn created(made: &Created) -> String {
    let held = held(made.records, made.objects, made.bytes);
    let new = count(made.new_files, "new file");
    format!("backup `{}`: {held}; {new} ({})\n", made.name, ByteSize(made.new_bytes))
}

fn held(records: usize, objects: usize, bytes: u64) -> String {
    let (records, objects) = (count(records, "record"), count(objects, "object"));
    format!("{records} and {objects} ({})", ByteSize(bytes))
}

fn list(all: &[Listed]) -> String {
    let mut out = String::new();
    for one in all {
        let line = match &one.problem {
            Some(problem) => format!("{}  {}", one.name, shown(problem.as_bytes())),
            None => {
                let bytes = ByteSize(one.bytes);
                let records = count(one.records, "record");
                format!("{}  {}  {records}  {bytes}", one.name, one.created)
            }
        };
        writeln!(out, "{line}").expect("writing to a string cannot fail");
    }
    out
}

fn info(one: &Listed) -> String {
    let kind = if one.incremental { "incremental" } else { "full" };
    format!(
        "name      {}\ncreated   {}\nkind      {kind}\nrecords   {}\nobjects   {}\nsize      {}\n\
         left out  {}\nprogram   reprovm {}\n",
        one.name,
        one.created,
        one.records,
        one.objects,
        ByteSize(one.bytes),
        one.left_out,
        shown(one.program.as_bytes()),
    )
}

fn verified(found: &Verified) -> String {
    if !found.problems.is_empty() {
        return String::new();
    }
    let held = held(found.records, found.objects, found.bytes);
    format!("backup `{}` is whole: {held}\n", found.name)
}

fn report(found: &Verified, call: &Call) {
    let count = found.problems.len();
    let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    let message = format!("backup `{}` is damaged: {files}", found.name);
    let mut help: Vec<String> =
        found.problems.iter().map(|one| shown(one.to_string().as_bytes()).into_owned()).collect();
    help.push("a full `reprovm backup create` repairs what the cache has".to_owned());
    call.screen.error(&diagnostics::plain(&message, &help, call.screen.error_paint()));
}

fn pruned(flags: &Flags, call: &Call, removed: &Removed) -> Result<String, Failure> {
    for name in &removed.unreadable {
        call.screen.warning(&format!(
            "the manifest of backup `{name}` cannot be read, so no object was removed; \
             `reprovm backup delete {name}` removes it"
        ));
    }
    form(flags, call, removed, |removed| {
        let names: Vec<String> = removed.backups.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "no backup".to_owned() } else { names.join(", ") };
        let bytes = ByteSize(removed.bytes);
        format!("removed {names}, and {} files ({bytes})\n", removed.files)
    })
}
