//! What only looks must write nothing at all, in a fresh project and in one that was built.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::support::Project;

/// Each path of the project, `.reprovm` included: its inode, mode, size, and the times at which
/// its content and itself were last changed.
type Traces = BTreeMap<PathBuf, (u64, u32, u64, (i64, i64), (i64, i64))>;

fn traces(project: &Project) -> Traces {
    let mut all = Traces::new();
    let mut open = vec![project.root().to_path_buf()];
    while let Some(path) = open.pop() {
        let data = path.symlink_metadata().expect("it was listed");
        if data.is_dir() {
            let entries = path.read_dir().expect("a readable folder");
            open.extend(entries.map(|entry| entry.expect("a readable folder").path()));
        }
        let (mtime, ctime) = ((data.mtime(), data.mtime_nsec()), (data.ctime(), data.ctime_nsec()));
        all.insert(path, (data.ino(), data.mode(), data.size(), mtime, ctime));
    }
    all
}

const MANIFEST: &str = "\
task one {
  cmd = cp in out/one
  inputs = in
  outputs = out/one
}

task two {
  cmd = cat out/one dir/* > out/two
  inputs = out/one, dir
  outputs = out/two
}
";

const LOOKS: [&[&str]; 13] = [
    &["--dry-run", "manifest.txt"],
    &["-n", "-f", "-V", "manifest.txt"],
    &["-n", "-o", "json", "--replay", "manifest.txt"],
    &["-n", "-m", "figures.json", "manifest.txt", "two"],
    &["--list-tasks", "manifest.txt"],
    &["--list-tasks", "--graph", "manifest.txt"],
    &["--list-tasks", "-o", "json", "manifest.txt"],
    &["--graph", "-n", "manifest.txt"],
    &["explain", "manifest.txt", "one"],
    &["explain", "-o", "json", "manifest.txt", "two"],
    &["runs", "list"],
    &["backup", "list"],
    &["backup", "export-metadata"],
];

/// These need a run that was.
const HISTORY: [&[&str]; 4] = [
    &["runs", "show"],
    &["runs", "replay"],
    &["runs", "compare", "last", "last"],
    &["cache", "stats"],
];

#[track_caller]
fn looking_leaves_no_trace<'a>(
    project: &Project,
    looks: impl IntoIterator<Item = &'a &'static [&'static str]>,
) {
    let before = traces(project);
    for &args in looks {
        project.run(args).success();
        let after = traces(project);
        assert_eq!(after, before, "{args:?}");
    }
}

// P13.
#[test]
fn looking_writes_nothing() {
    let project = Project::new();
    project.file("in", "1").file("dir/a", "a").manifest(MANIFEST);
    looking_leaves_no_trace(&project, &LOOKS);
    assert!(!project.exists(".reprovm") && !project.exists("out"));

    project.run(["manifest.txt"]).success();
    looking_leaves_no_trace(&project, LOOKS.iter().step_by(3).chain(&HISTORY));

    // Where much would be to be done: an edit, a touched file, a lost output.
    project.file("in", "2").touch("dir/a").remove("out/two");
    looking_leaves_no_trace(&project, &LOOKS);

    // And after a failure, with its remains.
    project.manifest(&MANIFEST.replace("cp in", "echo half > out/one; false; cp none"));
    project.run(["manifest.txt"]).code(6);
    looking_leaves_no_trace(&project, LOOKS.iter().step_by(2));
}

#[test]
fn looking_writes_nothing_elsewhere_either() {
    let project = Project::new();
    project.file("in", "1").file("dir/a", "a").manifest(MANIFEST);
    let cache = project.outside().join("cache");
    let cache = cache.to_str().expect("a printable path");
    project.run(["-n", "--cache-dir", cache, "manifest.txt"]).success();
    project.run(["explain", "--cache-dir", cache, "manifest.txt", "one"]).success();
    assert!(!project.outside().join("cache").exists());
}
