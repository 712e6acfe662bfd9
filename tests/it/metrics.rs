//! The figures of a run in the file of `-m`: their form, and that they are the run's.

use serde_json::{Value, json};

use crate::support::{Project, Run};

/// Three tasks in a row and one beside them, which fails while `broken` is there.
const MANIFEST: &str = "\
task one {
  cmd = cp in one; sleep 0.05
  inputs = in
  outputs = one
}

task two {
  cmd = cp one two
  inputs = one
  outputs = two
}

task three {
  cmd = cp two three
  inputs = two
  outputs = three
}

task beside {
  cmd = test ! -e broken
  inputs = in
}
";

/// A run with the file, and what is in it.
fn figures(project: &Project, args: &[&str]) -> (Run, Value) {
    let run = project.json([&["-m", "figures.json", "manifest.txt"], args].concat());
    let figures: Value = serde_json::from_str(&project.read("figures.json")).expect("JSON");
    (run, figures)
}

#[track_caller]
fn assert_figures(figures: &Value, tasks: [u64; 4], cache: (u64, u64, f64)) {
    let [total, executed, cached, failed] = tasks;
    let tasks = json!({"total": total, "executed": executed, "cached": cached, "failed": failed});
    assert_eq!(figures["tasks"], tasks, "{figures}");
    let (hits, misses, rate) = cache;
    let cache = json!({"hits": hits, "misses": misses, "hit_rate": rate});
    assert_eq!(figures["cache"], cache, "{figures}");
}

#[test]
fn the_figures_are_those_of_the_run() {
    let project = Project::new();
    project.file("in", "1").manifest(MANIFEST);

    let (run, cold) = figures(&project, &[]);
    run.success();
    assert_figures(&cold, [4, 4, 0, 0], (0, 4, 0.0));
    let durations: Vec<u64> = run
        .events_of("task_finished")
        .iter()
        .map(|event| event["usage"]["duration_ms"].as_u64().expect("a number"))
        .collect();
    let total: u64 = durations.iter().sum();
    assert_eq!(cold["timing_ms"]["total"], total, "{cold}");
    assert_eq!(cold["timing_ms"]["min"].as_u64(), durations.iter().copied().min());
    assert_eq!(cold["timing_ms"]["max"].as_u64(), durations.iter().copied().max());
    let average = cold["timing_ms"]["average"].as_f64().expect("a number");
    assert!((average - total as f64 / 4.0).abs() < 0.001, "{cold}");
    assert!(total >= 50, "{cold}");
    let elapsed = cold["elapsed_seconds"].as_f64().expect("a number");
    assert!((0.05..=120.0).contains(&elapsed), "{cold}");
    let stamp = cold["timestamp"].as_str().expect("a text");
    assert!(stamp.len() == 20 && stamp.starts_with("20") && stamp.ends_with('Z'), "{stamp}");

    // What was settled at once is cached too, and so is what is restored.
    let (run, second) = figures(&project, &[]);
    run.executed_nothing();
    assert_figures(&second, [4, 0, 4, 0], (4, 0, 1.0));
    assert_eq!(second["timing_ms"], json!({"total": 0, "average": 0.0, "min": 0, "max": 0}));
    project.remove("one");
    let (run, restored) = figures(&project, &[]);
    run.executed_nothing();
    assert_figures(&restored, [4, 0, 4, 0], (4, 0, 1.0));

    project.file("in", "2").file("broken", "");
    let (run, broken) = figures(&project, &["-j", "1"]);
    run.code(6);
    assert_figures(&broken, [4, 3, 0, 1], (0, 4, 0.0));

    // Only what the target needs counts, and what is skipped is neither executed nor cached.
    project.remove("broken").manifest(&MANIFEST.replace("cp one two", "exit 1"));
    let (run, skipping) = figures(&project, &["three"]);
    run.code(6);
    assert_figures(&skipping, [3, 0, 1, 1], (1, 1, 0.5));
}

#[test]
fn a_dry_run_writes_no_figures_and_a_folder_that_is_not_there_is_said() {
    let project = Project::new();
    project.file("in", "1").manifest(MANIFEST);
    project.run(["-n", "-m", "figures.json", "manifest.txt"]).success().says("figures.json");
    assert!(!project.exists("figures.json"));
    let run = project.run(["-m", "none/figures.json", "manifest.txt"]);
    run.success().stderr_has("none/figures.json");
}
