//! What the program itself did, outside of the events of a run: for the audit log.

/// Something that whoever runs the program did with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The program began to do what it was asked for.
    Started {
        /// `build`, `cache clean` and the like.
        verb: String,
        version: String,
        /// The command line, without secrets.
        command: String,
    },
    /// The settings that are in force.
    SettingsLoaded {
        /// In the order in which the later wins.
        files: Vec<String>,
        /// Those that differ from their defaults, as `section.key=value`; secrets as stars.
        set: Vec<String>,
    },
    /// Something is not as it should be, and the program goes on.
    Warned { what: String, problem: String },
    /// The program cannot go on.
    Failed { problem: String },
    /// The program ends.
    Ended { verb: String, code: u8, took_ms: u64 },
}
