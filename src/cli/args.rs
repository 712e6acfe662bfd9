//! The flags and verbs, and how the arguments become them.
//!
//! Flags are global: they may stand before or behind a verb, and between other arguments.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

use crate::base::nearest::nearest;
use crate::base::secret::HIDDEN;
use crate::base::text;
use crate::config::{Find, find, settings};

mod runs;
mod verbs;

pub(super) use runs::RunsVerb;
use verbs::VERBS;
pub(super) use verbs::{
    AuditRange, AuditVerb, BackupVerb, CacheVerb, ConfigVerb, Explain, NotifyVerb, Shell, Verb,
};

/// Builds what a manifest describes: tasks run in parallel, and what is known comes from a cache.
#[derive(Debug, Parser)]
#[command(
    name = "reprovm",
    version,
    propagate_version = true,
    disable_version_flag = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    override_usage = "reprovm [OPTIONS] [MANIFEST] [TARGETS]...\n       reprovm [OPTIONS] <VERB> ...",
    subcommand_help_heading = "Verbs",
    max_term_width = 100,
    after_help = "Without TARGETS all tasks are built. Flags may stand before or behind a verb."
)]
pub(super) struct Cli {
    /// The file that describes the tasks [default: manifest.txt]
    pub(super) manifest: Option<PathBuf>,

    /// The tasks to build, with all that they need
    pub(super) targets: Vec<String>,

    #[command(flatten)]
    pub(super) flags: Flags,

    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// The same without verbs: for command lines whose first argument is a manifest, so that a target
/// may have the name of a verb.
#[derive(Debug, Parser)]
#[command(
    name = "reprovm",
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    max_term_width = 100
)]
struct Plain {
    /// The file that describes the tasks [default: manifest.txt]
    manifest: Option<PathBuf>,

    /// The tasks to build, with all that they need
    targets: Vec<String>,

    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Change to this folder first; it is the project
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub(super) directory: Option<PathBuf>,

    /// Read settings from this file as well
    ///
    /// It is stronger than the files of the machine, the user and the project, and weaker than
    /// the environment and the flags.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,

    /// Set any setting, for example `--set execution.retry_attempts=2`
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub(super) set: Vec<String>,

    /// Print help; `-h` is short
    #[arg(short, long, global = true, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'v', long, global = true, action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// How many tasks run at a time, 1 to 256 [default: one for each core]
    #[arg(short, long, value_name = "N", global = true, help_heading = "Running")]
    pub(super) jobs: Option<String>,

    /// Run everything needed, whatever the cache says
    #[arg(short, long, global = true, help_heading = "Running")]
    pub(super) force: bool,

    /// Say what would run and why; write nothing
    #[arg(short = 'n', long, global = true, help_heading = "Running")]
    pub(super) dry_run: bool,

    /// Seconds that a task may take, unless it says so itself; 0 is no limit
    #[arg(short, long, value_name = "SEC", global = true, help_heading = "Running")]
    pub(super) timeout: Option<String>,

    /// Start nothing more after the first failure
    #[arg(long, global = true, help_heading = "Running")]
    pub(super) fail_fast: bool,

    /// Wait at most so long for another run of this project [default: as long as it takes]
    #[arg(long, value_name = "SECONDS", global = true, help_heading = "Running")]
    pub(super) wait: Option<String>,

    /// Do not wait for another run of this project
    #[arg(long, global = true, conflicts_with = "wait", help_heading = "Running")]
    pub(super) no_wait: bool,

    /// Keep results in this folder [default: .reprovm]
    #[arg(long, value_name = "DIR", global = true, help_heading = "Cache")]
    pub(super) cache_dir: Option<PathBuf>,

    /// Compress what is stored
    #[arg(long, global = true, help_heading = "Cache")]
    pub(super) compress: bool,

    /// Remove all results; with a manifest, then build it
    #[arg(long, global = true, help_heading = "Cache")]
    pub(super) clean_cache: bool,

