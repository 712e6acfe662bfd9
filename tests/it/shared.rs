//! File systems that are not the machine's own, on a real one of them: what is said of it, and
//! that a run is right there without what such a file system lacks.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{
    Fuse, Project, Run, assert_same_tree, assert_sound_objects, files_below, say, wait_until,
};

/// Files, modes, links, empty folders, words on stdout, and a file of more than one reading.
const MANIFEST: &str = "task many {\n  cmd = echo words; mkdir -p out/sub out/empty && cp in out/sub/a && chmod 555 out/sub/a && ln -s sub/a out/link\n  inputs = in\n  outputs = out\n}\n\
    task large {\n  cmd = head -c 3000000 /dev/zero | tr '\\0' x > large && cat out/sub/a >> large\n  deps = many\n  outputs = large\n}\n";

/// A project, and a FUSE file system mounted on a folder beside it; none where none can be.
fn beside() -> (Project, Option<(Fuse, PathBuf)>) {
    let project = Project::new();
    project.file("in", "words\n").manifest(MANIFEST);
    let mounted = mount(project.outside(), "cache");
    (project, mounted)
}

fn mount(outside: &Path, name: &str) -> Option<(Fuse, PathBuf)> {
    let (backing, folder) = (outside.join(format!("{name}-on-disk")), outside.join(name));
    for path in [&backing, &folder] {
        fs::create_dir(path).expect("a folder");
    }
    Some((Fuse::mount(&backing, &folder)?, folder))
}

#[track_caller]
fn the_warning(run: &Run) -> Value {
    let told = run.success().events_of("shared_file_system");
    assert_eq!(told.len(), 1, "one a run\n{}", run.transcript());
    told[0].clone()
}

#[track_caller]
fn assert_made(project: &Project) {
    assert_eq!(project.bytes("large").len(), 3_000_006);
    assert_eq!((project.read("out/link"), project.mode("out/sub/a")), ("words\n".into(), 0o555));
    assert!(project.exists("out/empty"));
}

// D6.
#[test]
fn a_cache_on_fuse_is_said_and_its_results_are_copied_over() {
    let (project, mounted) = beside();
    let Some((_fuse, folder)) = mounted else { return nothing_is_said_of_a_disk(&project) };
    let cache = folder.to_str().expect("a plain path");
    let args = ["--cache-dir", cache, "manifest.txt"];
    let run = project.json(args);
    let warning = the_warning(&run);
    assert_eq!(warning["cache"], json!({ "path": cache, "file_system": "FUSE" }));
    assert_eq!(warning["workspace"], json!(null), "{warning}");
    assert_eq!(run.executed(), ["large", "many"]);
    assert!(run.events_of("cache_degraded").is_empty(), "{}", run.transcript());
    assert_made(&project);
    assert_sound_objects(&folder);
    assert_eq!(files_below(&folder.join("cas/tmp"), &[]).len(), 0, "nothing is left in the making");
    let before = project.tree();
    // Once the files are older than the run that looked at them, nothing is looked at any more.
    wait_until("a run that has nothing to do and says nothing", || {
        project.json(args).executed_nothing().events_of("shared_file_system").is_empty()
    });
    for _ in 0..2 {
        let run = project.remove("out").remove("large").json(args);
        the_warning(run.executed_nothing());
        assert_same_tree(&project.tree(), &before);
    }
    // A damaged object there is found as anywhere.
    let object = project.object_of(b"words\n");
    let object = folder.join(object.strip_prefix(project.path(".reprovm")).expect("in the cache"));
    fs::remove_file(&object)
        .and_then(|()| fs::write(&object, "wordS\n"))
        .expect("a changed object");
    let run = project.remove("out").json(args);
    assert_eq!(run.success().executed(), ["many"]);
    assert_eq!(run.events_of("cache_damaged").len(), 1, "{}", run.transcript());
    assert_same_tree(&project.tree(), &before);
    let said = project.run(["--force"].iter().chain(&args));
    said.success()
        .stderr_has(&format!("warning: the cache folder `{cache}` is on FUSE: "))
        .stderr_has("locks there may not reach other machines")
        .stderr_has("set `cache_dir` to a folder on a local disk");
    assert_eq!(said.err().matches("is on FUSE").count(), 1, "{}", said.transcript());
}

#[test]
fn health_warns_of_a_cache_on_fuse() {
    let (project, mounted) = beside();
    let Some((_fuse, folder)) = mounted else { return nothing_is_said_of_a_disk(&project) };
    let cache = folder.to_str().expect("a plain path");
    let check = |args: &[&str]| {
        let health: Value = serde_json::from_str(&project.run(args).success().out()).expect("JSON");
        health["checks"]["cache"].clone()
    };
    let first = check(&["health", "-o", "json", "--cache-dir", cache]);
    assert_eq!(first["status"], "WARNING", "{first}");
    project.run(["--cache-dir", cache, "manifest.txt"]).success();
    let second = check(&["health", "-o", "json", "--cache-dir", cache]);
    let said = second["message"].as_str().expect("words");
    assert_eq!(second["status"], "WARNING", "{second}");
    assert!(
        said.starts_with("can be read and written, 2 records read; the cache folder `")
            && said.contains("is on FUSE"),
        "{said}"
    );
    assert_eq!(check(&["health", "-o", "json"])["status"], "OK");
    assert_sound_objects(&folder);
}

#[test]
fn a_project_that_lies_on_fuse_is_built_and_its_lock_holds_on_this_machine() {
    let mut project = Project::new();
    let Some((_fuse, folder)) = mount(project.outside(), "on-fuse") else {
        project.file("in", "words\n").manifest(MANIFEST);
        return nothing_is_said_of_a_disk(&project);
    };
    project.stand_in(&folder);
    project.file("in", "words\n").manifest(MANIFEST);
    let run = project.json(["manifest.txt"]);
    let warning = the_warning(&run);
    for which in ["cache", "workspace"] {
        let path = project.path(".reprovm");
        assert_eq!(warning[which], json!({ "path": path, "file_system": "FUSE" }), "{warning}");
    }
    assert_made(&project);
    let before = project.tree();
    project.json(["manifest.txt"]).executed_nothing();
    project.remove("out").remove("large").json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&project.tree(), &before);
    project.touch("in").json(["manifest.txt"]).executed_nothing();
    project.file("in", "other\n");
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["large", "many"]);
    project.file("hold.txt", "task hold {\n  cmd = echo > began; while ! test -e go; do sleep 0.01; done\n  cache = off\n}\n");
    let mut holder = project.spawn_json(["hold.txt"]);
    holder.wait_for_event("task_started", "hold");
    // A run that has nothing to do needs no lock.
    project.run(["--no-wait", "-f", "manifest.txt"]).code(11);
    project.file("go", "");
    holder.wait().success();
}

/// What is left to prove where nothing can be mounted.
fn nothing_is_said_of_a_disk(project: &Project) {
    say("only that nothing is said of a local disk is proved here");
    assert!(project.json(["manifest.txt"]).success().events_of("shared_file_system").is_empty());
}

#[test]
fn nothing_is_said_of_folders_on_a_disk() {
    let project = Project::new();
    project.file("in", "words\n").manifest(MANIFEST);
    let run = project.json(["manifest.txt"]);
    assert!(run.success().events_of("shared_file_system").is_empty(), "{}", run.transcript());
    assert_made(&project);
}
