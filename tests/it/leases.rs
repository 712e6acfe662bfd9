//! Checkouts that share one cache: of the runs that need the same key one executes it, and the
//! others wait, say for whom, and take its result.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Background, Project, Run, hex_digest, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_reprovm");

/// Checkouts of one project with one cache; what their tasks do outside is in `outside`.
struct Checkouts {
    project: Project,
    outside: PathBuf,
}

impl Checkouts {
    /// So many, each with this manifest, in which `OUT` is a folder beside them.
    fn new(names: &[&str], manifest: &str) -> Self {
        let project = Project::new();
        let outside = project.path("outside");
        fs::create_dir(&outside).expect("a folder");
        let manifest = manifest.replace("OUT", outside.to_str().expect("a plain path"));
        for name in names {
            project.file(format!("{name}/manifest.txt"), &manifest);
        }
        Self { project, outside }
    }

    fn args<'a>(&self, checkout: &'a str, more: &[&'a str]) -> Vec<String> {
        let mut args = vec!["-C", checkout, "--cache-dir", "../cache"];
        args.extend(more);
        args.push("manifest.txt");
        args.into_iter().map(str::to_owned).collect()
    }

    fn start(&self, checkout: &str) -> Background {
        self.project.spawn_json(self.args(checkout, &[]))
    }

    fn run(&self, checkout: &str) -> Run {
        self.project.json(self.args(checkout, &[]))
    }

    fn lines(&self, file: &str) -> usize {
        fs::read_to_string(self.outside.join(file)).unwrap_or_default().lines().count()
    }

    fn release(&self) {
        fs::write(self.outside.join("go"), "").expect("a file");
    }

