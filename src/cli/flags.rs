//! Flags that are settings, as the strongest layer of the settings.

use std::path::Path;

use super::args::Flags;
use crate::base::Diagnostic;
use crate::base::text::shown;
use crate::config::{Entry, Find, Origin, find};

/// A flag that was given, and the settings that it sets.
type Given<'a> = (&'static str, Vec<(&'static str, &'a str)>);

/// What the flags set. The error names every flag that cannot be used.
pub(super) fn entries(flags: &Flags) -> Result<Vec<Entry>, Vec<Diagnostic>> {
    let mut entries = Vec::new();
    let mut mistakes = Vec::new();
    for given in &flags.set {
        match set(given) {
            Ok(entry) => entries.push(entry),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    let paths = [
        ("cache.cache_dir", &flags.cache_dir, "--cache-dir"),
        ("logging.log_file", &flags.log_file, "--log-file"),
        ("performance.metrics_file", &flags.metrics, "--metrics"),
    ];
    let mut given: Vec<Given<'_>> = texts(flags);
    given.extend(switches(flags));
    for (name, path, flag) in paths {
        let Some(path) = path else { continue };
        match path.to_str() {
            Some(text) => given.push((flag, vec![(name, text)])),
            None => mistakes.push(no_text(path, flag)),
        }
    }
    for (flag, sets) in given {
        for (name, text) in sets {
            let Find::Known(setting) = find(name) else { continue };
            let origin = Origin::Flag(flag.to_owned());
            entries.push(Entry { setting, text: text.to_owned(), origin, place: None });
        }
    }
    if mistakes.is_empty() { Ok(entries) } else { Err(mistakes) }
}

/// Flags with a value of their own.
fn texts(flags: &Flags) -> Vec<Given<'_>> {
    [
        ("execution.parallel_jobs", &flags.jobs, "--jobs"),
        ("execution.timeout_seconds", &flags.timeout, "--timeout"),
        ("execution.lock_wait_seconds", &flags.wait, "--wait"),
        ("logging.log_level", &flags.log_level, "--log-level"),
        ("rate_limiting.max_cpu_percent", &flags.max_cpu, "--max-cpu"),
        ("rate_limiting.max_memory_mb", &flags.max_memory, "--max-memory"),
        ("prometheus.port", &flags.port, "--port"),
    ]
    .into_iter()
    .filter_map(|(name, text, flag)| Some((flag, vec![(name, text.as_deref()?)])))
    .collect()
}

/// Flags that are there or not.
fn switches(flags: &Flags) -> Vec<Given<'static>> {
    let all: [(bool, Given<'static>); 12] = [
        (flags.force, ("--force", vec![("execution.force", "true")])),
        (flags.fail_fast, ("--fail-fast", vec![("execution.fail_fast", "true")])),
        (flags.no_wait, ("--no-wait", vec![("execution.lock_wait_seconds", "0")])),
        (flags.compress, ("--compress", vec![("compression.enabled", "true")])),
        (flags.no_color, ("--no-color", vec![("logging.log_colors", "false")])),
        (flags.no_progress, ("--no-progress", vec![("output.progress", "false")])),
        (flags.replay, ("--replay", vec![("output.replay", "true")])),
        (flags.profile, ("--profile", vec![("performance.enable_profiling", "true")])),
        (
            flags.prometheus_exporter,
            ("--prometheus-exporter", vec![("prometheus.enabled", "true")]),
        ),
        (flags.metrics.is_some(), ("--metrics", vec![("performance.enable_metrics", "true")])),
        // Each ends what a weaker layer says of the other.
        (flags.quiet, ("--quiet", vec![("output.quiet", "true"), ("output.verbose", "false")])),
        (flags.verbose, ("--verbose", vec![("output.verbose", "true"), ("output.quiet", "false")])),
    ];
    all.into_iter().filter(|(given, _)| *given).map(|(_, sets)| sets).collect()
}

fn no_text(path: &Path, flag: &str) -> Diagnostic {
    let shown = shown(path.as_os_str().as_encoded_bytes());
    Diagnostic::new(format!("`{shown}` is not allowed for the flag {flag}"))
        .help("allowed is a path in UTF-8")
}

fn set(given: &str) -> Result<Entry, Box<Diagnostic>> {
    let Some((name, text)) = given.split_once('=') else {
        let what = format!("`--set {}` has no value", shown(given.as_bytes()));
        return Err(Box::new(Diagnostic::new(what).help("write `--set KEY=VALUE`")));
    };
    let name = name.trim();
    match find(name) {
        Find::Known(setting) => Ok(Entry {
            setting,
            text: text.trim().to_owned(),
            origin: Origin::Flag("--set".to_owned()),
            place: None,
        }),
        other => Err(Box::new(no_such(name, &other))),
    }
}

/// That a name means no setting, or several.
pub(super) fn no_such(name: &str, found: &Find) -> Diagnostic {
    let name = shown(name.as_bytes());
    match found {
        Find::Ambiguous(names) => {
            Diagnostic::new(format!("`{name}` could be any of {}", names.join(", ")))
                .help("write it with its section")
        }
        Find::Unknown { nearest: Some(nearest) } => {
            Diagnostic::new(format!("there is no setting `{name}`"))
                .help(format!("there is a setting `{nearest}`"))
        }
        _ => Diagnostic::new(format!("there is no setting `{name}`"))
            .help("`reprovm config show` names them all"),
    }
}
