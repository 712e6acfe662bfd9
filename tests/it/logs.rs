//! The log: what is in it, how it looks, and that a run goes on whatever becomes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Project, Streams, Terminal};

/// One line of a log as text, taken apart.
#[derive(Debug)]
struct Line {
    level: String,
    target: String,
    place: String,
    run: String,
    rest: String,
}

/// Takes every line apart; one that is not as docs/logs.md says fails the test.
#[track_caller]
fn lines(text: &str) -> Vec<Line> {
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line: {text}");
    text.lines().map(|line| parse(line).unwrap_or_else(|| panic!("not a record: {line}"))).collect()
}

fn parse(line: &str) -> Option<Line> {
    let (head, rest) = line.split_once(": ")?;
    let words: Vec<&str> = head.split_whitespace().collect();
    let [time, level, target, place, run] = words[..] else { return None };
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let known = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"].contains(&level);
    let (file, number) = place.split_once(':')?;
    let good = shape == "0000-00-00T00:00:00.000Z"
        && known
        && file.starts_with("src/")
        && number.parse::<u32>().is_ok();
    good.then(|| Line {
        level: level.to_owned(),
        target: target.to_owned(),
        place: place.to_owned(),
        run: run.to_owned(),
        rest: rest.to_owned(),
    })
}

fn has(lines: &[Line], level: &str, start: &str) -> bool {
    lines.iter().any(|line| line.level == level && line.rest.starts_with(start))
}

const TWO: &str = "task good {\n  cmd = echo said > out\n  outputs = out\n}\n\
                   task bad {\n  cmd = exit 3\n}\n";

#[test]
fn a_run_leaves_its_story_in_the_file() {
    let project = Project::new();
    project.manifest(TWO).run(["-l", "logs/run.log", "manifest.txt"]).code(6);
    let text = project.read("logs/run.log");
    let lines = lines(&text);
    for (level, start) in [
        ("INFO", "program started version="),
        ("INFO", "run started version="),
        ("INFO", "task started task=good attempt=1"),
        ("INFO", "task finished task=good duration_ms="),
        ("ERROR", "task failed task=bad duration_ms="),
        ("INFO", "run finished total=2 executed=1"),
        ("INFO", "program ends code=6"),
    ] {
        assert!(has(&lines, level, start), "no {level} {start}\n{text}");
    }
    assert!(text.contains("because=\"exit code 3\""), "{text}");
    // Nothing of what is for DEBUG: the texts of commands, hits and misses.
    assert!(!text.contains("DEBUG") && !text.contains("echo said"), "{text}");
    assert_eq!(project.mode("logs/run.log"), 0o600);
    let of_run: Vec<&Line> = lines.iter().filter(|line| line.target == "run").collect();
    assert!(of_run.len() >= 5 && of_run.iter().all(|line| line.run == of_run[0].run), "{text}");
    assert!(of_run[0].run.len() == 16 && !of_run[0].place.is_empty(), "{text}");
    assert_eq!(lines[0].run, "-", "before a run there is none");
}

#[test]
fn settings_of_a_file_start_a_log_in_the_project() {
    let project = Project::new();
    project.file("sub/manifest.txt", "task a {\n  cmd = true\n}\n");
    let settings = "[logging]\nlog_file = diary/log\nlog_level = error\n";
    project.file("sub/.reprovm/reprovm.conf", settings);
    project.run(["-C", "sub", "manifest.txt"]).success();
    assert_eq!(project.read("sub/diary/log"), "", "nothing of that weight happened");
    project.run(["-C", "sub", "--log-level", "info", "manifest.txt"]).success();
    let text = project.read("sub/diary/log");
    assert!(has(&lines(&text), "INFO", "program ends code=0"), "{text}");
    assert!(!project.exists("diary"));
}

#[test]
fn debug_tells_why_and_what_no_event_covers() {
    let project = Project::new();
    project.manifest(TWO);
    project.run(["-l", "log", "--log-level", "debug", "manifest.txt", "good"]).success();
    // A new time of the manifest: else, where the files are old enough, only a part is looked at.
    project.remove("out").touch("manifest.txt");
    project.run(["-l", "log", "--log-level", "debug", "manifest.txt", "good"]).success();
    let text = project.read("log");
    let lines = lines(&text);
    for start in [
        "manifest loaded manifest=manifest.txt tasks=2",
        "lock of the workspace taken",
        "state loaded tasks=0",
        "state loaded tasks=1",
        "state saved tasks=1",
        "control group of the run granted=",
        "guard process started",
        "cache miss task=good",
        "its command task=good command=\"echo said > out\"",
        "cache hit task=good",
    ] {
        assert!(has(&lines, "DEBUG", start), "no {start}\n{text}");
    }
    assert!(text.contains("reasons=\"no record\""), "{text}");
}

