//! What is in a key and what is not, through the binary: what must give another key, what must
//! not, and the names that files may have.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use serde_json::json;

use crate::support::{Project, assert_same_tree, picture};

/// A chain of three tasks and one beside it.
const CHAIN: &str = "task first {\n  cmd = tr a-z A-Z < in > out/first\n  inputs = in\n  outputs = out/first\n}\n\
    task second {\n  cmd = cat out/first out/first > out/second\n  inputs = out/first\n  outputs = out/second\n  deps = first\n}\n\
    task third {\n  cmd = wc -c < out/second > out/third\n  inputs = out/second\n  outputs = out/third\n  deps = second\n}\n\
    task beside {\n  cmd = cp in out/beside\n  inputs = in\n  outputs = out/beside\n}\n";
const TASKS: [&str; 4] = ["beside", "first", "second", "third"];

fn chain() -> Project {
    let project = Project::new();
    project.file("in", "words").manifest(CHAIN);
    project
}

/// The key of each task of the chain, from `explain` after a run.
fn keys(project: &Project) -> BTreeMap<&'static str, String> {
    TASKS.into_iter().map(|task| (task, project.key(task))).collect()
}

// K1.
#[test]
fn a_variable_that_is_unset_empty_or_set_gives_three_keys_that_all_come_back() {
    let mut project = Project::new();
    project.manifest(
        "task t {\n  cmd = echo \"${V-unset}.\" > out\n  pass_env = V\n  outputs = out\n}\n",
    );
    let states: [(Option<&str>, &str); 3] =
        [(None, "unset.\n"), (Some(""), ".\n"), (Some("v"), "v.\n")];
    let mut known = BTreeSet::new();
    for round in 0..2 {
        // Unset comes first in each round, so that a variable need not be taken away again.
        let other = Project::new();
        other.manifest(&project.read("manifest.txt"));
        let cache = project.path(".reprovm");
        let fresh =
            other.json(["--cache-dir".as_ref(), cache.as_os_str(), OsStr::new("manifest.txt")]);
        assert_eq!(fresh.success().executed().is_empty(), round == 1, "{}", fresh.transcript());
        for (value, expected) in states.iter().skip(1) {
            project.env("V", value.unwrap_or_default());
            let run = project.json(["manifest.txt"]);
            assert_eq!(run.success().executed().is_empty(), round == 1, "{}", run.transcript());
            assert_eq!(project.read("out"), *expected);
            known.insert(project.key("t"));
        }
        assert_eq!(other.read("out"), states[0].1);
        known.insert(other.key("t"));
    }
    assert_eq!(known.len(), 3, "{known:?}");
}

#[test]
fn a_variable_that_the_manifest_sets_is_in_the_key_by_its_value() {
    let project = Project::new();
    let text = |line: &str| {
        format!("task t {{\n  cmd = echo \"${{V-unset}}.\" > out\n  {line}\n  outputs = out\n}}\n")
    };
    let mut known = BTreeSet::new();
    for (line, expected) in [
        ("", "unset."),
        ("env = V=\"\"", "."),
        ("env = V=x", "x."),
        ("env = V=x W=", "x."),
        ("pass_env = V", "unset."),
    ] {
        project.manifest(&text(line)).run(["manifest.txt"]).success();
        assert_eq!(project.read("out").trim_end(), expected, "{line}");
        assert!(known.insert(project.key("t")), "{line} has a key that was seen before");
    }
}

