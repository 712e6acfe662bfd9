//! What stands beside the code: the list of dependencies, links between documents, paths.

use super::source::{Source, words};

/// Dependencies that no code names.
pub(super) fn unused_dependencies(cargo: &str, sources: &[Source]) -> Vec<String> {
    let manifest: toml::Table = cargo.parse().expect("Cargo.toml is TOML");
    let mut unused = Vec::new();
    for table in ["dependencies", "dev-dependencies"] {
        let Some(dependencies) = manifest.get(table).and_then(toml::Value::as_table) else {
            continue;
        };
        for name in dependencies.keys() {
            let word = name.replace('-', "_");
            let used = sources.iter().any(|source| words(&source.code, &word).next().is_some());
            if !used {
                unused.push(format!("Cargo.toml: `{name}` in [{table}] is used nowhere"));
            }
        }
    }
    unused
}

/// Links of a document to files that are not there. `exists` answers for paths from the root.
pub(super) fn dead_links(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut dead = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in links(line) {
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !elsewhere && !resolve(folder, file).is_some_and(|file| exists(&file)) {
                dead.push(format!("{path}:{}: `{target}` is not there", number + 1));
            }
        }
    }
    dead
}

/// The targets of `[text](target)` outside of inline code.
fn links(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for part in line.split('`').step_by(2) {
        for (at, _) in part.match_indices("](") {
            if let Some(end) = part[at..].find(')') {
                targets.push(&part[at + 2..at + end]);
            }
        }
    }
    // A link whose text is code, such as [`a`](b), is cut apart by the split above.
    for (at, _) in line.match_indices("`](") {
        if let Some(end) = line[at..].find(')') {
            targets.push(&line[at + 3..at + end]);
        }
    }
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// The target from the root; none where it leaves it.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Folders of the machines that this is developed on, put together here so that the list is no
/// finding itself.
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/fa", "rm/")];

pub(super) fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for folder in MACHINE {
            for (at, _) in line.match_indices(folder) {
                // In the middle of a longer path it is some other folder.
                if !line[..at].ends_with(|c: char| c.is_alphanumeric() || ".-_}*".contains(c)) {
                    found.push(format!("{path}:{}: `{folder}`", number + 1));
                }
            }
        }
    }
    found
}

mod tests {
    use super::*;

    #[test]
    fn an_unused_dependency_is_seen() {
        let cargo =
            "[dependencies]\nserde-json = \"1\"\nleft = \"1\"\n[dev-dependencies]\nx = \"1\"\n";
        let sources = [Source::new("src/a.rs", "use serde_json::Value; // left x\n")];
        assert_eq!(unused_dependencies(cargo, &sources).len(), 2);
    }

    #[test]
    fn a_dead_link_is_seen() {
        let exists = |path: &str| ["docs/a.md", "README.md"].contains(&path);
        let dead = |text: &str| dead_links("docs/b.md", text, &exists).len();
        assert_eq!(dead("[x](c.md) and [`y`](d.md#e)"), 2);
        assert_eq!(dead("[x](../../README.md)"), 1);
        assert_eq!(dead("[x](a.md#part) [y](../README.md) [z](https://x.y/z) [w](#here)"), 0);
        assert_eq!(dead("`[x](c.md)`\n```\n[x](c.md)\n```\n"), 0);
    }

    #[test]
    fn a_machine_path_is_seen() {
        for folder in MACHINE {
            assert_eq!(machine_paths("a", &format!("see {folder}x")).len(), 1);
            assert_eq!(machine_paths("a", &format!("see out{folder}x")).len(), 0);
        }
    }
}
