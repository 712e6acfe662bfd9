//! The one place where reasons, failures and outcomes become words.

mod limits;
mod sharing;
mod warning;

use crate::base::size::ByteSize;
use crate::base::text::{count, shown};
use crate::base::{Kind, TaskName};
use crate::event::{
    Danger, Failure, FolderOn, HitSource, Holder, InputChange, MissReason, SkipReason, Usage,
    Violation,
};

pub use limits::{held, in_force, jobserver_unused, limit};
pub use sharing::{GC_BUSY, collected, lease_holder, not_collected, waits};
pub use warning::warning;

/// Longer values of variables are left out of a task's line.
const MAX_VALUE: usize = 40;
/// What may fail where a file system is not the machine's own.
const SHARED_RISKS: &str = "locks there may not reach other machines, a file put in place may be \
    seen half done or late by them, and looking at files is slow";
/// How many names a sentence lists.
const MAX_NAMES: usize = 10;

/// Why a task had to run, for its line.
pub fn reason(reason: &MissReason) -> String {
    match reason {
        MissReason::EnvChanged { name, was, now } if is_long(was) || is_long(now) => {
            format!("{} changed", quoted(name))
        }
        _ => full_reason(reason),
    }
}

/// As [`reason`], with values however long they are.
pub fn full_reason(reason: &MissReason) -> String {
    match reason {
        MissReason::NoRecord => "no record".into(),
        MissReason::Forced => "forced".into(),
        MissReason::CacheOff => "cache is off".into(),
        MissReason::LastRunFailed => "last run did not succeed".into(),
        MissReason::LastRunUnproven => "an input changed while it last ran".into(),
        MissReason::CommandChanged => "command changed".into(),
        MissReason::ShellChanged => "shell changed".into(),
        MissReason::DirectoryChanged => "working directory changed".into(),
        MissReason::OutputsChanged => "declared outputs changed".into(),
        MissReason::PlatformChanged => "platform changed".into(),
        MissReason::InputChanged { path } => format!("{} changed", quoted(path)),
        MissReason::InputAdded { path } => format!("{} added", quoted(path)),
        MissReason::InputRemoved { path } => format!("{} removed", quoted(path)),
        MissReason::KindChanged { path, was, now } => {
            format!("{} {} -> {}", quoted(path), kind(*was), kind(*now))
        }
        MissReason::EnvChanged { name, was, now } => {
            format!("{} {} -> {}", quoted(name), value(was.as_deref()), value(now.as_deref()))
        }
        MissReason::EnvDeclared { name, declared: true } => {
            format!("{} declared (unset)", quoted(name))
        }
        MissReason::EnvDeclared { name, declared: false } => {
            format!("{} no longer declared (unset)", quoted(name))
        }
        MissReason::ToolChanged { name } => format!("tool {} changed", quoted(name)),
        MissReason::DependencyChanged { task } => format!("result of `{task}` changed"),
        MissReason::OutputMissing { path } => format!("output {} missing", quoted(path)),
        MissReason::OutputEdited { path } => format!("output {} edited", quoted(path)),
        MissReason::StoreDamaged { what } => format!("cache damaged: {}", shown(what.as_bytes())),
        MissReason::NotRestored { problem } => {
            format!("could not be restored: {}", shown(problem.as_bytes()))
        }
        MissReason::KeyVersionChanged => "cache key version changed".into(),
    }
}

/// The first `limit` reasons and how many more there are.
pub fn reasons(all: &[MissReason], limit: usize) -> String {
    let mut words: Vec<String> = all.iter().take(limit).map(reason).collect();
    if all.len() > limit {
        words.push(format!("and {} more", all.len() - limit));
    }
    words.join(", ")
}

/// Why a task failed.
pub fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Exit { code, .. } => exit_code(*code),
        Failure::Signal { signal: number, core_dumped } => {
            let core = if *core_dumped { " (core dumped)" } else { "" };
            format!("killed by {}{core}", signal(*number))
        }
        Failure::TimedOut { after_ms } => format!("timed out after {}", duration(*after_ms)),
        Failure::Start { problem } => format!("cannot start: {}", shown(problem.as_bytes())),
        Failure::OutputsMissing { paths } => {
            let (noun, verb) =
                if paths.len() == 1 { ("output", "was") } else { ("outputs", "were") };
            format!("{noun} {} {verb} not made", list(paths.iter().map(String::as_str), MAX_NAMES))
        }
        Failure::OutputRefused { path, problem } => {
            format!("output {} cannot be kept: {}", quoted(path), shown(problem.as_bytes()))
        }
        Failure::Input { path, problem } => {
            format!("input {}: {}", quoted(path), shown(problem.as_bytes()))
        }
        Failure::InputTooLarge { path, size, limit } => too_large(path, *size, *limit),
        Failure::InputDenied { path, problem } => {
            format!("input {} may not be read: {}", quoted(path), shown(problem.as_bytes()))
        }
        Failure::ToolMissing { name } => format!("tool {} is not on the PATH", quoted(name)),
        Failure::DiskFull { path, percent, ceiling } => {
            let path = quoted(path);
            format!("not started: the disk of {path} is {percent} % full, the limit is {ceiling} %")
        }
        Failure::OutOfMemory { limit } => {
            format!("killed: the tasks of the run used all of their {}", ByteSize(*limit))
        }
        Failure::Files { problem } => shown(problem.as_bytes()).into_owned(),
    }
}

