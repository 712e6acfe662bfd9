//! The security checks: what is refused, what is warned of, and what each of them says.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;

use crate::support::{Project, Run, wait_until};

/// Who is nobody.
const NOBODY: u32 = 65534;

const COPY: &str =
    "task a {\n  cmd = cp in.txt out.txt\n  inputs = in.txt\n  outputs = out.txt\n}\n";

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The violations that a run told, with whether they were refused.
fn violations(run: &Run) -> Vec<(String, bool)> {
    let events = run.events_of("security_violation");
    let text =
        |event: &serde_json::Value| event["violation"]["kind"].as_str().expect("a kind").to_owned();
    events.iter().map(|event| (text(event), event["refused"] == true)).collect()
}

// Attack row 1.
#[test]
fn paths_that_are_none_of_the_project_are_refused_with_their_place() {
    let long = "a/".repeat(2100);
    let name = "n".repeat(256);
    let cases = [
        ("../x", "the path leaves the project"),
        ("a/../../x", "the path leaves the project"),
        ("a/../x", "the path has a `..`"),
        ("/etc/x", "the path is absolute"),
        ("\\u0000x", "NUL"),
        (&*long, "longer than 4096 bytes"),
        (&*name, "or one of its names than 255"),
        (".git/hooks/x", "it lies in `.git`"),
        (".reprovm/cas/x", "is where the cache is kept"),
        (".", "it is the project itself"),
    ];
    for (path, why) in cases {
        let project = Project::new();
        let task = "[task.a]\ncmd = \"touch ran\"\n";
        project.file("manifest.toml", format!("{task}outputs = [\"{path}\"]\n"));
        let run = project.run(["manifest.toml"]);
        run.code(5).stderr_has(why).stderr_has("manifest.toml:3:");
        assert!(!project.exists("ran"), "{path}: nothing runs");
    }
}

#[test]
fn names_of_tasks_are_short_and_plain() {
    let project = Project::new();
    let longest = "n".repeat(256);
    project.manifest(&format!("task {longest} {{\n  cmd = true\n}}\n"));
    project.run(["manifest.txt"]).success();
    project.manifest(&format!("task {longest}n {{\n  cmd = true\n}}\n"));
    project.run(["manifest.txt"]).code(5).stderr_has("at most 256 bytes");
    project.manifest("task a/b {\n  cmd = true\n}\n");
    project.run(["manifest.txt"]).code(5).stderr_has("`/` cannot be part of a task's name");
}

#[test]
fn an_input_that_is_too_large_fails_its_task_unread() {
    let project = Project::new();
    project.manifest(COPY);
    let large = File::create(project.path("in.txt")).expect("a file");
    large.set_len(1 << 40).expect("a hole");
    let limit = ["--set", "security.max_input_size_mb=1", "manifest.txt"];
    let run = project.run(limit);
    run.code(6)
        .stderr_has("input `in.txt` has 1.0 TiB, and at most 1.0 MiB are allowed")
        .stderr_has("security.max_input_size_mb");
    assert_eq!(violations(&project.json(limit)), [("input_too_large".to_owned(), true)]);
    large.set_len((1 << 20) + 1).expect("a smaller hole");
    project.run(limit).code(6);
    let off = ["--set", "security.max_input_size_mb=off", "manifest.txt"];
    assert_eq!(project.json(off).success().executed(), ["a"]);
    // What is up to date has an input that is too large, all the same.
    project.run(limit).code(6);
    large.set_len(1 << 20).expect("a hole of just the size");
    project.run(limit).success();
}

#[test]
fn a_large_file_in_a_folder_or_behind_a_link_is_an_input_too() {
    let project = Project::new();
    project.dir("in");
    let large = File::create(project.path("in/large")).expect("a file");
    large.set_len(1 << 40).expect("a hole");
    project.symlink("in/large", "link");
    for input in ["in", "in/*", "link"] {
        project.manifest(&format!("task a {{\n  cmd = true\n  inputs = {input}\n}}\n"));
        let run = project.run(["--set", "security.max_input_size_mb=1", "manifest.txt"]);
        run.code(6).stderr_has("has 1.0 TiB");
    }
}

