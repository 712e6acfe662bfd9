//! The audit log on a full disk: `on_full = fail` does nothing without it, `warn` goes on.

use std::fs;

use super::{audited, project, query};
use crate::support::{Background, Project, Tmpfs, wait_until};

/// A project whose log lies on a small file system of its own.
fn on_disk(manifest: &str, more: &str) -> Option<(Project, Tmpfs)> {
    let project = project(manifest);
    project.dir("disk");
    let disk = Tmpfs::mount(&project.path("disk"), "64k")?;
    audited(&project, &format!("log_file = disk/audit.log\n{more}"));
    Some((project, disk))
}

/// Leaves no room at all.
fn fill(project: &Project) {
    let path = project.path("disk/rest");
    let mut size = 1 << 20;
    while size > 0 {
        let old = fs::metadata(&path).map_or(0, |meta| meta.len());
        let more = vec![b'x'; size];
        let mut file =
            fs::OpenOptions::new().append(true).create(true).open(&path).expect("a file");
        if std::io::Write::write_all(&mut file, &more).is_err() {
            let now = fs::metadata(&path).expect("a file").len();
            if now == old {
                size /= 2;
            }
        }
    }
}

const TWO: &str =
    "task a {\n  cmd = touch a.ran\n}\ntask b {\n  cmd = touch b.ran\n  deps = a\n}\n";

#[test]
fn where_it_is_required_nothing_runs_without_it() {
    let Some((project, _disk)) = on_disk(TWO, "") else { return };
    fs::File::create(project.path("disk/audit.log")).expect("a file");
    project.chmod("disk/audit.log", 0o600);
    fill(&project);
    let run = project.run(["manifest.txt"]);
    run.code(3).stderr_has("No space left").stderr_has("required, so nothing was done");
    assert!(!project.exists("a.ran"), "nothing ran");
    assert_eq!(fs::metadata(project.path("disk/audit.log")).expect("a file").len(), 0);
    project.remove("disk/rest").run(["manifest.txt"]).success();
    project.run(["audit", "verify"]).success();
}

#[test]
fn where_it_is_not_the_run_goes_on_and_says_so_once() {
    let Some((project, _disk)) = on_disk(TWO, "on_full = warn") else { return };
    fill(&project);
    let run = project.run(["manifest.txt"]);
    run.success().stderr_has("No space left").stderr_has("there is no audit log of this");
    assert_eq!(run.err().matches("warning:").count(), 1, "{}", run.transcript());
    assert!(project.exists("b.ran"));
}

/// Three tasks in a row. The line of the second does not fit into what is left of a page, so that
/// it needs more of the disk.
fn in_a_row() -> String {
    format!(
        "task a {{\n  cmd = touch a.up; until [ -e a.go ]; do sleep 0.02; done\n}}\n\
         task b {{\n  cmd = until [ -e b.go ]; do sleep 0.02; done; : {}\n  deps = a\n}}\n\
         task c {{\n  cmd = touch c.ran\n  deps = b\n}}\n",
        "x".repeat(5000)
    )
}

/// Runs until the disk is full and the log could not be written; the second task is at work then.
fn until_it_is_full(more: &str) -> Option<(Project, Tmpfs, Background)> {
    let (project, disk) = on_disk(&in_a_row(), more)?;
    let run = project.spawn(["--log-file", "log", "manifest.txt"]);
    wait_until("the first task", || project.exists("a.up"));
    let audit = || fs::read_to_string(project.path("disk/audit.log")).unwrap_or_default();
    wait_until("its line", || audit().contains(" type=TASK_START "));
    fill(&project);
    project.file("a.go", "");
    let log = || fs::read_to_string(project.path("log")).unwrap_or_default();
    wait_until("a try to write", || log().contains("audit log cannot be written"));
    Some((project, disk, run))
}

#[test]
fn a_disk_that_becomes_full_stops_what_has_not_begun() {
    let tell = "[notifications]\nenabled = 1\nmax_wait_seconds = 60\ncommand = cat > told\n";
    let Some((project, _disk, run)) = until_it_is_full(tell) else { return };
    project.file("b.go", "");
    let ended = run.wait();
    ended.code(3).stderr_has("No space left").stderr_has("so nothing more was started");
    assert!(!project.exists("c.ran"));
    let told = project.read("told");
    assert!(told.contains("run stopped, with 1 cancelled task"), "{told}");
    project.remove("disk/rest").run(["manifest.txt"]).success();
    assert!(project.exists("c.ran"));
    project.run(["audit", "verify"]).success();
    assert_eq!(query(&project, &["--type", "ERROR"]).len(), 1, "the run before has no last line");
}

#[test]
fn where_it_is_not_required_what_could_not_be_written_is_written_when_there_is_room() {
    let Some((project, _disk, run)) = until_it_is_full("on_full = warn") else { return };
    project.remove("disk/rest").file("b.go", "");
    let ended = run.wait();
    ended.success().stderr_has("No space left on device (os error 28); missing: 0 records");
    assert_eq!(ended.err().matches("warning:").count(), 1, "{}", ended.transcript());
    assert_eq!(query(&project, &["--type", "TASK_COMPLETE"]).len(), 3);
    project.run(["audit", "verify"]).success();
}
