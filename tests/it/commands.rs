//! The command line: help, completions, the manual page, mistakes, the documents' lines.

use crate::support::Project;

fn hello() -> Project {
    let project = Project::new();
    project.manifest(
        "task target1 {\n  cmd = echo one > one.txt\n  outputs = one.txt\n}\n\
         task target2 {\n  cmd = cat one.txt > two.txt\n  inputs = one.txt\n  outputs = two.txt\n}\n",
    );
    project
}

#[test]
fn short_help_is_short_and_long_help_is_grouped() {
    let project = Project::new();
    let short = project.run(["-h"]).success().out();
    let long = project.run(["--help"]).success().out();
    for heading in ["Running:", "Cache:", "Looking:", "Output:", "Limits:", "Verbs:"] {
        assert!(short.contains(heading) && long.contains(heading), "{heading}\n{short}");
    }
    assert!(short.lines().count() < long.lines().count());
    for flag in ["--jobs", "--force", "--dry-run", "--timeout", "--cache-dir", "--no-progress"] {
        assert!(short.contains(flag) && long.contains(flag), "{flag}");
    }
}

#[test]
fn completions_and_the_manual_page_know_flags_and_verbs() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = project.run(["completions", shell]).success().out();
        for word in ["no-progress", "cache-dir", "explain", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let bash = project.run(["completions", "bash"]).success().out();
    project.file("c.bash", format!("{bash}\nCOMP_WORDS=(reprovm --no-p); COMP_CWORD=1; COMPREPLY=(); _reprovm reprovm --no-p reprovm; echo \"${{COMPREPLY[@]}}\"\n"));
    let shell = Project::of_program("/bin/bash");
    let said = shell.run([project.path("c.bash")]);
    said.success().stdout("--no-progress\n");
    let page = project.run(["man"]).success().out();
    assert!(page.starts_with(".ie") || page.contains(".TH reprovm 1"), "{page}");
    assert!(page.contains("dry\\-run") && page.contains("REPROVM") | page.contains("reprovm"));
    project.run(["completions", "csh"]).code(1).stderr_has("bash, zsh, fish");
}

#[test]
fn mistakes_in_flags_suggest_the_nearest() {
    let project = hello();
    project.run(["--forc"]).code(1).stderr_has("--force");
    project.run(["--list-task"]).code(1).stderr_has("--list-tasks");
    project.run(["--jobs"]).code(1).stderr_has("--jobs <N>");
    project.run(["expalin", "target1"]).code(2).stderr_has("there is a verb `explain`");
}

#[test]
fn a_verb_takes_flags_before_and_behind_it() {
    let project = hello();
    for args in
        [["-j2", "config", "get", "parallel_jobs"], ["config", "get", "parallel_jobs", "-j2"]]
    {
        project.run(args).success().stdout("2\n");
    }
}

#[test]
fn the_documents_lines_work_as_they_stand() {
    let lines = [
        "--help",
        "-j 8 --force --verbose manifest.txt",
        "--dry-run --compress manifest.txt target1 target2",
        "--verbose --jobs 4 manifest.txt",
        "--compress --cache-dir cache manifest.txt",
        "--jobs 8 manifest.txt",
        "--jobs 16 --max-cpu 60 --max-memory 8192 manifest.txt",
        "--health-check --list-tasks",
        "--force --clean-cache --metrics ci-metrics.json --log-file ci.log manifest.txt",
        "--force --clean-cache --metrics ci-metrics.json --log-file ci.log manifest.txt",
        "--verbose --jobs 8 --compress --stats manifest.txt",
        "--health-check --list-tasks",
        "manifest.txt",
    ];
    for line in lines {
        let mut project = hello();
        // The message goes no further than to a proxy that is not there.
        project.file(
            ".reprovm/reprovm.conf",
            "[notifications]\nallow_private=1\ndelivery_retries=0\n",
        );
        project.env("HTTPS_PROXY", "http://127.0.0.1:9");
        project.env("REPROVM_WEBHOOK_URL", "https://hooks.slack.com/services/none");
        project.run(line.split(' ')).success();
    }
}
