//! Collecting garbage: exactly what is too old, too much or of no use goes, and nothing that a run
//! needs, or that is not ours.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::AT_FDCWD;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::support::supervisor::{Fault, is_permitted, watched};
use crate::support::{
    Project, Run, assert_same_tree, assert_store_is_whole, files_below, hex_digest, long, picture,
    records, say, wait_until,
};

const HOUR: u64 = 3600;

/// Gives a file the time that it would have had it been used so many hours ago.
#[track_caller]
fn age(path: impl AsRef<Path>, hours: u64) {
    let path = path.as_ref();
    let time = SystemTime::now() - Duration::from_secs(hours * HOUR);
    let time = TimeSpec::from_duration(time.duration_since(UNIX_EPOCH).expect("after 1970"));
    // Also of links and fifos themselves.
    let set = utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink);
    set.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The same for all that a cache holds.
fn age_all(cache: &Path, hours: u64) {
    for folder in ["cas/objects", "cache"] {
        for file in files_below(&cache.join(folder), &[]) {
            age(cache.join(folder).join(file), hours);
        }
    }
}

/// A task for each of the names; it writes so many KiB that only it writes.
fn writers(names: &[&str], kib: usize) -> String {
    let task = |name: &&str| {
        format!(
            "task {name} {{\n  cmd = {{ echo {name}; head -c {} /dev/zero; }} > {name}\n  \
             outputs = {name}\n}}\n",
            kib << 10
        )
    };
    names.iter().map(task).collect()
}

/// What such a task writes.
fn written(name: &str, kib: usize) -> Vec<u8> {
    [format!("{name}\n").into_bytes(), vec![0; kib << 10]].concat()
}

#[track_caller]
fn parsed(run: &Run) -> Value {
    serde_json::from_str(&run.out()).unwrap_or_else(|error| panic!("{error}\n{}", run.transcript()))
}

/// Collects with these settings, first as a dry run, which says the same and changes nothing; what
/// it removed, as `reason what name`.
#[track_caller]
fn gc(project: &Project, settings: &[&str]) -> BTreeSet<String> {
    let mut args = vec!["gc", "-o", "json"];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let before = picture(&project.path(".reprovm"));
    let foreseen = parsed(project.run([&args[..], &["--dry-run"]].concat()).success());
    assert_same_tree(&picture(&project.path(".reprovm")), &before);
    let done = parsed(project.run(&args).success());
    for part in ["removed", "records", "objects", "remains", "bytes", "kept_bytes", "kept_files"] {
        assert_eq!(foreseen[part], done[part], "{part} of a dry run and of a real one");
    }
    assert_eq!((&foreseen["dry_run"], &done["dry_run"]), (&true.into(), &false.into()));
    let bytes: u64 = rows(&done).map(|row| row["bytes"].as_u64().expect("a number")).sum();
    assert_eq!(done["bytes"], bytes);
    rows(&done)
        .map(|row| {
            let name = row["name"].as_str().expect("a name");
            let text = |field: &str| row[field].as_str().expect("a word").to_owned();
            format!("{} {} {name}", text("reason"), text("what"))
        })
        .collect()
}

fn rows(done: &Value) -> impl Iterator<Item = &Value> {
    done["removed"].as_array().expect("a list").iter()
}

fn remove_all(project: &Project, names: &[&str]) {
    for name in names {
        project.remove(name);
    }
}

fn set(all: &[String]) -> BTreeSet<String> {
    all.iter().cloned().collect()
}

/// Lays a file of one byte into the project's cache that has this age.
#[track_caller]
fn lay(project: &Project, path: &str, hours: u64) {
    let path = format!(".reprovm/{path}");
    project.file(&path, "x");
    age(project.path(path), hours);
}

