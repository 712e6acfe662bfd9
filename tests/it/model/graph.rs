//! Random graphs of tasks: from a few numbers to commands, manifests, and what a task needs and
//! makes. Knows nothing of how they are run.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::support::{Entry, Tree};

/// What a task is made from; shrinks towards a task that copies the first source.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) kind: u8,
    /// Which of the things that can be read it reads.
    pub(super) picks: Vec<u8>,
    /// Whether it names the tasks that it needs instead of their files.
    pub(super) by_name: bool,
}

/// A task of the manifest as it is now.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) spec: Spec,
    pub(super) variant: u8,
    pub(super) renamed: u32,
    pub(super) moved: u32,
    pub(super) removed: bool,
}

/// A task, said in full.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) name: String,
    /// None: a group.
    pub(super) cmd: Option<String>,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// The tasks that the manifest names.
    pub(super) deps: Vec<usize>,
    /// All tasks that it needs.
    pub(super) needs: BTreeSet<usize>,
    pub(super) removed: bool,
    /// The folder that it makes.
    pub(super) folder: Option<String>,
    /// What others may read of it.
    readable: Vec<String>,
}

pub(super) const SOURCES: [&str; 4] = ["s0", "s1", "s2", "s3"];
pub(super) const LINK: &str = "link0";

pub(super) fn tasks(nodes: &[Node]) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let task = task(at, node, &tasks);
        tasks.push(task);
    }
    tasks
}

/// What a task reads: a path, and the task that makes it.
type Read = (String, Option<usize>);

fn reads(node: &Node, before: &[Task]) -> Vec<Read> {
    let sources = SOURCES.iter().map(|source| ((*source).to_owned(), None));
    let made = before
        .iter()
        .enumerate()
        .flat_map(|(at, task)| task.readable.iter().map(move |path| (path.clone(), Some(at))));
    let all: Vec<Read> = sources.chain(made).collect();
    let chosen: BTreeSet<usize> =
        node.spec.picks.iter().map(|pick| usize::from(*pick) % all.len()).collect();
    chosen.into_iter().map(|at| all[at].clone()).collect()
}

fn task(at: usize, node: &Node, before: &[Task]) -> Task {
    let kind = if node.spec.kind == 8 && before.is_empty() { 0 } else { node.spec.kind };
    let mut name = format!("t{at}");
    if node.renamed > 0 {
        let _ = write!(name, "-{}", node.renamed);
    }
    let moved = if node.moved > 0 { format!("m{}", node.moved) } else { String::new() };
    let mut task = Task {
        name,
        cmd: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        deps: Vec::new(),
        needs: BTreeSet::new(),
        removed: node.removed,
        folder: None,
        readable: Vec::new(),
    };
    if kind == 8 {
        let picks = node.spec.picks.iter().map(|pick| usize::from(*pick) % before.len());
        task.needs = picks.collect();
        task.deps = task.needs.iter().copied().collect();
        return task;
    }
    let reads = reads(node, before);
    task.needs = reads.iter().filter_map(|(_, maker)| *maker).collect();
    for (path, maker) in &reads {
        match maker {
            Some(maker) if node.spec.by_name && kind == 0 => task.deps.push(*maker),
            _ => task.inputs.push(path.clone()),
        }
    }
    task.deps.dedup();
    let main =
        if kind == 4 { format!("out/d{at}{moved}/sub/x") } else { format!("out/f{at}{moved}") };
    let mut cmd = command(kind, &mut task, &cat(&reads), &main);
    if node.variant > 0 && kind != 11 {
        let _ = write!(cmd, "; echo v{} >> {main}", node.variant);
    } else if node.variant > 0 {
        let _ = write!(cmd, "; : v{}", node.variant);
    }
    task.cmd = Some(cmd);
    task
}

