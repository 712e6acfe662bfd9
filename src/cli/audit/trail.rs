//! The audit log of a call: which calls have one, its start, and its end.

use std::fmt::Write as _;

use crate::base::clock::Stopwatch;
use crate::base::{Cancel, FileError};
use crate::cli::args::{BackupVerb, CacheVerb, Cli, Verb};
use crate::cli::{Call, Code, Failure, diagnostics, exit};
use crate::config::{Fallback, Origin};
use crate::event::Operation;
use crate::observe::{Audit, AuditEnd, AuditOptions};

/// The log of a call while it goes on.
#[derive(Debug)]
pub(in crate::cli) struct Trail {
    audit: Audit,
    verb: String,
    watch: Stopwatch,
    stop: Cancel,
}

impl Trail {
    pub(in crate::cli) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Raised when the log is required and cannot be written.
    pub(in crate::cli) fn stop(&self) -> Cancel {
        self.stop.clone()
    }
}

/// What a call does that is written down: one that only looks is not.
fn verb(cli: &Cli) -> Option<String> {
    let flags = &cli.flags;
    if flags.dry_run {
        return None;
    }
    let name = match &cli.verb {
        Some(Verb::Cache(CacheVerb::Clean)) => "cache clean",
        Some(Verb::Cache(CacheVerb::Verify { repair: true })) => "cache repair",
        Some(Verb::Cache(CacheVerb::Recompress { .. })) => "cache recompress",
        Some(Verb::Cache(CacheVerb::Pin { remove, .. })) => {
            if *remove {
                "cache unpin"
            } else {
                "cache pin"
            }
        }
        Some(Verb::Gc) => "gc",
        Some(Verb::Backup(BackupVerb::Create { .. })) => "backup create",
        Some(Verb::Backup(BackupVerb::Restore { .. })) => "backup restore",
        Some(Verb::Backup(BackupVerb::Delete { .. })) => "backup delete",
        Some(Verb::Backup(BackupVerb::Cleanup { .. })) => "backup cleanup",
        Some(_) => return None,
        None => return errands(cli),
    };
    Some(name.to_owned())
}

/// The same of a call without a verb: its flags may ask for several things.
fn errands(cli: &Cli) -> Option<String> {
    let flags = &cli.flags;
    let looks = flags.health_check || flags.list_tasks || flags.verify_cache;
    let mut names: Vec<&str> = [
        (flags.clean_cache, "cache clean"),
        (flags.sync_from_remote, "sync from"),
        (flags.sync_to_remote, "sync to"),
        (flags.prometheus_exporter, "exporter"),
    ]
    .into_iter()
    .filter_map(|(given, name)| given.then_some(name))
    .collect();
    if !looks && (names.is_empty() || cli.manifest.is_some()) {
        names.push("build");
    }
    (!names.is_empty()).then(|| names.join(" + "))
}

/// Starts the log where the settings want one. The error: it is required and cannot be written.
pub(in crate::cli) fn start(cli: &Cli, call: &Call) -> Result<Option<Trail>, Failure> {
    let settings = &call.settings.config.audit;
    let Some(verb) = verb(cli).filter(|_| settings.enabled) else { return Ok(None) };
    let required = settings.on_full == Fallback::Fail;
    let stop = Cancel::new();
    let options = AuditOptions {
        file: settings.log_file.clone(),
        key: settings.key_file.clone(),
        anchor: settings.anchor_file.clone(),
        syslog: settings.log_to_syslog.then(|| settings.syslog_address.clone()),
        console: settings.log_to_console,
        required,
        config: in_force(call),
        stop: stop.clone(),
    };
    let started = Operation::Started {
        verb: verb.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: call.command.clone(),
    };
    match Audit::start(options, &started, &loaded(call)) {
        Ok(audit) => {
            for one in &call.settings.warnings {
                let problem = one.message.clone();
                audit.tell(&Operation::Warned { what: "settings".to_owned(), problem });
            }
            Ok(Some(Trail { audit, verb, watch: Stopwatch::start(), stop }))
        }
        Err(error) if required => Err(unwritten(&error, "so nothing was done")),
        Err(error) => {
            let problem = diagnostics::chain(&error);
            call.screen.warning(&format!("{problem}; there is no audit log of this"));
            Ok(None)
        }
    }
}

/// Ends the log, and says what went wrong with it. Returns the exit code.
pub(in crate::cli) fn end(trail: &Trail, code: u8, call: &Call) -> u8 {
    let took_ms = u64::try_from(trail.watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ended = Operation::Ended { verb: trail.verb.clone(), code, took_ms };
    let AuditEnd { mark, problems, failed } = trail.audit.finish(&ended);
    for problem in &problems {
        call.screen.warning(&format!("audit log: {problem}"));
    }
    if let Some(mark) = mark.filter(|_| call.settings.config.output.verbose) {
        call.screen.error(&format!("audit log: seq {} hash {}\n", mark.seq, mark.hash));
    }
    let Some(error) = failed else { return code };
    let told = unwritten(&error, "so nothing more was started").report(&call.screen, call.traced);
    if [Code::Success as u8, exit::STOPPED].contains(&code) { told } else { code }
}

fn unwritten(error: &FileError, then: &str) -> Failure {
    Failure::Refused {
        message: format!("{}; the audit log is required, {then}", diagnostics::chain(error)),
        help: "make room for it or correct `audit.log_file`; with `audit.on_full = warn` its \
               records may be missing"
            .to_owned(),
        code: exit::of_io(&error.source),
    }
}

/// All settings, a line each, secrets as stars.
fn in_force(call: &Call) -> String {
    let mut text = String::new();
    for one in &call.settings.chosen {
        writeln!(text, "{}={}", one.setting.name(), one.shown()).expect("a string takes all");
    }
    text
}

fn loaded(call: &Call) -> Operation {
    let files = call.settings.files.iter().map(|file| file.display().to_string()).collect();
    let chosen = call.settings.chosen.iter().filter(|one| one.origin != Origin::Default);
    let set = chosen.map(|one| format!("{}={}", one.setting.name(), one.shown())).collect();
    Operation::SettingsLoaded { files, set }
}
