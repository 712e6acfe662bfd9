//! Backups of the cache: what is in one, what they share, what a restore of one is worth, and the
//! backups that runs make by themselves.

mod broken;
mod struck;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Project, Streams, Terminal, files_below, hex_digest, wait_until};

const BACKUPS: &str = ".reprovm/backups";

const MANIFEST: &str = "\
task copy {
  cmd = cp in out
  inputs = in
  outputs = out
}

task shout {
  cmd = tr a-z A-Z < in > loud && echo done
  inputs = in
  outputs = loud
}

task tree {
  cmd = mkdir -p dir/sub && cp in dir/sub/a && ln -s sub/a dir/link && : > dir/empty
  inputs = in
  outputs = dir
}
";

fn project() -> Project {
    let project = Project::new();
    project.file("in", "words\n").manifest(MANIFEST);
    project
}

fn built() -> Project {
    let project = project();
    project.run(["manifest.txt"]).success();
    project
}

/// The files of all backups together.
fn objects(project: &Project) -> BTreeSet<PathBuf> {
    let folder = project.path(BACKUPS).join("objects");
    if !folder.exists() {
        return BTreeSet::new();
    }
    files_below(&folder, &[]).into_iter().collect()
}

/// The file of a backup that has these bytes.
fn object(project: &Project, bytes: &[u8]) -> PathBuf {
    let hex = hex_digest(bytes);
    project.path(BACKUPS).join("objects").join(&hex[..2]).join(&hex[2..])
}

fn names(project: &Project) -> Vec<String> {
    let list = answer(project, &["list"]);
    let all = list.as_array().expect("a list");
    all.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// What a verb answers as JSON.
#[track_caller]
fn answer(project: &Project, args: &[&str]) -> Value {
    let run = project.json([&["backup"], args].concat());
    serde_json::from_str(&run.success().out()).expect("an answer in JSON")
}

/// A folder has all that the project's tasks made of `in`: without any other cache nothing runs.
#[track_caller]
fn assert_restores_all(project: &Project, cache: &str) {
    let fresh = self::project();
    fresh.file("in", project.bytes("in"));
    let cache = project.path(cache);
    let run = fresh.json(["--cache-dir", cache.to_str().expect("a plain path"), "manifest.txt"]);
    run.executed_nothing();
    assert_eq!(run.summary().cached, 3, "{}", run.transcript());
    let upper = project.read("in").to_uppercase();
    assert_eq!((fresh.read("out"), fresh.read("loud")), (project.read("in"), upper));
    assert_eq!(fresh.read("dir/link"), project.read("in"));
}

#[test]
fn a_full_backup_restores_to_a_cache_from_which_nothing_has_to_run() {
    let project = built();
    let run = project.run(["backup", "create", "first"]);
    run.success().stdout_has("backup `first`: 3 records and 5 objects").stderr("");
    project.run(["backup", "verify", "first"]).success().stdout_has("backup `first` is whole");
    project.run(["backup", "restore", "first", "new/place"]).success();
    assert_restores_all(&project, "new/place");
    let left: Vec<_> = fs::read_dir(project.path("new")).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let modes = (project.mode("new/place"), project.mode(BACKUPS));
    assert_eq!(modes, (0o700, 0o700), "others may not read it");
}

#[test]
fn an_incremental_backup_adds_only_what_is_new_and_each_restores_alone() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    let first = objects(&project);
    // Three records, the words, the shouted words, the link, the empty file, the log.
    assert_eq!(first.len(), 3 + 5, "{first:?}");
    let again = answer(&project, &["create", "same", "--incremental"]);
    assert_eq!((again["new_files"].as_u64(), again["records"].as_u64()), (Some(0), Some(3)));
    assert_eq!(objects(&project), first);

    project.file("in", "other\n").run(["manifest.txt"]).success();
    let second = answer(&project, &["create", "two", "--incremental"]);
    // Three records and the two new texts.
    assert_eq!(second["new_files"], 5, "{second}");
    assert_eq!(objects(&project).len(), first.len() + 5);
    assert!(objects(&project).is_superset(&first));

    for name in ["one", "same"] {
        project.run(["backup", "delete", name]).success();
    }
    project.run(["backup", "verify", "two"]).success();
    project.run(["backup", "restore", "two", "copy"]).success();
    assert_restores_all(&project, "copy");
    project.file("in", "words\n");
    assert_restores_all(&project, "copy");
}

