//! The manifest from text to tasks, as a user meets it: what is read, and what is said of mistakes.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::{Input, LoadError, Manifest, Task, load, parse, parse_files};
use crate::base::Diagnostic;

fn good(text: &str) -> Manifest {
    good_in("manifest.txt", text)
}

fn good_in(name: &str, text: &str) -> Manifest {
    parse(Path::new(name), text.as_bytes()).unwrap_or_else(|all| panic!("{}", shown(&all)))
}

fn bad(text: &str) -> String {
    bad_in("manifest.txt", text)
}

fn bad_in(name: &str, text: &str) -> String {
    shown(&parse(Path::new(name), text.as_bytes()).expect_err("a mistake"))
}

/// One line for each mistake: place, message, the marked text and the label; then each related
/// place and each help on a line of its own.
fn shown(all: &[Diagnostic]) -> String {
    let mut out = String::new();
    for mistake in all {
        if let Some(place) = &mistake.place {
            let marked = &place.text[place.start..place.end];
            write!(out, "{}:{}: ", place.line, place.column).expect("a string");
            writeln!(out, "{} [{marked}] {}", mistake.message, mistake.label).expect("a string");
        } else {
            writeln!(out, "{}", mistake.message).expect("a string");
        }
        for (place, label) in &mistake.related {
            writeln!(out, "  {}:{}: {label}", place.line, place.column).expect("a string");
        }
        for help in &mistake.help {
            writeln!(out, "  help: {help}").expect("a string");
        }
    }
    out
}

fn inputs(task: &Task) -> Vec<String> {
    task.inputs
        .iter()
        .map(|input| match &input.value {
            Input::Path(path) => path.to_string(),
            Input::Glob(glob) => format!("glob {glob}"),
            Input::Exclude(glob) => format!("not {glob}"),
        })
        .collect()
}

fn outputs(task: &Task) -> Vec<String> {
    task.outputs.iter().map(|output| output.value.to_string()).collect()
}

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.tasks.iter().map(|task| task.name.as_str()).collect()
}

#[test]
fn the_documented_form_is_read_as_it_is() {
    let manifest = good(
        "# comment\ntask build {\n  cmd = gcc -o hello hello.c  \n  inputs = hello.c\n  outputs = hello\n  deps =\n}\n",
    );
    let [task] = &manifest.tasks[..] else { panic!("one task") };
    assert_eq!(task.name.as_str(), "build");
    assert_eq!(task.command.as_deref(), Some("gcc -o hello hello.c"));
    assert_eq!(inputs(task), ["hello.c"]);
    assert_eq!(outputs(task), ["hello"]);
    assert!(task.deps.is_empty() && task.cache && !task.inherit_env);
    assert!(task.env.is_empty() && task.pool.is_none() && task.timeout.is_none());
}

#[test]
fn a_command_is_verbatim_after_its_first_equals_sign() {
    let command = |text: &str| good(text).tasks[0].command.clone();
    assert_eq!(
        command("task a {\ncmd=A=1 sh -c 'x == y' # no comment, \"quotes\" }\n}").as_deref(),
        Some("A=1 sh -c 'x == y' # no comment, \"quotes\" }")
    );
    assert_eq!(command("task a {\n  cmd =   \n}"), None);
    assert_eq!(command("task a {\n}"), None);
    assert_eq!(command("task a { cmd = echo ${HOME} }").as_deref(), Some("echo ${HOME}"));
    assert_eq!(command("task a {}"), None);
}

#[test]
fn windows_line_ends_a_byte_order_mark_and_a_missing_last_line_end_are_accepted() {
    let manifest = good("\u{feff}task a\r\n{\r\n\tcmd = echo\r\n\tdeps = b\r\n}\r\ntask b {}");
    assert_eq!(names(&manifest), ["a", "b"]);
    assert_eq!(manifest.tasks[0].command.as_deref(), Some("echo"));
    assert_eq!(manifest.place(manifest.tasks[0].span).column, 6);
    let manifest = good_in("m.toml", "\u{feff}[task.a]\r\ncmd = \"echo\"");
    let place = manifest.place(manifest.tasks[0].span);
    assert_eq!(&place.text[place.start..place.end], "a");
}

