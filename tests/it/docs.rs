//! Every example of docs/manifest.md, built through the program, and the lines of other pages.

use crate::support::Project;

/// A fenced block: what it is tagged with, and its text.
fn blocks(section: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = section.lines();
    while let Some(line) = lines.next() {
        let fence: String = line.chars().take_while(|&c| c == '`').collect();
        if fence.len() < 3 {
            continue;
        }
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != fence).collect();
        found.push((line[fence.len()..].to_owned(), format!("{}\n", text.join("\n"))));
    }
    found
}

#[test]
fn every_example_of_the_manifests_page_builds() {
    let page = include_str!("../../docs/manifest.md");
    let mut examples = 0;
    for section in page.split("\n## ").skip(1) {
        let project = Project::new();
        let blocks = blocks(section);
        for (tag, text) in &blocks {
            if let Some(path) = tag.strip_prefix("file ") {
                project.file(path, text);
            }
        }
        for (tag, text) in &blocks {
            let name = match tag.as_str() {
                "manifest" => "manifest.txt",
                "manifest.toml" => "manifest.toml",
                _ => continue,
            };
            project.file(name, text);
            examples += 1;
            let title = section.lines().next().unwrap_or_default();
            let first = project.json([name]);
            first.success();
            assert!(!first.executed().is_empty(), "{title}: nothing was executed");
            let second = project.json([name]);
            second.success();
            assert!(second.executed().is_empty(), "{title}: executed {:?}", second.executed());
        }
    }
    assert!(examples >= 12, "only {examples} examples were found");
}

#[test]
fn the_lines_of_the_page_about_compression_work_one_after_the_other() {
    let page = include_str!("../../docs/compression.md");
    let (_, text) = blocks(page).into_iter().find(|(tag, _)| tag == "sh").expect("lines");
    let project = Project::new();
    project.manifest("task words {\n  cmd = seq 1 3000 > words\n  outputs = words\n}\n");
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        let words = line.strip_prefix("reprovm ").expect("a line of ours");
        project.run(words.split(' ')).success();
    }
    assert_eq!(lines.len(), 3);
    let bytes: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    assert!(project.packed_object(bytes.as_bytes(), ".zst").is_file());
}

#[test]
fn the_example_of_the_pages_on_runs_is_an_event_whose_times_add_up() {
    let page = include_str!("../../docs/runs.md");
    let blocks = blocks(page);
    let text = &blocks.iter().find(|(tag, _)| tag == "json").expect("an example").1;
    let stamped: reprovm::event::Stamped = serde_json::from_str(text).expect("an event");
    let reprovm::event::Event::TaskTimed { turn, .. } = stamped.event else {
        panic!("{stamped:?}");
    };
    let mut at = 0;
    for span in &turn.spans {
        assert_eq!(span.at_us, at);
        at += span.took_us;
    }
    assert_eq!(turn.took_us, at);
}

#[test]
fn the_commands_of_the_page_on_runs_work() {
    let page = include_str!("../../docs/runs.md");
    let blocks = blocks(page);
    let script = &blocks.iter().find(|(tag, _)| tag == "sh").expect("commands").1;
    let project = Project::new();
    project.manifest("task t {\n  cmd = true\n}\n");
    for _ in 0..2 {
        project.run(["-f", "manifest.txt"]).success();
    }
    let commands: Vec<&str> = script
        .lines()
        .filter_map(|line| line.split('#').next()?.strip_prefix("reprovm "))
        .collect();
    assert_eq!(commands.len(), 4);
    for command in commands {
        project.run(command.split_whitespace()).success();
    }
}
