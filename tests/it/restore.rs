//! Putting results back: modes, links, what is the user's, what leads out of the project, and
//! what happens when it cannot be done.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::{Entry, Project, Volume, assert_same_tree, picture};

/// A project with one task, built.
fn built(command: &str, outputs: &str) -> Project {
    let project = Project::new();
    project.file("in", "words\n").manifest(&task(command, outputs));
    project.run(["manifest.txt"]).success();
    project
}

fn task(command: &str, outputs: &str) -> String {
    format!("task t {{\n  cmd = {command}\n  inputs = in\n  outputs = {outputs}\n}}\n")
}

/// Builds with another input and then with the one before, so that the old result has to come
/// back over the new one.
fn there_and_back(project: &Project) {
    let old = project.bytes("in");
    project.file("in", "other\n").run(["manifest.txt"]).success();
    project.file("in", old).json(["manifest.txt"]).executed_nothing();
}

// R1 and R4.
#[test]
fn outputs_that_may_not_be_written_to_are_restored_over() {
    let project = built(
        "mkdir -p out; cp in out/a; cp in out/b; chmod 444 out/a; chmod 6755 out/b; chmod 555 out",
        "out",
    );
    let before = project.tree();
    for _ in 0..2 {
        there_and_back(&project);
        assert_eq!((project.mode("out/a"), project.mode("out")), (0o444, 0o555));
        // Bits that lend somebody's rights are not kept.
        assert_eq!(project.mode("out/b"), 0o755);
    }
    project.chmod("out", 0o755).remove("out").json(["manifest.txt"]).executed_nothing();
    project.chmod("out/b", 0o6755);
    assert_same_tree(&project.tree(), &before);
}

// R2.
#[test]
fn restored_files_are_private_copies() {
    let project = built("cp in out", "out");
    project.remove("out").json(["manifest.txt"]).executed_nothing();
    let object = project.object_of(b"words\n");
    let stored = object.metadata().expect("an object");
    assert_ne!(stored.ino(), project.path("out").metadata().expect("an output").ino());
    let attacks: [fn(&Path); 4] = [
        |out| fs::write(out, "overwritten").expect("it can be written to"),
        |out| {
            let cut = fs::File::options().write(true).open(out).and_then(|file| file.set_len(1));
            cut.expect("it can be cut");
        },
        |out| fs::set_permissions(out, fs::Permissions::from_mode(0o777)).expect("a mode"),
        |out| fs::remove_file(out).expect("it can be removed"),
    ];
    for attack in attacks {
        attack(&project.path("out"));
        project.assert_sound_objects();
        assert_eq!(object.metadata().expect("an object").mode(), stored.mode());
        project.json(["manifest.txt"]).executed_nothing();
        assert_eq!((project.read("out").as_str(), project.mode("out")), ("words\n", 0o644));
    }
}

/// A project on a file system of its own. None, and said, where none may be mounted.
fn project_on(kind: &str) -> Option<(Project, Volume)> {
    let mut project = Project::new();
    let folder = project.outside().join(kind);
    let volume = Volume::mount(kind, &folder)?;
    project.stand_in(&folder);
    Some((project, volume))
}

/// Makes an output that has blocks of its own; `cat` and `cp` let it share those of the input.
const WRITES: &str = "sed '' in > out";