#[test]
fn lists_take_commas_blanks_quotes_patterns_and_exclusions() {
    let manifest = good(
        "task a {\n inputs = b.c,c.c d.c \"my file.c\" src/**/*.c !src/gen \"x[1].c\" !\"y[1]\" ./e//f/ b.c *.{c,h}\n}",
    );
    assert_eq!(
        inputs(&manifest.tasks[0]),
        [
            "b.c",
            "c.c",
            "d.c",
            "my file.c",
            "glob src/**/*.c",
            "not src/gen",
            "x[1].c",
            "not y[[]1[]]",
            "e/f",
            "glob *.{c,h}"
        ]
    );
}

#[test]
fn a_path_of_any_bytes_can_be_written() {
    let manifest = good("task a {\n inputs = \"caf\\xe9\\n\"\n}");
    let Input::Path(path) = &manifest.tasks[0].inputs[0].value else { panic!("a path") };
    assert_eq!(path.as_bytes(), b"caf\xe9\n");
}

#[test]
fn a_fence_holds_several_lines_of_any_field() {
    let manifest = good(
        "task a {\n  cmd = ```\n    for i in 1 2; do\n      echo $i }\n    done\n  ```\n  inputs = ````\n   a.c\n   b.c, c.c\n ````\n}\n",
    );
    let task = &manifest.tasks[0];
    assert_eq!(task.command.as_deref(), Some("for i in 1 2; do\n  echo $i }\ndone"));
    assert_eq!(inputs(task), ["a.c", "b.c", "c.c"]);
    let place = manifest.place(task.inputs[2].span);
    assert_eq!((place.line, &place.text[place.start..place.end]), (9, "c.c"));
}

#[test]
fn lets_hold_everywhere_and_use_those_above() {
    let manifest = good(
        "task a {\n cmd = {{cc}} {{flags}} '{{.State}}'\n inputs = {{sources}}\n}\nlet cc = gcc\nlet flags = -O2 -D{{cc}}\nlet sources = a.c b.c\n",
    );
    let task = &manifest.tasks[0];
    assert_eq!(task.command.as_deref(), Some("gcc -O2 -Dgcc '{{.State}}'"));
    assert_eq!(inputs(task), ["a.c", "b.c"]);
    let place = manifest.place(task.inputs[0].span);
    assert_eq!(&place.text[place.start..place.end], "{{sources}}");
    assert_eq!(
        bad("let a = {{b}}\nlet b = x\nlet b = y\ntask t {\n cmd = {{aa}} {{zzzz}}\n}"),
        "1:9: `{{b}}` is not declared [{{b}}] \n  help: declare it: `let b = ...`\n\
         3:5: `b` is declared twice [b] declared again\n  2:5: first declared here\n\
         5:8: `{{aa}}` is not declared [{{aa}}] \n  help: did you mean `a`?\n\
         5:15: `{{zzzz}}` is not declared [{{zzzz}}] \n  help: declare it: `let zzzz = ...`\n  \
         help: declared are `a`, `b`\n"
    );
}

const ALL_FIELDS: &str = "
defaults {
  env = LANG=C MODE=debug
  timeout = 5m
  retries = 1
  tools = cc
  shell = bash -euc
}
pool link { depth = 2 }
task a {
  description = Builds it, all of it
  cmd = make
  inputs = x
  outputs = y
  deps = b
  cwd = sub dir
  env = MODE=release B=\"two words\"
  pass_env = CC, CFLAGS
  inherit_env = on
  tools = ld
  timeout = 500ms
  retries =
  pool = link
  cache = off
  shell =
}
task b {
}
";

const ALL_FIELDS_TOML: &str = r#"
[defaults]
env = { LANG = "C", MODE = "debug" }
timeout = "5m"
retries = 1
tools = ["cc"]
shell = ["bash", "-euc"]
[pool.link]
depth = 2
[task.a]
description = "Builds it, all of it"
cmd = "make"
inputs = ["x"]
outputs = ["y"]
deps = ["b"]
cwd = "sub dir"
pass_env = ["CC", "CFLAGS"]
inherit_env = true
tools = ["ld"]
timeout = "500ms"
retries = 0
pool = "link"
cache = false
shell = []
[task.a.env]
MODE = "release"
B = "two words"
[task.b]
"#;

