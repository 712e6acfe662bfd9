//! The audit log of a program that was killed: the next one says so, and repairs what is torn.

use nix::sys::signal::Signal;

use super::{COPY, assert_whole, many, project, query};
use crate::support::supervisor::{Fault, is_permitted, watched};
use crate::support::{long, wait_until};

// I24.
#[test]
fn a_killed_run_is_told_of_by_the_next_once() {
    // What stands in a command is not taken for what the lines of a process say.
    let project =
        project("task a {\n  cmd = : open=1; touch up; sleep 1000\n}\ntask b {\n  cmd = true\n}\n");
    let mut run = project.spawn(["manifest.txt", "a"]);
    let log = || std::fs::read_to_string(project.path(".reprovm/audit.log")).unwrap_or_default();
    wait_until("the line of the task", || log().contains(" type=TASK_START "));
    run.signal(Signal::SIGKILL);
    run.wait().signal(9);
    project.run(["manifest.txt", "b"]).success();
    let gaps = query(&project, &["--type", "ERROR"]);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0]["details"].as_str().expect("words").contains("line seq=2 did not end"));
    project.run(["manifest.txt", "b"]).success();
    assert_eq!(query(&project, &["--type", "ERROR"]).len(), 1);
    assert_whole(&project);
}

#[test]
fn a_torn_end_is_seen_then_repaired_and_said() {
    let project = project(COPY);
    project.file("in", "words").run(["manifest.txt"]).success();
    let whole = project.read(".reprovm/audit.log");
    project.file(".reprovm/audit.log", &whole[..whole.len() - 30]);
    project.run(["audit", "verify"]).code(13).stdout_has(": torn: ");
    project.run(["manifest.txt"]).success();
    let warnings = query(&project, &["--type", "WARNING"]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let told = warnings[0]["details"].as_str().expect("words");
    assert!(
        told.contains("of a line that was cut short: ") && told.contains("SYSTEM_STOP"),
        "{told}"
    );
    // The line that was torn was that of the end.
    assert_eq!(query(&project, &["--type", "ERROR"]).len(), 1);
    assert_whole(&project);
}

/// A run that is struck, and the next: the log is whole, and each start has an end or a word about
/// what may be missing. Whether the call was made at all.
fn strike(fault: Fault) -> bool {
    let project = project(&format!("{COPY}{}", many(2)));
    project.file("in", "words");
    let struck = watched(&project, &["-j", "1", "manifest.txt"], fault).struck;
    project.run(["manifest.txt"]).success();
    assert_whole(&project);
    let ends = query(&project, &["--type", "SYSTEM_STOP"]).len();
    let gaps = query(&project, &["--type", "ERROR", "--resource", "audit-log"]).len();
    let starts = query(&project, &["--type", "SYSTEM_START", "--resource", "build"]).len();
    assert_eq!(starts, ends + gaps, "{fault:?}");
    let done = query(&project, &["--type", "TASK_COMPLETE"]);
    let mut names: Vec<_> = done.iter().map(|line| line["resource"].to_string()).collect();
    names.sort_unstable();
    names.dedup();
    let unsaid = 3 - names.len();
    assert!(unsaid == 0 || gaps > 0, "{fault:?}: {unsaid} tasks ended unseen");
    struck.is_some()
}

/// Strikes at some calls of a run, or with the long tests at all.
fn strike_at_each(fault: impl Fn(u64) -> Fault) {
    if !is_permitted() {
        return;
    }
    let project = project(&format!("{COPY}{}", many(2)));
    project.file("in", "words");
    let calls = watched(&project, &["-j", "1", "manifest.txt"], Fault::Never).calls;
    let step = if long() > 0 { 1 } else { (calls / 7).max(1) };
    let at = (1..=calls).step_by(usize::try_from(step).expect("a small number"));
    let struck = at.filter(|at| strike(fault(*at))).count();
    assert!(struck >= 4, "only {struck} of {calls} calls were struck");
}

// I24.
#[test]
fn killed_at_any_call_no_start_is_without_an_end_or_a_word_about_it() {
    strike_at_each(Fault::KillAt);
}

// I24.
#[test]
fn without_room_at_any_call_the_log_is_whole_and_nothing_is_missing_unsaid() {
    strike_at_each(|at| Fault::FailAt(at, libc::ENOSPC));
}
