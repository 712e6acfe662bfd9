//! What docs/terminal.md says is seen on a terminal, looked at on a real one.

use std::fs::File;

use nix::libc;

use crate::support::{Project, Streams, Terminal, wait_until};

/// A project on a terminal that knows UTF-8 and moves its cursor.
fn project(manifest: &str) -> Project {
    let mut project = Project::new();
    project.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").manifest(manifest);
    project
}

fn start(project: &Project, columns: u16, rows: u16, args: &[&str]) -> Terminal {
    Terminal::start(project.command(args), columns, rows, Streams::Both)
}

/// A task that ends when the file is there.
fn gated(task: &str, file: &str) -> String {
    format!("task {task} {{\n  cmd = while [ ! -e {file} ]; do sleep 0.02; done\n}}\n")
}

/// `first` is done at once; `second` waits for the file `gate`, and `third` for `second`.
fn three() -> Project {
    let second = gated("second", "gate");
    project(&format!(
        "task first {{\n  cmd = true\n}}\n{second}task third {{\n  cmd = true\n  deps = first, second\n}}\n"
    ))
}

#[track_caller]
fn assert_line(screen: &[String], part: &str) {
    assert!(screen.iter().any(|line| line.contains(part)), "no `{part}` in\n{}", screen.join("\n"));
}

#[track_caller]
fn assert_no_line(screen: &[String], part: &str) {
    assert!(!screen.iter().any(|line| line.contains(part)), "`{part}` in\n{}", screen.join("\n"));
}

#[test]
fn the_bar_is_the_last_line_and_is_gone_at_the_end() {
    let project = three();
    let mut terminal = start(&project, 80, 24, &["manifest.txt"]);
    let screen = terminal.wait_for("] 33.3% (1/3)");
    assert_eq!(screen[0], "3 tasks, 2 jobs".replace('2', &cores()));
    assert_line(&screen[1..2], "[✔] first");
    let bar = screen.last().expect("lines");
    assert!(bar.starts_with("Building [██████████") && bar.contains('░'), "{bar}");
    assert_no_line(&screen, "[~]");

    project.file("gate", "");
    assert_eq!(terminal.wait(), 0);
    let screen = terminal.screen();
    assert_no_line(&screen, "Building");
    assert_eq!(screen.len(), 5, "{screen:?}");
    assert_line(&screen[4..], "3 tasks: 3 executed in ");
    assert!(terminal.is_clean());
}

fn cores() -> String {
    std::thread::available_parallelism().expect("cores").to_string()
}

#[test]
fn a_wide_terminal_shows_what_runs_and_a_resized_one_is_followed() {
    let project = three();
    let mut terminal = start(&project, 200, 24, &["manifest.txt", "-j2"]);
    terminal.wait_for("] 33.3% (1/3)");
    let screen = terminal.screen();
    assert_line(&screen, "[~] second");
    let bar = screen.iter().position(|line| line.starts_with("Building [")).expect("a bar");
    assert_eq!(bar + 2, screen.len(), "{screen:?}");
    assert_eq!(screen[bar].chars().filter(|c| "█░".contains(*c)).count(), 40, "{screen:?}");

    terminal.resize(40, 24);
    let narrow = "Building [█████░░░░░░░░░░░] 33.3% (1/3)".to_owned();
    let screen = terminal.wait_for(&narrow);
    assert_eq!(screen.last(), Some(&narrow));
    assert_no_line(&screen, "[~]");

    terminal.resize(120, 30);
    assert_line(&terminal.wait_for("[~] second"), "tasks/s");
    project.file("gate", "");
    assert_eq!(terminal.wait(), 0);
    assert_no_line(&terminal.screen(), "Building");
    assert!(terminal.is_clean());
}