#[test]
fn every_field_is_read_and_defaults_fill_the_gaps_in_both_languages() {
    for (name, text) in [("m.txt", ALL_FIELDS), ("m.toml", ALL_FIELDS_TOML)] {
        let manifest = good_in(name, text);
        let [a, b] = &manifest.tasks[..] else { panic!("two tasks") };
        let env: Vec<String> =
            a.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["B=two words", "LANG=C", "MODE=release"]);
        assert_eq!(a.description, "Builds it, all of it");
        assert_eq!(a.command.as_deref(), Some("make"));
        assert_eq!((inputs(a), outputs(a)), (vec!["x".to_owned()], vec!["y".to_owned()]));
        assert_eq!(a.deps[0].value.as_str(), "b");
        assert_eq!(a.cwd.to_string(), "sub dir");
        assert!(a.pass_env.iter().eq(["CC", "CFLAGS"]));
        assert!(a.inherit_env && !a.cache);
        let tools: Vec<&str> = a.tools.iter().map(|tool| tool.value.as_str()).collect();
        assert_eq!(tools, ["ld", "cc"]);
        assert_eq!(a.timeout, Some(Duration::from_millis(500)));
        assert_eq!(a.retries.unwrap_or(0), 0);
        assert_eq!((a.pool, manifest.pools[0].depth), (Some(0), 2));
        assert_eq!(a.shell, None);
        assert_eq!(b.timeout, Some(Duration::from_secs(300)));
        assert_eq!((b.retries, b.cache, b.inherit_env), (Some(1), true, false));
        assert_eq!(b.shell.as_deref(), Some(&["bash".to_owned(), "-euc".to_owned()][..]));
        assert!(b.cwd.is_root());
    }
}

#[test]
fn a_variable_is_set_or_passed_and_the_task_decides() {
    let manifest =
        good("defaults {\n env = A=1\n pass_env = B\n}\ntask t {\n pass_env = A\n env = B=2\n}");
    let task = &manifest.tasks[0];
    assert!(task.pass_env.iter().eq(["A"]));
    assert!(task.env.keys().eq(["B"]));
}

#[test]
fn included_files_are_read_once_relative_to_the_file_that_names_them() {
    let files: [(&Path, &[u8]); 4] = [
        (Path::new("manifest.txt"), b"include sub/one.txt\ninclude \"two.toml\"\ndefaults {\n retries = 3\n}\ntask main {\n deps = one two\n}"),
        (Path::new("sub/one.txt"), b"include three.txt\ntask one {}\ndefaults { timeout = 1 }"),
        (Path::new("two.toml"), b"include = [\"sub/three.txt\"]\n[task.two]\n"),
        (Path::new("sub/three.txt"), b"task three { retries = 1 }"),
    ];
    let manifest = parse_files(&files).unwrap_or_else(|all| panic!("{}", shown(&all)));
    assert_eq!(names(&manifest), ["three", "one", "two", "main"]);
    let retries: Vec<_> = manifest.tasks.iter().map(|task| task.retries).collect();
    assert_eq!(retries, [Some(1), Some(3), Some(3), Some(3)]);
    let limited: Vec<_> = manifest.tasks.iter().map(|task| task.timeout.is_some()).collect();
    assert_eq!(limited, [true, true, false, false]);
    let sources: Vec<_> = manifest.sources.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(sources, ["manifest.txt", "sub/one.txt", "sub/three.txt", "two.toml"]);
}

#[test]
fn files_that_include_each_other_are_named_as_a_chain() {
    let files: [(&Path, &[u8]); 3] = [
        (Path::new("a.txt"), b"include b.txt"),
        (Path::new("b.txt"), b"\ninclude c.txt\ninclude missing.txt"),
        (Path::new("c.txt"), b"include b.txt"),
    ];
    let all = parse_files(&files).expect_err("a cycle");
    assert_eq!(
        shown(&all),
        "3:9: cannot read `missing.txt` [missing.txt] entity not found\n  \
         help: a path in `include` is relative to the file that it stands in\n\
         1:9: files include each other: b.txt -> c.txt -> b.txt [b.txt] includes a file that is being read\n  \
         help: take one of these lines out\n"
    );
    assert_eq!(all[1].place.as_ref().expect("a place").file, "c.txt");
}

