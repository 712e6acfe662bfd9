//! What a task must make, and what cannot be kept.

use serde_json::json;

use crate::support::Project;

/// The failure of the only task that failed.
#[track_caller]
fn refused(project: &Project) -> serde_json::Value {
    let run = project.json(["manifest.txt"]);
    run.code(6);
    let finished = run.events_of("task_finished");
    let failed: Vec<_> =
        finished.iter().filter(|event| event["outcome"]["status"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{}", run.transcript());
    failed[0]["outcome"]["failure"].clone()
}

#[test]
fn an_output_that_was_not_made_is_a_failure_that_names_it() {
    let project = Project::new();
    project.manifest("task t {\n  cmd = touch out/a\n  outputs = out/a out/b c\n}\n");
    for _ in 0..2 {
        let expected = json!({"failure": "outputs_missing", "paths": ["out/b", "c"]});
        assert_eq!(refused(&project), expected);
    }
    project.run(["manifest.txt"]).code(6).stderr_has("outputs `out/b`, `c` were not made");
    // One that lay there before does not help: the task removes what it made, and makes it not.
    project.manifest("task t {\n  cmd = touch out/a out/b c\n  outputs = out/a out/b c\n}\n");
    project.run(["manifest.txt"]).success();
    project.manifest("task t {\n  cmd = touch out/a c\n  outputs = out/a out/b c\n}\n");
    assert_eq!(refused(&project), json!({"failure": "outputs_missing", "paths": ["out/b"]}));
}

#[test]
fn special_files_are_refused_as_outputs_and_named() {
    for (make, path) in [
        ("mkfifo out/pipe", "out/pipe"),
        ("mkdir out/dir; echo x > out/dir/a; mkfifo out/dir/pipe", "out/dir/pipe"),
        (
            "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"out/socket\", Listen => 1) or die'",
            "out/socket",
        ),
    ] {
        let output = path.trim_end_matches("dir/pipe");
        let output = if path.contains("dir") { format!("{output}dir") } else { path.to_owned() };
        let project = Project::new();
        project.manifest(&format!("task t {{\n  cmd = {make}\n  outputs = {output}\n}}\n"));
        for _ in 0..2 {
            let failure = refused(&project);
            assert_eq!(failure["failure"], "output_refused", "{failure}");
            assert_eq!(failure["path"], path, "{failure}");
            assert_eq!(failure["problem"], "is a fifo, a socket or a device");
        }
    }
}

// R4.
#[test]
fn bits_that_lend_rights_are_not_restored() {
    let project = Project::new();
    project.manifest(
        "task t {\n  outputs = out/tool out/dir\n  cmd = ```\n    \
         printf x > out/tool; chmod 6755 out/tool\n    \
         mkdir out/dir; printf y > out/dir/f; chmod 4711 out/dir/f; chmod 3777 out/dir\n  ```\n}\n",
    );
    project.run(["manifest.txt"]).success();
    assert_eq!(project.mode("out/tool"), 0o6755, "what the task did is the task's affair");
    project.json(["manifest.txt"]).executed_nothing();
    project.remove("out");
    project.json(["manifest.txt"]).executed_nothing();
    let modes = ["out/tool", "out/dir", "out/dir/f"].map(|path| project.mode(path));
    assert_eq!(modes.map(|mode| mode & 0o7000), [0, 0, 0], "{modes:?}");
    assert_eq!(modes, [0o755, 0o777, 0o711]);
}