#[test]
fn each_level_leaves_out_what_weighs_less() {
    let project = Project::new();
    project.manifest(TWO);
    for (level, least) in [("WARN", 2), ("ERROR", 3), ("FATAL", 4)] {
        let log = format!("{level}.log");
        project.run(["-f", "-l", &log, "--log-level", level, "manifest.txt"]).code(6);
        let weight = |line: &Line| {
            ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"].iter().position(|name| *name == line.level)
        };
        let text = project.read(&log);
        assert!(lines(&text).iter().all(|line| weight(line) >= Some(least)), "{text}");
        assert_eq!(text.contains("task failed"), least <= 3, "{level}: {text}");
    }
    project.run(["-l", "none.log", "--log-level", "FATAL", "nothing.txt"]).code(2);
    let text = project.read("none.log");
    assert!(has(&lines(&text), "FATAL", "program cannot go on problem="), "{text}");
    project.run(["--log-level", "loud", "manifest.txt"]).code(14).stderr_has("debug, info, warn");
}

#[test]
fn damage_is_a_warning_in_the_log() {
    let project = Project::new();
    project.manifest(TWO).run(["manifest.txt", "good"]).success();
    let objects = project.path(".reprovm/cas/objects");
    for path in crate::support::files_below(&objects, &[]) {
        let path = objects.join(path);
        fs::remove_file(&path).expect("an object");
        fs::write(&path, "damaged").expect("a folder of ours");
    }
    project.remove("out");
    project.run(["-l", "log", "manifest.txt", "good"]).success();
    let text = project.read("log");
    assert!(has(&lines(&text), "WARN", "cache is damaged; it was set aside what="), "{text}");
}

#[test]
fn json_is_an_object_a_line() {
    let project = Project::new();
    project.manifest(TWO);
    project.run(["-l", "log", "--set", "logging.log_format=json", "manifest.txt"]).code(6);
    let text = project.read("log");
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for record in &records {
        assert!(record["time"].is_string() && record["level"].is_string(), "{record}");
        assert!(record["file"].is_string() && record["line"].is_u64(), "{record}");
        assert!(record["message"].is_string() && record["fields"].is_object(), "{record}");
    }
    let failed = records.iter().find(|record| record["message"] == "task failed");
    let failed = failed.unwrap_or_else(|| panic!("no failure\n{text}"));
    assert_eq!((&failed["level"], &failed["fields"]["task"]), (&"ERROR".into(), &"bad".into()));
    assert!(failed["run"].is_string() && failed["target"] == "run", "{failed}");
}

/// A record of an earlier time, often enough to fill so many bytes.
fn filler(bytes: usize, about: &str) -> String {
    let line = format!("2026-01-01T00:00:00.000Z INFO  run src/x.rs:1 -: {about}\n");
    line.repeat(bytes / line.len())
}

const MIB: usize = 1 << 20;

#[test]
fn a_large_log_begins_anew_and_loses_nothing() {
    let project = Project::new();
    let old = filler(MIB - 100, "earlier");
    project.manifest(TWO).file("log", &old);
    let smallest = ["-l", "log", "--set", "logging.log_max_size_mb=1", "manifest.txt"];
    project.run(smallest).code(6);
    assert!(project.read("log.1") == old, "the old log is as it was");
    let text = project.read("log");
    for part in ["program started", "task failed task=bad", "program ends"] {
        assert_eq!(text.matches(part).count(), 1, "{part}\n{text}");
    }
    lines(&text);
    // What has room stays.
    project.run(smallest).code(6);
    assert_eq!(project.read("log").matches("program ends").count(), 2);
    project.file("log", &old);
    project.run(["-l", "log", "--set", "logging.log_max_size_mb=2", "manifest.txt"]).code(6);
    assert!(project.read("log").starts_with(&old) && !project.exists("log.2"));
}