// K2 and K11: each of these is another task, and fields do not run into each other.
#[test]
fn each_field_of_a_task_that_matters_gives_a_key_of_its_own() {
    let project = Project::new();
    project.file("ab", "1").file("c", "2").file("a", "3").file("bc", "4").dir("sub");
    let variants = [
        "cmd = true ab",
        "cmd = true a b",
        "cmd = true\n  inputs = ab c",
        "cmd = true\n  inputs = a bc",
        "cmd = true\n  inputs = a bc ab",
        "cmd = true\n  cwd = sub",
        "cmd = true\n  shell = /bin/sh -e -c",
        "cmd = true\n  shell = /bin/sh -ec",
        "cmd = true\n  env = A=BC",
        "cmd = true\n  env = AB=C",
        "cmd = true\n  pass_env = A",
        "cmd = true\n  tools = true",
        "cmd = true\n  tools = sh",
        "cmd = touch x\n  outputs = x",
        "cmd = touch x\n  outputs = x sub",
        "cmd = true",
    ];
    let mut known = BTreeMap::new();
    for variant in variants {
        project.manifest(&format!("task t {{\n  {variant}\n}}\n"));
        if let Some(earlier) = known.insert(project.key("t"), variant) {
            panic!("`{variant}` has the key of `{earlier}`");
        }
    }
    // What does not matter: names, words for people, limits, and how a list is written.
    let plain = project.key("t");
    for line in ["description = x", "timeout = 1h", "retries = 3", "inputs =", "cache = off"] {
        project.manifest(&format!("task t {{\n  cmd = true\n  {line}\n}}\n"));
        assert_eq!(project.key("t"), plain, "{line}");
    }
    project.manifest("# words\r\ntask t {\r\n  cmd = true\r\n}\r\n");
    assert_eq!(project.key("t"), plain, "lines that end in CR LF");
}

#[test]
fn a_let_changes_the_tasks_that_use_it_and_no_other() {
    let project = Project::new();
    let text = |word: &str| {
        format!(
            "let word = {word}\ntask uses {{\n  cmd = echo {{{{word}}}} > a\n  outputs = a\n}}\ntask not {{\n  cmd = echo word > b\n  outputs = b\n}}\n"
        )
    };
    project.manifest(&text("one")).run(["manifest.txt"]).success();
    let run = project.manifest(&text("two")).json(["manifest.txt"]);
    assert_eq!(run.success().executed(), ["uses"]);
    assert_eq!(project.read("a"), "two\n");
}

// K3 and K4.
#[test]
fn a_key_is_the_same_whether_what_comes_before_was_executed_or_restored() {
    let project = chain();
    let cold = project.json(["manifest.txt"]);
    let executed: Vec<String> = TASKS.iter().map(|task| cold.success().key(task)).collect();
    project.remove("out");
    let warm = project.json(["manifest.txt"]);
    let restored: Vec<String> =
        TASKS.iter().map(|task| warm.executed_nothing().key(task)).collect();
    assert_eq!(executed, restored);
    assert_eq!(keys(&project).into_values().collect::<Vec<_>>(), executed);

    // A change of the first goes through in the same run, to the keys of a clean build.
    project.file("in", "other words").json(["manifest.txt"]).success();
    let clean = chain();
    clean.file("in", "other words").run(["manifest.txt"]).success();
    assert_eq!(keys(&project), keys(&clean));
    assert_same_tree(&project.tree(), &clean.tree());
    assert_ne!(keys(&project)["third"], executed[3]);
}

// K5.
#[test]
fn a_tool_that_is_missing_fails_the_task_and_leaves_no_record() {
    let project = Project::new();
    project
        .manifest("task t {\n  cmd = echo x > out\n  outputs = out\n  tools = no-such-tool\n}\n");
    let run = project.run(["manifest.txt"]);
    run.code(6).says("tool `no-such-tool` is not on the PATH").says("correct the task's `tools`");
    assert!(!project.exists("out"));
    assert_eq!(project.explain("t")["key"], json!(null));
    project.run(["explain", "manifest.txt", "t"]).says("has no key");
    let records = picture(&project.path(".reprovm/cache"));
    assert!(records.is_empty(), "{records:?}");
}

