//! The manifest from text to tasks, as a user meets it: what is read, and what is said of mistakes.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Input, LoadError, Manifest, Task, load, parse, parse_files};
use crate::base::Diagnostic;

mod any;
mod mistakes;

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