#[test]
fn the_estimate_comes_from_earlier_runs() {
    let project = project(
        "task a {\n  cmd = sleep 0.6\n}\ntask b {\n  cmd = sleep 0.6\n}\ntask c {\n  cmd = true\n  deps = a, b\n}\n",
    );
    project.run(["manifest.txt", "-j2", "-q"]).success();
    let mut terminal = start(&project, 80, 24, &["manifest.txt", "-f", "-j1"]);
    terminal.wait_for("0.0% (0/3) ETA: 2s");
    terminal.wait_for("tasks/s ETA: 1s");
    assert_eq!(terminal.wait(), 0);
    assert!(terminal.is_clean());
}

#[test]
fn ascii_where_the_locale_is_no_utf8() {
    let mut project = three();
    project.env("LANG", "C").env("NO_COLOR", "1");
    let mut terminal = start(&project, 40, 24, &["manifest.txt"]);
    let screen = terminal.wait_for("Building [#####-----------] 33.3% (1/3)");
    assert_no_line(&screen, "█");
    assert!(!terminal.raw().contains("\x1b[1m"), "no colours were wanted");
    project.file("gate", "");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn there_is_none_where_nobody_looks_or_wants_it() {
    type Case = (&'static [&'static str], &'static str, Streams, bool);
    let cases: [Case; 8] = [
        (&[], "xterm", Streams::Both, true),
        (&["-o", "json"], "xterm", Streams::Err, true),
        (&["--no-progress"], "xterm", Streams::Both, false),
        (&["-q"], "xterm", Streams::Both, false),
        (&["-n"], "xterm", Streams::Both, false),
        (&["-o", "json"], "xterm", Streams::Both, false),
        (&[], "dumb", Streams::Both, false),
        (&[], "xterm", Streams::Out, false),
    ];
    let running = cases.map(|case @ (args, term, streams, _)| {
        let mut project = project("task slow {\n  cmd = sleep 0.5\n}\n");
        project.env("TERM", term).env("NO_COLOR", "1");
        let elsewhere = || File::create(project.outside().join("elsewhere")).expect("a file");
        let mut command = project.command(args);
        match streams {
            Streams::Both => {}
            Streams::Out => drop(command.stderr(elsewhere())),
            Streams::Err => drop(command.stdout(elsewhere())),
        }
        (case, Terminal::start(command, 80, 24, streams), project)
    });
    for ((args, term, streams, shown), mut terminal, project) in running {
        assert_eq!(terminal.wait(), 0, "{args:?}");
        let elsewhere = std::fs::read(project.outside().join("elsewhere")).unwrap_or_default();
        let elsewhere = String::from_utf8_lossy(&elsewhere);
        let all = terminal.raw();
        let seen = all.contains("Building [") && all.contains("\x1b[J");
        assert_eq!(seen, shown, "{args:?} {term} {streams:?}\n{all}");
        assert!(shown || !all.contains('\x1b'), "{args:?} {term} {streams:?}\n{all}");
        assert!(!elsewhere.contains("Building ["), "{args:?} {term} {streams:?}\n{elsewhere}");
        assert!(terminal.is_clean(), "{args:?} {term} {streams:?}\n{all}");
    }
}

#[test]
fn lines_go_above_it_and_none_is_torn() {
    let mut manifest = String::new();
    for n in 0..30 {
        let long = "x".repeat(250);
        let end = if n % 2 == 0 { "\\n" } else { "" };
        manifest +=
            &format!("task t{n} {{\n  cmd = sleep 0.01; printf 'one of {n}\\n{long}{end}'\n}}\n");
    }
    let with_bar = project(&manifest);
    let mut terminal = start(&with_bar, 100, 300, &["manifest.txt", "-j1", "--no-color"]);
    assert_eq!(terminal.wait(), 0);
    assert!(terminal.raw().contains("Building ["), "it was on the screen");
    // The screen is read with the lines whole that it had to wrap.
    let seen = terminal.screen();
    let plain = project(&manifest).run(["manifest.txt", "-j1"]).success().err();
    let plain: Vec<String> = plain.lines().map(str::to_owned).collect();
    assert_eq!(without_times(&seen), without_times(&plain));
}

/// The lines without durations, which differ between runs.
fn without_times(lines: &[String]) -> Vec<String> {
    let is_time =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with('s');
    let kept = |line: &String| {
        line.split_whitespace().filter(|word| !is_time(word)).collect::<Vec<_>>().join(" ")
    };
    lines.iter().map(kept).collect()
}

#[test]
fn after_ctrl_c_the_terminal_is_clean() {
    let project = project(&gated("endless", "never"));
    let mut terminal = start(&project, 120, 24, &["manifest.txt"]);
    terminal.wait_for("[~] endless");
    terminal.press("\x03");
    assert_eq!(terminal.wait(), 130);
    let screen = terminal.screen();
    assert_line(&screen, "SIGINT: waiting for running tasks to end");
    assert_line(&screen, "interrupted by SIGINT: 1 task");
    for part in ["Building", "Stopping", "[~]"] {
        assert_no_line(&screen, part);
    }
    assert!(terminal.is_clean(), "{screen:?}");
}

#[test]
fn while_another_run_is_at_work_a_spinner_turns() {
    let project = project(&gated("long", "gate"));
    let first = project.spawn(["manifest.txt"]);
    wait_until("the first run to begin", || !first.stderr_so_far().is_empty());
    let what = format!("Waiting for the run of process {}", first.pid());

    let mut given_up = start(&project, 80, 24, &["manifest.txt"]);
    let mut patient = start(&project, 80, 24, &["manifest.txt"]);
    assert_ne!(given_up.pid(), patient.pid());
    let screen = given_up.wait_for(&what);
    assert!(screen.last().is_some_and(|line| line.ends_with('s')), "{screen:?}");
    given_up.press("\x03");
    assert_eq!(given_up.wait(), -libc::SIGINT);
    let screen = given_up.screen();
    assert_no_line(&screen, &what);

    patient.wait_for(&what);
    project.file("gate", "");
    first.wait().success();
    assert_eq!(patient.wait(), 0);
    assert_no_line(&patient.screen(), &what);
    assert!(patient.is_clean());
}

#[test]
fn a_mistake_after_the_wait_is_told_on_a_clean_terminal() {
    let project = project(&gated("long", "gate"));
    project.file("broken.txt", "task a {\n  cmd = true\n  inputs = nowhere\n}\n");
    let first = project.spawn(["manifest.txt"]);
    wait_until("the first run to begin", || !first.stderr_so_far().is_empty());
    let mut terminal = start(&project, 80, 24, &["broken.txt"]);
    terminal.wait_for("Waiting for the run");
    project.file("gate", "");
    first.wait().success();
    assert_ne!(terminal.wait(), 0);
    let screen = terminal.screen();
    assert_line(&screen, "`nowhere`");
    assert_no_line(&screen, "Waiting");
    assert!(terminal.is_clean(), "{screen:?}");
}

#[test]
fn a_terminal_is_coloured_unless_it_must_not_be() {
    let coloured = |args: &[&str], name: &str, value: &str| {
        let mut project = project("task a {\n  cmd = true\n}\n");
        project.env(name, value);
        let mut terminal = start(&project, 80, 24, args);
        assert_eq!(terminal.wait(), 0);
        terminal.raw().contains("\x1b[32m[✔]\x1b[0m a")
    };
    assert!(coloured(&[], "TERM", "xterm"));
    assert!(!coloured(&["--no-color"], "TERM", "xterm"));
    assert!(!coloured(&[], "NO_COLOR", "1"));
    assert!(!coloured(&[], "TERM", "dumb"));
}

#[test]
fn talk_goes_to_stderr_and_data_to_stdout() {
    let project = project("task a {\n  cmd = true\n}\n");
    project.run(["manifest.txt"]).success().stdout("").stderr_has("1 task: 1 executed");
    project.run(["--list-tasks"]).success().stdout_has("a").stderr("");
    project.run(["--graph"]).success().stdout_has("a").stderr_has("up to date: 1 task");
    project.json(["-f"]).success().stderr("").stdout_has("\"type\":\"tasks_expected\"");
    project.run(["nowhere.txt"]).stdout("").stderr_has("error");
}
