//! Much of everything: many files, large files, and what is beside the project. Memory stays
//! bounded. With `REPROVM_TEST_LONG` the sizes are those of large projects, and the run takes
//! minutes and tens of gigabytes of disk.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{PATIENCE, Project, Run, Tmpfs, assert_same_tree, long, say, wait_until};

/// The one in the quick loop, the other in a long run.
fn of(quick: usize, full: usize) -> usize {
    if long() > 0 { full } else { quick }
}

/// A run with events that may take as long as a long test does.
#[track_caller]
fn build(project: &Project) -> Run {
    // An input may be larger than what is allowed where nothing is set.
    let args = ["--set", "security.max_input_size_mb=off", "manifest.txt"];
    let run = project.spawn_json(args).wait_within(patience());
    tell(&run);
    run
}

fn patience() -> Duration {
    if long() > 0 { PATIENCE * 10 } else { PATIENCE }
}

/// What a large run cost, for whoever reads it.
fn tell(run: &Run) {
    if long() > 0 {
        say(&run.figures());
    }
}

/// A file of so many bytes, of which the first and the last are not zero.
fn sparse(project: &Project, path: &str, length: u64) {
    let written = File::create(project.path(path)).and_then(|file| {
        file.set_len(length)?;
        file.write_all_at(b"first", 0)?;
        file.write_all_at(b"last", length - 4)
    });
    written.expect("a sparse file");
}

/// In memory, where making and removing many files costs the machine little; only root can.
fn in_memory(project: &Project, size: &str) -> Option<Tmpfs> {
    Tmpfs::mount(project.root(), size)
}

// D7.
#[test]
fn a_tree_of_many_small_files_is_read_made_kept_and_restored() {
    let project = Project::new();
    let disk = in_memory(&project, "4g");
    let count = if disk.is_some() { of(5_000, 80_000) } else { of(2_000, 80_000) };
    for number in 0..count {
        project.file(format!("in/{}/{number}", number % 100), format!("{number}"));
    }
    project.manifest("task t {\n  cmd = cp -r in out\n  inputs = in\n  outputs = out\n}\n");
    build(&project).success().within_memory(300);
    let before = project.tree();
    assert_eq!(before.len(), 2 * (count + 100) + 3);
    assert_eq!(build(&project).executed_nothing().summary().up_to_date, 1);
    project.remove("out");
    build(&project).executed_nothing().within_memory(300);
    assert_same_tree(&project.tree(), &before);
    let run = project.file("in/7/7", "other").json(["manifest.txt"]);
    assert_eq!(
        run.success().reasons("t"),
        json!([{ "reason": "input_changed", "path": "in/7/7" }])
    );
    assert_eq!(project.read("out/7/7"), "other");
}

#[test]
fn a_glob_of_very_many_inputs_is_hashed_once_in_bounded_memory() {
    let project = Project::new();
    let disk = in_memory(&project, "8g");
    let count = if disk.is_some() { of(10_000, 1_000_000) } else { of(2_000, 1_000_000) };
    for number in 0..count {
        let folder = number / 1000;
        if number % 1000 == 0 {
            project.dir(format!("in/{folder}"));
        }
        fs::write(project.path(format!("in/{folder}/{number}.x")), format!("{number}"))
            .expect("a file");
    }
    project.file("in/0/other", "not meant").manifest(
        "task t {\n  cmd = echo > out\n  inputs = in/**/*.x !in/*/5.x\n  outputs = out\n}\n",
    );
    build(&project).success().within_memory(800);
    project.file("in/0/other", "changed").file("in/0/5.x", "changed").touch("in/0/6.x");
    build(&project).executed_nothing().within_memory(800);
    build(&project).executed_nothing().within_memory(800);
    project.file("in/1/1007.x", "changed");
    let run = build(&project);
    let reason = json!([{ "reason": "input_changed", "path": "in/1/1007.x" }]);
    assert_eq!(run.success().within_memory(800).reasons("t"), reason);
}

#[test]
fn a_large_file_is_read_made_kept_and_restored_in_little_memory() {
    let project = Project::new();
    let length = of(100 << 20, 10_000_000_000) as u64;
    sparse(&project, "huge", length);
    project.manifest(
        "task t {\n  cmd = cp --reflink=never huge copy\n  inputs = huge\n  outputs = copy\n}\n",
    );
    build(&project).success().within_memory(60);
    for _ in 0..2 {
        build(&project).executed_nothing().within_memory(60);
        assert_eq!(project.path("copy").metadata().expect("it is back").len(), length);
        let same = Command::new("cmp").args(["huge", "copy"]).current_dir(project.root()).status();
        assert!(same.is_ok_and(|status| status.success()), "it has the bytes that were made");
        project.remove("copy");
    }
}

// P10.
#[test]
fn what_a_task_writes_without_end_is_shown_and_replayed_in_little_memory() {
    let project = Project::new();
    let length = of(20_000_000, 5_000_000_000);
    project.manifest(&format!(
        "task t {{\n  cmd = head -c {length} /dev/zero | tr '\\0' '\\001'; echo end\n}}\n"
    ));
    let script =
        "mkfifo pipe; (tr -dc '\\001' <pipe | wc -c >part; mv part count) & exec \"$@\" 2>pipe";
    for args in [["manifest.txt", "t"], ["--replay", "manifest.txt"]] {
        let run = project.by_shell(script, args).wait_within(patience());
        tell(&run);
        run.success().within_memory(60);
        wait_until("the count", || project.exists("count"));
        assert_eq!(project.read("count"), format!("{length}\n"));
        project.remove("pipe").remove("count");
    }
}

#[test]
fn folders_that_no_task_names_are_never_read() {
    let project = Project::new();
    for number in 0..of(100, 20_000) {
        project
            .file(format!("undeclared/deep/{number}"), "x")
            .file(format!("src/sub/deep/{number}"), "x");
    }
    // Whoever read this would be known by the time that it takes.
    sparse(&project, "undeclared/deep/huge", 100 << 30);
    project.file("src/a.c", "a").file("in/x", "x").manifest(
        "task t {\n  cmd = cat src/a.c in/x > out\n  inputs = src/*.c in\n  outputs = out\n}\n",
    );
    // Reading a folder whose time of access is older than its change gives it a new one, unless
    // the file system keeps none.
    let old = |path: &str| {
        let folder = File::open(project.path(path)).expect("a folder");
        let times = fs::FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH);
        folder.set_times(times).expect("a time");
    };
    let accessed = |path: &str| project.path(path).metadata().expect("a folder").atime();
    old("undeclared");
    assert_eq!(fs::read_dir(project.path("undeclared")).expect("a folder").count(), 1);
    if accessed("undeclared") == 0 {
        eprintln!("SKIPPED: this file system keeps no times of access");
        return;
    }
    let never = ["undeclared", "undeclared/deep", "src/sub", "src/sub/deep"];
    for path in never.iter().chain(&["src", "in"]) {
        old(path);
    }
    project.run(["manifest.txt"]).success().within_memory(100);
    project.file("src/a.c", "b").run(["manifest.txt"]).success();
    project.remove("out").json(["manifest.txt"]).executed_nothing();
    project.run(["explain", "manifest.txt", "t"]).success();
    assert_eq!(never.map(accessed), [0; 4]);
    assert!(accessed("src") > 0 && accessed("in") > 0, "what is declared is read");
    assert_eq!(json!(project.read("out")), json!("bx"));
}