// K9.
#[test]
fn another_checkout_has_the_same_keys_and_another_tool_another_one() {
    let (one, two) = (chain(), chain());
    one.run(["manifest.txt"]).success();
    two.run(["manifest.txt"]).success();
    assert_ne!(one.root(), two.root());
    assert_eq!(keys(&one), keys(&two));

    let mut tooled = Project::new();
    let (first, second) = (tooled.outside().join("first"), tooled.outside().join("second"));
    for (folder, word) in [(&first, "1"), (&second, "2")] {
        let tool = folder.join("compile");
        tooled.file(&tool, format!("#!/bin/sh\necho {word} > out\n")).chmod(&tool, 0o755);
    }
    tooled.manifest("task t {\n  cmd = compile\n  tools = compile\n  outputs = out\n}\n");
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
    let mut known = BTreeSet::new();
    for (folder, word) in [(&first, "1\n"), (&second, "2\n"), (&first, "1\n")] {
        tooled.env("PATH", format!("{}:{path}", folder.display()));
        tooled.run(["manifest.txt"]).success();
        assert_eq!(tooled.read("out"), word);
        known.insert(tooled.key("t"));
    }
    assert_eq!(known.len(), 2);
    // The same tool at another place is the same tool.
    let moved = tooled.outside().join("moved");
    tooled.file(moved.join("compile"), tooled.bytes(first.join("compile")));
    tooled.chmod(moved.join("compile"), 0o755);
    tooled.env("PATH", format!("{}:{path}", moved.display()));
    assert!(known.contains(&tooled.key("t")));
}

// K10.
#[test]
fn keys_do_not_depend_on_how_many_tasks_run_at_a_time_or_which_ends_first() {
    let project = Project::new();
    let mut text = String::new();
    for task in 0..8 {
        text += &format!(
            "task t{task} {{\n  cmd = echo {task} > out/{task}\n  outputs = out/{task}\n}}\n"
        );
    }
    let parts: Vec<String> = (0..8).map(|task| format!("out/{task}")).collect();
    text += &format!(
        "task all {{\n  cmd = cat {0} > out/all\n  inputs = {0}\n  outputs = out/all\n  deps = t7 t0 t3\n}}\n",
        parts.join(" ")
    );
    project.manifest(&text);
    let mut known = BTreeSet::new();
    for round in 0..20 {
        let jobs = (round % 8 + 1).to_string();
        let run = project.json(["--force", "-j", &jobs, "manifest.txt"]);
        let keys: Vec<String> = (0..8).map(|task| run.success().key(&format!("t{task}"))).collect();
        known.insert((keys, run.key("all")));
    }
    assert_eq!(known.len(), 1);
}

// K12.
#[test]
fn variables_that_the_manifest_does_not_name_are_not_in_the_key() {
    let mut project = chain();
    project.run(["manifest.txt"]).success();
    let before = keys(&project);
    for (name, value) in [
        ("TERM", "xterm-256color"),
        ("COLUMNS", "40"),
        ("LINES", "10"),
        ("MAKEFLAGS", "-j8 --jobserver-auth=3,4"),
        ("CARGO_MAKEFLAGS", "-j"),
        ("CI", "true"),
        ("BUILD_NUMBER", "17"),
        ("LC_ALL", "C.UTF-8"),
        ("LANG", "de_DE.UTF-8"),
        ("TZ", "Asia/Tokyo"),
        ("HOME", "/"),
        ("USER", "somebody"),
        ("TMPDIR", "/var/tmp"),
        ("FORCE_COLOR", "1"),
        ("EMPTY", ""),
    ] {
        project.env(name, value).json(["manifest.txt"]).executed_nothing();
        assert_eq!(keys(&project), before, "{name}");
    }
}