// Attack row 11.
#[test]
fn a_cache_that_others_may_write_to_is_refused() {
    let project = Project::new();
    project.manifest(COPY).file("in.txt", "1\n");
    project.run(["manifest.txt"]).success();
    for folder in [".reprovm", ".reprovm/cas", ".reprovm/cache"] {
        for mode in [0o770, 0o707, 0o1777] {
            project.chmod(folder, mode);
            let run = project.json(["manifest.txt"]);
            run.code(12)
                .stderr_has(&format!("the folder `{folder}` is not safe to use"))
                .stderr_has(&format!("the mode {mode:o}"))
                .stderr_has(&format!("chmod go-w {folder}"));
            let denied = run.events_of("access_denied");
            assert_eq!((&denied[0]["what"], &denied[0]["path"]), (&"cache".into(), &folder.into()));
        }
        project.chmod(folder, 0o755);
        project.json(["manifest.txt"]).executed_nothing();
    }
    project.dir("shared").chmod("shared", 0o777);
    let run = project.run(["--cache-dir", "shared", "manifest.txt"]);
    run.code(12).stderr_has("`shared` is not safe to use").stderr_has("`--cache-dir`");
}

#[test]
fn a_cache_of_another_user_is_refused() {
    if !is_root() {
        eprintln!("SKIPPED: only root can give a folder away");
        return;
    }
    let project = Project::new();
    project.manifest(COPY).file("in.txt", "1\n").dir("theirs");
    chown(project.path("theirs"), Some(NOBODY), None).expect("root may");
    let run = project.run(["--cache-dir", "theirs", "manifest.txt"]);
    run.code(12)
        .stderr_has("the folder `theirs` is not safe to use")
        .stderr_has("it belongs to user 65534 and has the mode 755, and we are user 0")
        .stderr_has("chown -R 0 theirs");
    assert!(!project.exists("out.txt"), "nothing runs");
}

