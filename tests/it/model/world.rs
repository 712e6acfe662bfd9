//! A project and what the model knows of it: its sources, files of the user's among the outputs,
//! and the keys whose results are saved; edits that change both.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use super::graph::{self, LINK, Node, SOURCES, Task};
use crate::support::{Entry, Project, Tree};

/// One change between two runs. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Write {
        source: u8,
        content: u8,
    },
    /// As it was before it was last written.
    Revert {
        source: u8,
    },
    Remove {
        source: u8,
    },
    Execute {
        source: u8,
    },
    Touch {
        source: u8,
    },
    Retarget {
        to: u8,
    },
    Glob {
        name: u8,
        content: u8,
    },
    Data {
        name: u8,
        content: u8,
    },
    Output {
        path: u8,
        how: u8,
    },
    Foreign {
        folder: u8,
        name: u8,
    },
    Command {
        task: u8,
    },
    Rename {
        task: u8,
    },
    Move {
        task: u8,
    },
    Drop {
        task: u8,
    },
    LoseState,
    LoseCache,
    LoseObjects {
        each: u8,
    },
    DamageObjects {
        each: u8,
    },
}

const CONTENTS: [&str; 6] = ["abc\n", "abd\n", "bcd\nmore\n", "fed\n", "", "cab x\n"];

pub(super) struct World {
    pub(super) project: Project,
    /// The content of each source, and the one before.
    current: [u8; 4],
    earlier: [u8; 4],
    pub(super) nodes: Vec<Node>,
    /// What is in the project and no task makes: each run must leave it as it is.
    pub(super) ours: BTreeMap<String, Entry>,
    /// As `ours`, but made by an earlier form of a task that is forgotten: nobody's any more.
    pub(super) leftovers: BTreeMap<String, Entry>,
    /// Below these anything may lie: outputs of tasks that are not in the manifest any more.
    pub(super) strays: Vec<String>,
    pub(super) saved: HashSet<String>,
    /// Keys whose results may be saved or not.
    pub(super) maybe: HashSet<String>,
    /// An object was damaged and may be believed to be there until it is read.
    pub(super) poisoned: bool,
    /// The last run was killed, and what has come since cannot be told from what it left.
    pub(super) killed: bool,
}

impl World {
    pub(super) fn new(nodes: Vec<Node>) -> Self {
        let project = Project::new();
        for (source, content) in SOURCES.iter().zip(CONTENTS) {
            project.file(source, content);
        }
        project.file("data/keep", "kept\n").file("glob/k.g", "glob\n").symlink("s0", LINK);
        let mut world = Self {
            project,
            current: [0, 1, 2, 3],
            earlier: [1, 2, 3, 0],
            nodes,
            ours: BTreeMap::new(),
            leftovers: BTreeMap::new(),
            strays: Vec::new(),
            saved: HashSet::new(),
            maybe: HashSet::new(),
            poisoned: false,
            killed: false,
        };
        world.ours = all(&world.project.tree());
        world
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        graph::tasks(&self.nodes)
    }

    pub(super) fn apply(&mut self, edit: &Edit) {
        match *edit {
            Edit::Write { source, content } => {
                self.write(SOURCES[usize::from(source) % 4], content);
            }
            Edit::Revert { source } => {
                let source = usize::from(source) % 4;
                self.write(SOURCES[source], self.earlier[source]);
            }
            Edit::Glob { name, content } => self.write(&format!("glob/{}.g", name % 3), content),
            Edit::Data { name, content } => self.write(&format!("data/sub/{}", name % 3), content),
            Edit::Remove { source } => {
                let removable = self.ours.keys().filter(|path| {
                    SOURCES.contains(&path.as_str())
                        || path.ends_with(".g")
                        || path.starts_with("data/sub/")
                });
                let removable: Vec<String> =
                    removable.filter(|path| *path != "glob/k.g").cloned().collect();
                if let Some(path) = pick(&removable, source) {
                    self.project.remove(path);
                    self.ours.remove(path);
                }
            }
            Edit::Execute { source } => {
                let path = SOURCES[usize::from(source) % 4];
                if self.ours.contains_key(path) {
                    let mode = if self.project.mode(path) == 0o644 { 0o755 } else { 0o644 };
                    self.project.chmod(path, mode);
                    self.note(path);
                }
            }
            Edit::Touch { source } => {
                let path = SOURCES[usize::from(source) % 4];
                if self.ours.contains_key(path) {
                    self.project.touch(path);
                }
            }
            Edit::Retarget { to } => {
                self.project.remove(LINK).symlink(SOURCES[usize::from(to) % 2], LINK);
                self.note(LINK);
            }
            _ => self.apply_to_outputs(edit),
        }
    }

