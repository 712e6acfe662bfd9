//! The rules of ARCHITECTURE.md, held over the source as it stands. Each check is a function
//! from paths and texts to complaints, and each has a test that it sees a planted fault.

mod layers;
mod limits;
mod owners;
mod papers;
mod source;

use std::fs;

use crate::support::{files_below, source_root};
use source::Source;

/// Not ours to judge: what is built, what was built, and what lies beside the project.
const SKIPPED: [&str; 6] = ["target", ".git", ".reprovm", "out", "node_modules", "shared"];

/// The files below the folders of these names, as text, with the path from the root.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in folders.iter().filter(|folder| source_root().join(folder).is_dir()) {
        for path in files_below(&source_root().join(folder), &SKIPPED) {
            if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(source_root().join(folder).join(&path));
                let path = format!("{folder}/{}", path.to_string_lossy());
                sources.push(Source::new(path, text.expect("Rust is text")));
            }
        }
    }
    assert!(!sources.is_empty(), "no sources in {folders:?}");
    sources
}

/// The text files of the whole repository with their paths.
fn texts() -> Vec<(String, String)> {
    files_below(source_root(), &SKIPPED)
        .into_iter()
        // In a worktree of its own `.git` is a file that says where the repository is.
        .filter(|path| path.as_os_str() != ".git")
        .filter_map(|path| {
            let text = String::from_utf8(fs::read(source_root().join(&path)).ok()?).ok()?;
            Some((path.to_string_lossy().into_owned(), text))
        })
        .collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(source_root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn rooms_use_only_rooms_of_lower_layers() {
    assert_none(&sources(&["src"]).iter().flat_map(layers::complaints).collect::<Vec<_>>());
}

#[test]
fn the_map_and_the_book_list_the_rooms_in_layer_order() {
    assert_none(&layers::map_complaints(&read("src/lib.rs")));
    assert_none(&layers::book_complaints(&read("ARCHITECTURE.md")));
}

#[test]
fn files_and_rooms_keep_their_size() {
    assert_none(&limits::complaints(&sources(&["src"])));
}

#[test]
fn every_file_says_first_what_it_does() {
    let sources = sources(&["src", "tests", "benches"]);
    assert_none(&sources.iter().filter_map(limits::head_complaint).collect::<Vec<_>>());
}

#[test]
fn each_dangerous_thing_has_one_owner() {
    assert_none(&sources(&["src"]).iter().flat_map(owners::complaints).collect::<Vec<_>>());
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    let sources = sources(&["src", "tests", "benches"]);
    assert_none(&sources.iter().flat_map(owners::leftovers).collect::<Vec<_>>());
}

#[test]
fn every_dependency_is_used() {
    let all = sources(&["src", "tests", "benches"]);
    assert_none(&papers::unused_dependencies(&read("Cargo.toml"), &all));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let exists = |path: &str| source_root().join(path).exists();
    let complaints: Vec<String> = texts()
        .iter()
        .filter(|(path, _)| path.ends_with(".md"))
        .flat_map(|(path, text)| papers::dead_links(path, text, &exists))
        .collect();
    assert_none(&complaints);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let complaints: Vec<String> =
        texts().iter().flat_map(|(path, text)| papers::machine_paths(path, text)).collect();
    assert_none(&complaints);
}