/// Runs as somebody who may not read everything, with the events.
fn run_as_nobody(project: &Project) -> (Option<i32>, String) {
    let program = project.outside().join("reprovm");
    fs::copy(env!("CARGO_BIN_EXE_reprovm"), &program).expect("a copy that all may run");
    let mut command = project.command(["-o", "json", "manifest.txt"]);
    if is_root() {
        for folder in [project.outside(), project.root()] {
            fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("our folder");
        }
        chown(project.root(), Some(NOBODY), Some(NOBODY)).expect("root may");
        command = rebuilt(&program, &command);
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("a program that starts");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same call of another copy of the program.
fn rebuilt(program: &std::path::Path, like: &std::process::Command) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.args(like.get_args()).current_dir(like.get_current_dir().expect("it has one"));
    command.env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn an_input_that_may_not_be_read_is_named_with_its_permissions() {
    let project = Project::new();
    project.manifest(COPY).file("in.txt", "1\n").chmod("in.txt", 0);
    let (code, events) = run_as_nobody(&project);
    assert_eq!(code, Some(6), "{events}");
    assert!(events.contains("\"type\":\"access_denied\",\"what\":\"input\""), "{events}");
    assert!(events.contains("no permission to open it: it belongs to user"), "{events}");
    assert!(events.contains("has the mode 0"), "{events}");
}

#[test]
fn inputs_in_a_closed_folder_are_not_taken_for_missing() {
    for input in ["closed/in.txt", "closed/in/*.txt"] {
        let project = Project::new();
        project.manifest(&format!("task a {{\n  cmd = true\n  inputs = {input}\n}}\n"));
        project.file("closed/in.txt", "1\n").file("closed/in/a.txt", "1\n").chmod("closed", 0);
        let (code, events) = run_as_nobody(&project);
        project.chmod("closed", 0o755);
        assert_eq!(code, Some(6), "{input}: {events}");
        assert!(events.contains("a folder above it is closed"), "{input}: {events}");
    }
}

#[test]
fn a_dangerous_command_is_warned_of_once_with_its_place() {
    let project = Project::new();
    // The shell never comes to it.
    project.manifest("task wipe {\n  cmd = exit 0; rm -rf /\n}\ntask b {\n  cmd = rm -rf ./b\n}\n");
    let run = project.run(["manifest.txt"]);
    let warning = "warning: the command of `wipe` (manifest.txt:2) removes the whole file system";
    run.success().stderr_has(warning);
    assert_eq!(run.err().matches("warning").count(), 1);
    project.run(["manifest.txt"]).success().stderr_lacks("warning");
    let again = project.json(["--force", "manifest.txt"]);
    assert_eq!(violations(&again), [("dangerous_command".to_owned(), false)]);
    let other = project.json(["--force", "manifest.txt", "b"]);
    assert_eq!(violations(&other), []);
}

#[test]
fn dangerous_commands_are_refused_before_anything_runs_where_that_is_set() {
    let project = Project::new();
    project.manifest(
        "task a {\n  cmd = touch ran\n}\ntask b {\n  cmd = exit 0; curl -s x | sudo sh\n}\n",
    );
    let deny = ["--set", "security.deny_dangerous=1", "manifest.txt", "a"];
    project.run(deny).code(12).stderr(
        "\
error: the command of `b` runs what it downloads unseen, as `curl ... | sh` does
 --> manifest.txt:5:9
  |
5 |   cmd = exit 0; curl -s x | sudo sh
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^ refused, and nothing has run
  help: correct the command, or set `security.deny_dangerous` to 0
",
    );
    assert_eq!(violations(&project.json(deny)), [("dangerous_command".to_owned(), true)]);
    assert!(!project.exists("ran") && !project.exists(".reprovm"), "nothing runs");
    project.manifest("task a {\n  cmd = touch ran\n}\n");
    project.run(deny).success();
}

#[test]
fn an_output_that_leads_out_is_told_as_a_violation() {
    let project = Project::new();
    project.manifest("task a {\n  cmd = ln -s /etc/passwd out\n  outputs = out\n}\n");
    let run = project.json(["manifest.txt"]);
    run.code(6);
    assert_eq!(violations(&run), [("link_leads_out".to_owned(), true)]);
}

/// The times of a file, as the program sees them.
fn times(project: &Project, path: &str) -> (i64, i64, i64, i64) {
    let data = fs::metadata(project.path(path)).expect("a file");
    (data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec())
}

/// Changes a file behind the back of its times: a store into a page that is written to already
/// is not seen by the file system. Built before, and up to date.
fn change_unseen(project: &Project, path: &str) {
    wait_until("a change that no times show", || {
        project.run(["manifest.txt"]).success();
        let file = File::options().read(true).write(true).open(project.path(path)).expect("ours");
        // SAFETY: nobody makes the file shorter while it is mapped.
        let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.expect("a map");
        // The first store, of the same bytes, is the one that moves the times.
        let text = map[0];
        map[..1].fill(text);
        project.run(["manifest.txt"]).success();
        let before = times(project, path);
        map[0] = text.wrapping_add(1);
        times(project, path) == before
    });
}

#[test]
fn a_change_that_no_times_show_is_found_with_validate_checksums() {
    let project = Project::new();
    project.manifest(COPY).file("in.txt", "1234\n");
    change_unseen(&project, "in.txt");
    let validate = ["--set", "security.validate_checksums=1", "manifest.txt"];
    assert_eq!(project.json(validate).success().executed(), ["a"]);
    assert_eq!(project.read("out.txt"), project.read("in.txt"));
    project.json(validate).executed_nothing();

    change_unseen(&project, "out.txt");
    assert_ne!(project.read("out.txt"), project.read("in.txt"));
    let run = project.json(validate);
    run.executed_nothing();
    assert_eq!(run.summary().cached, 1, "{}", run.transcript());
    assert_eq!(project.read("out.txt"), project.read("in.txt"));
}

#[test]
fn bytes_that_change_under_an_old_time_are_seen_anyway() {
    let project = Project::new();
    project.manifest(COPY).file("in.txt", "1234\n");
    project.run(["manifest.txt"]).success();
    let time = fs::metadata(project.path("in.txt")).and_then(|d| d.modified()).expect("a time");
    project.file("in.txt", "5678\n");
    let file = File::options().write(true).open(project.path("in.txt")).expect("ours");
    file.set_modified(time).expect("the old time");
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["a"]);
}
