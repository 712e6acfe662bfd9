//! Projects that git has checked out, several of them that share one cache, and many runs of one:
//! what makes a difference is the bytes of what is declared.

use std::process::Command;

use serde_json::json;

use crate::support::{
    Background, Project, assert_sound_objects, assert_store_is_whole, say, wait_until,
};

/// Runs git in a folder of the project; false, and said, where there is none.
#[track_caller]
fn git(project: &Project, folder: &str, args: &[&str]) -> bool {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]);
    command.args(["-c", "init.defaultBranch=main"]).args(args).current_dir(project.path(folder));
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let Ok(output) = command.output() else {
        say("SKIPPED: there is no git here");
        return false;
    };
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {words}");
    true
}

const MANIFEST: &str =
    "task t {\n  cmd = cat src/a lib/b > out\n  inputs = src lib\n  outputs = out\n}\n";

// K14.
#[test]
fn a_worktree_and_a_clone_with_a_submodule_find_the_results_of_the_first_checkout() {
    let project = Project::new();
    project.dir("lib.git").file("lib.git/b", "b\n");
    if !git(&project, "lib.git", &["init", "-q"]) {
        return;
    }
    project.file("main/src/a", "a\n").file("main/manifest.txt", MANIFEST);
    for (folder, args) in [
        ("lib.git", &["add", "."][..]),
        ("lib.git", &["commit", "-q", "-m", "lib"]),
        ("main", &["init", "-q"]),
        ("main", &["submodule", "--quiet", "add", "../lib.git", "lib"]),
        ("main", &["add", "."]),
        ("main", &["commit", "-q", "-m", "main"]),
        ("main", &["worktree", "add", "-q", "../tree"]),
        ("tree", &["submodule", "--quiet", "update", "--init"]),
        (".", &["clone", "-q", "--recurse-submodules", "main", "clone"]),
    ] {
        if folder == "main" && args[0] == "submodule" {
            // A relative address counts from the folder's own.
            let address = project.path("lib.git");
            let address = address.to_str().expect("a plain path");
            git(&project, folder, &["submodule", "--quiet", "add", address, "lib"]);
            continue;
        }
        git(&project, folder, args);
    }
    for folder in ["main", "tree", "clone"] {
        assert!(project.path(folder).join("lib/.git").is_file(), "{folder} has a submodule");
    }
    assert!(project.path("tree/.git").is_file(), "a worktree has a file");
    let shared = project.path("cache");
    let shared = shared.to_str().expect("a plain path");
    let build = |folder: &str| project.json(["-C", folder, "--cache-dir", shared]);
    // The whole tree is the input: in a worktree the submodule's `.git` says something else.
    assert_eq!(build("main").success().executed(), ["t"]);
    assert_eq!(build("tree").success().executed(), ["t"]);
    build("clone").executed_nothing();
    for folder in ["main", "tree", "clone"] {
        let text = MANIFEST.replace("inputs = src lib", "inputs = src lib !lib/.git");
        project.file(format!("{folder}/manifest.txt"), text).remove(format!("{folder}/out"));
    }
    assert_eq!(build("main").success().executed(), ["t"]);
    for folder in ["tree", "clone"] {
        let run = build(folder);
        assert_eq!(run.executed_nothing().summary().cached, 1, "{folder}\n{}", run.transcript());
        assert_eq!(project.read(format!("{folder}/out")), "a\nb\n");
    }
    // What git does for itself changes nothing, and a change of the submodule is one.
    git(&project, "main", &["commit", "-q", "--allow-empty", "-m", "more"]);
    git(&project, "main", &["gc", "-q"]);
    build("main").executed_nothing();
    let run = project.file("main/lib/b", "c\n").json(["-C", "main", "--cache-dir", shared]);
    assert_eq!(run.reasons("t"), json!([{ "reason": "input_changed", "path": "lib/b" }]));
}

