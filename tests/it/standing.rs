//! The short way through a run that has nothing to do finds whatever the long way finds.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::{Project, wait_until};

/// A project with every kind of input and output, built, and old enough to be trusted.
fn built() -> Project {
    let mut project = Project::new();
    project
        .file("src/a.c", "a")
        .file("src/sub/b.c", "b")
        .file("tree/deep/x", "x")
        .file("plain", "p")
        .file("bin/tool", "#!/bin/sh\necho tool\n")
        .chmod("bin/tool", 0o755)
        .symlink("plain", "link")
        .file("more.txt", "task more {\n  cmd = cat plain > out/more\n  inputs = plain\n  outputs = out/more\n}\n")
        .manifest(
            "include more.txt\n\
             task globbed {\n  cmd = cat $(find src -name '*.c' | sort) > out/globbed\n  inputs = src/**/*.c\n  outputs = out/globbed\n}\n\
             task treed {\n  cmd = mkdir -p out/dir && cp -r tree out/dir\n  inputs = tree\n  outputs = out/dir\n}\n\
             task linked {\n  cmd = cat link > out/linked\n  inputs = link\n  outputs = out/linked\n}\n\
             task toolish {\n  cmd = tool > out/toolish; echo $FLAVOUR >> out/toolish\n  tools = tool\n  pass_env = FLAVOUR\n  outputs = out/toolish\n}\n",
        );
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    project.env("PATH", path).env("FLAVOUR", "sweet");
    // A manifest that was just written could be written to again within the same tick.
    let old = SystemTime::now() - Duration::from_secs(60);
    for text in ["manifest.txt", "more.txt"] {
        let file = fs::File::options().append(true).open(project.path(text)).expect("a file");
        file.set_modified(old).expect("a time");
    }
    wait_until("the texts to be old enough", || {
        project.run(["manifest.txt"]).success();
        !standing(&project).is_empty()
    });
    project
}

/// What is kept for the short way.
fn standing(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(project.path(".reprovm/state")).expect("the folder of states");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".standing"))
        .collect()
}