/// Whether some of a file's blocks are another file's as well.
fn shares_blocks(path: &Path) -> bool {
    let output = Command::new("filefrag").arg("-v").arg(path).output();
    let output = output.expect("filefrag; `sh tests/servers.sh` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).contains("shared")
}

// R2, on file systems where a copy need not be one.
#[test]
fn large_outputs_share_the_blocks_of_their_objects_until_they_are_written_to() {
    let words: String = (0..200_000).map(|number| format!("{number} words\n")).collect();
    for kind in ["xfs", "btrfs"] {
        let Some((project, _volume)) = project_on(kind) else { return };
        project.file("in", &words).manifest(&task(WRITES, "out"));
        project.run(["manifest.txt"]).success();
        let restore = || {
            project.remove("out").json(["manifest.txt"]).executed_nothing();
            assert!(project.read("out") == words, "{kind}: other bytes");
            shares_blocks(&project.path("out"))
        };
        let object = project.object_of(words.as_bytes());
        assert!(!restore(), "{kind}: what may not be on the disk yet is copied");
        let long_ago = fs::metadata(&object).and_then(|meta| meta.modified()).expect("a time")
            - Duration::from_secs(100);
        let written_long_ago = |file: &fs::File| {
            file.sync_all().and_then(|()| file.set_modified(long_ago)).expect("its time");
        };
        written_long_ago(&fs::File::open(&object).expect("an object"));
        assert!(restore(), "{kind}: blocks are shared");

        let write_to = |path: &Path| {
            let file = fs::File::options().write(true).open(path).expect("a file");
            file.write_all_at(b"other words", 1_000_000).expect("it can be written to");
            file
        };
        write_to(&project.path("out"));
        project.assert_sound_objects();
        assert!(restore(), "{kind}: what was written to is replaced");

        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&object, mode).expect("its mode");
        written_long_ago(&write_to(&object));
        project.remove("out");
        let run = project.json(["manifest.txt"]);
        assert_eq!(run.success().executed(), ["t"], "{kind}: what is damaged is made again");
        assert!(project.read("out") == words, "{kind}: other bytes");
    }
}

// R2, the other way: a task that shares blocks itself, as `cp` does, need not be read twice.
#[test]
fn outputs_that_lie_on_the_disk_are_kept_by_sharing_their_blocks() {
    let words: String = (0..200_000).map(|number| format!("{number} words\n")).collect();
    for kind in ["xfs", "btrfs"] {
        let Some((project, _volume)) = project_on(kind) else { return };
        let build = |command: &str| {
            project.manifest(&task(command, "out"));
            assert_eq!(project.json(["manifest.txt"]).success().executed(), ["t"], "{kind}");
            assert!(project.read("out") == project.read("in"), "{kind}: other bytes");
            project.assert_sound_objects();
            shares_blocks(&project.object_of(project.read("in").as_bytes()))
        };
        project.file("in", &words);
        assert!(!build(WRITES), "{kind}: what is only in memory is copied");
        project.file("in", words.replace("words", "other"));
        let has_shared = build("cp --reflink=always in out");
        if !tells_what_is_in_memory() {
            continue;
        }
        assert!(has_shared, "{kind}: blocks are shared");

        let out = fs::File::options().write(true).open(project.path("out")).expect("an output");
        out.write_all_at(b"not these", 1_000_000).expect("it can be written to");
        project.assert_sound_objects();
        project.json(["manifest.txt"]).executed_nothing();
        assert!(project.read("out") == project.read("in"), "{kind}: what was written is replaced");
    }
}

/// Linux 6.5 and later say so; others have everything copied.
fn tells_what_is_in_memory() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(5))
}

/// Where on its disk the first block of a file lies.
fn place_on_disk(path: &Path) -> u64 {
    let output = Command::new("filefrag").args(["-v", "-b512"]).arg(path).output();
    let text = String::from_utf8(output.expect("filefrag").stdout).expect("text");
    let first = text.lines().find(|line| line.trim_start().starts_with("0:")).expect("an extent");
    let place = first.split(':').nth(2).and_then(|places| places.trim().split("..").next());
    place.and_then(|sector| sector.parse::<u64>().ok()).expect("a sector") * 512
}

// What is shared is what lies on the disk, and that may have rotted below pages in memory that are
// sound.
#[test]
fn blocks_that_rotted_on_the_disk_are_not_shared() {
    let words = "some words\n".repeat(100_000);
    let Some((project, volume)) = project_on("xfs") else { return };
    project.file("in", &words).manifest(&task(WRITES, "out"));
    project.run(["manifest.txt"]).success();
    let object = project.object_of(words.as_bytes());
    let file = fs::File::open(&object).expect("an object");
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(100)).expect("its time");
    file.sync_all().expect("a disk");
    volume.overwrite(place_on_disk(&object), b"rotten");
    assert!(fs::read(&object).expect("an object") == words.as_bytes(), "it is sound in memory");
    project.remove("out");
    let run = project.json(["manifest.txt"]);
    run.success();
    assert!(project.read("out") == words, "other bytes: {:.20}", project.read("out"));
    assert_eq!(run.executed(), ["t"], "what is damaged is made again");
}

