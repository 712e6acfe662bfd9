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
/// manifest is named and nothing was only to be looked at. What the build made is sent after it.
pub(super) fn run(cli: &Cli, call: &Call) -> Result<u8, Failure> {
    let errands = Errand::of(cli);
    let looks = errands.iter().any(|errand| errand.only_looks());
    let builds = errands.is_empty() || (cli.manifest.is_some() && !looks);
    let mut code = Code::Success as u8;
    let (before, after): (Vec<_>, Vec<_>) =
        errands.into_iter().partition(|errand| !builds || *errand != Errand::SyncTo);
    let perform = |errand: Errand| {
        let ended = errand.run(cli, call, builds);
        ended.unwrap_or_else(|error| call.fail(&error))
    };
    for errand in before {
        let ended = perform(errand);
        if code == Code::Success as u8 {
            code = ended;
        }
    }
    if !builds || code != Code::Success as u8 {
        return Ok(code);
    }
    if !after.is_empty() {
        // A build may take long: what is wrong with the settings is told before it.
        may_sync_to(&call.settings.config)?;
    }
    let built = build::run(cli, call)?;
    // Also where tasks failed: what succeeded is worth as much to others.
    let sent = after.into_iter().map(perform).find(|&code| code != Code::Success as u8);
    Ok(if built == Code::Success as u8 { sent.unwrap_or(built) } else { built })
}
