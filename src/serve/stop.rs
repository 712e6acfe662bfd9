//! A process that does nothing but serve: how many callers it can have, and its end.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::base::signals;

/// The signals that ask a server to stop, from its making on.
#[derive(Debug)]
pub struct StopSignals(Signals);

impl StopSignals {
    pub fn listen() -> io::Result<Self> {
        Signals::new(signals::asking_to_stop()).map(Self)
    }

    /// Waits for the first, and returns its number.
    pub fn wait(mut self) -> i32 {
        self.0.forever().next().unwrap_or(SIGTERM)
    }
}

/// Lets the process have as many connections as the system permits. Not for one that starts
/// others, which would inherit it.
pub fn permit_many_connections() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