// R3.
#[test]
fn files_with_equal_bytes_are_all_restored_each_with_its_mode() {
    let project = built(
        "for f in a b sub/c; do mkdir -p sub; cp in $f; done; chmod 755 b; chmod 600 sub/c",
        "a b sub",
    );
    let before = project.tree();
    project.remove("a").remove("b").remove("sub").json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&project.tree(), &before);
    let modes = ["a", "b", "sub/c"].map(|path| project.mode(path));
    assert_eq!(modes, [0o644, 0o755, 0o600]);
}

// R6.
#[test]
fn links_are_stored_as_links_and_never_followed() {
    let project = built(
        "mkdir -p out/real && cp in out/real/f && ln -s real out/dir && ln -s . out/real/self && \
         ln -s ../.. out/real/up && ln -s nowhere out/dangling && ln -s loop-b out/loop-a && \
         ln -s loop-a out/loop-b && ln -s out/real top",
        "out top",
    );
    let before = project.tree();
    assert_eq!(before.get(Path::new("top")), Some(&Entry::Link { target: "out/real".into() }));
    for _ in 0..2 {
        project.remove("out").remove("top").json(["manifest.txt"]).executed_nothing();
        assert_same_tree(&project.tree(), &before);
    }
    there_and_back(&project);
    assert_same_tree(&project.tree(), &before);
}

// R5 and R7: nothing outside is stored, and nothing outside is written.
#[test]
fn outputs_that_are_links_leading_out_are_refused() {
    let project = Project::new();
    let secret = project.outside().join("secret");
    project.file("in", "x").file(&secret, "the secret");
    let absolute = format!("ln -s {} out", secret.display());
    let inside = format!("mkdir out && ln -s {} out/link", secret.display());
    for (command, path) in [
        (absolute.as_str(), "out"),
        ("ln -s ../secret out", "out"),
        (&inside, "out/link"),
        ("mkdir out && ln -s ../../secret out/link", "out/link"),
        ("mkdir -p out/a && ln -s a/../../../secret out/link", "out/link"),
    ] {
        let run = project.manifest(&task(command, "out")).run(["manifest.txt"]);
        run.code(6)
            .says(&format!("output `{path}` cannot be kept"))
            .says("leads out of the project");
        assert!(!project.object_of(b"the secret").exists(), "{command}");
        assert!(picture(&project.path(".reprovm/cache")).is_empty(), "{command}");
    }
    let outside = project.outside().join("elsewhere");
    fs::create_dir(&outside).expect("a folder");
    let behind = format!("rmdir sub; ln -s {} sub; cp in sub/out", outside.display());
    project
        .manifest(&task(&behind, "sub/out"))
        .run(["manifest.txt"])
        .code(6)
        .says("leads out of the project");
    assert!(picture(&project.path(".reprovm/cache")).is_empty());
}

#[test]
fn nothing_is_written_behind_a_folder_that_became_a_link_leading_out() {
    let project = built("cp in sub/deep/out; cp in sub/deep/more", "sub/deep/out sub/deep/more");
    let outside = project.outside().join("elsewhere");
    for (parent, path) in [("sub", "sub"), ("sub/deep", "sub/deep")] {
        for name in ["deep/out", "out", "foreign"] {
            project.file(outside.join(name), "theirs");
        }
        let before = picture(&outside);
        project.remove(parent).symlink(&outside, path);
        let run = project.run(["manifest.txt"]);
        assert_same_tree(&picture(&outside), &before);
        assert_ne!(run.code, Some(0), "{}", run.transcript());
        run.says("sub/deep/");
        // Neither does a change of the input clear anything away there.
        let run = project.file("in", "other").run(["manifest.txt"]);
        assert_ne!(run.code, Some(0), "{}", run.transcript());
        assert_same_tree(&picture(&outside), &before);
        project.remove(path).file("in", "words\n").json(["manifest.txt"]).executed_nothing();
    }
}