/// A change to a project, and the tasks that it makes run.
type Change = (&'static str, fn(&mut Project), &'static [&'static str]);

const CHANGES: [Change; 19] = [
    (
        "a file is edited",
        |p| {
            p.file("plain", "q");
        },
        &["linked", "more"],
    ),
    (
        "with its old time put back",
        |p| {
            let old =
                fs::metadata(p.path("plain")).and_then(|meta| meta.modified()).expect("a time");
            p.file("plain", "r");
            let file = fs::File::options().append(true).open(p.path("plain")).expect("a file");
            file.set_modified(old).expect("a time");
        },
        &["linked", "more"],
    ),
    (
        "a file that a pattern matches is added",
        |p| {
            p.file("src/sub/c.c", "c");
        },
        &["globbed"],
    ),
    (
        "and one in a new folder",
        |p| {
            p.file("src/new/d.c", "d");
        },
        &["globbed"],
    ),
    (
        "and one goes",
        |p| {
            p.remove("src/a.c");
        },
        &["globbed"],
    ),
    (
        "a file is added to a folder",
        |p| {
            p.file("tree/deep/y", "y");
        },
        &["treed"],
    ),
    (
        "a link leads elsewhere",
        |p| {
            p.file("other", "o").remove("link").symlink("other", "link");
        },
        &["linked"],
    ),
    (
        "a file gets the right to be executed",
        |p| {
            p.chmod("tree/deep/x", 0o755);
        },
        &["treed"],
    ),
    (
        "a tool changes",
        |p| {
            p.file("bin/tool", "#!/bin/sh\necho other\n");
        },
        &["toolish"],
    ),
    (
        "another tool stands before it on the PATH",
        |p| {
            p.file("first/tool", "#!/bin/sh\necho first\n").chmod("first/tool", 0o755);
            let path =
                format!("{}:{}:/usr/bin:/bin", p.path("first").display(), p.path("bin").display());
            p.env("PATH", path);
        },
        &["toolish"],
    ),
    (
        "a variable changes",
        |p| {
            p.env("FLAVOUR", "sour");
        },
        &["toolish"],
    ),
    (
        "a variable is empty",
        |p| {
            p.env("FLAVOUR", "");
        },
        &["toolish"],
    ),
    (
        "a command changes",
        |p| {
            let text = p.read("manifest.txt").replace("cat link", "cat  link");
            p.manifest(&text);
        },
        &["linked"],
    ),
    (
        "a text that is included changes",
        |p| {
            let text = p.read("more.txt").replace("cat plain", "cat  plain");
            p.file("more.txt", text);
        },
        &["more"],
    ),
    (
        "an output is edited",
        |p| {
            p.file("out/more", "mine");
        },
        &[],
    ),
    (
        "an output is deleted",
        |p| {
            p.remove("out/globbed");
        },
        &[],
    ),
    (
        "an output in a folder is deleted",
        |p| {
            p.remove("out/dir/tree/deep/x");
        },
        &[],
    ),
    (
        "an output gets another mode",
        |p| {
            p.chmod("out/more", 0o600);
        },
        &[],
    ),
    ("nothing at all", |_| (), &[]),
];

#[test]
fn every_change_is_found_on_the_short_way() {
    let mut project = built();
    for (what, change, tasks) in CHANGES {
        change(&mut project);
        let run = project.json(["manifest.txt"]);
        assert_eq!(run.success().executed(), tasks, "{what}\n{}", run.transcript());
        project.json(["manifest.txt"]).executed_nothing();
    }
}

#[test]
fn a_link_that_leads_nowhere_any_more_is_no_input() {
    let project = built();
    project.remove("plain");
    project
        .run(["manifest.txt"])
        .code(2)
        .stderr_has("input `plain` of task `more` is missing")
        .stderr_has("input `link` of task `linked` is missing");
    project.file("plain", "p");
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn the_short_way_says_what_the_long_way_says() {
    let project = built();
    let long = project.json(["--graph", "manifest.txt"]);
    let short = project.json(["manifest.txt"]);
    let events = |run: &crate::support::Run| {
        let mut events = run.success().events();
        for event in &mut events {
            let event = event.as_object_mut().expect("an object");
            for varies in ["time_ns", "run", "summary"] {
                event.remove(varies);
            }
        }
        events
    };
    assert_eq!(events(&short), events(&long));
    assert_eq!(short.summary(), long.summary());
    let text = |args: &[&str]| {
        let err = project.run(args).success().err();
        err.split(" in ").next().map(str::to_owned)
    };
    assert_eq!(text(&["manifest.txt"]), text(&["-j2", "manifest.txt"]));
}

#[test]
fn a_run_that_was_killed_or_failed_ends_what_was_said() {
    let project = Project::new();
    project.manifest("task a {\n  cmd = test ! -e bad\n}\n");
    let old = SystemTime::now() - Duration::from_secs(60);
    let file = fs::File::options().append(true).open(project.path("manifest.txt")).expect("a file");
    file.set_modified(old).expect("a time");
    wait_until("the text to be old enough", || {
        project.run(["manifest.txt"]).success();
        !standing(&project).is_empty()
    });
    project.json(["manifest.txt"]).executed_nothing();
    // A task without files fails: no file says so, only the state does.
    project.file("bad", "");
    project.run(["-f", "manifest.txt"]).code(6);
    project.remove(".reprovm/cache");
    project.run(["manifest.txt"]).code(6);
    project.remove("bad");
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["a"]);
    project.json(["manifest.txt"]).executed_nothing();
}

#[test]
fn each_set_of_targets_has_its_own() {
    let project = built();
    for targets in [&["more"][..], &["linked", "more"], &[]] {
        let mut args = vec!["manifest.txt"];
        args.extend(targets);
        let count = if targets.is_empty() { 5 } else { targets.len() };
        for _ in 0..2 {
            let run = project.json(&args);
            assert_eq!(run.executed_nothing().summary().up_to_date, count);
        }
    }
    assert_eq!(standing(&project).len(), 3);
    project.file("plain", "q");
    assert_eq!(project.json(["manifest.txt", "more"]).executed(), ["more"]);
    assert_eq!(project.json(["manifest.txt"]).executed(), ["linked"]);
}