// K14.
#[test]
fn line_ends_that_git_changes_are_other_bytes() {
    let project = Project::new();
    project.file("main/src/a", "a\n").file("main/lib/b", "b\n").file("main/manifest.txt", MANIFEST);
    if !git(&project, "main", &["init", "-q"]) {
        return;
    }
    git(&project, "main", &["add", "."]);
    git(&project, "main", &["commit", "-q", "-m", "main"]);
    git(&project, ".", &["-c", "core.autocrlf=true", "clone", "-q", "main", "crlf"]);
    assert_eq!(project.bytes("crlf/src/a"), b"a\r\n");
    let shared = project.path("cache");
    let shared = shared.to_str().expect("a plain path");
    let build = |folder: &str| project.json(["-C", folder, "--cache-dir", shared]);
    build("main").success();
    // A manifest of such a checkout is read as the other, and its key has the other bytes.
    assert_eq!(build("crlf").success().executed(), ["t"]);
    assert_eq!(project.bytes("crlf/out"), b"a\r\nb\r\n");
    assert_eq!(project.bytes("main/out"), b"a\nb\n");
}

// K1.
#[test]
fn a_file_of_variables_is_not_read_unless_it_is_an_input() {
    let project = Project::new();
    project.file(".env", "MODE=fast\n").manifest(
        "task t {\n  cmd = echo \"${MODE-unset}\" > out\n  pass_env = MODE\n  outputs = out\n}\n",
    );
    project.run(["manifest.txt"]).success();
    assert_eq!(project.read("out"), "unset\n");
    project.file(".env", "MODE=slow\n").json(["manifest.txt"]).executed_nothing();
    project.manifest(
        "task t {\n  cmd = . ./.env && echo \"$MODE\" > out\n  inputs = .env\n  outputs = out\n}\n",
    );
    for mode in ["fast", "slow"] {
        let run = project.file(".env", format!("MODE={mode}\n")).json(["manifest.txt"]);
        assert_eq!(run.success().executed(), ["t"]);
        assert_eq!(project.read("out"), format!("{mode}\n"));
    }
}

// T8.
#[test]
fn a_cache_that_is_cleaned_under_the_run_of_another_checkout_costs_no_result() {
    let project = Project::new();
    let text = "task a {\n  cmd = cp in a\n  inputs = in\n  outputs = a\n}\n\
        task wait {\n  cmd = touch up; until test -e go; do sleep 0.01; done; cp a wait\n  inputs = a\n  outputs = wait\n}\n\
        task b {\n  cmd = cat wait in > b\n  inputs = wait in\n  outputs = b\n}\n";
    for folder in ["one", "two"] {
        project.file(format!("{folder}/manifest.txt"), text).file(format!("{folder}/in"), "x\n");
    }
    let shared = project.path("cache");
    let shared = shared.to_str().expect("a plain path");
    let args = |folder| ["-C", folder, "--cache-dir", shared];
    let run = project.spawn_json(args("one"));
    wait_until("the task that waits", || project.exists("one/up"));
    project.run(args("two").iter().chain(&["cache", "clean"])).success();
    project.file("one/go", "");
    let run = run.wait();
    assert_eq!(run.success().executed(), ["a", "b", "wait"]);
    assert!(run.events_of("cache_damaged").is_empty(), "{}", run.transcript());
    assert_eq!(project.read("one/b"), "x\nx\n");
    project.json(args("one")).executed_nothing();
    project.remove("one/b").remove("one/wait").json(args("one")).executed_nothing();
    // What was cleaned is made anew where it is needed, and what was saved after it is found.
    assert_eq!(project.file("two/go", "").json(args("two")).success().executed(), ["a"]);
    project.remove("one/a").remove("two/a");
    for folder in ["one", "two"] {
        project.json(args(folder)).executed_nothing();
        assert_eq!(project.read(format!("{folder}/b")), "x\nx\n");
    }
    assert_sound_objects(&project.path("cache"));
}

// T4.
#[test]
fn of_fifty_runs_of_one_project_at_once_one_executes_and_all_are_right() {
    let project = Project::new();
    project.file("in", "x\n").manifest(
        "task a {\n  cmd = echo ran >> log; cp in a\n  inputs = in\n  outputs = a\n}\n\
         task b {\n  cmd = echo ran >> log; cat a in > b\n  inputs = a in\n  outputs = b\n}\n",
    );
    let runs: Vec<Background> = (0..50).map(|_| project.spawn_json(["manifest.txt"])).collect();
    let executed: usize = runs.into_iter().map(|run| run.wait().success().executed().len()).sum();
    assert_eq!((executed, project.read("log")), (2, "ran\nran\n".to_owned()));
    assert_eq!(project.read("b"), "x\nx\n");
    assert_store_is_whole(&project, "fifty runs");
}