#[test]
fn what_nobody_asked_for_goes_with_the_objects_that_only_it_holds() {
    let project = Project::new();
    let both =
        "task c {\n  cmd = cat a b > c; cp a d; echo word\n  inputs = a b\n  outputs = c d\n}\n";
    project.manifest(&(writers(&["a", "b"], 1) + both)).run(["manifest.txt"]).success();
    let keys = ["a", "b", "c"].map(|task| project.key(task));
    age_all(&project.path(".reprovm"), 200);
    assert_eq!(records(&project).len(), 3);
    // The records of `b` and `c` were used since; `c` holds what `a` made as well.
    for key in &keys[1..] {
        age(project.record_of(key), 100);
    }
    assert_eq!(gc(&project, &[]), set(&[format!("age record {}", keys[0])]));
    // Nobody was asked for anything: it says so too.
    project.run(["gc"]).success().stdout_has("removed 0 records and 0 objects: 0 B in 0 files; ");
    age(project.record_of(&keys[2]), 170);
    let (c, word) = ([written("a", 1), written("b", 1)].concat(), b"word\n");
    let gone = [&written("a", 1)[..], &c, word]
        .map(|bytes| format!("unneeded object {}", hex_digest(bytes)));
    let all = [&gone[..], &[format!("age record {}", keys[2])]].concat();
    assert_eq!(gc(&project, &[]), set(&all));
    assert_store_is_whole(&project, "a collection");
    assert!(project.object_of(&written("b", 1)).exists());
    // What went is made anew, and what stayed is restored.
    project.remove("a").remove("b").remove("c").remove("d");
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["a", "c"]);
    assert_eq!(gc(&project, &["cache_ttl_hours=off"]), BTreeSet::new());
}

#[test]
fn of_too_much_goes_what_was_not_used_for_longest() {
    let project = Project::new();
    let names = ["a", "b", "c", "d", "e"];
    project.manifest(&writers(&names, 400)).run(["manifest.txt"]).success();
    age_all(&project.path(".reprovm"), 50);
    // `a` was used last, `e` never again.
    for (hours, name) in names.iter().enumerate() {
        age(project.record_of(&project.key(name)), 1 + hours as u64);
    }
    // 2000 KiB are there and 1024 may be: 800 are less than nine tenths of them.
    let gone = ["c", "d", "e"].map(|name| {
        let object = hex_digest(&written(name, 400));
        [format!("size record {}", project.key(name)), format!("unneeded object {object}")]
    });
    assert_eq!(gc(&project, &["max_cache_size_mb=off"]), BTreeSet::new());
    assert_eq!(gc(&project, &["max_cache_size_mb=1"]), set(&gone.concat()));
    assert_eq!(gc(&project, &["max_cache_size_mb=1"]), BTreeSet::new());
    remove_all(&project, &names);
    let run = project.json(["manifest.txt"]);
    assert_eq!(run.success().executed(), ["c", "d", "e"]);
}

