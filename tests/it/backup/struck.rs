//! A verb that is killed, or whose disk is full, at each of its file-changing system calls: a
//! backup is there whole or not at all, and so is a restored cache.

use std::fs;

use super::{BACKUPS, answer, assert_restores_all, built, names, objects};
use crate::support::supervisor::{Fault, is_permitted, watched};
use crate::support::{Project, Tmpfs, picture};

/// Strikes at every call of the verb; `check` looks at what is left, and may undo it.
fn at_each_call(
    project: &Project,
    args: &[&str],
    fault: fn(u64) -> Fault,
    check: impl Fn(&str, bool),
) {
    if !is_permitted() {
        return;
    }
    for at in 1.. {
        let seen = watched(project, args, fault(at));
        let what = format!("{args:?}, call {at}\n{}", seen.run.transcript());
        check(&what, seen.run.code == Some(0));
        if seen.struck.is_none() {
            assert!(at > 5 && seen.run.code == Some(0), "only {at} calls: {what}");
            return;
        }
    }
}

fn full(at: u64) -> Fault {
    Fault::FailAt(at, libc::ENOSPC)
}

/// A project with a backup `old` and something new in its cache.
fn with_something_new() -> Project {
    let project = built();
    project.run(["backup", "create", "old"]).success();
    project.file("in", "new\n").run(["manifest.txt"]).success();
    project
}

fn struck_create(fault: fn(u64) -> Fault) {
    let project = with_something_new();
    let before = objects(&project);
    at_each_call(&project, &["backup", "create", "new"], fault, |what, _| {
        project.run(["backup", "verify", "old"]).success();
        if names(&project).contains(&"new".to_owned()) {
            project.run(["backup", "verify", "new"]).success();
            project.run(["backup", "delete", "new"]).success();
        } else {
            project.run(["backup", "cleanup", "9"]).success();
        }
        assert_eq!(objects(&project), before, "all leftovers are swept: {what}");
        let tmp = project.path(BACKUPS).join("tmp");
        assert!(!tmp.exists() || fs::read_dir(tmp).expect("a folder").count() == 0, "{what}");
        let files = fs::read_dir(project.path(BACKUPS)).expect("a folder");
        let unfinished =
            files.flatten().any(|it| it.file_name().to_string_lossy().ends_with(".tmp"));
        assert!(!unfinished, "{what}");
    });
    answer(&project, &["create", "new", "--incremental"]);
    project.run(["backup", "restore", "new", "copy"]).success();
    assert_restores_all(&project, "copy");
}

#[test]
fn a_create_that_is_killed_makes_a_whole_backup_or_none() {
    struck_create(Fault::KillAt);
}

#[test]
fn a_create_on_a_full_disk_makes_a_whole_backup_or_none() {
    struck_create(full);
}

#[test]
fn a_delete_that_is_killed_harms_no_other_backup() {
    let project = with_something_new();
    project.run(["backup", "create", "new"]).success();
    at_each_call(&project, &["backup", "delete", "new"], Fault::KillAt, |what, _| {
        let left = names(&project);
        assert!(left.contains(&"old".to_owned()), "{what}");
        project.run(["backup", "verify", "old"]).success();
        if left.contains(&"new".to_owned()) {
            project.run(["backup", "verify", "new"]).success();
        } else {
            // What it needs is in the cache still.
            project.run(["backup", "create", "new"]).success();
        }
    });
}

fn struck_restore(fault: fn(u64) -> Fault, killed: bool) {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    at_each_call(&project, &["backup", "restore", "one", "copy"], fault, |what, done| {
        assert!(!done || project.exists("copy"), "{what}");
        if project.exists("copy") {
            assert_restores_all(&project, "copy");
            project.remove("copy");
        }
        for entry in fs::read_dir(project.root()).expect("the project").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".copy.") {
                assert!(killed, "a failure cleans up: {name}, {what}");
                project.remove(name);
            }
        }
    });
}

#[test]
fn a_restore_that_is_killed_makes_a_whole_cache_or_none() {
    struck_restore(Fault::KillAt, true);
}

#[test]
fn a_restore_on_a_full_disk_makes_a_whole_cache_or_none() {
    struck_restore(full, false);
}

#[test]
fn a_restore_over_a_cache_that_is_killed_loses_neither() {
    // One task, so that there are few calls.
    let project = Project::new();
    project
        .file("in", "old\n")
        .manifest("task t {\n cmd = cp in out\n inputs = in\n outputs = out\n}\n");
    project.run(["manifest.txt"]).success();
    project.run(["backup", "create", "old"]).success();
    project.file("in", "new\n").run(["manifest.txt"]).success();
    project.run(["backup", "create", "new"]).success();
    project.run(["backup", "restore", "old", "older"]).success();
    project.run(["backup", "restore", "new", "newer"]).success();
    let whole = [picture(&project.path("older")), picture(&project.path("newer"))];
    assert_ne!(whole[0], whole[1]);
    project.run(["backup", "restore", "old", "copy"]).success();
    let args = ["backup", "restore", "new", "copy", "--overwrite"];
    at_each_call(&project, &args, Fault::KillAt, |what, _| {
        let entries = fs::read_dir(project.root()).expect("the project").flatten();
        let beside: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(".copy."))
            .collect();
        if !project.exists("copy") {
            let old = beside.iter().find(|name| name.ends_with(".old"));
            let old = old.unwrap_or_else(|| panic!("it is lost: {what}"));
            fs::rename(project.path(old), project.path("copy")).expect("the old one");
        }
        assert!(whole.contains(&picture(&project.path("copy"))), "{what}");
        for name in beside.iter().filter(|name| project.exists(name)) {
            project.remove(name);
        }
    });
    assert_eq!(picture(&project.path("copy")), whole[1]);
}

#[test]
fn a_full_disk_is_named_and_leaves_the_other_backups() {
    let mut project = built();
    let small = project.path("small");
    project.dir("small");
    project.env("REPROVM_BACKUP_DIR", &small);
    let Some(_mounted) = Tmpfs::mount(&small, "256k") else { return };
    project.run(["backup", "create", "old"]).success();
    project.file("in", "x".repeat(1_000_000)).run(["manifest.txt"]).success();
    let run = project.run(["backup", "create", "new", "--set", "backup.compression=none"]);
    run.code(3).stderr_has("cannot write `").stderr_has("No space left on device");
    project.run(["backup", "verify", "old"]).success();
    project.run(["backup", "info", "new"]).code(2);
    project.file("in", "short\n").run(["manifest.txt"]).success();
    project.run(["backup", "verify", "old"]).success();
}
