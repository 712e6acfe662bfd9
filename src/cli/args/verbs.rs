//! The verbs of the command line and what each takes.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;

use super::RunsVerb;
use crate::ops::notify::Channel;
use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};

/// The names of all verbs.
pub(super) const VERBS: &[&str] = &[
    "explain",
    "health",
    "cache",
    "gc",
    "runs",
    "backup",
    "audit",
    "notify",
    "config",
    "completions",
    "man",
];

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Verb {
    /// Say what is in a task's key, and what differs from its last run
    Explain(Explain),
    /// Say whether the cache and the machine are fit for a run
    Health,
    /// Verify, clean, count or recompress the cache, and pin results
    #[command(subcommand, subcommand_help_heading = "Verbs")]
    Cache(CacheVerb),
    /// Remove what is too old, too much, or of no use
    Gc,
    /// Look at what earlier runs did
    #[command(subcommand, subcommand_help_heading = "Verbs")]
    Runs(RunsVerb),
    /// Keep copies of the cache
    #[command(subcommand, subcommand_help_heading = "Verbs")]
    Backup(BackupVerb),
    /// Prove the audit log, or look something up in it
    #[command(subcommand, subcommand_help_heading = "Verbs")]
    Audit(AuditVerb),
    /// Try whether messages arrive
    #[command(subcommand, subcommand_help_heading = "Verbs")]
    Notify(NotifyVerb),
    /// Print or check settings
    #[command(subcommand, subcommand_help_heading = "Verbs")]
    Config(ConfigVerb),
    /// Print a script that completes command lines of a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CacheVerb {
    /// Read all that is stored, and say what is damaged
    Verify {
        /// Take away what is damaged
        #[arg(long)]
        repair: bool,
    },
    /// Remove all results
    Clean,
    /// Say how much is stored
    Stats,
    /// Give all objects the form that the settings say, or this one
    Recompress {
        /// How [default: that of the settings]
        #[arg(long, value_parser = ["none", "zlib", "gzip", "lz4", "zstd"])]
        algorithm: Option<String>,
        /// How hard, from 1 (fast) to 12 (small) [default: that of the settings]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=12))]
        level: Option<u64>,
    },
    /// Keep the newest results of tasks, whatever their age
    Pin {
        /// Tasks of this project; to remove, also the ids that `cache pins` prints
        #[arg(required = true, value_name = "TASK")]
        tasks: Vec<String>,
        /// Keep them no longer
        #[arg(long)]
        remove: bool,
        /// The file that describes the tasks [default: manifest.txt]
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Print what is pinned, by whichever project
    Pins,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BackupVerb {
    /// Make a backup of the cache
    Create {
        name: String,
        /// Trust what another backup holds, and copy only what is new
        #[arg(long)]
        incremental: bool,
    },
    /// Print what backups there are
    List,
    /// Print what is known of a backup
    Info { name: String },
    /// Read and prove all of a backup
    Verify { name: String },
    /// Make a folder for `--cache-dir` of a backup
    Restore {
        name: String,
        dest: PathBuf,
        /// Replace a cache that is there
        #[arg(long)]
        overwrite: bool,
    },
    /// Remove a backup, and what no other needs
    Delete { name: String },
    /// Remove all but the newest backups
    Cleanup {
        /// How many are kept
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
    },
    /// Print all that the manifests say, as JSON
    ExportMetadata {
        /// Of this backup [default: all]
        name: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NotifyVerb {
    /// Send a test message, and say what came back
    Test {
        /// Over which channel [default: all that are set]
        channel: Option<Channel>,
    },
}

impl ValueEnum for Channel {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditVerb {
    /// Say whether the log is as it was written
    Verify {
        /// The log [default: that of the settings]
        file: Option<PathBuf>,
        /// Hold it against what is known of it elsewhere: SEQ:HASH, or a file of anchors
        #[arg(long, value_name = "FILE|SEQ:HASH")]
        anchor: Vec<String>,
        /// Prove its seals with the initial key
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Print the lines that are asked for
    Query {
        /// The log [default: that of the settings]
        file: Option<PathBuf>,
        /// Of these types, such as TASK_FAIL,ERROR
        #[arg(long = "type", value_name = "TYPES")]
        kind: Vec<String>,
        /// Of this task, file or verb; with `*` behind it, of all whose names begin so
        #[arg(long, value_name = "NAME")]
        resource: Option<String>,
        #[command(flatten)]
        range: AuditRange,
    },
    /// Count what is in the log, and print the last failures
    Report {
        /// The log [default: that of the settings]
        file: Option<PathBuf>,
        #[command(flatten)]
        range: AuditRange,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditRange {
    /// Not before this time: 2024-11-16, `2024-11-16 14:30:00` in UTC, or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// Not after this time; a day counts whole
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) until: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigVerb {
    /// Print the settings that are in force
    Show {
        /// Print where each value comes from
        #[arg(long)]
        origin: bool,
        /// Sections and settings to print [default: all]
        names: Vec<String>,
    },
    /// Print the value of one setting
    Get {
        /// The setting, as `section.key` or `key`
        key: String,
        /// Print where the value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Say what is wrong in a file of settings
    Check { file: PathBuf },
}

/// A shell that command lines can be completed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
#[command(override_usage = "reprovm explain [OPTIONS] [MANIFEST] <TASK>")]
pub(in crate::cli) struct Explain {
    /// The task to explain, and before it the file that describes it [default: manifest.txt]
    #[arg(required = true, num_args = 1..=2, value_name = "MANIFEST TASK")]
    names: Vec<OsString>,
}

impl Explain {
    pub(in crate::cli) fn manifest(&self) -> Option<PathBuf> {
        (self.names.len() > 1).then(|| PathBuf::from(&self.names[0]))
    }

    /// A task's name is ASCII, so what is lost here could not have named one.
    pub(in crate::cli) fn task(&self) -> Cow<'_, str> {
        self.names.last().map_or(Cow::Borrowed(""), |name| name.to_string_lossy())
    }
}
