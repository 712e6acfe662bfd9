//! Looking after the cache, as verbs and as flags. Several flags in one call are done one after
//! the other, and the first that fails gives the exit code.

pub(super) mod cache;
pub(super) mod exporter;
pub(super) mod gc;
pub(super) mod health;
pub(super) mod notify;
mod pins;
mod recompress;
mod sync;

use super::args::Cli;
use super::{Call, Code, Failure, build, list};
use crate::ops::may_sync_to;
use crate::ops::notify::Notifier;

/// What the flags ask for instead of a build, or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    Health,
    List,
    Verify,
    Clean,
    SyncFrom,
    SyncTo,
    Exporter,
}

impl Errand {
    /// Those that the flags name, in the order in which they are done.
    fn of(cli: &Cli) -> Vec<Self> {
        let flags = &cli.flags;
        [
            (flags.health_check, Self::Health),
            (flags.list_tasks, Self::List),
            (flags.verify_cache, Self::Verify),
            (flags.clean_cache, Self::Clean),
            (flags.sync_from_remote, Self::SyncFrom),
            (flags.sync_to_remote, Self::SyncTo),
            (flags.prometheus_exporter, Self::Exporter),
        ]
        .into_iter()
        .filter_map(|(given, errand)| given.then_some(errand))
        .collect()
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Health => "--health-check",
            Self::List => "--list-tasks",
            Self::Verify => "--verify-cache",
            Self::Clean => "--clean-cache",
            Self::SyncFrom => "--sync-from-remote",
            Self::SyncTo => "--sync-to-remote",
            Self::Exporter => "--prometheus-exporter",
        }
    }

    /// One that only looks leaves it at that, also where a manifest is named.
    fn only_looks(self) -> bool {
        matches!(self, Self::Health | Self::List | Self::Verify)
    }

    fn run(self, cli: &Cli, call: &Call, builds: bool) -> Result<u8, Failure> {
        match self {
            Self::Health => health::run(&cli.flags, call),
            Self::List => list::run(cli, &call.screen),
            Self::Verify => cache::verify(&cli.flags, false, call),
            Self::Clean if builds => cache::clean_first(&cli.flags, call),
            Self::Clean => cache::clean(&cli.flags, call),
            Self::SyncFrom => sync::from(cli, call, builds),
            Self::SyncTo => sync::to(cli, call, builds),
            // The run serves them itself.
            Self::Exporter if builds => Ok(Code::Success as u8),
            Self::Exporter => exporter::run(call),
        }
    }
}

/// Does what the flags ask for, and then the build: if nothing else was asked for, or if a
/// manifest is named and nothing was only to be looked at.
pub(super) fn run(cli: &Cli, call: &Call) -> Result<u8, Failure> {
    let errands = Errand::of(cli);
    let looks = errands.iter().any(|errand| errand.only_looks());
    if errands.is_empty() || (cli.manifest.is_some() && !looks) {
        return around_build(cli, call, errands);
    }
    let perform = |errand: Errand| {
        let ended = errand.run(cli, call, false);
        ended.unwrap_or_else(|error| call.fail(&error))
    };
    Ok(first_bad(errands.into_iter().map(perform).collect()))
}

/// The build and what is to be done before and after it. Whoever wants to know is told also of
/// what could not begin or go on.
fn around_build(cli: &Cli, call: &Call, errands: Vec<Errand>) -> Result<u8, Failure> {
    let notifier = if cli.flags.dry_run { None } else { notify::beside(call)? };
    let tell = |problem: &str| {
        if let Some(notifier) = &notifier {
            notifier.error(problem);
        }
    };
    let perform = |errand: Errand| match errand.run(cli, call, true) {
        Ok(code) => {
            if code != Code::Success as u8 {
                tell(&format!("`{}` ended with code {code}", errand.flag()));
            }
            code
        }
        Err(failure) => {
            tell(&failure.words());
            call.fail(&failure)
        }
    };
    let ended = in_order(cli, call, errands, notifier.as_ref(), &perform);
    if let Err(failure) = &ended {
        tell(&failure.words());
    }
    if let Some(notifier) = notifier {
        notify::end(notifier, call);
    }
    ended
}

/// What the build made is sent after it.
fn in_order(
    cli: &Cli,
    call: &Call,
    errands: Vec<Errand>,
    notifier: Option<&Notifier>,
    perform: &dyn Fn(Errand) -> u8,
) -> Result<u8, Failure> {
    let (before, after): (Vec<_>, Vec<_>) =
        errands.into_iter().partition(|errand| *errand != Errand::SyncTo);
    let code = first_bad(before.into_iter().map(perform).collect());
    if code != Code::Success as u8 {
        return Ok(code);
    }
    if !after.is_empty() {
        // A build may take long: what is wrong with the settings is told before it.
        may_sync_to(&call.settings.config)?;
    }
    let built = build::run(cli, call, notifier)?;
    // Also where tasks failed: what succeeded is worth as much to others.
    let sent = first_bad(after.into_iter().map(perform).collect());
    Ok(if built == Code::Success as u8 { sent } else { built })
}

/// The first code that is none of success.
fn first_bad(codes: Vec<u8>) -> u8 {
    let success = Code::Success as u8;
    codes.into_iter().find(|&code| code != success).unwrap_or(success)
}
