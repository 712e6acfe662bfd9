//! The state of the workspace, read while the manifest is: neither needs the other.
//!
//! It is read before the lock is had, so it is used only if nobody has changed it since.

use std::path::Path;

use super::Seen;
use crate::base::{FileError, Sig, fs, stat};
use crate::cache::state::State;
use crate::home::Home;
use crate::ops::build::threads;
use crate::ops::types::BuildOptions;

/// The state, and what its files were before they were read.
#[derive(Debug)]
pub(in crate::ops) struct Ahead {
    state: State,
    read: Stamp,
}

/// The state's file and its journal.
type Stamp = [Sig; 2];

impl Ahead {
    /// None: there is no state to read, or it cannot be looked at.
    pub(in crate::ops) fn read(
        manifest: &Path,
        options: &BuildOptions,
        seen: &Seen,
    ) -> Option<Self> {
        let home = Home::new(Some(&options.config.cache.cache_dir));
        let read = stamp(&home, manifest).ok()?;
        if read[0] == Sig::ABSENT {
            return None;
        }
        let state = load(&home, manifest, options, options.dry_run);
        if let Seen(Some(differences)) = seen {
            state.files.settle_all_but(&differences.paths);
        }
        // One core is busy with the manifest.
        state.files.look_at_all(threads().saturating_sub(1));
        Some(Self { state, read })
    }

    /// The state, if its files are still what they were. The lock is held.
    pub(in crate::ops) fn if_current(self, home: &Home, manifest: &Path) -> Option<State> {
        let now = stamp(home, manifest).ok()?;
        (now == self.read).then_some(self.state)
    }
}

fn stamp(home: &Home, manifest: &Path) -> Result<Stamp, FileError> {
    let look = |path: &Path| {
        let name = fs::c_path(path)?;
        stat::lstat_at(stat::HERE, &name).map_err(|source| FileError::new("examine", path, source))
    };
    Ok([look(&home.state(manifest))?, look(&home.journal(manifest))?])
}

/// Reads the state of the workspace for a manifest.
pub(in crate::ops) fn load(
    home: &Home,
    manifest: &Path,
    options: &BuildOptions,
    dry: bool,
) -> State {
    let probe = (!dry).then(|| home.stage());
    let mut state = State::load(home.state(manifest), home.journal(manifest), probe);
    if options.config.security.validate_checksums {
        state.files.distrust();
    }
    state
}
