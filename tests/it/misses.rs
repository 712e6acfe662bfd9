//! Misses with one cause each, planted on purpose. Each is named, and nothing else is: in the
//! events, on the task's line, and by `explain` before the run.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Project, wait_until};

/// A task `t` that reads one of everything; `lib` is named in its `deps`.
const MANIFEST: &str = "task t {\n  \
    cmd = cat a lib.out > out/t; cp a out/side\n  \
    inputs = a b dir src/*.c ln\n  \
    outputs = out/t out/side\n  \
    deps = lib\n  \
    pass_env = PASSED\n  \
    env = SET=one\n  \
    tools = helper\n}\n\n\
    task lib {\n  cmd = cat lib.in > lib.out\n  inputs = lib.in\n  outputs = lib.out\n}\n";

fn seeded() -> Project {
    let mut project = Project::new();
    let tools = project.outside().join("tools");
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
    project.env("PATH", format!("{}:{path}", tools.display()));
    project.file(tools.join("helper"), "#!/bin/sh\n").chmod(tools.join("helper"), 0o755);
    project.manifest(MANIFEST).file("a", "a").file("b", "b").file("lib.in", "lib");
    project.file("dir/one", "1").file("dir/deep/two", "2").symlink("one", "dir/link");
    project.file("src/x.c", "x").file("src/y.c", "y").file("src/z.h", "z");
    project.file("c", "c").symlink("c", "ln");
    project.run(["manifest.txt"]).success();
    project
}

fn replace(project: &Project, from: &str, to: &str) {
    let text = project.read("manifest.txt");
    assert!(text.contains(from), "the manifest has no `{from}`");
    project.manifest(&text.replace(from, to));
}

/// One planted cause.
struct Row {
    what: &'static str,
    change: fn(&mut Project),
    /// The only reason, as data.
    reason: Value,
    /// The same on the task's line.
    words: &'static str,
}

fn row(what: &'static str, change: fn(&mut Project), reason: Value, words: &'static str) -> Row {
    Row { what, change, reason, words }
}

/// Plants each cause in a project of its own and lets `explain`, a run with events and a run with
/// lines name it.
fn check(rows: &[Row]) {
    for Row { what, change, reason, words } in rows {
        let mut project = seeded();
        change(&mut project);
        let explained = project.explain("t");
        assert_eq!(explained["differences"], json!([reason]), "{what}, explained");
        assert_eq!(explained["up_to_date"], false, "{what}, explained");
        let page = project.run(["explain", "manifest.txt", "t"]);
        page.success().stdout_has(&format!("what differs from the last run\n  {words}\n\n"));
        page.stdout_has("t would run\n");
        let planned = project.run(["-n", "manifest.txt"]);
        planned.success().stderr_has(&format!("t  would run: {words}\n"));
        let run = project.json(["manifest.txt"]);
        assert_eq!(run.success().reasons("t"), json!([reason]), "{what}\n{}", run.transcript());
        assert_eq!(run.executed(), ["t"], "{what}");
        project.json(["manifest.txt"]).executed_nothing();

        let mut project = seeded();
        change(&mut project);
        let line = project.run(["manifest.txt"]).success().line_of("t");
        assert!(line.ends_with(&format!("s  {words}")), "{what}: {line}");
    }
}

#[test]
fn a_change_of_an_input_is_named() {
    let changed = |path: &str| json!({"reason": "input_changed", "path": path});
    let added = |path: &str| json!({"reason": "input_added", "path": path});
    let removed = |path: &str| json!({"reason": "input_removed", "path": path});
    check(&[
        row(
            "a file",
            |p| {
                p.file("a", "A");
            },
            changed("a"),
            "`a` changed",
        ),
        row(
            "what a link leads to",
            |p| {
                p.remove("ln").symlink("a", "ln");
            },
            changed("ln"),
            "`ln` changed",
        ),
        row(
            "a file of a folder",
            |p| {
                p.file("dir/deep/two", "3");
            },
            changed("dir/deep/two"),
            "`dir/deep/two` changed",
        ),
        row(
            "a new file in a folder",
            |p| {
                p.file("dir/deep/new", "3");
            },
            added("dir/deep/new"),
            "`dir/deep/new` added",
        ),
        row(
            "a file less in a folder",
            |p| {
                p.remove("dir/one");
            },
            removed("dir/one"),
            "`dir/one` removed",
        ),
        row(
            "a link's text",
            |p| {
                p.remove("dir/link").symlink("deep", "dir/link");
            },
            changed("dir/link"),
            "`dir/link` changed",
        ),
    ]);
}

