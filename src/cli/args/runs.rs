//! What `reprovm runs` takes.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RunsVerb {
    /// Print the runs that are known, the newest first
    List,
    /// Say what a run did, what failed, and where its time went
    Show {
        /// The run: the beginning of its name, `last` or `last~N` [default: last]
        run: Option<String>,
    },
    /// Say how one run differs from another
    Compare {
        /// The earlier run
        before: String,
        /// The later run
        after: String,
    },
    /// Print again what a run printed
    Replay {
        /// The run: the beginning of its name, `last` or `last~N` [default: last]
        run: Option<String>,
    },
}
