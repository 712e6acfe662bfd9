//! A real C project through the binary: what a build owes its user from the first run to the
//! run after a crash.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use crate::support::{CProject, Entry, Run, Tree, assert_same_tree, long, wait_until};

/// A project that has been built once.
fn built() -> CProject {
    let made = CProject::new();
    made.project.run(["manifest.txt"]).success();
    made
}

/// What is left of the tree below `out/`.
fn products(tree: &Tree) -> Tree {
    tree.iter()
        .filter(|(path, entry)| path.starts_with("out") && matches!(entry, Entry::File { .. }))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect()
}

/// The tree of another project with the same sources, built in one go.
fn clean_build_of(made: &CProject) -> Tree {
    let fresh = CProject::new();
    for file in made.files() {
        fresh.project.file(&file, made.project.bytes(&file));
    }
    fresh.project.run(["manifest.txt"]).success();
    fresh.tree()
}

#[track_caller]
fn assert_executed(run: &Run, expected: &[String]) {
    let executed = run.success().executed();
    assert!(executed == expected, "expected {expected:?}\n{}", run.transcript());
    assert_eq!(run.summary().executed, expected.len(), "{}", run.transcript());
}

#[test]
fn the_project_is_real() {
    let made = CProject::new();
    assert!(made.files().iter().filter(|file| file.ends_with(".c")).count() >= 32);
    assert!(made.files().iter().filter(|file| file.ends_with(".h")).count() >= 8);
    assert!(made.dependents_of("text").len() < made.dependents_of("base").len());
    assert_eq!(made.tree(), CProject::new().tree());
}

#[test]
fn a_cold_build_executes_all_and_a_second_run_nothing() {
    let made = CProject::new();
    let cold = made.project.json(["manifest.txt"]);
    assert_executed(&cold, &made.tasks().into_iter().collect::<Vec<_>>());
    assert!(made.project.read("out/report.txt").starts_with("version 1.0\nrandom_0 "));
    let before = made.tree();
    let second = made.project.json(["manifest.txt"]);
    second.executed_nothing();
    assert_eq!(second.summary().up_to_date, made.tasks().len());
    assert_same_tree(&made.tree(), &before);
}

#[test]
fn touching_every_file_executes_nothing() {
    let made = built();
    let before = made.tree();
    for file in made.files() {
        made.project.touch(file);
    }
    for product in products(&before).keys() {
        made.project.touch(product);
    }
    made.project.json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&made.tree(), &before);
}

#[test]
fn a_comment_in_a_header_recompiles_its_dependents_and_does_not_relink() {
    for header in ["table", "base"] {
        let made = built();
        let before = products(&made.tree());
        let path = format!("include/{header}.h");
        let text = made.project.read(&path);
        made.project.file(&path, format!("/* A word to the reader. */\n{text}"));
        let run = made.project.json(["manifest.txt"]);
        assert_executed(&run, &made.dependents_of(header));
        for event in run.events_of("task_finished") {
            if event["outcome"]["status"] == "executed" {
                let reason = serde_json::json!([{"reason": "input_changed", "path": path}]);
                assert_eq!(event["reasons"], reason, "{event}");
            }
        }
        assert_same_tree(&products(&made.tree()), &before);
        made.project.json(["manifest.txt"]).executed_nothing();
    }
}

#[test]
fn a_change_that_matters_goes_through_to_the_program() {
    let made = built();
    let before = made.project.read("out/report.txt");
    let text = made.project.read("src/version.c").replace("1.0", "1.1");
    made.project.file("src/version.c", text);
    let run = made.project.json(["manifest.txt"]);
    assert_executed(&run, &["check", "library", "program", "version.o"].map(String::from));
    assert_eq!(made.project.read("out/report.txt"), before.replace("1.0", "1.1"));
}

#[test]
fn deleted_outputs_come_back_with_the_same_bytes_and_modes() {
    let made = built();
    let before = made.tree();
    for product in products(&before).keys() {
        made.project.remove(product);
    }
    made.project.json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&made.tree(), &before);
    made.project.remove("out");
    made.project.json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&made.tree(), &before);
    made.project.remove("out/program");
    made.project.json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&made.tree(), &before);
}

#[test]
fn outputs_edited_by_hand_are_put_right_without_running() {
    let made = built();
    let before = made.tree();
    made.project.file("out/obj/text_0.o", "no object").chmod("out/program", 0o600);
    made.project.file("out/report.txt", "no report");
    made.project.json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&made.tree(), &before);
}