#[test]
fn a_change_of_what_a_pattern_or_a_list_stands_for_is_named() {
    let added = |path: &str| json!({"reason": "input_added", "path": path});
    let removed = |path: &str| json!({"reason": "input_removed", "path": path});
    check(&[
        row(
            "a new folder",
            |p| {
                p.dir("dir/empty");
            },
            added("dir/empty"),
            "`dir/empty` added",
        ),
        row(
            "a pattern that gains a file",
            |p| {
                p.file("src/new.c", "n");
            },
            added("src/new.c"),
            "`src/new.c` added",
        ),
        row(
            "a pattern that loses a file",
            |p| {
                p.remove("src/y.c");
            },
            removed("src/y.c"),
            "`src/y.c` removed",
        ),
        row(
            "an input more in the manifest",
            |p| replace(p, "inputs = a b", "inputs = a b src/z.h"),
            added("src/z.h"),
            "`src/z.h` added",
        ),
        row(
            "an input less in the manifest",
            |p| replace(p, "inputs = a b", "inputs = a"),
            removed("b"),
            "`b` removed",
        ),
    ]);
}

#[test]
fn a_change_of_what_an_input_is_is_named() {
    check(&[
        row(
            "an executable bit",
            |p| {
                p.chmod("src/x.c", 0o755);
            },
            json!({"reason": "kind_changed", "path": "src/x.c", "was": "file", "now": "executable"}),
            "`src/x.c` file -> executable",
        ),
        row(
            "a file that became a link",
            |p| {
                p.remove("dir/one").symlink("deep/two", "dir/one");
            },
            json!({"reason": "kind_changed", "path": "dir/one", "was": "file", "now": "link"}),
            "`dir/one` file -> link",
        ),
        row(
            "a file that became a folder",
            |p| {
                p.remove("b").dir("b");
            },
            json!({"reason": "kind_changed", "path": "b", "was": "file", "now": "dir"}),
            "`b` file -> folder",
        ),
    ]);
}

#[test]
fn a_change_of_the_task_is_named() {
    let simple = |name: &str| json!({"reason": name});
    check(&[
        row(
            "the command",
            |p| replace(p, "cp a out/side", "cp b out/side"),
            simple("command_changed"),
            "command changed",
        ),
        row(
            "a let in the command",
            |p| {
                // The text is the same with the name filled in, so that only the second edit counts.
                replace(p, "cp a out/side", "cp {{from}} out/side");
                let text = p.read("manifest.txt");
                p.manifest(&format!("let from = a\n{text}"))
                    .json(["manifest.txt"])
                    .executed_nothing();
                replace(p, "let from = a", "let from = b");
            },
            simple("command_changed"),
            "command changed",
        ),
        row(
            "the shell",
            |p| replace(p, "deps = lib", "deps = lib\n  shell = /bin/sh -e -c"),
            simple("shell_changed"),
            "shell changed",
        ),
        row(
            "the outputs",
            |p| replace(p, "out/t out/side", "out/t"),
            simple("outputs_changed"),
            "declared outputs changed",
        ),
        row(
            "a dependency's result",
            |p| {
                p.file("lib.in", "other").run(["manifest.txt", "lib"]).success();
            },
            json!({"reason": "dependency_changed", "task": "lib"}),
            "result of `lib` changed",
        ),
    ]);
}

#[test]
fn a_change_of_the_working_directory_is_named() {
    let made = || {
        let project = Project::new();
        project.dir("sub").manifest(
            "task t {\n  cmd = test -d sub && echo x > out || echo x > ../out\n  outputs = out\n}\n",
        );
        project.run(["manifest.txt"]).success();
        replace(&project, "outputs", "cwd = sub\n  outputs");
        project
    };
    let reason = json!([{"reason": "directory_changed"}]);
    let project = made();
    assert_eq!(project.explain("t")["differences"], reason);
    assert_eq!(project.json(["manifest.txt"]).success().reasons("t"), reason);
    assert!(made().run(["manifest.txt"]).line_of("t").ends_with("s  working directory changed"));
}