// R14.
#[test]
fn an_output_outside_of_the_project_is_a_mistake_before_anything_runs() {
    let project = Project::new();
    for path in ["../out", "/tmp/out", "a/../../out", ".", ".reprovm/x", ".git/hooks/pre-commit"] {
        project.manifest(&format!(
            "task early {{\n  cmd = touch early\n  outputs = early\n}}\n{}",
            task("true", path)
        ));
        project
            .file("in", "x")
            .run(["manifest.txt"])
            .code(5)
            .says("cannot be an output")
            .says(path);
        assert!(!project.exists("early"), "{path}");
    }
    // What looks like climbing and stays inside is written in another way.
    project.manifest(&task("cp in out", "./sub/.././out")).run(["manifest.txt"]).code(5).says("..");
    project.manifest(&task("cp in out", ".//./out")).run(["manifest.txt"]).success();
    assert_eq!(project.read("out"), "x");
}

// R8.
#[test]
fn a_folder_with_foreign_files_in_the_place_of_an_output_is_named_and_left_alone() {
    let project = built("cp in out", "out");
    let in_the_way = |project: &Project| {
        project.remove("out").file("out/theirs", "precious");
        let run = project.run(["manifest.txt"]);
        run.code(6).says("`out`").says("a folder with files that the task did not make");
        assert_eq!(picture(&project.path("out")).len(), 1, "{}", run.transcript());
        assert_eq!(project.read("out/theirs"), "precious");
    };
    in_the_way(&project);
    // Nor is it what the task makes from now on.
    project.remove("out").json(["manifest.txt"]).executed_nothing();
    assert_eq!(project.read("out"), "words\n");
    // Where the workspace knows nothing of the output, its record does.
    project.remove(".reprovm/state");
    in_the_way(&project);
    project.remove("out").json(["manifest.txt"]).executed_nothing();
    // An empty folder is in nobody's way.
    project.remove("out").dir("out").json(["manifest.txt"]).executed_nothing();
    assert_eq!(project.read("out"), "words\n");
    // A new command runs into the same wall.
    project.manifest(&task("cat in in > out", "out")).remove("out").file("out/theirs", "precious");
    project.run(["manifest.txt"]).code(6);
    assert_eq!(project.read("out/theirs"), "precious");
}