#[test]
fn an_edit_taken_back_brings_the_old_results_without_running() {
    let made = built();
    let before = made.tree();
    let text = made.project.read("include/base.h");
    made.project.file("include/base.h", text.replace("17u", "18u"));
    made.project.run(["manifest.txt"]).success();
    assert_ne!(products(&made.tree()), products(&before));
    made.project.file("include/base.h", text);
    made.project.json(["manifest.txt"]).executed_nothing();
    assert_same_tree(&made.tree(), &before);
}

#[test]
fn a_compile_error_shows_the_compilers_words_and_its_repair_is_right() {
    let made = built();
    let good = made.project.read("src/table_1.c");
    made.project.file("src/table_1.c", format!("{good}#error the table is broken\n"));
    let run = made.project.run(["manifest.txt"]);
    run.code(6).says("the table is broken").says("src/table_1.c").says("table_1.o");
    let again = made.project.json(["manifest.txt"]);
    again.code(6);
    assert_eq!(again.tasks_with("failed"), ["table_1.o"]);
    let summary = again.summary();
    assert_eq!((summary.failed, summary.skipped, summary.executed), (1, 3, 0), "{summary:?}");
    made.project.file("src/table_1.c", good.replace("return value", "return value + 1u"));
    let fixed = made.project.json(["manifest.txt"]);
    assert_executed(&fixed, &["check", "library", "program", "table_1.o"].map(String::from));
    assert_same_tree(&made.tree(), &clean_build_of(&made));
}

/// A small generator of moments and edits (a Weyl sequence, mixed), the same in every run.
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((mixed >> 33) % limit as u64).expect("it is below a usize")
    }
}

/// Builds and kills the program with -9 at a moment; whether it was in time.
fn kill_at(made: &CProject, moments: &mut Moments) -> bool {
    let tasks = made.tasks().len();
    let mut run = made.project.spawn_json(["manifest.txt"]);
    if moments.below(2) == 0 {
        // Some events have been told.
        let lines = moments.below(2 * tasks);
        wait_until("the moment to kill", || {
            let told = run.stdout_so_far().iter().filter(|&&byte| byte == b'\n').count();
            told >= lines || run.is_over()
        });
    } else {
        // Some objects lie there, whole or not.
        let objects = moments.below(tasks);
        let folder = made.project.path("out/obj");
        wait_until("the moment to kill", || {
            let there = folder.read_dir().map_or(0, Iterator::count);
            there >= objects || run.is_over()
        });
    }
    run.signal(Signal::SIGKILL);
    let ended = run.wait();
    assert!(ended.signal == Some(9) || ended.code == Some(0), "{}", ended.transcript());
    ended.signal == Some(9)
}

/// Puts the project into the state from which a round of killing begins.
fn prepare(made: &CProject, round: usize, moments: &mut Moments) {
    let seed = |seed: usize| {
        let text = format!("typedef unsigned int number;\n#define SEED {seed}u");
        let header = format!("#ifndef BASE_H\n#define BASE_H\n\n{text}\n\n#endif\n");
        made.project.file("include/base.h", header);
    };
    match round % 5 {
        // From nothing, the cache included.
        0 => {
            for path in ["out", ".reprovm"].iter().filter(|path| made.project.exists(path)) {
                made.project.remove(path);
            }
            seed(round);
        }
        // From the store alone.
        1 => drop(made.project.remove("out")),
        // After an edit that changes every object.
        2 => seed(round),
        // After taking it back: all comes from the store, over what the edit made.
        3 => seed(round - 3),
        // After another edit, and killed once before.
        _ => {
            let text = made.project.read("src/version.c").replace("return \"", "return \"1");
            made.project.file("src/version.c", text);
            kill_at(made, moments);
        }
    }
}

#[test]
fn killed_at_any_moment_the_next_run_is_right() {
    let made = CProject::new();
    let mut moments = Moments(2026);
    let mut killed = 0;
    for round in 0..6 + 30 * long() as usize {
        prepare(&made, round, &mut moments);
        killed += usize::from(kill_at(&made, &mut moments));
        made.project.run(["manifest.txt"]).success();
        assert_same_tree(&made.tree(), &clean_build_of(&made));
        made.project.json(["manifest.txt"]).executed_nothing();
    }
    assert!(killed >= 2, "only {killed} runs were killed in time");
}

#[test]
fn the_tasks_are_those_of_the_manifest() {
    let made = CProject::new();
    let text = made.project.read("manifest.txt");
    let named: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("task ")?.strip_suffix(" {"))
        .map(String::from)
        .collect();
    assert_eq!(named, made.tasks());
}
