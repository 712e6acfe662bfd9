//! What is said of mistakes, and where.

use super::*;

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
fn overlapping_outputs_are_refused() {
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
fn a_task_does_not_read_what_it_makes() {
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
