//! Mistakes in a manifest and in how the program is called: each is found before anything runs,
//! points at its place, and says what to do. And whatever is no manifest is answered in bounded
//! memory.

use std::fmt::Write as _;

use crate::support::Project;

/// A task that would leave a trace, then the text. The lines of the text begin at 4.
#[track_caller]
fn refused(text: &str, code: i32, words: &[&str]) {
    let project = Project::new();
    project.file("in", "x").manifest(&format!("task early {{\n  cmd = touch early\n}}\n{text}"));
    let run = project.run(["manifest.txt"]);
    run.code(code);
    for part in words {
        run.stderr_has(part);
    }
    assert!(!project.exists("early"), "something ran\n{}", run.transcript());
    // Nor does it matter whether the mistake is needed.
    if code != 2 {
        project.run(["manifest.txt", "early"]).code(code);
        assert!(!project.exists("early"));
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_each_with_its_line_and_a_mark() {
    let project = Project::new();
    project.manifest(
        "task early {\n  cmd = touch early\n}\ntask libary {\n  output = out\n}\n\
         task a {\n  deps = library\n  timeout = soon\n}\n",
    );
    project.run(["manifest.txt"]).code(5).stdout("").stderr(
        "\
error: unknown field `output`
 --> manifest.txt:5:3
  |
5 |   output = out
  |   ^^^^^^
  help: did you mean `outputs`?

error: there is no task `library`
 --> manifest.txt:8:10
  |
8 |   deps = library
  |          ^^^^^^^ not known
  help: did you mean `libary`?

error: `soon` is no time limit
 --> manifest.txt:9:13
  |
9 |   timeout = soon
  |             ^^^^ expected `30`, `500ms`, `30s`, `5m` or `1h`
",
    );
    assert!(!project.exists("early"));
}

#[test]
fn a_mistake_in_an_included_file_is_told_with_the_place_there() {
    let project = Project::new();
    project.file("parts/more.txt", "task b {\n  cmb = x\n}\n");
    project.manifest("include parts/more.txt\ntask a {\n  deps = none\n}\n");
    let run = project.run(["manifest.txt"]);
    run.code(5).stderr_has(" --> parts/more.txt:2:3\n").stderr_has(" --> manifest.txt:3:10\n");
    run.stderr_has("did you mean `cmd`?");
}

#[test]
fn a_cycle_is_named_as_a_chain_whether_its_edges_are_declared_or_follow_from_files() {
    let chain = "in a cycle: a -> b -> a\n";
    refused(
        "task a {\n  cmd = touch a\n  deps = b\n}\ntask b {\n  deps = a\n}\n",
        7,
        &[chain, "manifest.txt:6:10\n", "`a` depends on `b`"],
    );
    refused(
        "task a {\n  cmd = cp y x\n  inputs = y\n  outputs = x\n}\n\
         task b {\n  cmd = cp x y\n  inputs = x\n  outputs = y\n}\n",
        7,
        &[chain, "`a` reads what `b` makes", "`b` reads what `a` makes"],
    );
    refused(
        "task a {\n  cmd = cp d/y x\n  inputs = d/y\n  outputs = x\n}\n\
         task b {\n  cmd = mkdir d && cp x d/y\n  inputs = x\n  outputs = d\n}\n",
        7,
        &[chain],
    );
    let mut long = String::new();
    for number in 0..400 {
        let next = (number + 1) % 400;
        let _ = writeln!(long, "task t{number} {{\n  deps = t{next}\n}}");
    }
    refused(&long, 7, &["in a cycle: t0 -> t1 -> "]);
}

#[test]
fn what_cannot_hold_between_tasks_is_found_before_anything_runs() {
    let makes = |name: &str, outputs: &str| {
        format!("task {name} {{\n  cmd = true\n  outputs = {outputs}\n}}\n")
    };
    let both = |one: &str, two: &str| makes("a", one) + &makes("b", two);
    refused("task early {\n}\n", 5, &["there are two tasks `early`", "the second", "the first"]);
    refused("task a {\n  deps = erly\n}\n", 5, &["no task `erly`", "did you mean `early`?"]);
    refused("task a {\n  deps = a\n}\n", 5, &["task `a` depends on itself"]);
    refused(&both("x", "x"), 5, &["`a`", "`b`", "`x`"]);
    refused(&both("x/y", "x"), 5, &["`a`", "`b`", "`x/y`"]);
    refused(&makes("a", "../x"), 5, &["manifest.txt:6:13\n", "`../x` cannot be an output"]);
    let own = "task a {\n  cmd = true\n  inputs = x\n  outputs = x\n}\n";
    refused(own, 5, &["task `a` reads its own output `x`"]);
    let own = "task a {\n  cmd = true\n  inputs = d\n  outputs = d/x\n}\n";
    refused(own, 5, &["task `a` reads its own output `d/x`"]);
}

#[test]
fn an_input_that_neither_exists_nor_is_made_is_named_with_its_task() {
    let copy = "task copy {\n  cmd = cp in lib/one out\n  inputs = in lib/one lib/two\n  outputs = out\n}\n";
    refused(
        copy,
        2,
        &[
            "input `lib/one` of task `copy` is missing\n --> manifest.txt:6:15\n",
            "input `lib/two` of task `copy` is missing\n",
            "declare it in the outputs of the task that makes it",
        ],
    );
    // Where another task makes it, it need not be there.
    let project = Project::new();
    project.manifest(
        "task copy {\n  cmd = cp lib/one out\n  inputs = lib/one\n  outputs = out\n}\n\
         task make {\n  cmd = mkdir lib && echo 1 > lib/one\n  outputs = lib\n}\n",
    );
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["copy", "make"]);
    // A target that does not need it is built.
    project.manifest(&format!("task fine {{\n  cmd = touch fine\n}}\n{copy}"));
    project.run(["manifest.txt", "fine"]).success();
    assert!(project.exists("fine"));
}

#[test]
fn a_call_that_names_a_task_or_nothing_that_is_there_is_told_how_to_call() {
    let project = Project::new();
    project.run([""; 0]).code(2).stderr_has("no manifest at `manifest.txt`");
    project.manifest("task compile {\n  cmd = touch done\n}\n");
    for (args, words) in [
        (
            &["compile"][..],
            "`compile` is a task of `manifest.txt`; to run it: reprovm manifest.txt compile",
        ),
        (
            &["compil"],
            "`manifest.txt` has a task `compile`; to run it: reprovm manifest.txt compile",
        ),
        (&["manifst.txt"], "there is a file `manifest.txt`"),
        (&["-C", "nowhere"], "nowhere"),
    ] {
        let run = project.run(args);
        run.stderr_has(words);
        assert!(run.code != Some(0) && !project.exists("done"), "{}", run.transcript());
    }
    let unknown = project.run(["manifest.txt", "compile", "comiple"]);
    unknown.stderr_has("there is no task `comiple`").stderr_has("there is a task `compile`");
    assert!(unknown.code != Some(0) && !project.exists("done"), "{}", unknown.transcript());
    // Without an argument it is the project's manifest, and `-C` says which project.
    project.run([""; 0]).success();
    project.remove("done").dir("sub");
    project.file("sub/other.txt", "task t {\n  cmd = touch here\n}\n");
    project.run(["-C", "sub", "other.txt"]).success();
    assert!(project.exists("sub/here"), "paths are relative to the project");
    project.run(["sub/other.txt"]).success();
    assert!(project.exists("here"), "and not to the manifest");
}

#[test]
fn whatever_is_no_manifest_is_answered_in_bounded_memory() {
    let size = 2 << 20;
    let of = |part: &str, size: usize| part.repeat(size / part.len());
    let mut tasks = String::new();
    for number in 0.. {
        let _ = writeln!(tasks, "task t{number:x} {{}}");
        if tasks.len() > size {
            break;
        }
    }
    let cases = [
        ("m.txt", of("a=\n", 50 << 20)),
        ("m.toml", of("[a]\n", 50 << 20)),
        ("m.txt", of("let a={{b}}\n", size)),
        ("m.txt", of("include x\n", size)),
        ("m.txt", format!("task a {{\ninputs = {}\n}}", of("a,", 2 * size))),
        ("m.txt", format!("task a {{\ninputs = {}\n}}", of("{", size))),
        ("m.txt", format!("{tasks}x")),
        ("m.txt", of("\u{0}", size)),
        ("m.toml", format!("a = {}", of("[", size))),
        ("m.toml", format!("a = {}", of("{a=", size))),
        ("m.toml", format!("a{} = 1", of(".a", size))),
        ("m.toml", format!("[task.a]\ninputs = [{}]", of("\"a\",", 2 * size))),
    ];
    let project = Project::new();
    for (name, text) in cases {
        let run = project.file(name, &text).run([name]);
        run.code(5).stderr_has("error: ").within_memory(256);
    }
    // Bytes that mean nothing, the same each time.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(1 << 20)
    .collect();
    for name in ["m.txt", "m.toml"] {
        project
            .file(name, &noise)
            .run([name])
            .code(5)
            .stderr_has("is not a text")
            .within_memory(256);
    }
}