/// Fills in what the kind of task reads and makes besides, and gives its command. Each command
/// takes what lies at its outputs away first, so that it makes the same whatever that was.
fn command(kind: u8, task: &mut Task, read: &str, main: &str) -> String {
    if kind != 11 && kind != 4 {
        task.outputs.push(main.to_owned());
        task.readable.push(main.to_owned());
    }
    match kind {
        1 => format!("rm -rf {main}; {read} | head -c 3 > {main}"),
        2 => format!("rm -rf {main}; {read} | tr a-z A-Z > {main}"),
        3 => {
            task.outputs.push(format!("{main}.b"));
            task.readable.push(format!("{main}.b"));
            format!("rm -rf {main} {main}.b; {read} > {main}; {read} | tail -c 2 > {main}.b")
        }
        4 => {
            let folder = main.strip_suffix("/sub/x").expect("its place").to_owned();
            task.outputs.push(folder.clone());
            task.readable = vec![main.to_owned(), folder.clone()];
            task.folder = Some(folder.clone());
            format!(
                "rm -rf {folder}/sub {folder}/hollow {folder}/empty {folder}/link; \
                 mkdir -p {folder}/sub {folder}/hollow; {read} > {main}; : > {folder}/empty; \
                 ln -s sub/x {folder}/link; v={folder}/v-$(tr -cd a-f < {main} | head -c 1); \
                 rm -rf $v; cp {main} $v"
            )
        }
        5 => {
            let name = main.strip_prefix("out/").expect("its place");
            task.outputs.push(format!("{main}.t"));
            format!("rm -rf {main} {main}.t; {read} > {main}.t; ln -s {name}.t {main}")
        }
        6 => format!(
            "rm -rf {main}; {{ echo '#!/bin/sh'; {read} | sed 's/^/# /'; }} > {main}; chmod 755 {main}"
        ),
        7 => format!("rm -rf {main}; {read} > /dev/null; echo same > {main}"),
        9 => {
            task.inputs.extend(["data", "glob/*.g", LINK].map(str::to_owned));
            format!(
                "rm -rf {main}; {{ {read}; cat $(find data -type f | sort) glob/*.g {LINK}; }} > {main}"
            )
        }
        10 => {
            task.inputs.push("s1".to_owned());
            format!("rm -rf {main}; if test -x s1; then echo x; else echo n; fi > {main}")
        }
        11 => format!("{read} > /dev/null"),
        _ => format!("rm -rf {main}; {read} > {main}"),
    }
}

fn cat(reads: &[Read]) -> String {
    let part = |(path, _): &Read| {
        let is_folder = path.starts_with("out/d") && !path.ends_with("/sub/x");
        // A task that only waits for the folder's maker does not declare what else lies there.
        let all = format!("$(find {path} -type f ! -name 'foreign*' | sort)");
        if is_folder { all } else { path.clone() }
    };
    let parts: Vec<String> = reads.iter().map(part).collect();
    format!("cat {} < /dev/null", parts.join(" "))
}

pub(super) fn manifest(tasks: &[Task]) -> String {
    let mut text = String::new();
    for task in tasks.iter().filter(|task| !task.removed) {
        let _ = writeln!(text, "task {} {{", task.name);
        if let Some(cmd) = &task.cmd {
            let _ = writeln!(text, "  cmd = {cmd}");
        }
        let deps: Vec<&str> = task.deps.iter().map(|at| tasks[*at].name.as_str()).collect();
        for (field, list) in [
            ("inputs", task.inputs.join(" ")),
            ("outputs", task.outputs.join(" ")),
            ("deps", deps.join(" ")),
        ] {
            if !list.is_empty() {
                let _ = writeln!(text, "  {field} = {list}");
            }
        }
        text += "}\n\n";
    }
    text
}

/// The wanted tasks and all that they need, in order.
pub(super) fn closure(tasks: &[Task], wanted: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    let mut found: BTreeSet<usize> = wanted.into_iter().collect();
    for at in (0..tasks.len()).rev() {
        if found.contains(&at) {
            found.extend(&tasks[at].needs);
        }
    }
    found
}

impl Task {
    /// The paths that it makes, given what lies in the tree when it has run.
    pub(super) fn makes(&self, tree: &Tree) -> BTreeSet<String> {
        let mut made: BTreeSet<String> = self.outputs.iter().cloned().collect();
        if let Some(folder) = &self.folder {
            let first = match tree.get(format!("{folder}/sub/x").as_ref() as &std::path::Path) {
                Some(Entry::File { bytes, .. }) => {
                    bytes.iter().copied().find(|byte| (b'a'..=b'f').contains(byte))
                }
                _ => None,
            };
            let varied = first.map_or_else(String::new, |byte| char::from(byte).to_string());
            for name in ["sub", "sub/x", "hollow", "empty", "link", &format!("v-{varied}")] {
                made.insert(format!("{folder}/{name}"));
            }
        }
        made
    }
}