    /// Read all that is stored, and say what is damaged
    #[arg(long, global = true, help_heading = "Cache")]
    pub(super) verify_cache: bool,

    /// Fetch results from the remote store
    #[arg(long, global = true, help_heading = "Cache")]
    pub(super) sync_from_remote: bool,

    /// Send results to the remote store
    #[arg(long, global = true, help_heading = "Cache")]
    pub(super) sync_to_remote: bool,

    /// Print the tasks and exit
    #[arg(long, global = true, help_heading = "Looking")]
    pub(super) list_tasks: bool,

    /// Print the tasks as a tree, each with its mark
    #[arg(long, global = true, help_heading = "Looking")]
    pub(super) graph: bool,

    /// Say whether the cache and the machine are fit for a run
    #[arg(long, global = true, help_heading = "Looking")]
    pub(super) health_check: bool,

    /// The form of what is printed; JSON is one object a line
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORM",
        default_value = "text",
        global = true,
        help_heading = "Output"
    )]
    pub(super) output: Format,

    /// Print failures and warnings only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub(super) quiet: bool,

    /// Print commands, keys and all reasons
    #[arg(short = 'V', long, global = true, help_heading = "Output")]
    pub(super) verbose: bool,

    /// Print without colours
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) no_color: bool,

    /// Print no progress
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) no_progress: bool,

    /// Show again what tasks wrote that need not run
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) replay: bool,

    /// Print the figures of the run at its end
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) stats: bool,

    /// Write where the time of the run went
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) profile: bool,

    /// Serve figures for Prometheus
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) prometheus_exporter: bool,

    /// Write the figures of the run to this file, as JSON
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Output")]
    pub(super) metrics: Option<PathBuf>,

    /// Write a log to this file
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Output")]
    pub(super) log_file: Option<PathBuf>,

    /// How grave a line of the log is at least: debug, info, warn, error or fatal
    #[arg(long, value_name = "LEVEL", global = true, help_heading = "Output")]
    pub(super) log_level: Option<String>,

    /// Start no task while the machine is busier than this
    #[arg(long, value_name = "PERCENT", global = true, help_heading = "Limits")]
    pub(super) max_cpu: Option<String>,

    /// Let tasks use no more memory than this
    #[arg(long, value_name = "MB", global = true, help_heading = "Limits")]
    pub(super) max_memory: Option<String>,

    /// The port on which figures are served
    #[arg(long, value_name = "N", global = true, help_heading = "Limits")]
    pub(super) port: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// What the arguments ask for.
pub(super) enum Parsed {
    Run(Box<Cli>),
    /// Help or the version; or, where it `failed`, what is wrong.
    Say {
        message: Box<clap::Error>,
        failed: bool,
    },
}

/// The command line as others may see it: the values of secret settings are hidden.
pub(super) fn shown(args: &[OsString]) -> String {
    let mut after_set = false;
    let mut words = vec!["reprovm".to_owned()];
    for arg in args.iter().skip(1) {
        let text = text::shown(arg.as_encoded_bytes());
        let (before, value) = match text.strip_prefix("--set=") {
            Some(value) => ("--set=", Some(value)),
            None => ("", after_set.then_some(&*text)),
        };
        let secret = value.and_then(|value| value.split_once('=')).filter(|(name, _)| {
            let Find::Known(index) = find(name.trim()) else { return true };
            settings().nth(index).is_none_or(|setting| setting.secret)
        });
        words.push(match secret {
            Some((name, _)) => format!("{before}{name}={HIDDEN}"),
            None => text.to_string(),
        });
        after_set = *arg == "--set";
    }
    words.join(" ")
}

/// The definition of the command line, for what is made from it.
pub(super) fn command() -> clap::Command {
    Cli::command()
}

/// Whether `--no-color` is among the arguments, which must be known before they are parsed.
pub(super) fn forbids_colour(args: &[OsString]) -> bool {
    args.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--no-color")
}

