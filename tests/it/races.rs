//! Times that lie and edits at a bad moment: the bytes decide, and what cannot be proved is not
//! saved.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{Background, Project, Run, assert_same_tree, picture, wait_until};

/// A task that copies `in`, then waits for `go`.
const WAITING: &str = "task t {\n  cmd = cp in out; touch begun; until test -e go; do sleep 0.01; done; cat in >> out\n  \
    inputs = in dir *.txt\n  outputs = out\n}\n";

/// The task, at the moment when it has read its input once.
fn begun() -> (Project, Background) {
    let project = Project::new();
    project.file("in", "first\n").file("dir/a", "a").file("a.txt", "a").manifest(WAITING);
    let run = project.spawn_json(["manifest.txt"]);
    wait_until("the first half of the task", || project.exists("begun"));
    (project, run)
}

fn finish(project: &Project, run: Background) -> Run {
    project.file("go", "");
    let ended = run.wait();
    ended.success();
    ended
}

/// The result stands but is not saved, and the next run makes it anew.
#[track_caller]
fn assert_not_saved(project: &Project, ended: &Run, change: &str, path: &str) {
    let told = ended.events_of("task_not_saved");
    assert_eq!(told.len(), 1, "{}", ended.transcript());
    assert_eq!(told[0]["changes"], json!([{"change": change, "path": path}]));
    assert!(picture(&project.path(".reprovm/cache")).is_empty(), "{}", ended.transcript());
    let again = project.json(["manifest.txt"]);
    assert_eq!(again.success().executed(), ["t"]);
    assert_eq!(again.reasons("t"), json!([{"reason": "last_run_unproven"}]));
    let content = project.read("in");
    assert_eq!(project.read("out"), format!("{content}{content}"));
    project.json(["manifest.txt"]).executed_nothing();
}

// T1.
#[test]
fn an_input_edited_while_the_task_runs_leaves_nothing_saved() {
    type Edit = fn(&Project);
    let edits: [(Edit, &str, &str); 5] = [
        (
            |p| {
                p.file("in", "second\n");
            },
            "changed",
            "in",
        ),
        (
            |p| {
                p.file("dir/a", "b");
            },
            "changed",
            "dir/a",
        ),
        (
            |p| {
                p.file("dir/new", "b");
            },
            "added",
            "dir/new",
        ),
        (
            |p| {
                p.file("b.txt", "b");
            },
            "added",
            "b.txt",
        ),
        (
            |p| {
                p.remove("dir/a");
            },
            "changed",
            "dir/a",
        ),
    ];
    for (edit, change, path) in edits {
        let (project, run) = begun();
        edit(&project);
        let ended = finish(&project, run);
        assert_not_saved(&project, &ended, change, path);
    }
}

// T1, the hard half: afterwards the bytes are as before, and the task has read others.
#[test]
fn an_input_edited_and_put_back_while_the_task_runs_leaves_nothing_saved() {
    type Edit = fn(&Project);
    let edits: [Edit; 3] = [
        |p| {
            p.file("in", "second\n");
        },
        |p| {
            p.file("new", "second\n");
            fs::rename(p.path("new"), p.path("in")).expect("a rename");
        },
        |p| {
            p.remove("in").symlink("a.txt", "in");
        },
    ];
    for edit in edits {
        let project = Project::new();
        project.file("in", "first\n").file("dir/a", "a").file("a.txt", "a").manifest(
            &WAITING.replace("cp in out; touch begun", "touch begun").replace(
                "cat in >> out",
                "cp in out; touch read; until test -e end; do sleep 0.01; done",
            ),
        );
        let time = project.path("in").metadata().and_then(|data| data.modified()).expect("a time");
        let run = project.spawn_json(["manifest.txt"]);
        wait_until("the begin of the task", || project.exists("begun"));
        edit(&project);
        project.file("go", "");
        wait_until("the task to have read", || project.exists("read"));
        assert_ne!(project.read("out"), "first\n");
        // Put back with its old time, as backups and version control do.
        project.remove("in").file("in", "first\n");
        File::open(project.path("in")).and_then(|file| file.set_modified(time)).expect("a time");
        project.file("end", "");
        let ended = run.wait();
        let told = ended.success().events_of("task_not_saved");
        assert_eq!(
            told[0]["changes"],
            json!([{"change": "touched", "path": "in"}]),
            "{}",
            ended.transcript()
        );
        assert!(picture(&project.path(".reprovm/cache")).is_empty());
        let again = project.json(["manifest.txt"]);
        assert_eq!(again.success().reasons("t"), json!([{"reason": "last_run_unproven"}]));
        assert_eq!(project.read("out"), "first\n");
        project.json(["manifest.txt"]).executed_nothing();
    }
}

#[test]
fn an_input_written_to_while_the_task_runs_is_named_on_the_terminal() {
    let project = Project::new();
    project
        .file("in", "x")
        .manifest("task t {\n  cmd = cp in out; cp out in\n  inputs = in\n  outputs = out\n}\n");
    let run = project.run(["manifest.txt"]);
    run.success().says("`in` was written to while it ran");
    project.run(["manifest.txt"]).success().says("an input changed while it last ran");
}

