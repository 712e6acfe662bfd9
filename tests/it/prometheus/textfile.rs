//! The file for node_exporter: what is in it, when it is written, and who may read it.

use nix::sys::signal::Signal;

use super::{FINDINGS, project};
use crate::support::prometheus::{Samples, promtool};
use crate::support::{Project, wait_until};

const SET: [&str; 2] = ["--set", "prometheus.textfile=out.prom"];

/// The value of a line; each bears the project that it is of.
#[track_caller]
fn value(project: &Project, name: &str) -> f64 {
    let label = format!("project=\"{}\"", project.root().display());
    Samples::of(&project.read("out.prom")).get(&format!("{name}{{{label}}}"))
}

#[test]
fn each_run_leaves_its_figures_in_the_file() {
    let project = project();
    project.run(SET.into_iter().chain(["manifest.txt"])).success().stderr_lacks("warning");
    let text = project.read("out.prom");
    assert_eq!(promtool(&text), FINDINGS);
    assert_eq!((value(&project, "tasks_executed"), value(&project, "tasks_total")), (3.0, 3.0));
    assert!(value(&project, "cas_objects") > 0.0);
    // node_exporter is another user, and reads no half file.
    assert_eq!(project.mode("out.prom"), 0o644);
    let names: Vec<_> = project.tree().keys().cloned().collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains(".tmp")), "{names:?}");

    project.run(SET.into_iter().chain(["manifest.txt"])).success();
    assert_eq!((value(&project, "tasks_executed"), value(&project, "tasks_total")), (0.0, 6.0));
    project.remove("out.prom");
    project.run(SET.into_iter().chain(["-n", "manifest.txt"])).success();
    assert!(!project.exists("out.prom"), "a dry run writes nothing");
}

#[test]
fn a_run_that_is_stopped_leaves_its_figures_too() {
    let project = Project::new();
    project.manifest("task a {\n  cmd = touch up; sleep 1000\n}\n");
    let mut run = project.spawn(SET.into_iter().chain(["manifest.txt"]));
    wait_until("the task", || project.exists("up"));
    run.signal(Signal::SIGTERM);
    run.wait().code(143);
    assert_eq!(value(&project, "tasks_cancelled"), 1.0);
}

#[test]
fn a_folder_that_is_not_there_is_said_and_the_run_stands() {
    let project = project();
    let run = project.run(["--set", "prometheus.textfile=none/out.prom", "manifest.txt"]);
    run.success().stderr_has("warning: cannot create `none/out.prom").stderr_has("3 executed");
}