/// A result that is taken from the cache was used; one that stands in the workspace was not asked
/// for.
#[test]
fn a_restore_counts_as_a_use_and_a_result_that_stands_does_not() {
    let project = Project::new();
    project.manifest(&writers(&["taken", "stands"], 1)).run(["manifest.txt"]).success();
    let [taken, stands] = ["taken", "stands"].map(|task| project.key(task));
    age_all(&project.path(".reprovm"), 200);
    let run = project.remove("taken").json(["manifest.txt"]);
    assert_eq!(run.success().tasks_with("cached"), ["taken"]);
    let object = hex_digest(&written("stands", 1));
    let gone = [format!("age record {stands}"), format!("unneeded object {object}")];
    assert_eq!(gc(&project, &[]), set(&gone));
    assert!(project.record_of(&taken).exists());
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn orphans_leftovers_and_what_was_damaged_go_when_they_are_old() {
    let project = Project::new();
    project.manifest(&writers(&["a", "b"], 1)).run(["manifest.txt"]).success();
    let [a, b] = ["a", "b"].map(|task| project.key(task));
    let mut gone = Vec::new();
    for (digit, end) in ["", ".zst", ".gz", ".zz", ".lz4"].iter().enumerate() {
        let rest = digit.to_string().repeat(62);
        lay(&project, &format!("cas/objects/aa/{rest}{end}"), 2);
        lay(&project, &format!("cas/objects/bb/{rest}{end}"), 0);
        gone.push(format!("orphan object aa{rest}"));
    }
    lay(&project, "cas/tmp/12-3", 2);
    lay(&project, "cas/tmp/12-4", 0);
    gone.push("stale leftover .reprovm/cas/tmp/12-3".into());
    lay(&project, "cas/damaged/abc.12-3", 169);
    lay(&project, "cas/damaged/abc.12-4", 100);
    gone.push("damaged leftover .reprovm/cas/damaged/abc.12-3".into());
    // Nobody holds them, however young they are.
    for lock in [format!("cas/leases/{}", "a".repeat(64)), "cas/users/12-3".into()] {
        lay(&project, &lock, 0);
        gone.push(format!("dead_lock leftover .reprovm/{lock}"));
    }
    age(project.record_of(&b), 1);
    fs::remove_file(project.object_of(&written("b", 1))).expect("an object");
    gone.push(format!("dangling record {b}"));
    assert_eq!(gc(&project, &[]), set(&gone));
    assert_eq!(gc(&project, &[]), BTreeSet::new());
    assert!(project.record_of(&a).exists() && !project.record_of(&b).exists());
    assert!(project.exists(".reprovm/cas/tmp/12-4"));
    assert!(project.exists(".reprovm/cas/damaged/abc.12-4"));
    assert_eq!(files_below(&project.path(".reprovm/cas/objects/bb"), &[]).len(), 5);
    // What a read finds damaged is kept for as long as a result.
    fs::set_permissions(project.object_of(&written("a", 1)), mode(0o644)).expect("a mode");
    age(project.record_of(&a), 1);
    let object = project.object_of(&written("a", 1));
    fs::write(&object, "other").expect("a damaged object");
    age(&object, 500);
    project.remove("a").json(["manifest.txt"]).success();
    assert!(!gc(&project, &[]).iter().any(|gone| gone.starts_with("damaged")));
}

fn mode(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

#[test]
fn nothing_goes_that_is_not_ours() {
    let project = Project::new();
    project.manifest(&writers(&["a"], 1)).run(["manifest.txt"]).success();
    let hex = "c".repeat(62);
    for place in [
        "cas/objects/notes.txt".to_owned(),
        "cas/objects/aa/notes".into(),
        format!("cas/objects/aa/{hex}.txt"),
        format!("cas/objects/aa/{hex}c"),
        format!("cas/objects/aaa/{hex}"),
        format!("cas/objects/aa/{}/inner", "d".repeat(62)),
        "cas/tmp/mine.txt".into(),
        "cas/tmp/12-x".into(),
        "cas/damaged/mine".into(),
        "cas/leases/mine".into(),
        "cas/users/mine".into(),
        "cas/pins/mine".into(),
        "cache/aa/notes".into(),
        format!("cache/aa/{hex}.txt"),
        "notes.txt".into(),
    ] {
        lay(&project, &place, 999);
    }
    project.file("elsewhere", "x");
    let objects = project.path(".reprovm/cas/objects");
    let (link, fifo) = ("a".repeat(62), "b".repeat(62));
    symlink(project.path("elsewhere"), objects.join("aa").join(&link)).expect("a link");
    mkfifo(&objects.join("aa").join(&fifo), Mode::S_IRWXU).expect("a fifo");
    for name in [link, fifo] {
        age(objects.join("aa").join(name), 999);
    }
    let before = picture(&project.path(".reprovm"));
    assert_eq!(gc(&project, &["max_cache_size_mb=1"]), BTreeSet::new());
    // Only the count of the cache and the lock are new.
    for ours in ["cas/size", "cas/gc.lock"] {
        let ours = format!(".reprovm/{ours}");
        if project.exists(&ours) {
            project.remove(&ours);
        }
    }
    let after = picture(&project.path(".reprovm"));
    let before = before.into_iter().filter(|(path, _)| !path.ends_with("cas/size")).collect();
    assert_same_tree(&after, &before);
}

#[test]
fn a_folder_of_the_cache_that_is_a_link_is_not_collected_in() {
    let project = Project::new();
    project.manifest(&writers(&["a"], 1)).run(["manifest.txt"]).success();
    age_all(&project.path(".reprovm"), 999);
    fs::rename(project.path(".reprovm/cas/objects"), project.path("moved")).expect("a move");
    project.symlink("../../moved", ".reprovm/cas/objects");
    let run = project.run(["gc"]);
    run.code(3).stderr_has("`.reprovm/cas/objects`: it is a link, which is not followed");
    assert_eq!(files_below(&project.path("moved"), &[]).len(), 1);
    assert_eq!(records(&project).len(), 1);
}

#[test]
fn where_nothing_ever_was_nothing_is_made() {
    let project = Project::new();
    project.run(["gc"]).success().stdout_has("removed 0 records and 0 objects");
    project.run(["cache", "pins"]).success().stdout("");
    assert!(!project.exists(".reprovm"));
}

/// T6: what a run has used or saved is not collected under it, whoever collects.
#[test]
fn what_a_run_at_work_has_used_or_saved_stays() {
    let project = Project::new();
    let held = "task hold {\n  cmd = touch up; until test -e go; do sleep 0.01; done\n  \
        inputs = used saved\n  cache = off\n}\n";
    let text = writers(&["used", "unused"], 400) + &writers(&["saved"], 800) + held;
    project.manifest(&text).run(["manifest.txt", "used", "unused"]).success();
    let [used, unused] = ["used", "unused"].map(|task| project.key(task));
    age_all(&project.path(".reprovm"), 200);
    let run = project.remove("used").spawn_json(["manifest.txt", "hold"]);
    // The journal of the run is written a moment later than the task is at work, and then no more.
    let journals = project.path(".reprovm/runs");
    let is_told = || {
        files_below(&journals, &[]).iter().any(|name| {
            let text = fs::read_to_string(journals.join(name)).unwrap_or_default();
            text.contains("\"type\":\"task_started\",\"task\":\"hold\"")
        })
    };
    wait_until("the task that holds", || project.exists("up") && is_told());
    let object = hex_digest(&written("unused", 400));
    let gone = [format!("age record {unused}"), format!("unneeded object {object}")];
    // All that is left is more than may be.
    assert_eq!(gc(&project, &["max_cache_size_mb=1"]), set(&gone));
    let said = project.run(["gc", "--set", "max_cache_size_mb=1"]);
    said.success().stderr_has("more than `cache.max_cache_size_mb` allows (1.0 MiB): runs that");
    project.file("go", "");
    assert_eq!(run.wait().success().tasks_with("cached"), ["used"]);
    assert_store_is_whole(&project, "a collection beside a run");
    project
        .remove("used")
        .remove("saved")
        .json(["manifest.txt", "used", "saved"])
        .executed_nothing();
    assert!(project.record_of(&used).exists());
}

/// D9: by default, at the end of a run that has stored something.
#[test]
fn a_run_that_makes_the_cache_too_large_collects_at_its_end_and_keeps_its_own() {
    let project = Project::new();
    let limited = |args: &[&str]| {
        let mut all = vec!["--set", "max_cache_size_mb=1", "manifest.txt"];
        all.extend(args);
        project.json(all)
    };
    project.manifest(&writers(&["a", "b", "c", "d"], 600));
    let first = limited(&["a"]);
    assert!(first.success().events_of("gc_ran").is_empty(), "{}", first.transcript());
    age_all(&project.path(".reprovm"), 1);
    let second = limited(&["b"]);
    let ran = second.success().events_of("gc_ran");
    assert_eq!(ran.len(), 1, "{}", second.transcript());
    let collected = &ran[0]["collected"];
    assert_eq!((&collected["records"], &collected["objects"]), (&1.into(), &1.into()));
    assert_eq!((&collected["limit"], &collected["unfinished"]), (&(1 << 20).into(), &false.into()));
    assert_eq!(records(&project), [project.key("b")].into());
    // What this run alone has made is more than may be: it stays, and that is said.
    let third = project.run(["--set", "max_cache_size_mb=1", "manifest.txt", "c", "d"]);
    third.success().stderr_has("warning: the cache has 1.8 MiB, more than");
    assert_eq!(records(&project).len(), 3);
    project.remove("c").remove("d");
    limited(&["c", "d"]).executed_nothing();
    // A run that stores nothing collects nothing, and one with a limit that holds neither.
    age_all(&project.path(".reprovm"), 300);
    project.remove("c");
    assert!(limited(&["c"]).success().events_of("gc_ran").is_empty());
    assert_eq!(records(&project).len(), 3);
    let roomy = project.file("manifest.txt", writers(&["e"], 1)).run(["manifest.txt"]);
    roomy.success().stderr_lacks("cache:");
    // A day later, as far as the count says, the whole is looked at again.
    project.file(".reprovm/cas/size", "0 0\n");
    let text = writers(&["f"], 1);
    let next = project.manifest(&text).run(["manifest.txt"]);
    next.success().stderr_has("cache: ").stderr_has("2 records and 2 objects removed, 1.2 MiB; ");
}

/// Whoever presses Ctrl-C does not wait for a collection.
#[test]
fn a_run_that_is_interrupted_does_not_collect() {
    let project = Project::new();
    let held = "task hold {\n  cmd = touch up; sleep 60\n  inputs = b\n}\n";
    project.manifest(&(writers(&["a", "b"], 1200) + held)).run(["manifest.txt", "a"]).success();
    age_all(&project.path(".reprovm"), 20);
    let args = ["--set", "max_cache_size_mb=1", "manifest.txt", "hold"];
    let mut run = project.spawn_json(args);
    wait_until("the task that holds", || project.exists("up"));
    run.signal(Signal::SIGINT);
    let run = run.wait();
    assert!(run.code(130).events_of("gc_ran").is_empty(), "{}", run.transcript());
    assert_eq!(records(&project).len(), 2);
    // What it has added is known to the next one.
    let next = project.manifest(&writers(&["c"], 1)).json(["--set", "max_cache_size_mb=1", "-q"]);
    assert_eq!(next.success().events_of("gc_ran").len(), 1, "{}", next.transcript());
}

#[test]
fn a_pinned_result_stays_and_the_pin_goes_with_the_task() {
    let project = Project::new();
    let text = |word: &str| {
        format!("task a {{\n  cmd = echo {word}; cat in > a\n  inputs = in\n  outputs = a\n}}\n")
            + &writers(&["b"], 1)
    };
    project.file("in", "one\n").manifest(&text("x"));
    let pinned = project.run(["cache", "pin", "a"]);
    pinned.success().stdout_has("pinned ").stdout_has("no result yet, the next is kept");
    project.run(["manifest.txt"]).success();
    let first = project.key("a");
    let list = |project: &Project| parsed(project.json(["cache", "pins"]).success());
    let pins = list(&project);
    assert_eq!((&pins[0]["task"], &pins[0]["key"]), (&"a".into(), &first.clone().into()));
    assert!(pins[0]["bytes"].as_u64().is_some_and(|bytes| bytes > 6), "{pins}");
    let kept = |project: &Project| {
        age_all(&project.path(".reprovm"), 500);
        gc(project, &["max_cache_size_mb=1"]);
        records(project)
    };
    assert_eq!(kept(&project), [first.clone()].into());
    // The task changes: its newest result is kept, and the older one no longer.
    project.file("in", "two\n").run(["manifest.txt"]).success();
    let second = project.key("a");
    assert_ne!(first, second);
    assert_eq!(kept(&project), [second.clone()].into());
    project.remove("a").json(["manifest.txt", "a"]).executed_nothing();
    project.run(["cache", "pin", "nothing"]).code(1).stderr_has("there is no task `nothing`");
    let removed = project.run(["cache", "pin", "--remove", "a"]);
    removed.success().stdout_has("no longer pinned: ");
    project.run(["cache", "pin", "--remove", "a"]).code(1).stderr_has("`a` is not pinned");
    assert_eq!(list(&project), serde_json::json!([]));
    assert_eq!(kept(&project), BTreeSet::new());
}

#[test]
fn pins_that_are_more_than_may_be_are_said_and_those_of_a_project_that_is_gone_can_go() {
    let project = Project::new();
    let cache = project.path("cache");
    let shared = cache.to_str().expect("a plain path");
    for folder in ["one", "two"] {
        project.file(format!("{folder}/manifest.txt"), writers(&[folder], 1200));
        let args = |more: &[&str]| {
            let mut all = vec!["-C", folder, "--cache-dir", shared];
            all.extend(more);
            project.run(all)
        };
        args(&["manifest.txt"]).success();
        args(&["cache", "pin", folder]).success().stdout_has(": 1.2 MiB\n");
    }
    age_all(&cache, 500);
    project.remove("one");
    let at = |args: &[&str]| project.run([args, &["--cache-dir", shared]].concat());
    let over = at(&["gc", "--set", "max_cache_size_mb=1"]);
    over.success().stdout_has("removed 0 records and 0 objects: ");
    over.stderr_has("2.3 MiB of it are pinned; see `reprovm cache pins`");
    let list = at(&["cache", "pins"]);
    list.success().stdout_has(&format!("task `one` of `{}`", project.path("one").display()));
    let line = list.out().lines().find(|line| line.contains("`one`")).expect("a line").to_owned();
    let id = line.split(' ').next().expect("an id").to_owned();
    at(&["cache", "pin", "--remove", &id]).success();
    at(&["gc"]).success().stdout_has("removed 1 record and 1 object: 1.2 MiB in 2 files; ");
    assert_eq!(at(&["cache", "pins"]).out().lines().count(), 1);
}

#[test]
fn one_collects_at_a_time_and_the_next_says_that_it_waits() {
    let project = Project::new();
    project.manifest(&writers(&["a"], 1)).run(["manifest.txt"]).success();
    let lock = File::create(project.path(".reprovm/cas/gc.lock")).expect("a file");
    lock.lock().expect("a lock");
    let waiting = project.spawn(["gc"]);
    wait_until("its words", || waiting.stderr_len() > 0);
    // Who only looks waits for nobody.
    project.run(["gc", "--dry-run"]).success();
    let said = String::from_utf8_lossy(&waiting.stderr_so_far()).into_owned();
    assert_eq!(
        said,
        "waiting for another collection, or for a verification or backup of this cache\n"
    );
    drop(lock);
    waiting.wait().success();
}

/// D1: whichever call it was killed at, no record names what is gone, and the next one goes on.
#[test]
fn killed_at_any_call_a_collection_leaves_a_whole_cache() {
    if !is_permitted() {
        return say("SKIPPED: this machine does not permit to count system calls");
    }
    let names = ["a", "b", "c", "d", "e", "f"];
    let args = ["gc", "--set", "max_cache_size_mb=1"];
    let scene = || {
        let project = Project::new();
        project.manifest(&writers(&names, 300)).run(["manifest.txt"]).success();
        age_all(&project.path(".reprovm"), 20);
        project
    };
    let total = watched(&scene(), &args, Fault::Never).calls;
    assert!(total >= 12, "only {total} calls");
    let step = if long() > 0 { 1 } else { total / 5 };
    for at in (1..=total).step_by(usize::try_from(step).expect("a small number")) {
        let project = scene();
        let struck = watched(&project, &args, Fault::KillAt(at));
        assert!(struck.run.signal == Some(9) || struck.run.code == Some(0), "call {at}");
        assert_store_is_whole(&project, &format!("call {at} of {total}"));
        project.run(args).success();
        assert_store_is_whole(&project, &format!("the collection after call {at}"));
        assert!(!project.exists(".reprovm/cas/going"), "call {at}");
        remove_all(&project, &names);
        project.run(["manifest.txt"]).success();
        assert_eq!(project.bytes("a"), written("a", 300));
    }
}

/// What cannot be removed is said, and the rest goes.
#[test]
fn an_io_error_at_any_call_of_a_collection_is_told_and_leaves_a_whole_cache() {
    if !is_permitted() {
        return say("SKIPPED: this machine does not permit to count system calls");
    }
    let args = ["gc", "--set", "max_cache_size_mb=1"];
    let project = Project::new();
    for round in 0..if long() > 0 { 30 } else { 5 } {
        let names = ["a", "b", "c", "d", "e"];
        project.manifest(&writers(&names, 300)).run(["--force", "manifest.txt"]).success();
        age_all(&project.path(".reprovm"), 20);
        let at = 1 + round * if long() > 0 { 1 } else { 4 };
        let struck = watched(&project, &args, Fault::FailAt(at, libc::EIO));
        if struck.struck.is_none() {
            break;
        }
        let run = &struck.run;
        assert!(run.signal.is_none() && [Some(0), Some(3)].contains(&run.code), "call {at}");
        if run.code == Some(3) {
            run.stderr_has("Input/output error");
        }
        assert_store_is_whole(&project, &format!("call {at}"));
        project.run(args).success();
        assert_store_is_whole(&project, &format!("the collection after call {at}"));
    }
}

#[test]
fn very_many_objects_go_in_seconds_and_with_little_memory() {
    let project = Project::new();
    project.manifest(&writers(&["a"], 1)).run(["manifest.txt"]).success();
    let count: usize = if long() > 0 { 100_000 } else { 10_000 };
    let folder = project.path(".reprovm/cas/objects");
    let mut first = project.path("first");
    for number in 0..count {
        let shelf = folder.join(format!("{:02x}", number % 256));
        if number < 256 {
            fs::create_dir_all(&shelf).expect("a folder");
        }
        // Many names of few files, which are made faster; none of them has more than it may.
        if number % 10_000 == 0 {
            first = project.path(format!("first-{number}"));
            fs::write(&first, "").expect("a file");
            age(&first, 2);
        }
        fs::hard_link(&first, shelf.join(format!("{number:062x}"))).expect("a link");
    }
    let run = project.run(["gc", "--quiet"]);
    let removed = format!("removed 0 records and {count} objects: 0 B in {count} files; ");
    run.success().stdout_has(&removed).within(Duration::from_secs(60)).within_memory(100);
    say(&run.figures());
    assert_store_is_whole(&project, "a large collection");
}