#[test]
fn as_many_old_logs_are_kept_as_the_settings_say() {
    let project = Project::new();
    project.manifest("task a {\n  cmd = true\n}\n");
    let run_with = |kept: &str, about: &str| {
        project.file("log", filler(MIB - 100, about));
        let kept = format!("logging.log_max_files={kept}");
        let size = "logging.log_max_size_mb=1";
        project.run(["-l", "log", "--set", size, "--set", &kept, "manifest.txt"]).success();
        assert!(!project.read("log").contains(about), "it begins anew");
    };
    for about in ["first", "second", "third"] {
        run_with("2", about);
    }
    assert!(project.read("log.1").contains(": third\n"));
    assert!(project.read("log.2").contains(": second\n"));
    assert!(!project.exists("log.3"));
    run_with("0", "fourth");
    assert!(project.read("log.1").contains(": third\n"), "nothing was put aside");
}

#[test]
fn processes_that_append_at_once_lose_and_tear_no_line() {
    const TASKS: usize = 30;
    let project = Project::new();
    let log = project.path("shared.log");
    let mut manifest = String::new();
    for number in 0..TASKS {
        manifest += &format!("task t{number} {{\n  cmd = : {number}\n}}\n");
    }
    for folder in ["a", "b", "c"] {
        project.file(format!("{folder}/manifest.txt"), &manifest);
    }
    let log = log.to_str().expect("a printable path");
    let old = filler(MIB - (10 << 10), "earlier");
    project.file("shared.log", &old);
    let size = "logging.log_max_size_mb=1";
    let runs: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|folder| project.spawn(["-C", folder, "-l", log, "--set", size]))
        .collect();
    for run in runs {
        run.wait().success();
    }
    // One of them began a new file, and the others followed.
    let text = project.read("shared.log.1") + &project.read("shared.log");
    let lines = lines(&text);
    assert_eq!(lines.iter().filter(|line| line.rest == "earlier").count(), old.lines().count());
    let mut runs: Vec<&str> =
        lines.iter().map(|line| line.run.as_str()).filter(|run| *run != "-").collect();
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), 3);
    for run in runs {
        for number in 0..TASKS {
            let wanted = format!("task finished task=t{number} ");
            let found = lines.iter().filter(|l| l.run == run && l.rest.starts_with(&wanted));
            assert_eq!(found.count(), 1, "{wanted} of {run}");
        }
    }
}

#[test]
fn a_full_disk_stops_nothing_and_is_said_once() {
    let project = Project::new();
    let run = project.manifest(TWO).run(["-l", "/dev/full", "manifest.txt", "good"]);
    run.success().stderr_has("cannot write to the log `/dev/full`: No space left on device");
    assert_eq!(run.err().matches("/dev/full").count(), 1, "{}", run.transcript());
    assert_eq!(project.read("out"), "said\n");
}

#[test]
fn a_log_that_cannot_be_opened_stops_nothing() {
    let project = Project::new();
    let pipe = project.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    project.manifest(TWO);
    for log in ["pipe", "manifest.txt/log"] {
        let run = project.run(["-f", "-l", log, "manifest.txt", "good"]);
        run.success().stderr_has("; there is no log");
        assert_eq!(project.read("out"), "said\n");
    }
}

#[test]
fn a_pipe_whose_reader_does_not_read_hangs_nothing() {
    let project = Project::new();
    let pipe = project.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    // Opened for both, so that nobody waits; and full, so that whoever writes does.
    let mut reader = fs::File::options().read(true).write(true).open(&pipe).expect("a pipe");
    let size = nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_GETPIPE_SZ).expect("its size");
    let fill = vec![b'x'; usize::try_from(size).expect("a size")];
    std::io::Write::write_all(&mut reader, &fill).expect("an empty pipe");
    let run = project.manifest(TWO).run(["-l", "pipe", "manifest.txt", "good"]);
    run.success().stderr_has("cannot write to the log `pipe`: it takes nothing any more");
    assert_eq!(project.read("out"), "said\n");
}

