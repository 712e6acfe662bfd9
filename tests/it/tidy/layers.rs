//! Which room may use which: the table of ARCHITECTURE.md as data, and the checks over it.

use super::source::{Source, following, line_of, words};

/// The rooms in layer order.
const ROOMS: [&str; 14] = [
    "base", "event", "config", "home", "manifest", "graph", "store", "cache", "exec", "engine",
    "observe", "ops", "serve", "cli",
];

/// Rooms that may use less than all below them.
const NARROW: [(&str, &[&str]); 4] = [
    ("exec", &["base", "event", "config", "home", "manifest", "store", "cache"]),
    ("observe", &["base", "event", "config"]),
    ("serve", &["base", "event", "config", "ops"]),
    // The terminal's listeners are chosen here, and servers are started.
    ("cli", &["base", "event", "config", "observe", "ops", "serve"]),
];

/// Who may name the whole of the settings.
const CONFIG_OWNERS: [&str; 3] = ["config", "ops", "cli"];

fn may_use(room: &str, other: &str) -> bool {
    let layer = |name| ROOMS.iter().position(|room| *room == name);
    if room == other {
        return true;
    }
    match NARROW.iter().find(|(name, _)| *name == room) {
        Some((_, allowed)) => allowed.contains(&other),
        None => layer(other) < layer(room),
    }
}

/// Uses of rooms that the file's room may not use, tests among them.
pub(super) fn complaints(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let path = &source.path;
    if !ROOMS.contains(&room) {
        return vec![format!("{path}: `{room}` is no room of the table")];
    }
    let mut found = Vec::new();
    for (at, other) in uses(source) {
        let line = line_of(&source.code, at);
        if ROOMS.contains(&other.as_str()) && !may_use(room, &other) {
            found.push(format!("{path}:{line}: `{room}` may not use `{other}`"));
        }
    }
    if !CONFIG_OWNERS.contains(&room) {
        found.extend(words(&source.production, "Config").map(|at| {
            let line = line_of(&source.code, at);
            format!("{path}:{line}: `{room}` names the whole `Config`; it takes its own section")
        }));
    }
    found
}

/// The first names behind `crate::`, and behind as many `super::` as lead there.
fn uses(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let mut found = Vec::new();
    for at in words(code, "crate").filter(|at| code[*at..].starts_with("crate::")) {
        found.extend(following(code, at + "crate::".len()).into_iter().map(|name| (at, name)));
    }
    let climb = "super::".repeat(depth(&source.path));
    for (at, _) in source.production.match_indices(&climb) {
        let names = following(&source.production, at + climb.len());
        found.extend(names.into_iter().map(|name| (at, name)));
    }
    found
}

/// How many modules a file lies below the crate: `src/a.rs` and `src/a/mod.rs` one.
fn depth(path: &str) -> usize {
    let parts = path.split('/').count() - 1;
    if path.ends_with("/mod.rs") { parts - 1 } else { parts }
}

/// The rooms that `lib.rs` declares are rooms of the table, in its order.
pub(super) fn map_complaints(lib: &str) -> Vec<String> {
    let declared: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let known: Vec<&str> = ROOMS.into_iter().filter(|room| declared.contains(room)).collect();
    if declared == known && !declared.is_empty() {
        return Vec::new();
    }
    vec![format!("src/lib.rs: declares {declared:?}, in the table's order {known:?}")]
}

/// The table of the book has the same rooms with the same numbers.
pub(super) fn book_complaints(book: &str) -> Vec<String> {
    let rows: Vec<(String, String)> = book
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let number = cells.next()?.trim().to_owned();
            let room = cells.next()?.trim().trim_matches('`').trim_end_matches('/').to_owned();
            number.chars().all(|c| c.is_ascii_digit()).then_some((number, room))
        })
        .collect();
    let expected: Vec<(String, String)> = ROOMS
        .iter()
        .enumerate()
        .map(|(layer, room)| {
            let file = ["home", "graph"].contains(room);
            (layer.to_string(), if file { format!("{room}.rs") } else { (*room).to_owned() })
        })
        .collect();
    if rows == expected {
        return Vec::new();
    }
    vec![format!("ARCHITECTURE.md: its table of rooms is\n{rows:?}\nbut should be\n{expected:?}")]
}

mod tests {
    use super::*;

    fn seen(path: &str, text: &str) -> usize {
        complaints(&Source::new(path, text)).len()
    }

    #[test]
    fn a_planted_use_of_a_higher_room_is_seen() {
        assert_eq!(seen("src/base/fs.rs", "use crate::event::Event;\n"), 1);
        assert_eq!(
            seen("src/store/disk.rs", "use crate::{base::Digest, cache::{Key}, exec};\n"),
            2
        );
        assert_eq!(seen("src/graph.rs", "fn f() { crate::engine::run(); }\n"), 1);
        assert_eq!(seen("src/base/mod.rs", "use super::event::Event;\n"), 1);
        assert_eq!(seen("src/base/fs.rs", "use super::super::event::Event;\n"), 1);
        assert_eq!(seen("src/shop/mod.rs", ""), 1);
        assert_eq!(
            seen("src/base/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::exec::X;\n}\n"),
            1
        );
    }

    #[test]
    fn the_narrow_rooms_are_held() {
        assert_eq!(seen("src/engine/mod.rs", "use crate::observe::Console;\n"), 1);
        assert_eq!(seen("src/observe/mod.rs", "use crate::engine::Run; use crate::home::X;\n"), 2);
        assert_eq!(seen("src/cli/mod.rs", "use crate::engine::Run;\n"), 1);
        assert_eq!(seen("src/serve/mod.rs", "use crate::observe::Words;\n"), 1);
        assert_eq!(seen("src/exec/mod.rs", "use crate::graph::Id;\n"), 1);
        assert_eq!(seen("src/store/mod.rs", "use crate::config::Config;\n"), 1);
    }

    #[test]
    fn what_is_allowed_is_not_complained_about() {
        assert_eq!(
            seen("src/engine/mod.rs", "use crate::{base::X, cache, engine::y, exec::Z};\n"),
            0
        );
        assert_eq!(seen("src/base/fs.rs", "use super::text; // crate::event\n"), 0);
        assert_eq!(seen("src/cli/mod.rs", "use crate::{config::Config, observe::Console};\n"), 0);
        assert_eq!(seen("src/main.rs", "use reprovm::cli;\n"), 0);
        assert_eq!(seen("src/store/mod.rs", "use crate::config::StoreConfig;\n"), 0);
    }

    #[test]
    fn a_map_or_book_out_of_order_is_seen() {
        assert!(map_complaints("pub mod base;\npub mod event;\n").is_empty());
        assert_eq!(map_complaints("pub mod event;\npub mod base;\n").len(), 1);
        assert_eq!(map_complaints("pub mod shop;\n").len(), 1);
        assert_eq!(book_complaints("| 0 | `base/` | x |\n").len(), 1);
    }
}
