//! What tasks write: whole, in order, byte for byte, also when it is replayed, much, or has
//! nobody who reads it.

use std::fmt::Write as _;

use crate::support::{Project, wait_until};

/// Where `part` stands in `whole`.
fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}

#[test]
fn two_chatty_tasks_are_each_shown_whole() {
    let project = Project::new();
    let mut text = String::new();
    for (own, other) in [("left", "right"), ("right", "left")] {
        // They write at the same time: each waits for the other's half.
        let _ = write!(
            text,
            "task {own} {{\n  cmd = ```\n    for i in $(seq 500); do echo {own} $i; done\n    \
             touch half-{own}; until test -e half-{other}; do sleep 0.01; done\n    \
             for i in $(seq 501 1000); do echo {own} $i >&2; done\n  ```\n}}\n"
        );
    }
    let run = project.manifest(&text).run(["-j", "2", "manifest.txt"]);
    run.success().stdout("");
    for own in ["left", "right"] {
        let block: String = (1..=1000).map(|i| format!("{own} {i}\n")).collect();
        run.stderr_has(&block);
    }
}

// P10, R12 in part.
#[test]
fn every_byte_is_shown_in_the_order_of_writing_and_again_by_replay() {
    let project = Project::new();
    project.manifest(
        "task t {\n  outputs = out\n  cmd = ```\n    \
         printf 'out 1\\n'; printf 'err 1\\n' >&2; printf 'out 2\\n'; printf 'err 2\\n' >&2\n    \
         printf '\\033[31mred\\033[0m \\000 \\377\\376 \\r half\\n\\n\\tend without newline'\n    \
         echo x > out\n  ```\n}\n",
    );
    let words = b"out 1\nerr 1\nout 2\nerr 2\n\
        \x1b[31mred\x1b[0m \0 \xff\xfe \r half\n\n\tend without newline\n";
    let shown = |args: &[&str]| {
        let run = project.spawn(args);
        let said = run.wait();
        said.success();
        said
    };
    let first = shown(&["manifest.txt"]);
    assert!(find(first.stderr_bytes(), words).is_some(), "{}", first.transcript());
    // Found unchanged at once, found when its turn came, and restored: the same bytes each time.
    let settled = shown(&["--replay", "manifest.txt"]);
    assert!(find(settled.stderr_bytes(), words).is_some(), "{}", settled.transcript());
    project.touch("out");
    let found = shown(&["--replay", "manifest.txt"]);
    assert!(find(found.stderr_bytes(), words).is_some(), "{}", found.transcript());
    project.remove("out");
    let restored = shown(&["--replay", "manifest.txt"]);
    assert!(find(restored.stderr_bytes(), words).is_some(), "{}", restored.transcript());
    // Not asked for, not shown.
    assert!(find(shown(&["manifest.txt"]).stderr_bytes(), b"out 1").is_none());
    // As JSON it is text: what is no UTF-8 is replaced, all else is as it was.
    let event = &project.json(["--replay", "manifest.txt"]).events_of("task_output")[0];
    let expected = String::from_utf8_lossy(&words[..words.len() - 1]).into_owned();
    assert_eq!((&event["output"], &event["replayed"]), (&expected.into(), &true.into()));
}

#[test]
fn fifty_megabytes_are_shown_and_replayed_in_little_memory() {
    let project = Project::new();
    // The second task looks at the memory of the program, which is its parent, when all has
    // been shown.
    project.manifest(
        "task much {\n  cmd = head -c 50000000 /dev/zero | tr '\\0' m\n}\n\
         task weigh {\n  deps = much\n  cache = off\n  outputs = weight\n  cmd = ```\n    \
         until test -e go; do sleep 0.02; done\n    \
         grep VmHWM: /proc/$PPID/status > weight\n  ```\n}\n",
    );
    for args in [&["manifest.txt"][..], &["--replay", "manifest.txt"]] {
        if project.exists("go") {
            project.remove("go");
        }
        let mut run = project.spawn(args);
        wait_until("all to be shown", || run.stderr_len() > 50_000_000 || run.is_over());
        project.file("go", "");
        let run = run.wait();
        run.success();
        let shown = run.stderr_bytes().iter().filter(|&&byte| byte == b'm').count();
        assert!((50_000_000..50_000_100).contains(&shown), "{shown} bytes");
        let weight = project.read("weight");
        let peak: u64 = weight.split_whitespace().nth(1).expect("a figure").parse().expect("KiB");
        assert!(peak < 100 * 1024, "{peak} KiB");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_of_the_run() {
    let project = Project::new();
    let mut text = String::new();
    for number in 0..40 {
        let _ = write!(
            text,
            "task t{number:02} {{\n  cmd = seq 3000; echo x > out/{number}\n  outputs = out/{number}\n}}\n"
        );
    }
    project.manifest(&text);
    let script = "{ \"$@\"; echo $? > code; } 2>&1 | head -n 1";
    for args in [
        &["-o", "json", "manifest.txt"][..],
        &["-V", "-f", "manifest.txt"],
        &["-n", "-f", "manifest.txt"],
        &["--list-tasks", "manifest.txt"],
        &["--list-tasks", "--graph", "manifest.txt"],
        &["--graph", "manifest.txt"],
    ] {
        let run = project.by_shell(script, args).wait();
        assert_eq!(run.out().lines().count(), 1, "{}", run.transcript());
        wait_until("the code", || project.exists("code") && !project.read("code").is_empty());
        assert_eq!(project.read("code"), "0\n", "{args:?}");
        project.remove("code");
    }
    project.json(["manifest.txt"]).executed_nothing();
}