// T3.
#[test]
fn whatever_the_times_say_the_bytes_decide() {
    let project = Project::new();
    project
        .file("in", "one")
        .manifest("task t {\n  cmd = cp in out\n  inputs = in\n  outputs = out\n}\n");
    project.run(["manifest.txt"]).success();
    let set = |time: SystemTime| {
        File::open(project.path("in")).and_then(|file| file.set_modified(time)).expect("a time");
    };
    let day = Duration::from_secs(24 * 3600);
    let now = SystemTime::now();
    let times = [
        now - 1000 * day,
        now + 1000 * day,
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH - day,
        now,
    ];
    for (number, time) in times.into_iter().enumerate() {
        // Another time, the same bytes.
        set(time);
        project.json(["manifest.txt"]).executed_nothing();
        // The same time, other bytes of the same number; then the old ones again.
        for (content, executed) in [(format!("o{number}x"), 1), ("one".to_owned(), 0)] {
            project.file("in", &content);
            set(time);
            let run = project.json(["manifest.txt"]);
            assert_eq!(run.success().summary().executed, executed, "{}", run.transcript());
            assert_eq!(project.read("out"), content);
        }
    }
}

#[test]
fn an_edit_of_equal_length_right_after_a_run_is_found() {
    let project = Project::new();
    project
        .file("in", "00000000")
        .manifest("task t {\n  cmd = cp in out\n  inputs = in\n  outputs = out\n}\n");
    project.run(["manifest.txt"]).success();
    for round in 1..=10 {
        let time = project.path("in").metadata().and_then(|data| data.modified()).expect("a time");
        let content = format!("{round:08}");
        // In place, so that only what a write changes by itself can show it.
        fs::write(project.path("in"), &content).expect("a write");
        File::open(project.path("in")).and_then(|file| file.set_modified(time)).expect("a time");
        project.run(["manifest.txt"]).success();
        assert_eq!(project.read("out"), content);
        // An output, likewise.
        let time = project.path("out").metadata().and_then(|data| data.modified()).expect("a time");
        fs::write(project.path("out"), "wrong!!!").expect("a write");
        File::open(project.path("out")).and_then(|file| file.set_modified(time)).expect("a time");
        project.json(["manifest.txt"]).executed_nothing();
        assert_eq!(project.read("out"), content);
    }
}

// T5.
#[test]
fn outputs_that_overlap_are_a_mistake_before_anything_runs() {
    let project = Project::new();
    for (one, two) in
        [("out", "out"), ("out", "out/deep/x"), ("out/deep", "out"), ("./out", "out/")]
    {
        project.manifest(&format!(
            "task a {{\n  cmd = touch ran\n  outputs = {one}\n}}\ntask b {{\n  cmd = touch ran\n  outputs = {two}\n}}\n"
        ));
        let run = project.run(["manifest.txt"]);
        run.code(5).says("`a`").says("`b`").says("out");
        assert!(!project.exists("ran") && !project.exists("out"), "{one} {two}");
    }
}

// T8, in part.
#[test]
fn checkouts_that_share_a_cache_restore_each_others_results_and_do_not_need_each_other() {
    let cache = Project::new();
    let folder = cache.path("shared");
    let args = ["--cache-dir", folder.to_str().expect("a path"), "manifest.txt"];
    let checkout = || {
        let project = Project::new();
        project.file("in", "words\n").manifest(
            "task t {\n  cmd = echo heard; mkdir -p out; cp in out/a; ln -s a out/b; chmod 755 out/a\n  inputs = in\n  outputs = out\n}\n\
             task u {\n  cmd = cat out/a out/b > u\n  inputs = out/a out/b\n  outputs = u\n}\n",
        );
        project
    };
    let (one, two) = (checkout(), checkout());
    one.run(args).success();
    let run = two.json(args);
    assert_eq!(run.executed_nothing().tasks_with("cached"), ["t", "u"]);
    assert_same_tree(&two.tree(), &one.tree());
    // What one does to its files, and to itself, is nothing to the other.
    one.file("out/a", "scribbled").file("in", "others\n").run(args).success();
    two.json(args).executed_nothing();
    drop(one);
    two.json(args).executed_nothing();
    two.remove("out").json(args).executed_nothing();
    assert_eq!((two.read("out/b"), two.mode("out/a")), ("words\n".to_owned(), 0o755));
    let three = checkout();
    three.file("in", "others\n").json(args).executed_nothing();
    assert_eq!(three.read("u"), "others\nothers\n");
    crate::support::assert_sound_objects(&folder);
    assert!(!two.exists(".reprovm/cas"), "nothing lies in the checkout itself");
}

// T4, in part: many processes, one store.
#[test]
fn eight_checkouts_fill_one_cache_at_once() {
    let cache = Project::new();
    let folder = cache.path("shared");
    let args = ["--cache-dir", folder.to_str().expect("a path"), "manifest.txt"];
    let tasks: String = (0..12)
        .map(|n| format!("task t{n} {{\n  cmd = cat in; (cat in; echo {n}) > o{n}\n  inputs = in\n  outputs = o{n}\n}}\n"))
        .collect();
    let checkouts: Vec<Project> = (0..8)
        .map(|_| {
            let project = Project::new();
            project.file("in", "words\n").manifest(&tasks);
            project
        })
        .collect();
    let running: Vec<Background> = checkouts.iter().map(|one| one.spawn_json(args)).collect();
    for (run, project) in running.into_iter().zip(&checkouts) {
        let run = run.wait();
        let all = run.success().summary();
        assert_eq!(all.executed + all.cached, 12, "{}", run.transcript());
        for n in 0..12 {
            assert_eq!(project.read(format!("o{n}")), format!("words\n{n}\n"));
        }
    }
    crate::support::assert_sound_objects(&folder);
    for project in &checkouts {
        project.remove("o3").json(args).executed_nothing();
    }
}