#[test]
fn deleting_keeps_what_others_need_and_removes_the_rest() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    let first = objects(&project);
    project.file("in", "other\n").run(["manifest.txt"]).success();
    project.run(["backup", "create", "two"]).success();
    assert!(objects(&project).len() > first.len());
    let removed = answer(&project, &["delete", "two"]);
    assert_eq!(removed["files"], 5, "{removed}");
    assert_eq!(objects(&project), first);
    project.run(["backup", "verify", "one"]).success();
    project.run(["backup", "delete", "two"]).code(2).stderr_has("no backup `two`");
    project.run(["backup", "delete", "one"]).success();
    assert!(objects(&project).is_empty());
    assert!(names(&project).is_empty());
}

#[test]
fn cleaning_up_keeps_the_newest() {
    let project = built();
    for name in ["z", "y", "x", "w"] {
        project.run(["backup", "create", name, "--incremental"]).success();
    }
    assert_eq!(names(&project), ["z", "y", "x", "w"], "the oldest first");
    let removed = answer(&project, &["cleanup", "2"]);
    assert_eq!(removed["backups"], serde_json::json!(["z", "y"]));
    assert_eq!(names(&project), ["x", "w"]);
    project.run(["backup", "verify", "x"]).success();
    project.run(["backup", "cleanup", "5"]).success().stdout_has("removed no backup");
    project.run(["backup", "cleanup", "0"]).code(1);
    assert_eq!(names(&project), ["x", "w"]);
}

#[test]
fn what_is_known_of_backups_is_printed() {
    let project = built();
    project.run(["backup", "list"]).success().stdout("");
    project.run(["backup", "create", "one"]).success();
    project.run(["backup", "list"]).success().stdout_has("one  20").stdout_has("3 records");
    project.run(["backup", "info", "one"]).success().stdout_has("kind      full\nrecords   3\n");
    let info = answer(&project, &["info", "one"]);
    assert_eq!((info["records"].as_u64(), info["objects"].as_u64()), (Some(3), Some(5)));
    let all = answer(&project, &["export-metadata"]);
    let listed = all[0]["object_list"].as_array().expect("a list of objects");
    assert_eq!(listed.len(), 5);
    let words = hex_digest(b"words\n");
    assert!(listed.iter().any(|one| one["digest"] == *words && one["size"] == 6), "{all}");
    assert_eq!(all[0]["record_list"].as_array().map(Vec::len), Some(3));
    let key = project.key("copy");
    assert!(all[0]["record_list"].to_string().contains(&key), "{all}");
    project.run(["backup", "info", "none"]).code(2).stderr_has("`reprovm backup list`");
    project.run(["-V", "backup", "verify", "one"]).success().stderr_has("100 %  5 of 5 files");
    project.run(["-q", "backup", "verify", "one"]).success().stdout("").stderr("");
}

#[test]
fn on_a_terminal_the_bytes_that_are_done_and_the_time_that_is_left_are_shown_and_go_away() {
    let mut project = built();
    project.env("TERM", "xterm");
    for args in [["create", "one", "-V"], ["verify", "one", "-V"], ["restore", "one", "back"]] {
        let mut command = project.command(["backup"]);
        command.args(args);
        let mut terminal = Terminal::start(command, 120, 24, Streams::Both);
        assert_eq!(terminal.wait(), 0);
        let raw = terminal.raw();
        assert!(raw.contains(" files, ") && raw.contains("/s, ETA: "), "{raw:?}");
        let screen = terminal.screen().join("\n");
        assert!(screen.contains("backup `one`") && !screen.contains("ETA"), "{screen}");
    }
    project.run(["--no-progress", "backup", "verify", "one"]).success().stderr("");
}