    /// What lies in a folder of the cache.
    fn in_cache(&self, folder: &str) -> Vec<String> {
        let names = fs::read_dir(self.project.path("cache").join(folder)).into_iter().flatten();
        names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Says that it has begun, and ends when it may.
const HELD: &str = "task slow {\n  cmd = ```\n    echo x >> OUT/began\n    \
    until test -e OUT/go; do sleep 0.01; done\n    echo made > out\n  ```\n  outputs = out\n}\n";

/// The one event that says for whom a task waits.
#[track_caller]
fn waited_for(run: &Run) -> Value {
    let told = run.events_of("task_waits");
    assert_eq!(told.len(), 1, "once\n{}", run.transcript());
    told[0].clone()
}

#[test]
fn one_executes_a_key_and_the_others_say_for_whom_they_wait_and_take_its_result() {
    let names = ["one", "two", "three", "four", "five"];
    let all = Checkouts::new(&names, HELD);
    let holder = all.start("one");
    wait_until("the command", || all.lines("began") == 1);
    let mut others: Vec<Background> = names[1..].iter().map(|name| all.start(name)).collect();
    for other in &mut others {
        other.wait_for_event("task_waits", &format!("\"pid\":{}", holder.pid()));
    }
    // People are told as well, and the log.
    let log = all.project.path("six.log");
    all.project.file("six/manifest.txt", all.project.read("one/manifest.txt"));
    let log_name = log.to_str().expect("a plain path");
    let person = all.project.spawn(all.args("six", &["--log-file", log_name]));
    let project = all.project.path("one");
    let words = format!(
        "[-] slow  waiting for the result of task `slow` of `{}` (process {} on `",
        project.display(),
        holder.pid()
    );
    wait_until("the words", || {
        let said = String::from_utf8_lossy(&person.stderr_so_far()).into_owned();
        said.contains(words.trim_start_matches("[-] "))
    });
    all.release();
    assert_eq!(holder.wait().success().executed(), ["slow"]);
    for other in others {
        let run = other.wait();
        run.executed_nothing();
        assert_eq!(run.summary().cached, 1, "{}", run.transcript());
        let event = waited_for(&run);
        assert_eq!((&event["task"], &event["holder"]["task"]), (&"slow".into(), &"slow".into()));
        assert_eq!(event["holder"]["project"], project.to_str().expect("a plain path"));
    }
    person.wait().success();
    let log = fs::read_to_string(&log).expect("the log");
    assert!(log.contains("task waits for another run"), "{log}");
    assert_eq!(all.lines("began"), 1);
    for name in names {
        assert_eq!(all.project.read(format!("{name}/out")), "made\n");
    }
    assert!(all.in_cache("cas/leases").is_empty(), "nothing is left of the leases");
    assert!(all.in_cache("cas/users").is_empty(), "nor of the runs");
}

#[test]
fn a_holder_that_is_killed_leaves_the_key_to_one_that_waits() {
    let all = Checkouts::new(&["one", "two", "three"], HELD);
    let mut holder = all.start("one");
    wait_until("the command", || all.lines("began") == 1);
    let mut others = [all.start("two"), all.start("three")];
    for other in &mut others {
        other.wait_for_event("task_waits", &format!("\"pid\":{}", holder.pid()));
    }
    holder.signal(Signal::SIGKILL);
    holder.wait().signal(9);
    wait_until("the command of another", || all.lines("began") == 2);
    all.release();
    let ran: usize = others.into_iter().map(|run| run.wait().success().executed().len()).sum();
    assert_eq!((ran, all.lines("began")), (1, 2));
    assert_eq!(all.project.read("two/out") + &all.project.read("three/out"), "made\nmade\n");
}

#[test]
fn where_the_command_fails_each_tries_it_in_turn() {
    let manifest = "task bad {\n  cmd = ```\n    mkdir OUT/busy || echo x >> OUT/overlaps\n    \
        echo x >> OUT/began\n    until test -e OUT/go; do sleep 0.01; done\n    sleep 0.05\n    \
        rmdir OUT/busy\n    exit 3\n  ```\n}\n";
    let names = ["one", "two", "three"];
    let all = Checkouts::new(&names, manifest);
    let mut runs: Vec<Background> = vec![all.start("one")];
    wait_until("the command", || all.lines("began") == 1);
    runs.extend(names[1..].iter().map(|name| all.start(name)));
    for run in &mut runs[1..] {
        run.wait_for_event("task_waits", "bad");
    }
    all.release();
    for run in runs {
        run.wait().code(6);
    }
    assert_eq!((all.lines("began"), all.lines("overlaps")), (3, 0));
}

#[test]
fn ctrl_c_ends_a_wait_at_once_and_the_holder_goes_on() {
    let all = Checkouts::new(&["one", "two"], HELD);
    let holder = all.start("one");
    wait_until("the command", || all.lines("began") == 1);
    let mut waiter = all.start("two");
    waiter.wait_for_event("task_waits", "slow");
    waiter.signal_group(Signal::SIGINT);
    let waiter = waiter.wait();
    waiter.code(130);
    assert_eq!(waiter.skips(), [("slow".to_owned(), json!({"reason": "cancelled"}))]);
    all.release();
    assert_eq!(holder.wait().success().executed(), ["slow"]);
    all.run("two").executed_nothing();
    assert_eq!(all.lines("began"), 1);
}

#[test]
fn a_failure_after_which_nothing_is_to_start_ends_a_wait() {
    let bad = "task bad {\n  cmd = until test -e OUT/fail; do sleep 0.01; done; exit 3\n}\n";
    let all = Checkouts::new(&["one", "two"], &format!("{HELD}{bad}"));
    let holder = all.project.spawn_json(all.args("one", &["-j", "1"]));
    wait_until("the command", || all.lines("began") == 1);
    let mut waiter = all.project.spawn_json(all.args("two", &["-j", "2", "--fail-fast"]));
    waiter.wait_for_event("task_waits", "slow");
    fs::write(all.outside.join("fail"), "").expect("a file");
    let waiter = waiter.wait();
    waiter.code(6);
    let because = json!({"reason": "fail_fast", "task": "bad"});
    assert_eq!(waiter.skips(), [("slow".to_owned(), because)], "{}", waiter.transcript());
    all.release();
    holder.wait().code(6);
    assert_eq!(all.lines("began"), 1);
}

/// Else runs in tasks of runs could wait for each other in a circle.
#[test]
fn who_waits_at_a_limit_has_no_lease_that_others_wait_for() {
    let one = |name: &str| {
        format!(
            "task {name} {{\n  cmd = touch OUT/{name}; until test -e OUT/go; do :; done; \
             echo {name} > {name}.out\n  outputs = {name}.out\n}}\n"
        )
    };
    let all = Checkouts::new(&["one", "two"], &(one("a") + &one("b")));
    let mut waiter = all.project.spawn_json(all.args("one", &["-j", "2", "--max-cpu", "1"]));
    waiter.wait_for_event("limit_hit", "\"limit\":\"cpu\"");
    let begun = |name: &str| all.outside.join(name).exists();
    let waiting = if begun("a") { "b" } else { "a" };
    assert!(!begun(waiting), "one waits");
    let mut args = all.args("two", &[]);
    args.push(waiting.to_owned());
    let other = all.project.spawn_json(args);
    wait_until("the command in the other checkout", || begun(waiting));
    all.release();
    assert_eq!(other.wait().success().executed(), [waiting]);
    let run = waiter.wait();
    let summary = run.success().summary();
    assert_eq!(summary.executed + summary.cached, 2, "{}", run.transcript());
    for name in ["a", "b"] {
        assert_eq!(all.project.read(format!("one/{name}.out")), format!("{name}\n"));
    }
}

#[test]
fn that_the_cache_was_damaged_is_said_also_where_others_share_it() {
    let all =
        Checkouts::new(&["one", "two"], "task t {\n  cmd = echo made > out\n  outputs = out\n}\n");
    all.run("one").success();
    let hex = hex_digest(b"made\n");
    let object = all.project.path("cache/cas/objects").join(&hex[..2]).join(&hex[2..]);
    fs::remove_file(&object).and_then(|()| fs::write(&object, "bade\n")).expect("an object");
    let run = all.run("two");
    assert_eq!(run.success().executed(), ["t"]);
    assert_eq!(run.reasons("t")[0]["reason"], "store_damaged", "{}", run.transcript());
    assert_eq!(all.project.read("two/out"), "made\n");
}

#[test]
fn what_is_never_cached_and_what_is_forced_waits_for_nobody() {
    let off = HELD.replace("  outputs", "  cache = off\n  outputs").replace("slow", "off");
    let all = Checkouts::new(&["one", "two"], &off);
    let runs = [all.start("one"), all.start("two")];
    wait_until("both commands", || all.lines("began") == 2);
    all.release();
    for run in runs {
        assert!(run.wait().success().events_of("task_waits").is_empty());
    }
    let forced = Checkouts::new(&["one", "two"], HELD);
    let first = forced.start("one");
    wait_until("the first command", || forced.lines("began") == 1);
    let second = forced.project.spawn_json(forced.args("two", &["--force"]));
    wait_until("the second command", || forced.lines("began") == 2);
    forced.release();
    first.wait().success();
    second.wait().success();
}

/// The run inside needs the key that the run around it is executing: it must not wait for it.
#[test]
fn a_run_inside_a_task_does_not_wait_for_the_key_of_that_task() {
    let manifest = "task t {\n  cmd = ```\n    echo x >> OUT/began\n    echo made > out\n    \
        if mkdir OUT/inside; then PROGRAM -C OUT/../two --cache-dir ../cache; fi\n  ```\n  \
        outputs = out\n}\n";
    let all = Checkouts::new(&["one", "two"], &manifest.replace("PROGRAM", PROGRAM));
    assert_eq!(all.run("one").success().executed(), ["t"]);
    assert_eq!(all.lines("began"), 2);
    assert_eq!(all.project.read("two/out"), "made\n");
}

#[test]
fn tasks_do_not_inherit_a_lease_and_a_cache_of_its_own_has_none() {
    let look = "task look {\n  cmd = ls -l /proc/self/fd > fds.txt\n  outputs = fds.txt\n}\n";
    let all = Checkouts::new(&["one"], look);
    all.run("one").success();
    let fds = all.project.read("one/fds.txt");
    assert!(fds.contains("/dev/null") && !fds.contains("cas/"), "{fds}");
    let own = Project::new();
    own.manifest(look).run(["manifest.txt"]).success();
    assert!(!own.exists(".reprovm/cas/leases"), "nobody else can be there");
}

/// As where the file system has no locks: work may be done twice, and nothing is wrong.
#[test]
fn where_no_lease_can_be_had_the_run_goes_on() {
    let all = Checkouts::new(&["one", "two"], HELD);
    all.project.file("cache/cas/leases", "in the way");
    let runs = [all.start("one"), all.start("two")];
    wait_until("both commands", || all.lines("began") == 2);
    all.release();
    for run in runs {
        assert_eq!(run.wait().success().executed(), ["slow"]);
    }
    assert_eq!(all.project.read("one/out") + &all.project.read("two/out"), "made\nmade\n");
}

#[test]
fn two_tasks_of_one_run_with_the_same_key_take_their_turns() {
    let twins =
        "task a {\n  cmd = echo x >> OUT/began\n}\ntask b {\n  cmd = echo x >> OUT/began\n}\n";
    let all = Checkouts::new(&["one"], twins);
    let run = all.project.json(all.args("one", &["-j", "2"]));
    let summary = run.success().summary();
    assert_eq!(summary.executed + summary.cached + summary.up_to_date, 2, "{}", run.transcript());
    assert_eq!(all.lines("began"), summary.executed);
}