    /// Edits of anything but the sources.
    fn apply_to_outputs(&mut self, edit: &Edit) {
        match *edit {
            Edit::Output { path, how } => self.edit_output(path, how),
            Edit::Foreign { folder, name } => self.plant(folder, name),
            Edit::Command { task } => self.node(task).variant += 1,
            Edit::Move { task } => {
                if self.killed {
                    // What the killed run left at the old place is not looked for any more.
                    self.strays.extend(self.ever_made(usize::from(task) % self.nodes.len()));
                }
                self.node(task).moved += 1;
            }
            Edit::Rename { task } => {
                let at = usize::from(task) % self.nodes.len();
                let outputs = self.ever_made(at);
                self.forget(|path| outputs.iter().any(|output| is_below(path, output)));
                self.nodes[at].renamed += 1;
            }
            Edit::Drop { task } => self.drop_task(usize::from(task) % self.nodes.len()),
            Edit::LoseState => {
                self.lose(".reprovm/state");
                self.forget(|path| path.starts_with("out/"));
                self.killed = false;
            }
            Edit::LoseCache => {
                self.lose(".reprovm/cache");
                self.doubt();
            }
            Edit::LoseObjects { each } => {
                self.objects(each, |path| fs::remove_file(path).expect("an object"));
                self.doubt();
            }
            Edit::DamageObjects { each } => {
                self.objects(each, damage);
                self.poisoned = true;
                self.doubt();
            }
            _ => unreachable!("{edit:?} is of a source"),
        }
    }

    /// A source that was removed is missed for one run and then comes back.
    pub(super) fn put_sources_back(&mut self) {
        for (source, name) in SOURCES.iter().enumerate() {
            if !self.ours.contains_key(*name) {
                self.write(name, self.current[source]);
            }
        }
    }

    fn node(&mut self, task: u8) -> &mut Node {
        let at = usize::from(task) % self.nodes.len();
        &mut self.nodes[at]
    }

    /// The outputs that a task has now, and had before it was moved.
    fn ever_made(&self, at: usize) -> Vec<String> {
        let mut nodes = self.nodes.clone();
        let earlier = 0..=self.nodes[at].moved;
        earlier
            .flat_map(|moved| {
                nodes[at].moved = moved;
                graph::tasks(&nodes)[at].outputs.clone()
            })
            .collect()
    }

    fn write(&mut self, path: &str, content: u8) {
        if let Some(source) = SOURCES.iter().position(|source| *source == path) {
            self.earlier[source] = self.current[source];
            self.current[source] = content;
        }
        let content = CONTENTS[usize::from(content) % CONTENTS.len()];
        self.project.file(path, content);
        if let Some(folder) =
            Path::new(path).parent().and_then(Path::to_str).filter(|f| !f.is_empty())
        {
            self.note(folder);
        }
        self.note(path);
    }

    /// Takes what is at the path now for right.
    fn note(&mut self, path: &str) {
        let entry = self.project.tree().remove(Path::new(path)).expect("it is there");
        self.ours.insert(path.to_owned(), entry);
    }

    fn is_known(&self, path: &str) -> bool {
        self.ours.contains_key(path) || self.leftovers.contains_key(path)
    }