#[test]
fn names_that_could_lead_elsewhere_or_hide_are_refused() {
    let project = built();
    let long = "x".repeat(201);
    for name in ["", ".", "..", ".hidden", "a/b", "../up", "/etc/x", "a b", "ä", &long] {
        let run = project.run(["backup", "create", "--", name]);
        run.code(1).stderr_has("cannot be the name of a backup");
    }
    assert!(!project.exists(BACKUPS), "nothing was made");
    project.run(["backup", "create", &long[1..]]).success();
    project.run(["backup", "create", &long[1..]]).code(1).stderr_has("already");
}

#[test]
fn without_a_cache_there_is_nothing_to_back_up() {
    let project = project();
    let run = project.run(["backup", "create", "one"]);
    run.code(2).stderr_has("no cache at `.reprovm`").stderr_has("help: build something first");
    assert!(!project.exists(BACKUPS));
}

#[test]
fn the_program_takes_the_verbs_directly_under_its_other_name() {
    let project = built();
    let link = project.outside().join("reprovm-backup");
    symlink(env!("CARGO_BIN_EXE_reprovm"), &link).expect("a link");
    let run = |args: &[&str]| {
        let all = [&[link.to_str().expect("a plain path")], args].concat();
        project.by_shell("shift; exec \"$@\"", all).wait()
    };
    run(&["create", "one"]).success().stdout_has("backup `one`");
    run(&["--create", "two"]).success().stdout_has("backup `two`");
    assert_eq!(names(&project), ["one", "two"]);
    run(&["list"]).success().stdout_has("one").stdout_has("two");
    run(&["restore", "one", "copy"]).success();
    assert_restores_all(&project, "copy");
    run(&["cleanup", "1"]).success();
    run(&["delete", "two"]).success();
    assert!(names(&project).is_empty());
}

#[test]
fn the_settings_name_the_folder_and_a_folder_that_is_read_only_can_be_restored_from() {
    let mut project = built();
    let elsewhere = project.outside().join("elsewhere");
    project.env("REPROVM_BACKUP_DIR", &elsewhere);
    project.run(["backup", "create", "one"]).success();
    assert!(elsewhere.join("one.manifest").is_file() && !project.exists(BACKUPS));
    fs::remove_file(elsewhere.join("lock")).expect("the lock is in no copy");
    project.run(["backup", "verify", "one"]).success();
    project.run(["backup", "restore", "one", "copy"]).success();
    assert!(!elsewhere.join("lock").exists(), "who only looks makes nothing there");
    assert_restores_all(&project, "copy");
}

#[test]
fn a_restore_replaces_a_cache_only_when_asked_and_nothing_else_ever() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    let refused = |dest: &str, flags: &[&str], why: &str| {
        let run = project.run([&["backup", "restore", "one", dest], flags].concat());
        run.code(1).stderr_has(why).stderr_has("help: ");
    };
    project.dir("empty").run(["backup", "restore", "one", "empty/"]).success();
    assert_restores_all(&project, "empty");

    project.file("old/cas/objects/x", "old").file("old/cache/y", "old");
    refused("old", &[], "it is not empty");
    assert_eq!(project.read("old/cas/objects/x"), "old");
    project.run(["backup", "restore", "one", "old", "--overwrite"]).success();
    assert!(!project.exists("old/cas/objects/x"));
    assert_restores_all(&project, "old");

    project.file("mine/cas/x", "x").file("mine/notes", "mine");
    refused("mine", &["--overwrite"], "it holds `notes`, which is no part of a cache");
    refused(".reprovm", &["--overwrite"], "which is no part of a cache");
    project.file("file", "x").symlink("empty", "link");
    refused("file", &["--overwrite"], "it is no folder");
    refused("link", &["--overwrite"], "it is no folder");
    refused("..", &["--overwrite"], "it has no name of its own");
    assert_eq!((project.read("mine/notes"), project.read("file")), ("mine".into(), "x".into()));
    let left = files_below(project.root(), &["cas", "cache", ".reprovm"]);
    assert!(!left.iter().any(|path| path.to_string_lossy().contains("restoring")), "{left:?}");
}