#[test]
fn a_change_of_the_environment_or_a_tool_is_named() {
    let env = |was: Value, now: Value| json!({"reason": "env_changed", "name": "PASSED", "was": was, "now": now});
    check(&[
        row(
            "unset to set",
            |p| {
                p.env("PASSED", "x");
            },
            env(Value::Null, json!("x")),
            "`PASSED` unset -> x",
        ),
        row(
            "unset to empty",
            |p| {
                p.env("PASSED", "");
            },
            env(Value::Null, json!("")),
            "`PASSED` unset -> (empty)",
        ),
        row(
            "set to empty",
            |p| {
                p.env("PASSED", "x").run(["manifest.txt"]).success();
                p.env("PASSED", "");
            },
            env(json!("x"), json!("")),
            "`PASSED` x -> (empty)",
        ),
        row(
            "a variable that the manifest sets",
            |p| replace(p, "SET=one", "SET=two"),
            json!({"reason": "env_changed", "name": "SET", "was": "one", "now": "two"}),
            "`SET` one -> two",
        ),
        row(
            "a variable more",
            |p| replace(p, "SET=one", "SET=one MORE=1"),
            json!({"reason": "env_changed", "name": "MORE", "was": null, "now": "1"}),
            "`MORE` unset -> 1",
        ),
        row(
            "a variable that is passed on and not set",
            |p| replace(p, "pass_env = PASSED", "pass_env = PASSED MORE"),
            json!({"reason": "env_declared", "name": "MORE", "declared": true}),
            "`MORE` declared (unset)",
        ),
        row(
            "one that is passed on no more",
            |p| replace(p, "  pass_env = PASSED\n", ""),
            json!({"reason": "env_declared", "name": "PASSED", "declared": false}),
            "`PASSED` no longer declared (unset)",
        ),
        row(
            "a tool with other bytes",
            |p| {
                p.file(p.outside().join("tools/helper"), "#!/bin/sh\n:\n");
            },
            json!({"reason": "tool_changed", "name": "helper"}),
            "tool `helper` changed",
        ),
    ]);
}

/// Forgets what is stored, so that only the workspace is left.
fn without_records(project: &Project) {
    project.remove(".reprovm/cache").dir(".reprovm/cache");
}

#[test]
fn what_happened_to_outputs_and_the_cache_is_named() {
    let lost = |kind: &str| json!({"reason": kind, "path": "out/t"});
    check(&[
        row(
            "an output deleted, and no record of it",
            |p| {
                without_records(p.remove("out/t"));
            },
            lost("output_missing"),
            "output `out/t` missing",
        ),
        row(
            "an output edited, and no record of it",
            |p| {
                without_records(p.file("out/t", "edited"));
            },
            lost("output_edited"),
            "output `out/t` edited",
        ),
        row(
            "an output's mode changed, and no record of it",
            |p| {
                without_records(p.chmod("out/t", 0o600));
            },
            lost("output_edited"),
            "output `out/t` edited",
        ),
        row(
            "all of the cache deleted",
            |p| {
                p.remove(".reprovm").run(["manifest.txt", "lib"]);
            },
            json!({"reason": "no_record"}),
            "no record",
        ),
        row(
            "the last run failed",
            |p| {
                let text = p.read("manifest.txt");
                replace(p, "cp a out/side", "cp a out/side; exit 1");
                p.run(["manifest.txt"]).code(6);
                p.manifest(&text).remove(".reprovm/cache").run(["manifest.txt", "lib"]).success();
            },
            json!({"reason": "last_run_failed"}),
            "last run did not succeed",
        ),
    ]);
}