    fn edit_output(&mut self, path: u8, how: u8) {
        let tree = self.project.tree();
        let all: Vec<(String, &Entry)> = tree
            .iter()
            .map(|(path, entry)| (path.to_string_lossy().into_owned(), entry))
            .filter(|(path, _)| path.starts_with("out/") && !self.is_known(path))
            .collect();
        let Some((path, entry)) = pick(&all, path) else { return };
        let is_folder = matches!(entry, Entry::Dir { .. });
        let is_file = matches!(entry, Entry::File { .. });
        match how % 6 {
            0 if is_file => {
                let text = [&self.project.bytes(path)[..], b"edited\n"].concat();
                self.project.file(path, text);
            }
            1 if is_file => {
                self.project.chmod(path, 0o600);
            }
            2 if !is_folder => {
                self.project.remove(path).dir(path);
            }
            3 if !is_folder => {
                self.project.remove(path).symlink("nowhere", path);
            }
            _ => {
                self.project.remove(path);
                self.ours.retain(|known, _| !is_below(known, path));
                self.leftovers.retain(|known, _| !is_below(known, path));
            }
        }
    }

    /// Puts a file of the user's into a folder that a task makes.
    fn plant(&mut self, folder: u8, name: u8) {
        let folders: Vec<String> =
            self.tasks().into_iter().filter_map(|task| task.folder).collect();
        let there: Vec<&String> =
            folders.iter().filter(|folder| self.project.path(folder).is_dir()).collect();
        if let Some(folder) = pick(&there, folder)
            && !self.killed
        {
            let path = format!("{folder}/foreign{}", name % 2);
            self.project.file(&path, "the user's\n");
            self.note(&path);
        }
    }

    /// Takes a task out of the manifest, if no other needs it.
    fn drop_task(&mut self, at: usize) {
        let tasks = self.tasks();
        let is_needed = tasks.iter().any(|task| !task.removed && task.needs.contains(&at));
        if !is_needed && tasks.iter().filter(|task| !task.removed).count() > 1 {
            self.nodes[at].removed = true;
            self.strays.extend(self.ever_made(at));
        }
    }

    /// Nobody remembers who made what lies at these paths: it stays unless it is made again.
    fn forget(&mut self, which: impl Fn(&str) -> bool) {
        for (path, entry) in all(&self.project.tree()) {
            if which(&path) && !self.ours.contains_key(&path) {
                self.leftovers.insert(path, entry);
            }
        }
    }

    fn lose(&self, path: &str) {
        if self.project.exists(path) {
            self.project.remove(path);
        }
    }

    fn doubt(&mut self) {
        self.maybe.extend(self.saved.drain());
    }

    fn objects(&self, each: u8, harm: impl Fn(&Path)) {
        let folder = self.project.path(".reprovm/cas/objects");
        if folder.is_dir() {
            let step = usize::from(each % 4) + 1;
            for path in crate::support::files_below(&folder, &[]).iter().step_by(step) {
                harm(&folder.join(path));
            }
        }
    }

    /// After a run that did not come to its end it is not known whose the leftovers are: they go.
    pub(super) fn remove_leftovers(&mut self) {
        let paths: BTreeSet<String> = std::mem::take(&mut self.leftovers).into_keys().collect();
        for path in paths.iter().rev() {
            let path = self.project.path(path);
            if fs::remove_file(&path).is_err() {
                let _ = fs::remove_dir(&path);
            }
        }
    }

    /// Copies the sources and all that no task makes into another project.
    pub(super) fn copy_to(&self, other: &Project) {
        for (path, entry) in self.ours.iter().chain(&self.leftovers) {
            if let Some(folder) = Path::new(path).parent() {
                other.dir(folder);
            }
            match entry {
                Entry::Dir { mode } => {
                    other.dir(path).chmod(path, *mode);
                }
                Entry::File { mode, bytes } => {
                    other.file(path, bytes).chmod(path, *mode);
                }
                Entry::Link { target } => {
                    other.symlink(target, path);
                }
                Entry::Other => panic!("{path} is something special"),
            }
        }
    }
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("an object");
    match bytes.first_mut() {
        Some(byte) => *byte ^= 1,
        None => bytes.push(b'x'),
    }
    fs::remove_file(path).expect("an object");
    fs::write(path, bytes).expect("a writable folder");
}

fn pick<T>(from: &[T], at: u8) -> Option<&T> {
    (!from.is_empty()).then(|| &from[usize::from(at) % from.len()])
}

pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn all(tree: &Tree) -> BTreeMap<String, Entry> {
    tree.iter().map(|(path, entry)| (path.to_string_lossy().into_owned(), entry.clone())).collect()
}