#[test]
fn no_name_forges_a_record() {
    let project = Project::new();
    let forged = "2026-01-01T00:00:00.000Z FATAL run src-x.rs:1 -: forged \u{1b}[31m";
    let manifest = format!("m\n{forged}");
    project.file(&manifest, "task a {\n  cmd = true\n}\n");
    for form in ["text", "json"] {
        let form = format!("logging.log_format={form}");
        project.run(["-l", "log", "--set", &form, &manifest]).success();
        let text = project.read("log");
        assert!(text.contains("forged \\u"), "it is there, escaped\n{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01")), "{text}");
        project.remove("log");
    }
    let console = "logging.log_to_console=true";
    let run = project.run(["-q", "--set", console, &manifest]);
    run.success().stderr_has("forged \\u").stderr_lacks("\u{1b}").stderr_lacks("\n2026-01-01");
}

#[test]
fn secrets_of_the_environment_and_the_settings_stay_out() {
    let mut project = Project::new();
    project.manifest("task a {\n  cmd = true\n  pass_env = API_TOKEN\n}\n");
    for secret in ["hush-hush-1", "hush-hush-2"] {
        project.env("API_TOKEN", secret);
        let key = format!("remote_cas.secret_key={secret}");
        let log = ["-l", "log", "--log-level", "DEBUG", "--set", &key];
        project.run([&log[..], &["manifest.txt"]].concat()).success();
    }
    let text = project.read("log");
    assert!(text.contains("--set remote_cas.secret_key=*** manifest.txt"), "{text}");
    assert!(text.contains("`API_TOKEN` changed") && !text.contains("hush"), "{text}");
}

#[test]
fn the_terminal_has_records_only_when_asked() {
    let project = Project::new();
    project.manifest(TWO).run(["-f", "manifest.txt", "good"]).success().stderr_lacks("INFO");
    let run = project.run(["-f", "--set", "logging.log_to_console=true", "manifest.txt", "good"]);
    run.success().stderr_has(" INFO  run: task started task=good").stdout_lacks("INFO");
}

#[test]
fn records_on_a_terminal_have_colours_and_those_in_a_file_none() {
    let project = Project::new();
    project.manifest(TWO);
    let on_terminal = |colours: &str| {
        let colours = format!("logging.log_colors={colours}");
        let console = "logging.log_to_console=true";
        let args = ["-l", "log", "--set", console, "--set", &colours, "manifest.txt"];
        let mut command = project.command(args);
        command.env("TERM", "xterm");
        let mut terminal = Terminal::start(command, 200, 60, Streams::Both);
        assert_eq!(terminal.wait(), 6);
        terminal.raw()
    };
    let coloured = on_terminal("true");
    assert!(coloured.contains("ERROR\u{1b}[0m run: task failed task=bad"), "{coloured}");
    let plain = on_terminal("false");
    assert!(plain.contains(" ERROR run: task failed task=bad"), "{plain}");
    // Nor a progress display, which moves the cursor.
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert!(!project.read("log").contains('\u{1b}'));
}

#[test]
fn the_journal_gets_priorities() {
    let project = Project::new();
    project.manifest(TWO);
    let path = project.path("stderr");
    let run = |stream: &str| {
        let file = fs::File::create(&path).expect("a file");
        let meta = file.metadata().expect("a file");
        let stream =
            stream.replace("DEV", &meta.dev().to_string()).replace("INO", &meta.ino().to_string());
        let mut command =
            project.command(["-f", "--set", "logging.log_to_console=true", "manifest.txt"]);
        let ended = command.env("JOURNAL_STREAM", stream).stderr(Stdio::from(file)).status();
        assert_eq!(ended.expect("a program").code(), Some(6));
        project.read("stderr")
    };
    let journal = run("DEV:INO");
    assert!(journal.contains("\n<6>run: task started task=good attempt=1\n"), "{journal}");
    assert!(journal.contains("\n<3>run: task failed task=bad "), "{journal}");
    // The variable is inherited by what is started with another stderr.
    let other = run("DEV:1");
    assert!(!other.contains("<6>") && other.contains(" INFO  run: "), "{other}");
}

#[test]
fn an_error_says_where_it_was_found_only_if_asked() {
    let mut project = Project::new();
    project.run(["-C", "nowhere"]).code(2).stderr_lacks("found at");
    let run = project.run(["-V", "-C", "nowhere"]);
    run.code(2).stderr_has("error: cannot enter the folder `nowhere`: ");
    run.stderr_has("\n  found at: src/cli/mod.rs:");
    project.env("RUST_BACKTRACE", "1");
    project.run(["nothing.txt"]).code(2).stderr_has("\n  found at: src/cli/build.rs:");
}
