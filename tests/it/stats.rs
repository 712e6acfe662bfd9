//! `--stats`: the figures of a run, after it.

use crate::support::Project;

fn project() -> Project {
    let project = Project::new();
    project.manifest(
        "task good {\n  cmd = sleep 0.05; echo x > out\n  outputs = out\n}\n\
         task bad {\n  cmd = [ -e fixed ]\n}\n\
         task after {\n  cmd = true\n  deps = bad\n}\n",
    );
    project
}

/// The value in the row of this name.
fn row(text: &str, name: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  ")?.strip_prefix(name));
    let mut values: Vec<&str> = lines.map(str::trim).collect();
    assert_eq!(values.len(), 1, "{name}\n{text}");
    values.remove(0).to_owned()
}

#[test]
fn the_figures_of_a_run_follow_it() {
    let project = project();
    let first = project.run(["--stats", "manifest.txt"]);
    let text = first.code(6).err();
    let figures = [
        ("total", "3"),
        ("executed", "1"),
        ("cached", "0"),
        ("up to date", "0"),
        ("failed", "1"),
        ("skipped", "1"),
        ("hits", "0"),
        ("misses", "2"),
        ("hit rate", "0.0 %"),
        ("time saved", "0.00s"),
    ];
    for (name, value) in figures {
        assert_eq!(row(&text, name), value, "{name}\n{text}");
    }
    for name in ["of the run", "of all tasks", "average", "shortest", "longest"] {
        assert!(row(&text, name).ends_with('s') && row(&text, name) != "0.00s", "{name}\n{text}");
    }
    assert!(row(&text, "peak memory").ends_with("iB"), "{text}");
    let summary = text.find("3 tasks: 1 executed").expect("the line of the run");
    assert!(summary < text.find("\n  total").expect("the table"), "the table comes last\n{text}");

    project.file("fixed", "").remove("out");
    let second = project.run(["-q", "--stats", "manifest.txt"]).success().err();
    for (name, value) in [("executed", "2"), ("cached", "1"), ("hits", "1"), ("hit rate", "33.3 %")]
    {
        assert_eq!(row(&second, name), value, "{name}\n{second}");
    }
    assert_ne!(row(&second, "time saved"), "0.00s");
    let third = project.run(["--stats", "manifest.txt"]).success().err();
    assert_eq!((row(&third, "up to date"), row(&third, "average")), ("3".into(), "-".into()));
    assert_eq!(row(&third, "hit rate"), "100.0 %");
}

#[test]
fn with_json_the_last_event_has_the_figures_and_nothing_changes() {
    let project = project();
    let run = project.json(["--stats", "manifest.txt"]);
    assert_eq!(run.code(6).summary().executed, 1);
    run.stderr_lacks("hit rate");
    project.file("fixed", "");
    project.run(["manifest.txt"]).success().stderr_lacks("hit rate");
}
