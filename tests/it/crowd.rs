//! Many runs at once with one cache, of random graphs, while the cache is collected, verified and
//! copied: every output is that of a clean build, each key is executed once, and all of it ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Background, Project, assert_sound_objects, long, say, wait_until};

const TASKS: usize = 20;

/// Numbers that look random and are the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("a small number")
    }
}

/// For each task which earlier ones it reads.
fn graph(seed: u64) -> Vec<Vec<usize>> {
    let mut numbers = Numbers(seed | 1);
    let deps = |task: usize| {
        let mut deps: Vec<usize> = (0..numbers.below(4))
            .filter(|_| task > 0)
            .map(|_| numbers.below(task.max(1)))
            .collect();
        deps.sort_unstable();
        deps.dedup();
        deps
    };
    (0..TASKS).map(deps).collect()
}

fn inputs(deps: &[usize]) -> String {
    deps.iter().fold("seed".to_owned(), |text, dep| format!("{text} o{dep}"))
}

fn command(task: usize, deps: &[usize]) -> String {
    format!("{{ echo {task}; cat {}; }} | cksum > o{task}", inputs(deps))
}

/// The outputs that the commands make one after another, without the program.
fn clean_build(project: &Project, graph: &[Vec<usize>]) -> BTreeMap<usize, String> {
    project.dir("clean").file("clean/seed", "seed\n");
    let script: Vec<String> =
        graph.iter().enumerate().map(|(task, deps)| command(task, deps)).collect();
    let mut shell = Command::new("/bin/sh");
    shell.arg("-ec").arg(script.join("\n")).current_dir(project.path("clean"));
    assert!(shell.status().expect("a shell").success());
    (0..TASKS).map(|task| (task, project.read(format!("clean/o{task}")))).collect()
}

/// Ends the loops beside the runs, however the runs end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Calls the program again and again beside the runs, until they are over.
fn beside(project: &Project, over: &AtomicBool, calls: &[&[&str]]) -> usize {
    let mut rounds = 0;
    // Of what is not there yet nothing can be copied.
    wait_until("the cache", || project.exists("cache/cache"));
    while !over.load(Ordering::SeqCst) || rounds == 0 {
        for call in calls {
            project.run([&["--cache-dir", "cache"], *call].concat()).success();
        }
        rounds += 1;
    }
    rounds
}

/// So many runs in each checkout, and calls beside them, of which nothing may fail; how many rounds
/// of calls that were.
fn all_at_once(project: &Project, names: &[String], runs: usize) -> usize {
    let gc: &[&[&str]] = &[&["gc"], &["gc", "--dry-run"]];
    let proof: &[&[&str]] = &[&["cache", "verify"], &["cache", "stats"]];
    let copy: &[&[&str]] = &[&["backup", "create", "b"], &["backup", "delete", "b"]];
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = Over(over);
        let started: Vec<Background> = (0..names.len() * runs)
            .map(|number| {
                let name = names[number % names.len()].as_str();
                project.spawn_json(["-j", "2", "-C", name, "--cache-dir", "../cache"])
            })
            .collect();
        let threads: Vec<_> = [gc, proof, copy]
            .into_iter()
            .map(|calls| scope.spawn(move || beside(project, over, calls)))
            .collect();
        let ended: Vec<_> = started.into_iter().map(Background::wait).collect();
        drop(end);
        for run in &ended {
            run.success();
            for trouble in ["cache_damaged", "cache_degraded"] {
                assert!(run.events_of(trouble).is_empty(), "{}", run.transcript());
            }
        }
        threads.into_iter().map(|thread| thread.join().expect("no failure")).sum()
    })
}

/// So many runs in each of so many checkouts, all at once; twice, the second time without outputs.
fn crowd(checkouts: usize, runs: usize, seed: u64) {
    let project = Project::new();
    let graph = graph(seed);
    let expected = clean_build(&project, &graph);
    let counter = project.path("count");
    let mut manifest = String::new();
    for (task, deps) in graph.iter().enumerate() {
        let (cmd, inputs, counter) = (command(task, deps), inputs(deps), counter.display());
        let _ = write!(
            manifest,
            "task t{task} {{\n  cmd = echo {task} >> {counter}; {cmd}\n  inputs = {inputs}\n  \
             outputs = o{task}\n}}\n"
        );
    }
    let names: Vec<String> = (0..checkouts).map(|number| format!("checkout-{number}")).collect();
    for name in &names {
        project
            .file(format!("{name}/manifest.txt"), &manifest)
            .file(format!("{name}/seed"), "seed\n");
    }
    let once: Vec<usize> = (0..TASKS).collect();
    for round in 0..2 {
        let calls = all_at_once(&project, &names, runs);
        let count = fs::read_to_string(&counter).expect("the count");
        let mut executed: Vec<usize> =
            count.lines().map(|line| line.parse().expect("a number")).collect();
        executed.sort_unstable();
        assert_eq!(executed, once, "each key once, seed {seed}");
        for name in &names {
            for (task, text) in &expected {
                assert_eq!(project.read(format!("{name}/o{task}")), *text, "{name}, seed {seed}");
                project.remove(format!("{name}/o{task}"));
            }
        }
        say(&format!("{checkouts} checkouts, round {round}: {calls} rounds of calls beside"));
    }
    assert_sound_objects(&project.path("cache"));
    for folder in ["leases", "users", "tmp"] {
        let left = fs::read_dir(project.path("cache/cas").join(folder)).into_iter().flatten();
        assert_eq!(left.count(), 0, "what is left in cas/{folder}");
    }
}

fn seeds() -> impl Iterator<Item = u64> {
    let seed = std::env::var("REPROVM_TEST_SEED");
    let first = seed.map_or(1, |text| text.parse().expect("a number"));
    first..first + 1 + 10 * u64::from(long())
}

// T4, T6.
#[test]
fn sixteen_runs_in_two_checkouts_beside_gc_verify_and_backup() {
    seeds().for_each(|seed| crowd(2, 8, seed));
}

#[test]
fn a_run_in_each_of_twelve_checkouts_beside_gc_verify_and_backup() {
    seeds().for_each(|seed| crowd(12, 1, seed));
}