#[test]
fn a_damaged_or_missing_object_is_named() {
    type Damage = fn(&Project);
    let rows: [(&str, Damage, &str); 4] = [
        (
            "gone",
            |p| fs::remove_file(p.object_of(b"alib")).expect("an object"),
            "is not in the store",
        ),
        ("other bytes", |p| rewrite(p, b"ALIB"), "object "),
        ("cut", |p| rewrite(p, b"al"), "object "),
        (
            "its record is garbage",
            |p| {
                let record = p.record_of(&p.key("t"));
                fs::write(record, "garbage").expect("a record");
            },
            "record",
        ),
    ];
    for (what, damage, words) in rows {
        let project = seeded();
        damage(&project);
        project.remove("out/t");
        let explained = project.explain("t");
        // Only reading tells that bytes are wrong where their number is right.
        let seen = if what == "other bytes" { "output_missing" } else { "store_damaged" };
        assert_eq!(explained["differences"][0]["reason"], seen, "{what}: {explained}");
        let run = project.json(["manifest.txt"]);
        let reasons = run.success().reasons("t");
        assert_eq!(reasons[0]["reason"], "store_damaged", "{what}: {reasons}");
        assert!(reasons[0]["what"].as_str().expect("words").contains(words), "{what}: {reasons}");
        assert_eq!(reasons.as_array().map(Vec::len), Some(1), "{what}: {reasons}");
        assert_eq!(project.read("out/t"), "alib", "{what}");
        project.assert_sound_objects();
        project.remove("out/t").json(["manifest.txt"]).executed_nothing();
        damage(&project);
        project.remove("out/t");
        let line = project.run(["manifest.txt"]).success().line_of("t");
        assert!(line.contains("cache damaged: "), "{what}: {line}");
    }
}

/// Gives the object of `out/t` other bytes.
fn rewrite(project: &Project, bytes: &[u8]) {
    let object = project.object_of(b"alib");
    fs::remove_file(&object).and_then(|()| fs::write(&object, bytes)).expect("an object");
}

#[test]
fn what_would_be_restored_is_not_said_to_run() {
    let project = seeded();
    project.remove("out/t");
    let explained = project.explain("t");
    assert_eq!((&explained["restored"], &explained["up_to_date"]), (&json!(true), &json!(false)));
    let reason = json!([{"reason": "output_missing", "path": "out/t"}]);
    assert_eq!(explained["differences"], reason);
    project.run(["explain", "manifest.txt", "t"]).stdout_has("t would be restored\n");
    project.run(["-n", "manifest.txt"]).stderr_has("t  would be restored\n");
    project.json(["manifest.txt"]).executed_nothing();
    assert_eq!(project.explain("t")["restored"], false);
}

#[test]
fn what_the_user_asked_for_is_named() {
    let project = seeded();
    let forced = project.json(["-f", "manifest.txt", "t"]);
    assert_eq!(forced.success().reasons("t"), json!([{"reason": "forced"}]));
    assert_eq!(forced.executed(), ["lib", "t"]);
    assert!(project.run(["-f", "manifest.txt"]).line_of("t").ends_with("s  forced"));
    let explained = project.json(["explain", "-f", "manifest.txt", "lib"]).success().out();
    let explained: Value = serde_json::from_str(&explained).expect("an explanation");
    assert_eq!(explained["differences"], json!([{"reason": "forced"}]));
    replace(&project, "deps = lib", "deps = lib\n  cache = off");
    assert_eq!(project.explain("t")["differences"], json!([{"reason": "cache_off"}]));
    for _ in 0..2 {
        let off = project.json(["manifest.txt"]);
        assert_eq!(off.success().reasons("t"), json!([{"reason": "cache_off"}]));
        assert_eq!(off.executed(), ["t"]);
    }
    assert!(project.run(["manifest.txt"]).line_of("t").ends_with("s  cache is off"));
}

#[test]
fn an_interrupted_run_is_named() {
    let project = Project::new();
    project.file("a", "a").manifest(
        "task t {\n  cmd = cp a out; while test ! -e go; do sleep 0.01; done\n  inputs = a\n  outputs = out\n}\n",
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut run = project.spawn(["manifest.txt"]);
        wait_until("the first half of the task", || project.exists("out"));
        run.signal(signal);
        run.wait();
        let reason = json!([{"reason": "last_run_failed"}]);
        assert_eq!(project.explain("t")["differences"], reason, "{signal}");
        project.file("go", "");
        let again = project.json(["manifest.txt"]);
        assert_eq!(again.success().reasons("t"), reason, "{signal}");
        project.json(["manifest.txt"]).executed_nothing();
        project.remove("go").remove("out").remove(".reprovm");
    }
}
