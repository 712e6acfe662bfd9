//! Full disks, folders that cannot be written to, and borders between file systems: the result is
//! right, or the run says why there is none.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::support::{
    Project, Tmpfs, assert_same_tree, assert_sound_objects, files_below, picture,
};

/// A task that makes little, and then one that makes more than a small file system holds: while
/// that is tried there is no room for anything else.
const LARGE: &str = "task large {\n  cmd = head -c 400000 /dev/zero | tr '\\0' x > large\n  deps = small\n  outputs = large\n}\n\
    task small {\n  cmd = echo words; cp in small\n  inputs = in\n  outputs = small\n}\n";

fn large() -> Project {
    let project = Project::new();
    project.file("in", "words\n").manifest(LARGE);
    project
}

#[track_caller]
fn assert_made(project: &Project) {
    assert_eq!(project.read("small"), "words\n");
    // Not shown when it fails.
    assert!(project.bytes("large") == vec![b'x'; 400_000]);
}

// D2.
#[test]
fn a_cache_on_a_full_disk_costs_no_result_and_is_never_half_full() {
    let project = large();
    let folder = project.outside().join("cache");
    fs::create_dir(&folder).expect("a folder");
    let Some(disk) = Tmpfs::mount(&folder, "256k") else { return };
    let args = ["--cache-dir", folder.to_str().expect("a path"), "manifest.txt"];
    for force in [&[][..], &["--force"]] {
        let run = project.json(args.iter().chain(force));
        run.success();
        assert_made(&project);
        let told = run.events_of("cache_degraded");
        assert_eq!(told.len(), 1, "{}", run.transcript());
        assert!(
            told[0]["problem"].as_str().expect("words").contains("No space left"),
            "{}",
            told[0]
        );
        assert_sound_objects(&folder);
        assert_eq!(files_below(&folder.join("cas/tmp"), &[]).len(), 0, "nothing half is left");
        assert_eq!(files_below(&folder.join("cache"), &[]).len(), 1, "a record of the small one");
    }
    project.json(args).executed_nothing();
    let said = project.run(args.iter().chain(&["--force"]));
    said.success()
        .stderr_has("warning: ")
        .stderr_has("No space left")
        .stderr_has("results stand but are not saved; make room or give access there, or set");
    // What is not saved cannot come back, and is made again.
    project.remove("large").remove("small");
    let run = project.json(args);
    assert_eq!(run.success().executed(), ["large"]);
    assert_made(&project);
    disk.resize("8m");
    let run = project.remove("large").json(args);
    assert_eq!(run.executed(), ["large"]);
    assert!(run.success().events_of("cache_degraded").is_empty());
    project.remove("large").json(args).executed_nothing();
    assert_made(&project);
    assert_sound_objects(&folder);
}

// R8.
#[test]
fn a_restore_that_finds_no_room_says_so_and_leaves_nothing_half() {
    let full = large();
    let folder = full.outside().join("cache");
    let args = ["--cache-dir", folder.to_str().expect("a path"), "manifest.txt"];
    full.run(args).success();
    let project = Project::new();
    let Some(disk) = Tmpfs::mount(project.root(), "200k") else { return };
    project.file("in", "words\n").manifest(LARGE);
    let run = project.json(args);
    run.code(6);
    assert_eq!(run.tasks_with("failed"), ["large"]);
    assert_eq!(run.tasks_with("cached"), ["small"]);
    let reasons = run.reasons("large");
    assert_eq!(reasons[0]["reason"], "not_restored", "{reasons}");
    assert!(reasons[0]["problem"].as_str().expect("words").contains("No space left"), "{reasons}");
    project.run(args).code(6).says("No space left");
    disk.resize("8m");
    project.run(args).success();
    assert_made(&project);
    assert_sound_objects(&folder);
}

#[test]
fn a_cache_folder_that_cannot_be_used_is_an_error_before_anything_runs() {
    let project = large();
    project.file("file", "I am none");
    for folder in ["/proc/reprovm", "file", "file/below", "/dev/null"] {
        let run = project.run(["--cache-dir", folder, "manifest.txt"]);
        run.code(8).says(folder).says("--cache-dir");
        assert!(!project.exists("small") && !project.exists("large"), "{folder}");
    }
    assert_eq!(project.read("file"), "I am none");
}

// D6.
#[test]
fn a_cache_on_another_file_system_works() {
    let project = large();
    let shared = Path::new("/dev/shm");
    let device = |path: &Path| path.metadata().map(|data| data.dev()).ok();
    if device(shared).is_none() || device(shared) == device(project.root()) {
        eprintln!("SKIPPED: /dev/shm is no file system of its own here");
        return;
    }
    let folder = tempfile::tempdir_in(shared).expect("a folder in memory");
    let args = ["--cache-dir", folder.path().to_str().expect("a path"), "manifest.txt"];
    project.run(args).success();
    let before = project.tree();
    for _ in 0..2 {
        project.remove("large").remove("small").json(args).executed_nothing();
        assert_same_tree(&project.tree(), &before);
    }
    assert_sound_objects(folder.path());
}

#[test]
fn an_output_folder_on_another_file_system_is_filled_by_copying() {
    let project = Project::new();
    project.dir("out");
    let Some(_disk) = Tmpfs::mount(&project.path("out"), "8m") else { return };
    project.file("in", "words\n").manifest(
        "task t {\n  cmd = mkdir -p out/sub && cp in out/sub/a && chmod 444 out/sub/a && ln -s a out/sub/b\n  inputs = in\n  outputs = out\n}\n",
    );
    project.run(["manifest.txt"]).success();
    let before = project.tree();
    project.remove("out/sub").json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&project.tree(), &before);
    assert_eq!(picture(&project.path(".reprovm/stage")).len(), 0, "nothing is left in the making");
}