/// Parses the arguments; the first is the program's name.
pub(super) fn parse(args: Vec<OsString>, may_colour: bool) -> Parsed {
    // To describe all verbs takes longer than everything else before a run that has nothing to
    // do; and where this fails, the whole description says what is wrong.
    let no_verb = !args.iter().skip(1).any(|arg| VERBS.iter().any(|verb| arg == verb));
    if no_verb && let Ok(cli) = parse_plain(&args, ColorChoice::Never) {
        return Parsed::Run(Box::new(cli));
    }
    let colour = if may_colour { ColorChoice::Auto } else { ColorChoice::Never };
    let parsed = if verb_is_a_target(&args) {
        parse_plain(&args, colour)
    } else {
        Cli::command()
            .color(colour)
            .try_get_matches_from(args)
            .and_then(|matches| Cli::from_arg_matches(&matches))
    };
    match parsed {
        Ok(cli) => Parsed::Run(Box::new(cli)),
        Err(message) => {
            let failed =
                !matches!(message.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            Parsed::Say { message: Box::new(message), failed }
        }
    }
}

fn parse_plain(args: &[OsString], colour: ColorChoice) -> Result<Cli, clap::Error> {
    let matches = Plain::command().color(colour).try_get_matches_from(args)?;
    let Plain { manifest, targets, flags } = Plain::from_arg_matches(&matches)?;
    Ok(Cli { manifest, targets, flags, verb: None })
}

/// The verb that a word was probably meant to be.
pub(super) fn nearest_verb(word: &str) -> Option<String> {
    nearest(word, VERBS.iter().copied()).map(str::to_owned)
}

/// Whether the first argument that is no flag is not a verb, and a later one could be taken for
/// one.
fn verb_is_a_target(args: &[OsString]) -> bool {
    let command = Plain::command();
    let is_verb = |arg: &OsStr| VERBS.iter().any(|verb| arg == *verb);
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        let bytes = arg.as_encoded_bytes();
        if bytes == b"--" {
            return false;
        }
        if bytes.len() > 1 && bytes[0] == b'-' {
            if wants_next(&command, bytes) {
                rest.next();
            }
            continue;
        }
        return !is_verb(arg) && rest.any(|arg| is_verb(arg));
    }
    false
}