#[test]
fn all_mistakes_of_the_text_are_reported_at_once() {
    assert_eq!(
        bad(
            "tsak a {\n x = 1\n}\ntask b {\n comand = x\n timeout = soon\n}\nlet 1x = y\ncmd = x\n}\npool p {}\ntask c d {\n}\nlet q\ninclude"
        ),
        "1:1: unknown statement `tsak` [tsak] expected `task`, `pool`, `defaults`, `let` or `include`\n  \
         help: did you mean `task`?\n\
         5:2: unknown field `comand` [comand] \n  help: did you mean `cmd`?\n\
         6:12: `soon` is no time limit [soon] expected `30`, `500ms`, `30s`, `5m` or `1h`\n\
         8:5: `1x` cannot be a name for `let` [1x] expected a name\n  \
         help: a name is a letter or `_`, then letters, digits, `_` and `-`\n\
         9:1: `cmd` stands outside of a block [cmd] a field without its task\n  \
         help: fields stand between `task name {` and `}`\n\
         10:1: a `}` without a block [}] closes nothing\n  \
         help: take it out; a block is opened as in `task name {`\n\
         11:6: pool `p` has no depth [p] expected a `depth`\n  \
         help: write `depth = N`: how many of its tasks may run at a time\n\
         12:6: ` ` cannot be part of a task's name; letters, digits, `_`, `-` and `.` can [c d] expected a name\n\
         14:5: `let` has no value [q] expected `=`\n  help: write `let name = value`\n\
         15:1: `include` needs a path [include] expected a path\n  help: write `include other.txt`\n"
    );
}

#[test]
fn an_open_block_is_named_and_the_next_is_read() {
    assert_eq!(
        bad("task a {\n  cmd = x }\ntask b {\n  deps = zzz\n}\ntask c {\n"),
        "1:6: task `a` is not closed [a] opened here\n  2:11: this `}` is part of the value before it\n  \
         help: put a `}` on a line of its own after its last field\n\
         4:10: there is no task `zzz` [zzz] not known\n\
         6:6: task `c` is not closed [c] opened here\n  \
         help: put a `}` on a line of its own after its last field\n"
    );
    assert_eq!(
        bad("task a\n  cmd = x\n} y\ntask {\n}"),
        "1:7: `task` is not followed by a block [] expected `{`\n\
         3:3: text after `}` [y] expected the end of the line\n  help: a `}` stands on a line of its own\n\
         4:1: a task needs a name [task] expected a name\n"
    );
}

#[test]
fn a_continued_command_is_one_mistake_that_names_the_fence() {
    let text = bad("task a {\n  cmd = cc -o x \\\n    -DX=1 a.c \\\n    Y=2\n  inputs = a.c\n}\n");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("3:5: this line is no field [-DX=1 a.c \\] expected"), "{text}");
    assert!(text.contains("several lines write `cmd = ```"), "{text}");
}

#[test]
fn a_fence_that_is_not_closed_ends_at_the_block() {
    assert_eq!(
        bad(
            "task a {\n cmd = ```\n x\n}\ntask b {\n cmd = ```\n y }\n ```\n description = ``` sh\n z\n ```\n deps = q\n}"
        ),
        "2:8: the fence is not closed [```] opened here\n  \
         help: put as many backquotes on a line of its own; around a fence, use more of them\n\
         9:16: text on the line of an opening fence [``` sh] expected the end of the line after the backquotes\n\
         12:9: there is no task `q` [q] not known\n"
    );
}

#[test]
fn a_field_stands_once_and_where_it_belongs() {
    let text = bad(
        "task a {\n cmd = x\n cmd = y\n depth = 1\n}\ndefaults {\n inputs = x\n}\ndefaults {\n}",
    );
    assert!(
        text.contains("3:2: `cmd` is given twice [cmd] given again\n  2:2: first given here\n"),
        "{text}"
    );
    assert!(text.contains("4:2: `depth` cannot stand in `task` [depth] not here\n"), "{text}");
    assert!(text.contains("7:2: `inputs` cannot stand in `defaults`"), "{text}");
    assert!(
        text.contains("9:1: a file can have one `defaults` [defaults] given again\n  6:1: first"),
        "{text}"
    );
}