#[test]
fn times_modes_orders_and_places_change_no_key() {
    let made = |order: &[&str], mode: u32| {
        let project = Project::new();
        project.manifest(
            "task t {\n  cmd = cat tree/* > out\n  inputs = tree *.txt\n  outputs = out\n}\n",
        );
        for name in order {
            project.file(format!("tree/{name}"), name).file(format!("{name}.txt"), name);
            project.chmod(format!("tree/{name}"), mode).chmod(format!("{name}.txt"), mode);
        }
        project
    };
    let project = made(&["a", "b", "c", "d"], 0o644);
    project.run(["manifest.txt"]).success();
    let key = project.key("t");
    for file in ["tree/a", "b.txt", "tree", "out"] {
        project.touch(file).json(["manifest.txt"]).executed_nothing();
        assert_eq!(project.key("t"), key, "touched {file}");
    }
    for mode in [0o600, 0o664, 0o444] {
        project.chmod("tree/a", mode).json(["manifest.txt"]).executed_nothing();
        assert_eq!(project.key("t"), key, "{mode:o}");
    }
    for (order, mode) in [(["d", "b", "a", "c"], 0o600), (["c", "d", "b", "a"], 0o664)] {
        let other = made(&order, mode);
        other.run(["manifest.txt"]).success();
        assert_eq!(other.key("t"), key, "{order:?}");
    }
    for mask in ["077", "002", "000"] {
        let other = made(&["a", "b", "c", "d"], 0o644);
        let plain = other.command(["manifest.txt"]);
        let mut masked = Command::new("/bin/sh");
        masked.args(["-c", &format!("umask {mask}; exec \"$0\" manifest.txt")]);
        masked.arg(plain.get_program()).current_dir(other.root());
        assert!(masked.output().expect("a shell").status.success());
        assert_eq!(other.key("t"), key, "umask {mask}");
    }
}

// K13.
#[test]
fn a_task_that_changes_its_own_input_is_told_of_and_not_saved() {
    let project = Project::new();
    project.file("a", "1\n");
    project
        .manifest("task t {\n  cmd = cp a out; echo more >> a\n  inputs = a\n  outputs = out\n}\n");
    for _ in 0..2 {
        let run = project.json(["manifest.txt"]);
        assert_eq!(run.success().executed(), ["t"]);
        let told = run.events_of("task_not_saved");
        assert_eq!(told.len(), 1, "{}", run.transcript());
        assert_eq!(told[0]["changes"], json!([{"change": "changed", "path": "a"}]));
    }
    let run = project.run(["manifest.txt"]);
    run.success().says("`a` changed while it ran").says("an input changed while it last ran");
    assert!(picture(&project.path(".reprovm/cache")).is_empty());
}

#[test]
fn a_pattern_that_matches_what_the_task_makes_is_told_of_and_not_saved() {
    let project = Project::new();
    project.file("a.c", "a\n");
    project.manifest(
        "task t {\n  cmd = echo made > made.c; cat *.c > out\n  inputs = *.c\n  outputs = out\n}\n",
    );
    let run = project.json(["manifest.txt"]);
    let told = run.success().events_of("task_not_saved");
    assert_eq!(told[0]["changes"], json!([{"change": "added", "path": "made.c"}]));
    assert!(picture(&project.path(".reprovm/cache")).is_empty());
    project
        .remove("made.c")
        .run(["manifest.txt"])
        .success()
        .says("`made.c` was added while it ran");
}

#[test]
fn a_pattern_that_matches_the_tasks_own_output_is_a_mistake() {
    let project = Project::new();
    project.file("a.txt", "a").manifest(
        "task t {\n  cmd = cat *.txt > all.txt\n  inputs = *.txt\n  outputs = all.txt\n}\n",
    );
    let run = project.run(["manifest.txt"]);
    run.code(5).says("task `t` reads its own output `all.txt`").says("`!all.txt`");
    assert!(!project.exists("all.txt"));
}

// K14.
#[test]
fn an_input_that_git_ignores_is_an_input_and_line_ends_are_bytes() {
    let project = Project::new();
    project
        .dir(".git")
        .file(".gitignore", "secret\nsub/\n")
        .file("secret", "1")
        .file("sub/.gitignore", "*\n");
    project.file("sub/x", "1").file("text", "a\nb\n");
    project.manifest("task t {\n  cmd = cat secret sub/x text > out\n  inputs = secret sub text\n  outputs = out\n}\n");
    project.run(["manifest.txt"]).success();
    for (path, content) in [("secret", "2"), ("sub/x", "2"), ("text", "a\r\nb\r\n")] {
        let run = project.file(path, content).json(["manifest.txt"]);
        assert_eq!(run.success().reasons("t"), json!([{"reason": "input_changed", "path": path}]));
    }
    assert_eq!(project.bytes("out"), b"22a\r\nb\r\n");
    let run = project.remove(".gitignore").json(["manifest.txt"]);
    run.executed_nothing();
}

