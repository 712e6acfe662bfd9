//! Every example, run as its reader would: from nothing, then again.

use reprovm::base::Digest;

use crate::support::{Project, assert_same_tree};

/// Runs the example twice; the second run has nothing to do.
#[track_caller]
fn run_twice(project: &Project, manifest: &str) {
    let cold = project.json([manifest]);
    let summary = cold.success().summary();
    assert!(summary.total > 0 && summary.executed == summary.total, "{}", cold.transcript());
    let before = project.tree();
    project.json([manifest]).executed_nothing();
    assert_same_tree(&project.tree(), &before);
}

#[test]
fn hello_is_compiled_run_and_checksummed() {
    let project = Project::of_example("hello");
    run_twice(&project, "manifest.txt");
    let words = project.read("out/hello.txt");
    assert_eq!(words, "Hello from a reproducible build.\n");
    let line = format!("{}  out/hello.txt\n", Digest::of(words.as_bytes()));
    assert_eq!(project.read("out/hello.sha256"), line);
}

#[test]
fn clib_is_built_and_its_tests_pass() {
    let project = Project::of_example("clib");
    run_twice(&project, "manifest.txt");
    assert_eq!(project.read("out/test.txt"), "11 checks, 0 failures\n");
    assert!(project.bytes("out/libwords.a").starts_with(b"!<arch>\n"));
    // Only the sources that see the header are compiled again.
    let header = project.read("include/order.h");
    project.file("include/order.h", format!("/* Sorting. */\n{header}"));
    let executed = project.json(["manifest.txt"]).success().executed();
    assert_eq!(executed, ["order.o", "report.o", "test-program"]);
}

#[test]
fn pipeline_reports_on_what_it_made() {
    let project = Project::of_example("pipeline");
    run_twice(&project, "manifest.txt");
    assert_eq!(
        project.read("out/report/metrics.txt"),
        "readings_kept 370\nreadings_rejected 30\nsensors 5\n"
    );
    let report = project.read("out/report/report.md");
    assert!(report.starts_with("# Temperatures\n\n370 readings, 30 rejected.\n"), "{report}");
    assert!(report.contains("| attic | 75 | 5.1 | 17.5 | 29.0 |\n"), "{report}");
}

#[test]
fn the_same_pipeline_as_toml_gives_the_same() {
    let text = Project::of_example("pipeline");
    text.run(["manifest.txt"]).success();
    let toml = Project::of_example("pipeline");
    run_twice(&toml, "manifest.toml");
    assert_same_tree(&toml.tree(), &text.tree());
    // The key does not know in which language a task was written.
    text.json(["manifest.toml"]).executed_nothing();
    assert_same_tree(&text.tree(), &toml.tree());
}