#[test]
fn values_are_checked_where_they_stand() {
    let text = bad(
        "pool p { depth = 0 }\npool link { depth = 1 }\ntask a {\n retries = 101\n cache = maybe\n pool = lnik\n tools = /bin/cc\n env = A=1 B A=2\n pass_env = C=1\n deps = a b/c\n inputs = \"open\n cwd = ../x\n}",
    );
    for expected in [
        "1:18: `0` is out of place [0] expected a number from 1 on\n",
        "4:12: `101` is out of place [101] expected a number from 0 to 100\n",
        "5:10: `maybe` is neither `on` nor `off` [maybe] expected `on` or `off`\n",
        "6:9: there is no pool `lnik` [lnik] \n  help: did you mean `link`?\n",
        "7:10: `/bin/cc` is no name of a program",
        "8:12: `B` sets no variable [B] expected `NAME=value`\n",
        "8:14: `A` is set twice [A=2] set again\n",
        "9:13: `pass_env` names variables and gives no values",
        "10:9: task `a` depends on itself [a]",
        "10:11: `/` cannot be part of a task's name",
        "11:11: a quote is not closed [\"open] here\n",
        "12:8: `../x` cannot be the folder of a command: the path leaves the project [../x]",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn paths_stay_in_the_project_and_out_of_our_folder() {
    let text = bad(
        "task a {\n cmd = x\n inputs = /etc/passwd ../x a/../b .reprovm/cas src/[a\n outputs = . .git/x .reprovm/y sub/.git ../z *.o \"*.p\" manifest.txt\n}",
    );
    for expected in [
        "3:11: `/etc/passwd` cannot be an input: the path is absolute; paths are relative to the project [/etc/passwd] not in the project\n",
        "3:23: `../x` cannot be an input: the path leaves the project",
        "3:28: `a/../b` cannot be an input: the path has a `..`",
        "3:35: `.reprovm/cas` cannot be an input: `.reprovm` is where the cache is kept",
        "3:48: `[a` is not a pattern",
        "4:12: `.` cannot be an output: it is the project itself",
        "4:14: `.git/x` cannot be an output: it lies in `.git`",
        "4:21: `.reprovm/y` cannot be an output",
        "4:32: `sub/.git` cannot be an output",
        "4:41: `../z` cannot be an output: the path leaves the project",
        "4:46: `*.o` is a pattern",
        "4:56: output `manifest.txt` would replace `manifest.txt`",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("*.p"), "{text}");
}

#[test]
fn names_and_dependencies_are_checked_between_tasks() {
    assert_eq!(
        bad("task build {}\ntask test { deps = biuld build build }\ntask build {\n outputs = x\n}"),
        "2:20: there is no task `biuld` [biuld] not known\n  help: did you mean `build`?\n\
         3:6: there are two tasks `build` [build] the second\n  1:6: the first\n  help: rename one of them\n\
         4:12: task `build` has outputs but no `cmd` [x] nothing makes this\n  \
         3:6: a task without `cmd` only groups its dependencies\n"
    );
    assert_eq!(good("task a {}\ntask b { deps = a a }").tasks[1].deps.len(), 1);
}

#[test]
fn pitfall_t5_overlapping_outputs_are_refused() {
    assert_eq!(
        bad(
            "task a {\n cmd = x\n outputs = out/f a b a.b\n}\ntask b {\n cmd = x\n outputs = out b2\n}\ntask c {\n cmd = x\n outputs = a b/c/d\n}\ntask d {\n cmd = x\n outputs = q q/r\n}"
        ),
        "7:12: output `out` holds `out/f`, which another task makes [out] made by `b`\n  3:12: made by `a`\n  \
         help: each output has one task that makes it\n\
         11:12: output `a` is made by two tasks [a] made by `c`\n  3:18: made by `a`\n  \
         help: each output has one task that makes it\n\
         11:14: output `b/c/d` lies in `b`, which another task makes [b/c/d] made by `c`\n  3:20: made by `a`\n  \
         help: each output has one task that makes it\n\
         15:14: output `q/r` lies in `q`, which is an output of the same task [q/r] named here\n  15:12: and here\n  \
         help: keep one of them; an output folder is kept with all that is in it\n"
    );
}

#[test]
fn pitfall_k13_a_task_does_not_read_what_it_makes() {
    let case = |inputs: &str, outputs: &str| {
        parse(
            Path::new("m"),
            format!("task a {{\n cmd = x\n inputs = {inputs}\n outputs = {outputs}\n}}").as_bytes(),
        )
        .err()
        .map(|all| shown(&all))
        .unwrap_or_default()
    };
    assert_eq!(
        case("src", "src/gen.c"),
        "3:11: task `a` reads its own output `src/gen.c` [src] an input that holds it\n  4:12: an output\n  \
         help: leave it out of the inputs: `!src/gen.c`\n"
    );
    for (inputs, outputs) in [
        ("x", "x"),
        ("out/x", "out"),
        (".", "x"),
        ("src/**/*.c", "src/a/gen.c"),
        ("**/x", "x"),
        ("out/*", "out"),
        ("*.{c,h}", "gen.h"),
    ] {
        assert!(case(inputs, outputs).contains("reads its own output"), "{inputs} {outputs}");
    }
    for (inputs, outputs) in [
        ("src !src/gen.c", "src/gen.c"),
        (". !out", "out"),
        ("src/**/*.c !**/gen.*", "src/a/gen.c"),
        ("src/*.c", "src/a/gen.c"),
        ("srcs", "src"),
        ("*.c", "gen.o"),
    ] {
        assert_eq!(case(inputs, outputs), "", "{inputs} {outputs}");
    }
}

#[test]
fn toml_mistakes_point_at_their_places() {
    let text = bad_in(
        "m.toml",
        "tsak = 1\n[task.a]\ncmd = 1\ninputs = \"x\"\ncomand = \"y\"\nretries = \"2\"\ncache = 0\nenv = [\"A\"]\n[task.b.c]\ncmd = \"x\"\n[pool]\np = 1\n[let]\nx = true\n",
    );
    for expected in [
        "1:1: unknown key `tsak` [tsak]",
        "help: did you mean `task`?",
        "3:7: expected a string, found an integer [1]",
        "4:10: expected an array of strings, found a string [\"x\"]",
        "5:1: unknown field `comand` [comand] \n  help: did you mean `cmd`?",
        "6:11: expected a decimal integer, found a string [\"2\"]",
        "7:9: expected a boolean, found an integer [0]",
        "8:7: expected a table of strings, found an array [[\"A\"]]",
        "9:9: unknown field `c` [c] a table in a task\n  help: a name with a dot is quoted: `[task.\"a.b\"]`",
        "12:5: expected a table, found an integer [1]",
        "14:5: expected a string, found a boolean [true]",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let text = bad_in("m.toml", "[task.a]\ncmd = \n[task.b]\ncmd = 'x\n[task.a]\n");
    assert!(text.contains("2:7: ") && text.contains("4:9: ") && text.contains("5:"), "{text}");
}

#[test]
fn a_toml_item_is_one_item_and_quotes_make_it_literal() {
    let manifest = good_in(
        "m.toml",
        "[let]\nd = \"my dir\"\n[task.a]\ninputs = ['{{d}}/x y', 'src/*.c', '\"a[1]\"', '!gen']\n",
    );
    assert_eq!(inputs(&manifest.tasks[0]), ["my dir/x y", "glob src/*.c", "a[1]", "not gen"]);
}

#[test]
fn what_is_no_text_is_refused_at_its_place() {
    let found = |bytes: &[u8]| shown(&parse(Path::new("m"), bytes).expect_err("no text"));
    assert_eq!(
        found(b"task a {\n cmd = \xff\n}"),
        "2:8: `m` is not a text [\\xff] a byte that is not UTF-8\n  \
         help: a manifest is UTF-8; other bytes of a path are written `\"\\xff\"`\n"
    );
    assert!(found(b"a\0b").starts_with("1:2: `m` is not a text [\\u{0}] a NUL byte"));
    assert!(bad_in("m.toml", "[task.a]\ncmd = \"\\u0000\"").contains("2:7: a NUL byte cannot be"));
    assert!(bad("task a { inputs = \"\\x00\" }").contains("a NUL byte cannot be"));
}

#[test]
fn a_manifest_that_is_not_there_is_a_file_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = load(&folder.path().join("manifest.txt")).expect_err("no file");
    let LoadError::File(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(matches!(load(folder.path()), Err(LoadError::File(_))));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test makes its own files")]
fn files_are_read_from_disk_and_links_to_one_file_are_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("manifest.txt");
    std::fs::write(&path, "include a.txt\ninclude b.txt\n").expect("written");
    std::fs::write(folder.path().join("a.txt"), "task a {}\n").expect("written");
    std::os::unix::fs::symlink("a.txt", folder.path().join("b.txt")).expect("linked");
    let manifest = load(&path).expect("a manifest");
    assert_eq!((names(&manifest), manifest.sources.len()), (vec!["a"], 2));
}

#[test]
fn large_manifests_of_any_kind_end_in_an_answer() {
    let repeated = |part: &str, bytes: usize| part.repeat(bytes / part.len());
    let cases = [
        ("m", repeated("a=\n", 1 << 20)),
        ("m", repeated("task a{}\n", 1 << 20)),
        ("m", repeated("task a{\ncmd=```\n}\n", 1 << 20)),
        ("m", repeated("task a\n", 1 << 20)),
        ("m", repeated("let a={{b}}\n", 1 << 20)),
        ("m", format!("task a {{\ninputs = {}\n}}", repeated("*,", 2 << 20))),
        ("m", format!("task a {{\ninputs = {}\n}}", repeated("{", 1 << 20))),
        ("m", format!("task a {{\ninputs = {}\n}}", repeated("\"", 1 << 20))),
        ("m.toml", repeated("[", 1 << 20)),
        ("m.toml", repeated("[a]\n", 1 << 20)),
        ("m.toml", repeated("a=1\n", 200_000)),
        ("m.toml", format!("a = {}", repeated("[", 200_000))),
        ("m.toml", format!("a{}=1", repeated(".a", 200_000))),
    ];
    for (name, text) in cases {
        let all = parse(Path::new(name), text.as_bytes()).expect_err("nonsense");
        assert!(!all.is_empty() && all.len() <= 101);
    }
}

#[test]
fn growing_lets_end_at_a_limit() {
    let mut text = "let a0 = xxxxxxxxxx\n".to_owned();
    for n in 1..60 {
        writeln!(text, "let a{n} = {{{{a{m}}}}}{{{{a{m}}}}}", m = n - 1).expect("a string");
    }
    assert!(bad(&text).contains("this value is too long"));
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "task", "pool", "defaults", "let", "include", "a", "b", "{", "}", "{{a}}", "=", "cmd",
        "inputs", "outputs", "deps", "env", "depth", "```", "\n", "\n", "\n", " ", ",", "\"", "\\",
        "#", "*", "[", "]", "!", "..", "/", "é", "\u{0}", "\r\n", "'", ".", "1", "timeout",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

fn never_panics(name: &str, bytes: &[u8]) {
    match parse(Path::new(name), bytes) {
        Ok(manifest) => {
            for task in &manifest.tasks {
                let place = manifest.place(task.span);
                assert!(place.line >= 1 && place.text.get(place.start..place.end).is_some());
            }
        }
        Err(all) => {
            assert!(!all.is_empty());
            for place in all.iter().filter_map(|mistake| mistake.place.as_ref()) {
                assert!(place.text.get(place.start..place.end).is_some());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        never_panics("m", &bytes);
        never_panics("m.toml", &bytes);
    }

    #[test]
    fn any_words_are_answered(text in words()) {
        never_panics("m", text.as_bytes());
        never_panics("m.toml", text.as_bytes());
    }

    #[test]
    fn any_edit_of_a_manifest_is_answered(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..20_usize, words()), 1..4),
    ) {
        for (name, text) in [("m", ALL_FIELDS), ("m.toml", ALL_FIELDS_TOML)] {
            let mut bytes = text.as_bytes().to_vec();
            for (at, length, words) in &edits {
                let at = at.index(bytes.len());
                let end = (at + length).min(bytes.len());
                bytes.splice(at..end, words.bytes());
            }
            never_panics(name, &bytes);
        }
    }

    #[test]
    fn quoted_names_come_back(name in "[^\u{0}/]{1,40}") {
        prop_assume!(!matches!(name.as_str(), "." | ".."));
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let manifest = good(&format!("task a {{\ninputs = first/x \"./{quoted}\", last/y\n}}"));
        let Input::Path(path) = &manifest.tasks[0].inputs[1].value else { panic!("a path") };
        prop_assert_eq!(path.as_bytes(), name.as_bytes());
    }
}