/// Names that have broken other tools, and how a person sees them.
const NAMES: [(&[u8], &str); 18] = [
    (b"a b", "a b"),
    (b" lead and trail ", " lead and trail "),
    (b"quote\"'`", "quote\"'`"),
    (b"back\\slash", "back\\slash"),
    (b"new\nline", "new\\nline"),
    (b"tab\tbell\x07", "tab\\tbell\\u{7}"),
    (b"\x1b[31mred", "\\u{1b}[31mred"),
    (b"not-utf8-\xff\xfe", "not-utf8-\\xff\\xfe"),
    ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
    ("cafe\u{301}".as_bytes(), "cafe\u{301}"),
    (b"-n", "-n"),
    (b"--", "--"),
    (b"$HOME", "$HOME"),
    (b"[a]{b,c}*?", "[a]{b,c}*?"),
    (b"; echo x", "; echo x"),
    (b"#{{x}}", "#{{x}}"),
    ("\u{1f980}".as_bytes(), "\u{1f980}"),
    (b"...", "..."),
];

// K7.
#[test]
fn files_of_every_name_are_hashed_stored_restored_and_shown() {
    let project = Project::new();
    project.manifest(
        "task t {\n  cmd = mkdir out && cp -R in/. out/\n  inputs = in\n  outputs = out\n}\n",
    );
    let path = |folder: &str, name: &[u8]| project.path(folder).join(OsStr::from_bytes(name));
    for (name, _) in NAMES {
        project.file(path("in", name), name);
    }
    let long = "n".repeat(255);
    project.file(path("in", long.as_bytes()), "long").run(["manifest.txt"]).success();
    let before = project.tree();
    assert_eq!(before.len(), 2 * (NAMES.len() + 1) + 3, "the command made all of them");
    project.remove("out").json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&project.tree(), &before);
    project.assert_sound_objects();
    for (name, shown) in NAMES {
        project.file(path("in", name), "changed");
        let reason = json!([{"reason": "input_changed", "path": format!("in/{shown}")}]);
        assert_eq!(project.explain("t")["differences"], reason);
        let run = project.run(["manifest.txt"]);
        assert!(run.success().line_of("t").ends_with(&format!("`in/{shown}` changed")), "{shown}");
        project.file(path("in", name), name);
        project.json(["manifest.txt"]).executed_nothing();
    }
    assert_same_tree(&project.tree(), &before);
}

#[test]
fn names_in_quotes_can_be_inputs_and_outputs_of_any_bytes() {
    let project = Project::new();
    let names = [
        (r"a b", r"a b"),
        (r#"q\""#, "q\""),
        (r"b\\s", "b\\s"),
        (r"n\nl", "n\nl"),
        ("-n", "-n"),
        ("$HOME", "$HOME"),
        ("[x]*", "[x]*"),
        ("!no", "!no"),
        ("caf\u{e9}", "caf\u{e9}"),
        ("\u{1f980}", "\u{1f980}"),
    ];
    let list = |prefix: &str| {
        let quoted: Vec<String> =
            names.iter().map(|(text, _)| format!("\"{prefix}{text}\"")).collect();
        quoted.join(" ")
    };
    project.manifest(&format!(
        "task t {{\n  cmd = cd in && for f in ./*; do cp \"$f\" \"../out/$f\"; done; cd .. && printf x > \"$(printf 'odd\\377')\"\n  inputs = {}\n  outputs = {} \"odd\\xff\"\n}}\n",
        list("in/"), list("out/")
    ));
    for (_, name) in names {
        project.file(format!("in/{name}"), name);
    }
    project.run(["manifest.txt"]).success();
    let before = project.tree();
    let odd = OsStr::from_bytes(b"odd\xff");
    project.remove("out").remove(odd).json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&project.tree(), &before);
    for (_, name) in names {
        assert_eq!(project.read(format!("out/{name}")), name);
    }
}
