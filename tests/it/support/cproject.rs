//! A C project of 42 files, made by rule: a static library of 30 sources, two programs' worth of
//! mains, ten headers that include each other. Its manifest declares for each object exactly the
//! headers that the source includes, also through others. The same on every machine.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Project, Tree};

/// Each header and those that it includes itself. One includes only earlier ones.
const HEADERS: [(&str, &[&str]); 10] = [
    ("base", &[]),
    ("random", &["base"]),
    ("hash", &["base"]),
    ("text", &["base"]),
    ("vector", &["base"]),
    ("matrix", &["vector"]),
    ("table", &["text", "hash"]),
    ("tree", &["vector", "hash"]),
    ("queue", &["vector"]),
    ("report", &["text", "table"]),
];

/// How many sources implement a header.
const PARTS: usize = 3;

/// The project, and what it knows of itself.
#[derive(Debug)]
pub(crate) struct CProject {
    pub(crate) project: Project,
    units: Vec<Unit>,
}

/// A source and all headers that it sees.
#[derive(Debug)]
struct Unit {
    name: String,
    headers: BTreeSet<&'static str>,
    text: String,
}

impl CProject {
    /// Writes the project into a new folder; nothing is built.
    pub(crate) fn new() -> Self {
        let units = units();
        let project = Project::new();
        for (header, includes) in HEADERS {
            project.file(header_path(header), header_text(header, includes));
        }
        for unit in &units {
            project.file(format!("src/{}.c", unit.name), &unit.text);
        }
        project.manifest(&manifest(&units));
        Self { project, units }
    }

    /// Every task, sorted.
    pub(crate) fn tasks(&self) -> BTreeSet<String> {
        let objects = self.units.iter().map(Unit::task);
        objects.chain(["check", "library", "program"].map(String::from)).collect()
    }

    /// The tasks that compile a source that sees the header, sorted.
    pub(crate) fn dependents_of(&self, header: &str) -> Vec<String> {
        let seeing = self.units.iter().filter(|unit| unit.headers.contains(header));
        seeing.map(Unit::task).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The sources and headers.
    pub(crate) fn files(&self) -> Vec<String> {
        let sources = self.units.iter().map(|unit| format!("src/{}.c", unit.name));
        sources.chain(HEADERS.iter().map(|(header, _)| header_path(header))).collect()
    }

    /// The tree without what a killed `ar` leaves beside the archive: that is the tool's, not ours.
    pub(crate) fn tree(&self) -> Tree {
        let mut tree = self.project.tree();
        tree.retain(|path, _| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !(path.starts_with("out/lib") && name.starts_with("st") && name.len() == 8)
        });
        tree
    }
}

impl Unit {
    fn task(&self) -> String {
        format!("{}.o", self.name)
    }
}

pub(crate) fn header_path(header: &str) -> String {
    format!("include/{header}.h")
}

/// The header and all that it includes.
fn closure(header: &'static str, into: &mut BTreeSet<&'static str>) {
    if into.insert(header) {
        let (_, includes) =
            HEADERS.iter().find(|(name, _)| *name == header).expect("a header of the list");
        for include in *includes {
            closure(include, into);
        }
    }
}

fn header_text(header: &str, includes: &[&str]) -> String {
    let guard = format!("{}_H", header.to_uppercase());
    let mut text = format!("#ifndef {guard}\n#define {guard}\n\n");
    for include in includes {
        let _ = writeln!(text, "#include \"{include}.h\"");
    }
    if header == "base" {
        text += "typedef unsigned int number;\n#define SEED 17u\n";
    } else {
        text += "\n";
        for part in 0..PARTS {
            let _ = writeln!(text, "number {header}_{part}(number value);");
        }
    }
    text + "\n#endif\n"
}

/// The sources, one after another: each may call what came before it and what it sees.
fn units() -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for (index, (header, _)) in HEADERS.iter().enumerate() {
        for part in 0..PARTS {
            let mut headers = BTreeSet::new();
            closure(header, &mut headers);
            let mut text = format!("#include \"{header}.h\"\n\n");
            if *header == "base" {
                let _ = write!(
                    text,
                    "number base_{part}(number value);\n\n\
                     number base_{part}(number value)\n{{\n    return value + SEED + {part}u;\n}}\n"
                );
            } else {
                let _ = writeln!(text, "number {header}_{part}(number value)\n{{");
                for callee in headers.iter().filter(|name| *name != header && **name != "base") {
                    let _ = writeln!(text, "    value ^= {callee}_{part}(value);");
                }
                let _ = writeln!(
                    text,
                    "    return value * {}u + SEED;\n}}",
                    2 * (index * PARTS + part) + 3
                );
            }
            units.push(Unit { name: format!("{header}_{part}"), headers, text });
        }
    }
    units.push(main_unit());
    units.push(Unit {
        name: "version".into(),
        headers: BTreeSet::new(),
        text:
            "const char *version(void);\n\nconst char *version(void)\n{\n    return \"1.0\";\n}\n"
                .into(),
    });
    units
}

/// The source that includes every header and calls everything.
fn main_unit() -> Unit {
    let mut text = String::new();
    for (header, _) in HEADERS {
        let _ = writeln!(text, "#include \"{header}.h\"");
    }
    text += "\n#include <stdio.h>\n\nconst char *version(void);\n\nint main(void)\n{\n";
    text += "    number value = SEED;\n\n    printf(\"version %s\\n\", version());\n";
    for (header, _) in HEADERS.iter().filter(|(header, _)| *header != "base") {
        for part in 0..PARTS {
            let _ = writeln!(text, "    value = {header}_{part}(value);");
            let _ = writeln!(text, "    printf(\"{header}_{part} %u\\n\", value);");
        }
    }
    text += "    return 0;\n}\n";
    Unit { name: "main".into(), headers: HEADERS.iter().map(|(header, _)| *header).collect(), text }
}

fn manifest(units: &[Unit]) -> String {
    let mut text = String::new();
    for unit in units {
        let name = &unit.name;
        let headers: Vec<String> = unit.headers.iter().map(|header| header_path(header)).collect();
        let inputs = [vec![format!("src/{name}.c")], headers].concat().join(", ");
        let _ = write!(
            text,
            "task {name}.o {{\n  cmd = cc -Wall -Werror -Iinclude -c src/{name}.c -o out/obj/{name}.o\n  \
             inputs = {inputs}\n  outputs = out/obj/{name}.o\n}}\n\n"
        );
    }
    let members: Vec<String> = units
        .iter()
        .filter(|unit| unit.name != "main")
        .map(|unit| format!("out/obj/{}.o", unit.name))
        .collect();
    let _ = write!(
        text,
        "task library {{\n  cmd = rm -f out/lib/libparts.a && ar rcD out/lib/libparts.a {}\n  \
         inputs = {}\n  outputs = out/lib/libparts.a\n}}\n\n",
        members.join(" "),
        members.join(", ")
    );
    text += "task program {\n  cmd = cc -o out/program out/obj/main.o out/lib/libparts.a\n  \
             inputs = out/obj/main.o, out/lib/libparts.a\n  outputs = out/program\n}\n\n\
             task check {\n  cmd = ./out/program > out/report.txt\n  inputs = out/program\n  \
             outputs = out/report.txt\n}\n";
    text
}