#[test]
fn backups_while_a_run_goes_on_are_whole() {
    let project = Project::new();
    let mut text = String::new();
    for task in 0..60 {
        text += &format!("task t{task} {{\n cmd = echo {task} > o{task}\n outputs = o{task}\n}}\n");
    }
    // It holds the run until there were backups, and one more after all other tasks.
    text += "task wait {\n cmd = while ! test -e go; do sleep 0.01; done; echo x > z\n outputs = z\n}\n";
    project.manifest(&text);
    let mut run = project.spawn(["-j", "2", "manifest.txt"]);
    wait_until("the first record", || {
        project.exists(".reprovm/cache")
            && !files_below(&project.path(".reprovm/cache"), &[]).is_empty()
    });
    for name in ["a", "b", "c", "d"] {
        let made = answer(&project, &["create", name, "--incremental"]);
        assert!(made["records"].as_u64() > Some(0), "{made}");
        assert_eq!(made["left_out"], 0, "objects are there before their records");
    }
    assert!(!run.is_over(), "the run went on");
    project.file("go", "");
    run.wait().success();
    for name in ["a", "b", "c", "d"] {
        project.run(["backup", "verify", name]).success();
    }
}

#[test]
fn two_who_change_the_backups_wait_for_each_other_or_say_so() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    let lock = fs::File::open(project.path(BACKUPS).join("lock")).expect("the lock");
    lock.lock().expect("a free lock");
    for args in [&["create", "two"][..], &["delete", "one"], &["verify", "one"]] {
        let run = project.run([&["--no-wait", "backup"], args].concat());
        run.code(11).stderr_has("another process is at work on the backups");
    }
    let mut waiting = project.spawn(["backup", "create", "two"]);
    wait_until("the backup to ask for the lock", || {
        let files = fs::read_dir(format!("/proc/{}/fd", waiting.pid())).into_iter().flatten();
        files.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|to| to == project.path(BACKUPS).join("lock"))
        })
    });
    assert!(!waiting.is_over());
    drop(lock);
    waiting.wait().success();
    assert_eq!(names(&project), ["one", "two"]);
}

#[test]
fn a_run_backs_up_what_it_executed_and_keeps_the_newest() {
    let mut project = project();
    project.env("REPROVM_AUTO_BACKUP", "1").env("REPROVM_BACKUP_MAX_BACKUPS", "2");
    project.run(["manifest.txt"]).success();
    let first = names(&project);
    assert!(first.len() == 1 && first[0].starts_with("auto-20"), "{first:?}");
    project.run(["backup", "restore", &first[0], "copy"]).success();
    assert_restores_all(&project, "copy");
    project.run(["manifest.txt"]).success();
    project.remove("out").run(["manifest.txt"]).success();
    project.run(["-n", "-f", "manifest.txt"]).success();
    assert_eq!(names(&project), first, "nothing was executed, so nothing is new");

    project.run(["backup", "create", "mine"]).success();
    for text in ["two\n", "three\n", "four\n"] {
        project.file("in", text).run(["manifest.txt"]).success();
    }
    let kept = names(&project);
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept.contains(&"mine".to_owned()) && !kept.contains(&first[0]), "{kept:?}");
    project.remove("in").dir("in").run(["manifest.txt"]).code(6);
    assert_eq!(names(&project), kept, "a run that failed makes none");
}

#[test]
fn a_backup_that_fails_is_a_warning_of_the_run() {
    let mut project = project();
    let file = project.outside().join("file");
    fs::write(&file, "x").expect("a file");
    project.env("REPROVM_AUTO_BACKUP", "1").env("REPROVM_BACKUP_DIR", file.join("below"));
    let run = project.run(["manifest.txt"]);
    run.success().stderr_has("warning: no backup was made: cannot create the folder");
    assert_eq!(project.read("out"), "words\n");
}

/// Replaces a file that may be read-only.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).expect("a file to replace");
    fs::write(path, bytes).expect("a writable folder");
}
