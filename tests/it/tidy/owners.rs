//! One owner for each dangerous thing, and nothing unfinished or switched off.

use super::source::{Source, following, line_of, words};

/// A thing that only some files may name.
struct Owned {
    what: Thing,
    /// Prefixes of paths.
    owners: &'static [&'static str],
}

enum Thing {
    /// A word of the code: a crate, say.
    Word(&'static str),
    /// One of these names directly behind the module.
    Member(&'static str, &'static [&'static str]),
    /// A macro.
    Macro(&'static str),
    /// A part of a string literal.
    Text(&'static str),
}

const TABLE: [Owned; 27] = [
    Owned { what: Thing::Word("sha2"), owners: &["src/base/digest"] },
    Owned { what: Thing::Word("hmac"), owners: &["src/base/digest.rs"] },
    // Bulk work in verbs that run no task.
    Owned {
        what: Thing::Word("rayon"),
        owners: &["src/engine/", "src/ops/upkeep/verify.rs", "src/ops/upkeep/recompress.rs"],
    },
    Owned { what: Thing::Word("zstd"), owners: &["src/store/pack/"] },
    Owned { what: Thing::Word("lz4_flex"), owners: &["src/store/pack/"] },
    Owned { what: Thing::Word("flate2"), owners: &["src/store/pack/"] },
    Owned { what: Thing::Word("reqwest"), owners: &["src/base/http"] },
    Owned { what: Thing::Word("rustls"), owners: &["src/base/http.rs"] },
    Owned { what: Thing::Word("lettre"), owners: &["src/base/net/mail.rs"] },
    Owned { what: Thing::Word("object_store"), owners: &["src/store/remote/s3.rs"] },
    Owned {
        what: Thing::Word("tokio"),
        owners: &["src/store/remote/s3.rs", "src/base/net/mail.rs"],
    },
    Owned { what: Thing::Word("clap"), owners: &["src/cli/"] },
    Owned { what: Thing::Word("tracing_subscriber"), owners: &["src/observe/"] },
    Owned {
        what: Thing::Member("prometheus", &["Registry", "TextEncoder", "core", "proto"]),
        owners: &["src/observe/prometheus/"],
    },
    Owned { what: Thing::Word("tiny_http"), owners: &["src/serve/"] },
    Owned {
        what: Thing::Text(".reprovm"),
        // The defaults of settings, and what the documentation says of files.
        owners: &["src/home.rs", "src/config/table.rs", "src/config/render.rs"],
    },
    Owned { what: Thing::Member("process", &["Command"]), owners: &["src/exec/"] },
    Owned { what: Thing::Word("fork"), owners: &["src/exec/"] },
    Owned { what: Thing::Word("posix_spawn"), owners: &["src/exec/"] },
    Owned { what: Thing::Word("posix_spawnp"), owners: &["src/exec/"] },
    Owned { what: Thing::Member("process", &["exit"]), owners: &["src/main.rs"] },
    Owned {
        what: Thing::Member("env", &["var", "var_os", "vars", "vars_os", "set_var", "remove_var"]),
        owners: &["src/config/"],
    },
    Owned { what: Thing::Member("time", &["SystemTime"]), owners: &["src/base/clock.rs"] },
    Owned { what: Thing::Macro("println"), owners: &["src/cli/", "src/observe/"] },
    Owned { what: Thing::Macro("eprintln"), owners: &["src/cli/", "src/observe/"] },
    Owned { what: Thing::Macro("print"), owners: &["src/cli/", "src/observe/"] },
    Owned { what: Thing::Macro("eprint"), owners: &["src/cli/", "src/observe/"] },
];

/// Things named by files that do not own them, tests not counted.
pub(super) fn complaints(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for owned in &TABLE {
        if owned.owners.iter().any(|owner| source.path.starts_with(owner)) {
            continue;
        }
        for (line, what) in places(source, &owned.what) {
            let owners = owned.owners.join(", ");
            found.push(format!("{}:{line}: `{what}` belongs to {owners}", source.path));
        }
    }
    found
}

fn places(source: &Source, thing: &Thing) -> Vec<(usize, String)> {
    let code = &source.production;
    match thing {
        Thing::Word(word) => {
            words(code, word).map(|at| (line_of(code, at), (*word).to_owned())).collect()
        }
        Thing::Macro(name) => words(code, name)
            .filter(|at| code[at + name.len()..].starts_with('!'))
            .map(|at| (line_of(code, at), format!("{name}!")))
            .collect(),
        Thing::Member(module, members) => words(code, module)
            .filter(|at| code[at + module.len()..].starts_with("::"))
            .flat_map(|at| {
                let names = following(code, at + module.len() + 2);
                names.into_iter().map(move |name| (at, name))
            })
            .filter(|(_, name)| members.contains(&name.as_str()))
            .map(|(at, name)| (line_of(code, at), format!("{module}::{name}")))
            .collect(),
        Thing::Text(part) => source
            .strings
            .iter()
            .filter(|(_, text)| text.contains(part))
            .map(|(line, _)| (*line, (*part).to_owned()))
            .collect(),
    }
}

/// What must not be in any code, tests included.
const LEFTOVERS: [&str; 6] = ["#[allow", "#![allow", "#[ignore", "todo!", "unimplemented!", "dbg!"];

pub(super) fn leftovers(source: &Source) -> Vec<String> {
    let code = &source.code;
    LEFTOVERS
        .iter()
        .flat_map(|part| code.match_indices(part))
        .filter(|(at, part)| {
            part.starts_with('#') || !code[..*at].ends_with(super::source::is_word)
        })
        .map(|(at, part)| format!("{}:{}: `{part}`", source.path, line_of(code, at)))
        .collect()
}

mod tests {
    use super::*;

    fn seen(path: &str, text: &str) -> usize {
        complaints(&Source::new(path, text)).len()
    }

    #[test]
    fn a_planted_use_by_a_stranger_is_seen() {
        for text in [
            "use sha2::Sha256;",
            "use lettre::Message;",
            "use rayon::prelude::*;",
            "use flate2::Compress;",
            "#[derive(clap::Parser)] struct A;",
            "use tracing_subscriber::Layer;",
            "use prometheus::{Registry, self as p};",
            "use tiny_http::Server;",
            "const DIR: &str = \".reprovm/lock\";",
            "use std::process::Command;",
            "use std::process::{Child, Command};",
            "fn f() { libc::fork(); }",
            "fn f() { std::process::exit(1); }",
            "fn f() { std::env::var(\"HOME\"); }",
            "use std::env::{self, vars_os};",
            "use std::time::{Duration, SystemTime};",
            "fn f() { println!(\"x\"); }",
            "fn f() { eprint!(\"x\"); }",
        ] {
            assert_eq!(seen("src/store/disk.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn owners_tests_and_comments_are_left_alone() {
        assert_eq!(seen("src/base/digest.rs", "use sha2::Sha256;"), 0);
        assert_eq!(seen("src/engine/pool.rs", "use rayon::ThreadPool;"), 0);
        assert_eq!(seen("src/store/disk.rs", "fn f() { tracing::info!(\"x\"); }"), 0);
        assert_eq!(seen("src/exec/spawn.rs", "use std::process::Command;"), 0);
        assert_eq!(seen("src/cli/mod.rs", "fn f() { println!(\"x\"); }"), 0);
        assert_eq!(seen("src/store/disk.rs", "// `.reprovm`, sha2\nuse std::env::current_dir;"), 0);
        let test = "#[cfg(test)]\nmod tests {\n    const D: &str = \".reprovm\";\n}\n";
        assert_eq!(seen("src/store/disk.rs", test), 0);
    }

    #[test]
    fn leftovers_are_seen_in_code_only() {
        let seen = |text: &str| leftovers(&Source::new("src/a.rs", text)).len();
        for part in LEFTOVERS {
            assert_eq!(seen(&format!("fn f() {{}} {part}")), 1, "{part}");
            assert_eq!(seen(&format!("// {part}\nconst X: &str = \"{part}\";")), 0, "{part}");
        }
        assert_eq!(seen("fn f() { my_todo!(); }"), 0);
    }
}