/// What to do about a failure, where that is known.
pub fn hint(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Exit { withheld, .. } if !withheld.is_empty() => {
            let verb = if withheld.len() == 1 { "is" } else { "are" };
            let names: Vec<_> = withheld.iter().map(|name| shown(name.as_bytes())).collect();
            Some(format!(
                "the command names {}, which {verb} set here but not passed: add `pass_env = {}`",
                list(withheld.iter().map(String::as_str), MAX_NAMES),
                names.join(" ")
            ))
        }
        Failure::ToolMissing { .. } => Some("install it, or correct the task's `tools`".to_owned()),
        Failure::InputTooLarge { .. } => Some(
            "take it out of `inputs`, or raise `security.max_input_size_mb` (`off`: no limit)"
                .to_owned(),
        ),
        Failure::InputDenied { .. } => {
            Some("let this user read it (`chmod`, `chown`), or take it out of `inputs`".to_owned())
        }
        Failure::DiskFull { .. } => Some(
            "make room there (`reprovm cache clean` removes all results), or raise \
             `rate_limiting.max_disk_percent`"
                .to_owned(),
        ),
        Failure::OutOfMemory { .. } => {
            Some("raise `--max-memory`, or run fewer tasks at a time (`--jobs`)".to_owned())
        }
        _ => None,
    }
}

/// Why a task did not have its turn.
pub fn skip(because: &SkipReason) -> String {
    match because {
        SkipReason::DependencyFailed { task } => format!("skipped: `{task}` failed"),
        SkipReason::Cancelled => "cancelled".into(),
        SkipReason::FailFast { task } => {
            format!("skipped: `{task}` failed, and --fail-fast is set")
        }
    }
}

/// What happened to inputs while a task ran.
pub fn changes(changes: &[InputChange], limit: usize) -> String {
    let mut words: Vec<String> = changes.iter().take(limit).map(change).collect();
    if changes.len() > limit {
        words.push(format!("and {} more", changes.len() - limit));
    }
    words.join(", ")
}

fn change(change: &InputChange) -> String {
    match change {
        InputChange::Changed { path } => format!("{} changed while it ran", quoted(path)),
        InputChange::Added { path } => format!("{} was added while it ran", quoted(path)),
        InputChange::Removed { path } => format!("{} was removed while it ran", quoted(path)),
        InputChange::Touched { path } => format!("{} was written to while it ran", quoted(path)),
    }
}

/// `0.12s`, and how many attempts it took; empty for a task that had no command to run.
pub fn took(usage: &Usage) -> String {
    match usage.attempts {
        0 => String::new(),
        1 => duration(usage.duration_ms),
        attempts => format!("{} ({attempts} attempts)", duration(usage.duration_ms)),
    }
}

/// `restored 2 files, saved 1.20s`
pub fn hit(from: &HitSource, restored: usize, saved_ms: u64) -> String {
    let from = match from {
        HitSource::Remote => " from the remote cache",
        HitSource::Local | HitSource::Workspace => "",
    };
    let what = match restored {
        0 => format!("found{from}"),
        number => format!("restored {}{from}", count(number, "file")),
    };
    if saved_ms < 10 { what } else { format!("{what}, saved {}", duration(saved_ms)) }
}

