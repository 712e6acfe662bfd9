//! The README's promise to a newcomer: two commands, and they are the ones that are checked.

use std::fs;

use crate::support::{Project, source_root};

/// How many lines one sees first.
const SCREEN: usize = 30;

fn read(name: &str) -> String {
    fs::read_to_string(source_root().join(name)).expect("a file of the source")
}

/// The lines of the first block of code, and the line at which it ends.
fn first_block(text: &str) -> (Vec<&str>, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let open = lines.iter().position(|line| line.starts_with("```")).expect("a block of code");
    let length =
        lines[open + 1..].iter().position(|line| line.starts_with("```")).expect("its end");
    (lines[open + 1..=open + length].to_vec(), open + length + 1)
}

/// The commands that the steps of `.ci/run` call.
fn steps(script: &str) -> Vec<&str> {
    script
        .lines()
        .filter_map(|line| line.trim().strip_prefix("step '"))
        .filter_map(|rest| rest.split_once("' ").map(|(_, command)| command))
        .collect()
}

#[test]
fn two_commands_stand_on_the_first_screen_and_ci_calls_both() {
    let readme = read("README.md");
    let (commands, end) = first_block(&readme);
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(end < SCREEN, "the commands end at line {end}");
    let script = read(".ci/run");
    for command in commands {
        assert!(steps(&script).contains(&command), "`.ci/run` does not call `{command}`");
    }
}

#[test]
fn the_first_command_does_what_it_says() {
    let readme = read("README.md");
    let (commands, _) = first_block(&readme);
    let args = commands[0].strip_prefix("cargo run --release -- ").expect("it runs the program");
    let project = Project::new();
    project.copy(&source_root().join("examples/hello"), "examples/hello");
    project.run(args.split(' ')).success();
    assert!(project.read("examples/hello/out/hello.sha256").ends_with("  out/hello.txt\n"));
}

#[test]
fn the_helpers_see_what_they_should() {
    let text = "# T\n\nWords.\n\n```sh\none\ntwo\n```\n\n```\nthree\n```\n";
    assert_eq!(first_block(text), (vec!["one", "two"], 7));
    assert_eq!(steps("  step 'a b' cargo x -- y\nstep() {\n# step 'c' d\n"), ["cargo x -- y"]);
}