// R9.
#[test]
fn what_a_task_does_not_make_any_more_vanishes_and_foreign_files_stay() {
    let project =
        built("mkdir -p out/deep; for w in $(cat in); do echo $w > out/deep/$w; done", "out");
    project.file("in", "one two three\n").run(["manifest.txt"]).success();
    project.file("out/foreign", "mine").file("out/deep/foreign", "mine");
    let names = |project: &Project| {
        let tree = picture(&project.path("out"));
        tree.into_keys().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    // By running.
    project.file("in", "one\n").run(["manifest.txt"]).success();
    assert_eq!(names(&project), "deep deep/foreign deep/one foreign");
    // By restoring, in both directions.
    project.file("in", "one two three\n").json(["manifest.txt"]).executed_nothing();
    assert_eq!(names(&project), "deep deep/foreign deep/one deep/three deep/two foreign");
    project.file("in", "words\n").json(["manifest.txt"]).executed_nothing();
    assert_eq!(names(&project), "deep deep/foreign deep/words foreign");
    assert_eq!(project.read("out/deep/foreign"), "mine");
}

#[test]
fn a_source_that_leaves_the_manifest_takes_its_output_along() {
    let project = Project::new();
    let text = |names: &[&str]| {
        let list = |suffix: &str| {
            names.iter().map(|name| format!("{name}{suffix}")).collect::<Vec<_>>().join(" ")
        };
        format!(
            "task t {{\n  cmd = for f in {}; do cp $f $f.o; done\n  inputs = {}\n  outputs = {}\n}}\n",
            list(""),
            list(""),
            list(".o")
        )
    };
    project
        .file("a", "a")
        .file("b", "b")
        .manifest(&text(&["a", "b"]))
        .run(["manifest.txt"])
        .success();
    project.manifest(&text(&["a"])).run(["manifest.txt"]).success();
    assert!(project.exists("a.o") && !project.exists("b.o") && project.exists("b"));
    project.manifest(&text(&["a", "b"])).json(["manifest.txt"]).executed_nothing();
    assert!(project.exists("a.o") && project.exists("b.o"));
    project.manifest(&text(&["b"])).run(["manifest.txt"]).success();
    assert!(!project.exists("a.o") && project.exists("b.o"));
}

// R10.
#[test]
fn nothing_is_put_into_place_until_every_object_has_been_verified() {
    let project =
        built("ls out > seen; mkdir -p out; for w in $(cat in); do echo $w > out/$w; done", "out");
    let damages: [fn(&Path); 2] = [
        |object| fs::remove_file(object).expect("an object"),
        |object| {
            let wrong = fs::remove_file(object).and_then(|()| fs::write(object, "xhree\n"));
            wrong.expect("an object");
        },
    ];
    for damage in damages {
        project.file("in", "one two three\n").run(["manifest.txt"]).success();
        project.file("in", "one\n").run(["manifest.txt"]).success();
        damage(&project.object_of(b"three\n"));
        let run = project.file("in", "one two three\n").json(["manifest.txt"]);
        assert_eq!(run.success().executed(), ["t"]);
        assert_eq!(run.reasons("t")[0]["reason"], "store_damaged");
        // What the run before made was cleared away, and no half of the record has come.
        assert_eq!(project.read("seen"), "");
        assert_eq!(picture(&project.path("out")).len(), 3);
        assert_eq!(project.read("out/three"), "three\n");
        project.assert_sound_objects();
    }
}

// R11.
#[test]
fn one_of_many_outputs_deleted_or_edited_at_any_depth_comes_back() {
    let project = built(
        "mkdir -p out/a/b/c && for d in out out/a out/a/b out/a/b/c; do for i in 1 2 3; do echo $d$i > $d/$i; done; done; cp in side",
        "out side",
    );
    let before = project.tree();
    let breakages: [fn(&Project); 8] = [
        |p| {
            p.remove("out/a/b/c/2");
        },
        |p| {
            p.file("out/a/b/1", "edited");
        },
        |p| {
            p.remove("out/a/b");
        },
        |p| {
            p.chmod("out/3", 0o755);
        },
        |p| {
            p.remove("out/a/1").symlink("3", "out/a/1");
        },
        |p| {
            p.remove("out/a/1").dir("out/a/1");
        },
        |p| {
            p.remove("out/a").file("out/a", "a file now");
        },
        |p| {
            p.remove("side").file("out/1", "");
        },
    ];
    for (number, breakage) in breakages.into_iter().enumerate() {
        breakage(&project);
        let run = project.json(["manifest.txt"]);
        run.executed_nothing();
        assert_eq!(run.tasks_with("cached"), ["t"], "{number}\n{}", run.transcript());
        assert_same_tree(&project.tree(), &before);
    }
}

#[test]
fn an_output_folder_that_became_a_link_is_a_folder_again_with_all_in_it() {
    let project = built("mkdir -p out/a/b; for f in 1 2 b/3; do cp in out/a/$f; done", "out");
    let old = project.tree();
    let outside = project.outside().join("elsewhere");
    for target in [project.path("moved"), outside] {
        // Behind the link lies just what the task made.
        fs::rename(project.path("out/a"), &target).expect("a rename");
        project.symlink(&target, "out/a");
        let theirs = picture(&target);
        let run = project.json(["manifest.txt"]);
        assert_eq!(run.executed_nothing().tasks_with("cached"), ["t"]);
        assert_same_tree(&picture(&target), &theirs);
        // Nor does a run that clears the old result away reach behind it.
        project.remove("out/a").symlink(&target, "out/a");
        project.file("in", "other\n").run(["manifest.txt"]).success();
        assert_same_tree(&picture(&target), &theirs);
        assert_eq!(project.read("out/a/b/3"), "other\n");
        fs::remove_dir_all(&target).expect("a folder");
        project.file("in", "words\n").json(["manifest.txt"]).executed_nothing();
        assert_same_tree(&project.tree(), &old);
    }
}

// R12.
#[test]
fn a_lost_log_costs_a_run_only_where_it_is_asked_for() {
    let project = built("echo heard; cp in out", "out");
    let log = project.object_of(b"heard\n");
    fs::remove_file(&log).expect("the log");
    project.json(["manifest.txt"]).executed_nothing();
    project.remove("out").json(["manifest.txt"]).executed_nothing();
    let replayed = project.json(["--replay", "manifest.txt"]);
    assert_eq!(replayed.success().executed(), ["t"]);
    assert_eq!(replayed.reasons("t"), json!([{"reason": "store_damaged", "what": "log"}]));
    assert_eq!(replayed.events_of("task_output")[0]["output"], "heard\n");
    assert!(log.exists());
    // The other way round: the log is there and the output is not.
    project.remove("out");
    let replayed = project.json(["--replay", "manifest.txt"]);
    assert_eq!(replayed.executed_nothing().events_of("task_output")[0]["replayed"], true);
    let replayed = project.run(["--replay", "manifest.txt"]);
    replayed.success().says("heard\n");
    assert_eq!(project.read("out"), "words\n");
    // A log with other bytes is not shown.
    fs::remove_file(&log).and_then(|()| fs::write(&log, "lies!\n")).expect("the log");
    let lying = project.run(["--replay", "manifest.txt"]);
    lying.success().stderr_lacks("lies!").stdout_lacks("lies!");
}

#[test]
fn a_large_log_is_verified_before_it_is_shown_again() {
    let project = built("head -c 2000000 /dev/zero | tr '\\0' x; cp in out", "out");
    let log = project.object_of(&[b'x'; 2_000_000]);
    let run = project.json(["--replay", "manifest.txt"]);
    assert_eq!(run.executed_nothing().events_of("task_output").len(), 1);
    let mut bytes = fs::read(&log).expect("the log");
    bytes[1_500_000] = b'y';
    fs::remove_file(&log).and_then(|()| fs::write(&log, bytes)).expect("the log");
    let run = project.json(["--replay", "manifest.txt"]);
    assert!(run.executed_nothing().events_of("task_output").is_empty());
    assert_eq!(run.events_of("cache_damaged")[0]["what"], "log");
    // It is gone then, and made again where it is asked for.
    assert_eq!(project.json(["--replay", "manifest.txt"]).success().executed(), ["t"]);
    assert!(log.exists());
}

// R5: what lies at a name may change between a look and the next step.
#[test]
fn a_folder_that_is_swapped_for_a_link_meanwhile_leads_nothing_out() {
    let project = built(
        "set -e; test ! -e ran; touch ran; mkdir -p out/deep; for n in 1 2 3 4 5 6; do echo $n > out/deep/$n; done",
        "out/deep",
    );
    // The command itself would follow the link: from here on it only fails, and restoring is all
    // that writes.
    let outside = project.outside().join("elsewhere");
    fs::create_dir_all(outside.join("deep")).expect("a folder");
    let (out, held) = (project.path("out"), project.path("held"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Whoever is in between finds a link that leads out in the place of the folder.
                if fs::rename(&out, &held).is_ok() {
                    let _ = std::os::unix::fs::symlink(&outside, &out);
                    std::thread::yield_now();
                    let _ = fs::remove_file(&out);
                    let _ = fs::rename(&held, &out);
                }
            }
        });
        for _ in 0..40 {
            let _ = fs::remove_file(out.join("deep/3"));
            // It may succeed or fail; what counts is where it writes.
            project.run(["manifest.txt"]);
        }
        over.store(true, Ordering::Relaxed);
    });
    let tree = picture(&outside);
    assert_eq!(tree.len(), 1, "{tree:?}");
}