/// `0.12s`, `12.3s`, `1m05s`, `2h03m`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{seconds}.{:02}s", ms % 1000 / 10),
        10..60 => format!("{seconds}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Whole seconds, rounded up: `7s`, `1m36s`, `2h03m`.
pub fn whole_seconds(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `SIGINT`; numbers without a name as `signal 40`.
pub fn signal(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

/// Names in quotation marks, at most so many.
pub fn names(names: &[String], limit: usize) -> String {
    list(names.iter().map(String::as_str), limit)
}

/// What a task with the same key made before and now differs in `outputs`.
pub fn not_reproducible(task: &TaskName, outputs: &str, replaced: bool) -> String {
    let kept = if replaced { "the new result" } else { "the first result" };
    format!(
        "`{task}` is not reproducible: with the same key it made different {outputs} than before; \
         the cache keeps {kept}. Declare what else it reads, or say `cache = off`"
    )
}

/// Something in the cache was not as it should be.
pub fn damage(what: &str, path: &str, problem: &str) -> String {
    format!("{} {}: {}; set aside", shown(what.as_bytes()), quoted(path), shown(problem.as_bytes()))
}

/// The cache could not be written, and what to do.
pub fn degraded(problem: &str) -> String {
    format!(
        "{}; results stand but are not saved; make room or give access there, or set `cache_dir`",
        shown(problem.as_bytes())
    )
}

/// What can go wrong on a file system that is not the machine's own, and what to do.
pub fn shared_file_system(cache: Option<&FolderOn>, workspace: Option<&FolderOn>) -> String {
    let place = |what: &str, on: &FolderOn| {
        format!("the {what} {} is on {}", quoted(&on.path), shown(on.file_system.as_bytes()))
    };
    let mut places = Vec::new();
    places.extend(cache.map(|on| place("cache folder", on)));
    places.extend(workspace.map(|on| place("folder of the lock", on)));
    let mut advice = Vec::new();
    if cache.is_some() {
        advice.push("set `cache_dir` to a folder on a local disk");
    }
    if workspace.is_some() {
        advice.push("run in the project from one machine at a time");
    }
    format!("{}: {SHARED_RISKS}; {}", places.join(", "), advice.join(", and "))
}

/// What a security check struck at, with the task that it is about.
pub fn violation(task: &TaskName, violation: &Violation) -> String {
    match violation {
        Violation::DangerousCommand { danger: what, place } => {
            format!("the command of `{task}` ({}) {}", shown(place.as_bytes()), danger(*what))
        }
        Violation::InputTooLarge { path, size, limit } => {
            format!("`{task}`: {}", too_large(path, *size, *limit))
        }
        Violation::LinkLeadsOut { path } => {
            format!("`{task}`: a link at output {} leads out of the project", quoted(path))
        }
    }
}

/// What a dangerous command does, to follow `the command`.
pub fn danger(danger: Danger) -> &'static str {
    match danger {
        Danger::RemovesRoot => "removes the whole file system, as `rm -rf /` does",
        Danger::OverwritesDevice => "writes over a device, as `dd of=/dev/sda` does",
        Danger::MakesFileSystem => "makes a new file system on a device, as `mkfs` does",
        Danger::ForkBomb => "starts itself again without end, a fork bomb",
        Danger::RunsDownload => "runs what it downloads unseen, as `curl ... | sh` does",
        Danger::OpensRoot => "lets everyone write to the root folder, as `chmod 777 /` does",
    }
}

fn too_large(path: &str, size: u64, limit: u64) -> String {
    let (size, limit) = (ByteSize(size), ByteSize(limit));
    format!("input {} has {size}, and at most {limit} are allowed", quoted(path))
}

/// Another run has the workspace.
pub fn busy(holder: Option<&Holder>) -> String {
    format!("waiting for another run in this project{} to end", holder_in_brackets(holder))
}

/// ` (process 12 on `host`, since …: `reprovm m.txt`)`; nothing of one that does not say.
pub fn holder_in_brackets(holder: Option<&Holder>) -> String {
    let Some(Holder { pid, since, host, command }) = holder else { return String::new() };
    let mut text = format!(" (process {pid}");
    for (before, what, behind) in
        [(" on `", host, "`"), (" since ", since, ""), (": `", command, "`")]
    {
        if !what.is_empty() {
            text.extend([before, &shown(what.as_bytes()), behind]);
        }
    }
    text.push(')');
    text
}

/// `` `a`, `b`, and 3 more ``
pub fn tasks(names: &[TaskName], limit: usize) -> String {
    list(names.iter().map(TaskName::as_str), limit)
}

fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>, limit: usize) -> String {
    let more = names.len().saturating_sub(limit);
    let mut words: Vec<String> = names.take(limit).map(quoted).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

fn exit_code(code: i32) -> String {
    match code {
        126 => "exit code 126 (the command cannot be executed)".into(),
        127 => "exit code 127 (command not found)".into(),
        129..=159 => format!("exit code {code} (its command was killed by {})", signal(code - 128)),
        _ => format!("exit code {code}"),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Absent => "absent",
        Kind::File => "file",
        Kind::Executable => "executable",
        Kind::Dir => "folder",
        Kind::Link => "link",
        Kind::Special => "special file",
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", shown(name.as_bytes()))
}

fn value(value: Option<&str>) -> String {
    match value {
        None => "unset".into(),
        Some("") => "(empty)".into(),
        Some(text) => shown(text.as_bytes()).into_owned(),
    }
}

fn is_long(value: &Option<String>) -> bool {
    value.as_ref().is_some_and(|text| text.len() > MAX_VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TaskName {
        TaskName::parse(text).expect("a good name")
    }

    #[test]
    fn reasons_read_as_the_documents_show_them() {
        let path = || "lua.h".to_owned();
        let env = |was: Option<&str>, now: Option<&str>| MissReason::EnvChanged {
            name: "CC".into(),
            was: was.map(str::to_owned),
            now: now.map(str::to_owned),
        };
        let cases = [
            (MissReason::InputChanged { path: path() }, "`lua.h` changed"),
            (MissReason::InputAdded { path: path() }, "`lua.h` added"),
            (MissReason::InputRemoved { path: path() }, "`lua.h` removed"),
            (MissReason::OutputMissing { path: "x.o".into() }, "output `x.o` missing"),
            (MissReason::CommandChanged, "command changed"),
            (MissReason::NoRecord, "no record"),
            (env(Some("gcc"), Some("clang")), "`CC` gcc -> clang"),
            (env(None, Some("")), "`CC` unset -> (empty)"),
            (env(Some("a\x1b[31m\n"), None), "`CC` a\\u{1b}[31m\\n -> unset"),
            (env(Some(&"x".repeat(41)), None), "`CC` changed"),
            (
                MissReason::KindChanged { path: path(), was: Kind::File, now: Kind::Executable },
                "`lua.h` file -> executable",
            ),
            (MissReason::DependencyChanged { task: name("lib") }, "result of `lib` changed"),
        ];
        for (given, expected) in cases {
            assert_eq!(reason(&given), expected);
        }
    }

    #[test]
    fn a_shared_file_system_is_named_with_what_to_do() {
        let on = |path: &str, file_system: &str| FolderOn {
            path: path.into(),
            file_system: file_system.into(),
        };
        let (nfs, fuse) = (on("/net/c", "NFS"), on("/home/p/.reprovm", "FUSE"));
        let both = shared_file_system(Some(&nfs), Some(&fuse));
        assert_eq!(
            both,
            format!(
                "the cache folder `/net/c` is on NFS, the folder of the lock `/home/p/.reprovm` \
                 is on FUSE: {SHARED_RISKS}; set `cache_dir` to a folder on a local disk, and run \
                 in the project from one machine at a time"
            )
        );
        assert!(!shared_file_system(Some(&nfs), None).contains("one machine"));
        assert!(!shared_file_system(None, Some(&fuse)).contains("cache_dir"));
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let all: Vec<_> =
            (0..5).map(|i| MissReason::InputChanged { path: format!("{i}") }).collect();
        assert_eq!(reasons(&all, 3), "`0` changed, `1` changed, `2` changed, and 2 more");
        assert_eq!(reasons(&all[..3], 3), "`0` changed, `1` changed, `2` changed");
    }

    #[test]
    fn failures_say_what_happened_and_what_to_do() {
        let exit = |code, withheld: &[&str]| Failure::Exit {
            code,
            withheld: withheld.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(failure(&exit(1, &[])), "exit code 1");
        assert_eq!(failure(&exit(127, &[])), "exit code 127 (command not found)");
        assert_eq!(failure(&exit(139, &[])), "exit code 139 (its command was killed by SIGSEGV)");
        assert_eq!(hint(&exit(1, &[])), None);
        assert_eq!(
            hint(&exit(1, &["CC"])).as_deref(),
            Some("the command names `CC`, which is set here but not passed: add `pass_env = CC`")
        );
        assert_eq!(
            hint(&exit(1, &["CC", "LD"])).as_deref(),
            Some(
                "the command names `CC`, `LD`, which are set here but not passed: add \
                 `pass_env = CC LD`"
            )
        );
        assert_eq!(
            failure(&Failure::Signal { signal: 11, core_dumped: true }),
            "killed by SIGSEGV (core dumped)"
        );
        assert_eq!(
            failure(&Failure::Signal { signal: 40, core_dumped: false }),
            "killed by signal 40"
        );
        assert_eq!(failure(&Failure::TimedOut { after_ms: 1000 }), "timed out after 1.00s");
        assert_eq!(
            failure(&Failure::OutputsMissing { paths: vec!["a".into(), "b".into()] }),
            "outputs `a`, `b` were not made"
        );
    }

    #[test]
    fn hits_say_what_was_put_right_and_what_it_saved() {
        assert_eq!(hit(&HitSource::Local, 1, 1200), "restored 1 file, saved 1.20s");
        assert_eq!(hit(&HitSource::Remote, 2, 0), "restored 2 files from the remote cache");
        assert_eq!(hit(&HitSource::Workspace, 0, 500), "found, saved 0.50s");
    }

    #[test]
    fn durations_are_short_and_never_round_up_to_the_next_unit() {
        let shown = [0, 124, 9_999, 59_999, 65_000, 3_599_999, 7_380_000].map(duration);
        assert_eq!(shown, ["0.00s", "0.12s", "9.99s", "59.9s", "1m05s", "59m59s", "2h03m"]);
    }
}