/// Whether the argument after this flag, or cluster of short flags, is the flag's value.
fn wants_next(command: &clap::Command, flag: &[u8]) -> bool {
    let takes_value = |arg: &clap::Arg| !arg.is_positional() && arg.get_action().takes_values();
    if let Some(long) = flag.strip_prefix(b"--") {
        return command.get_arguments().any(|arg| {
            takes_value(arg) && arg.get_long().is_some_and(|name| name.as_bytes() == long)
        });
    }
    let short =
        |byte: u8| command.get_arguments().find(|arg| arg.get_short() == Some(char::from(byte)));
    // The first flag of a cluster that takes a value takes the rest of the cluster, if any.
    match flag.iter().skip(1).position(|&byte| short(byte).is_some_and(takes_value)) {
        Some(at) => at + 2 == flag.len(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_verbs_has_each_of_them() {
        let command = Cli::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names, VERBS);
        assert!(command.get_subcommands().all(|verb| verb.get_all_aliases().next().is_none()));
    }

    fn cli(line: &str) -> Cli {
        match parse(line.split_whitespace().map(OsString::from).collect(), false) {
            Parsed::Run(cli) => *cli,
            Parsed::Say { message, .. } => panic!("{line}: {message}"),
        }
    }

    fn refused(line: &str) -> String {
        match parse(line.split_whitespace().map(OsString::from).collect(), false) {
            Parsed::Run(cli) => panic!("{line}: {cli:?}"),
            Parsed::Say { message, failed } => {
                assert!(failed, "{line}");
                message.to_string()
            }
        }
    }

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
        Plain::command().debug_assert();
    }

    #[test]
    fn the_documents_lines_are_understood() {
        let first = cli("reprovm -j 8 --force --verbose manifest.txt");
        assert_eq!(first.flags.jobs.as_deref(), Some("8"));
        assert!(first.flags.force && first.flags.verbose);
        assert_eq!(first.manifest, Some("manifest.txt".into()));

        let dry = cli("reprovm --dry-run manifest.txt target1 target2");
        assert!(dry.flags.dry_run);
        assert_eq!(dry.targets, ["target1", "target2"]);

        let metrics = cli("reprovm --force --metrics ci-metrics.json manifest.txt");
        assert_eq!(metrics.flags.metrics, Some("ci-metrics.json".into()));

        let limits = cli("reprovm --jobs 16 --max-cpu 60 --max-memory 8192 manifest.txt").flags;
        assert_eq!(limits.max_cpu.as_deref(), Some("60"));
        assert_eq!(limits.max_memory.as_deref(), Some("8192"));
        assert!(cli("reprovm --list-tasks").flags.list_tasks);
        let both = cli("reprovm --health-check --list-tasks").flags;
        assert!(both.health_check && both.list_tasks);
        let line = "reprovm --force --clean-cache --metrics m.json --log-file ci.log manifest.txt";
        let clean = cli(line);
        assert!(clean.flags.clean_cache && clean.manifest.is_some());
        assert_eq!(cli("reprovm manifest.txt -o json").flags.output, Format::Json);
        assert_eq!(cli("reprovm").manifest, None);
    }

    #[test]
    fn flags_stand_anywhere() {
        for line in [
            "reprovm -C dir -o json explain m.txt app",
            "reprovm explain -C dir m.txt -ojson app",
            "reprovm -Cdir explain m.txt app --output=json",
        ] {
            let cli = cli(line);
            assert_eq!(cli.flags.directory, Some("dir".into()), "{line}");
            assert_eq!(cli.flags.output, Format::Json, "{line}");
            let Some(Verb::Explain(explain)) = cli.verb else { panic!("{line}") };
            assert_eq!(explain.manifest(), Some("m.txt".into()), "{line}");
            assert_eq!(explain.task(), "app", "{line}");
        }
        let build = cli("reprovm m.txt -j4 a --force b -t 0");
        assert_eq!(build.targets, ["a", "b"]);
        assert_eq!(build.flags.jobs.as_deref(), Some("4"));
        assert_eq!(build.flags.timeout.as_deref(), Some("0"));
    }

    #[test]
    fn explain_does_without_a_manifest() {
        let Some(Verb::Explain(explain)) = cli("reprovm explain app").verb else {
            panic!("a verb")
        };
        assert_eq!((explain.manifest(), &*explain.task()), (None, "app"));
    }

    #[test]
    fn a_target_may_have_the_name_of_a_verb() {
        for line in ["reprovm m.txt explain", "reprovm -nj 4 m.txt a -f explain"] {
            let cli = cli(line);
            assert_eq!(cli.manifest, Some("m.txt".into()), "{line}");
            assert_eq!(cli.targets.last().map(String::as_str), Some("explain"), "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refused("reprovm --forc m.txt").contains("--force"));
        assert!(refused("reprovm --no-wait --wait 3 m.txt").contains("--wait"));
        assert!(refused("reprovm -o xml m.txt").contains("json"));
        assert!(refused("reprovm -q -V m.txt").contains("--verbose"));
        assert!(refused("reprovm explain a b c").contains("unexpected"));
        assert!(refused("reprovm explain").contains("MANIFEST TASK"));
    }

    #[test]
    fn a_mistyped_verb_is_known() {
        assert_eq!(nearest_verb("explian").as_deref(), Some("explain"));
        assert_eq!(nearest_verb("manifest.txt"), None);
    }

    #[test]
    fn help_and_version_are_no_failures() {
        for line in ["reprovm -h", "reprovm --help", "reprovm -v", "reprovm explain --help"] {
            let args = line.split_whitespace().map(OsString::from).collect();
            let Parsed::Say { message, failed } = parse(args, false) else { panic!("{line}") };
            assert!(!failed, "{line}: {message}");
        }
    }
}
