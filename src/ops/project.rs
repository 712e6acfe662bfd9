//! A manifest with its graph: what every verb starts from.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::earlier::{Ahead, Seen};
use super::types::{BuildOptions, DEFAULT, Error, Location, TaskInfo};
use crate::base::clock::{self, Stopwatch};
use crate::base::nearest::nearest;
use crate::base::{FileError, TaskName};
use crate::engine::Plan;
use crate::graph::{self, Graph, TaskId};
use crate::manifest::{self, Input, LoadError, Manifest};

/// A manifest, read and checked.
#[derive(Debug)]
pub struct Project {
    pub(super) path: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) graph: Graph,
    /// Dependencies first.
    pub(super) order: Vec<TaskId>,
    /// When the reading of the texts began, in nanoseconds since 1970.
    pub(super) loaded_ns: i64,
    /// Runs since then.
    pub(super) watch: Stopwatch,
    /// What was read meanwhile, until it is used.
    pub(super) ahead: Mutex<Option<Ahead>>,
}

impl Project {
    /// Reads the manifest of `location` and all that it includes, and checks it.
    pub fn load(location: &Location) -> Result<Self, Error> {
        let path = location.path().to_path_buf();
        let (loaded_ns, watch) = (clock::now_ns(), Stopwatch::start());
        let manifest = manifest::load(&path).map_err(|error| match error {
            LoadError::Diagnostics(all) => Error::Manifest(all),
            LoadError::File(error) => no_manifest(&path, error),
        })?;
        let graph = Graph::new(&manifest);
        tracing::debug!(manifest = %path.display(), tasks = graph.len(), "manifest loaded");
        match graph.order() {
            Ok(order) => {
                let ahead = Mutex::default();
                Ok(Self { path, manifest, graph, order, loaded_ns, watch, ahead })
            }
            Err(cycle) => Err(Error::Cycle(vec![graph::cycle_diagnostic(&manifest, &cycle)])),
        }
    }

    /// Of tasks that were checked before, with edges that are known.
    pub(super) fn of_parts(
        path: &Path,
        manifest: Manifest,
        graph: Graph,
        order: Vec<TaskId>,
        watch: Stopwatch,
    ) -> Self {
        let (path, loaded_ns) = (path.to_path_buf(), clock::now_ns());
        Self { path, manifest, graph, order, loaded_ns, watch, ahead: Mutex::default() }
    }

    /// As [`Project::load`], and reads the state of the workspace meanwhile.
    pub fn load_to_build(
        location: &Location,
        options: &BuildOptions,
        seen: &Seen,
    ) -> Result<Self, Error> {
        let path = location.path();
        std::thread::scope(|scope| {
            let ahead = std::thread::Builder::new()
                .name("state".into())
                .spawn_scoped(scope, || Ahead::read(path, options, seen));
            let mut project = Self::load(location)?;
            // A machine out of threads reads it later.
            let ahead = ahead.ok().and_then(|thread| thread.join().ok().flatten());
            project.ahead = Mutex::new(ahead);
            Ok(project)
        })
    }

    /// The tasks that the targets need (no targets: all), dependencies first.
    pub fn tasks(&self, targets: &[String]) -> Result<Vec<TaskInfo>, Error> {
        let needed = self.needed(targets)?;
        Ok(self.plan(&needed).in_order().map(|id| self.info(id)).collect())
    }

    pub(super) fn plan<'a>(&'a self, needed: &'a [bool]) -> Plan<'a> {
        Plan { manifest: &self.manifest, graph: &self.graph, order: &self.order, needed }
    }

    /// Which tasks the targets need; all where there are none.
    pub(super) fn needed(&self, targets: &[String]) -> Result<Vec<bool>, Error> {
        if targets.is_empty() {
            return Ok(vec![true; self.graph.len()]);
        }
        let ids: Vec<TaskId> =
            targets.iter().map(|name| self.find(name)).collect::<Result<_, _>>()?;
        Ok(self.graph.needed(&ids))
    }

    pub(super) fn find(&self, name: &str) -> Result<TaskId, Error> {
        let known = TaskName::parse(name).ok().and_then(|name| self.graph.id_of(&name));
        known.ok_or_else(|| Error::UnknownTarget {
            name: name.to_owned(),
            manifest: self.path.display().to_string(),
            nearest: nearest(name, self.names()).map(str::to_owned),
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.manifest.tasks.iter().map(|task| task.name.as_str())
    }

    fn info(&self, id: TaskId) -> TaskInfo {
        let task = &self.manifest.tasks[id.index()];
        let mut inputs: Vec<String> = task
            .inputs
            .iter()
            .map(|input| match &input.value {
                Input::Path(path) => path.to_string(),
                Input::Glob(glob) => glob.clone(),
                Input::Exclude(glob) => format!("!{glob}"),
            })
            .collect();
        let mut outputs: Vec<String> =
            task.outputs.iter().map(|out| out.value.to_string()).collect();
        let mut dependencies: Vec<TaskName> = self
            .graph
            .deps(id)
            .iter()
            .map(|dep| self.manifest.tasks[dep.index()].name.clone())
            .collect();
        inputs.sort_unstable();
        outputs.sort_unstable();
        dependencies.sort_unstable();
        TaskInfo {
            name: task.name.clone(),
            description: task.description.clone(),
            command: task.command.clone().unwrap_or_default(),
            inputs,
            outputs,
            dependencies,
        }
    }
}

/// The manifest cannot be read: says how to call the program where the name is that of a task.
fn no_manifest(path: &Path, error: FileError) -> Error {
    if error.kind() != io::ErrorKind::NotFound {
        return Error::File(error);
    }
    let mut help = Vec::new();
    let default = Path::new(DEFAULT);
    if path == default {
        help.push(format!("name the manifest, or write a `{DEFAULT}` in this folder"));
    } else if let Ok(manifest) = manifest::load(default) {
        let word = path.to_string_lossy();
        let names = || manifest.tasks.iter().map(|task| task.name.as_str());
        if names().any(|name| name == word) {
            help.push(format!(
                "`{word}` is a task of `{DEFAULT}`; to run it: reprovm {DEFAULT} {word}"
            ));
        } else if let Some(near) = nearest(&word, names()) {
            help.push(format!(
                "`{DEFAULT}` has a task `{near}`; to run it: reprovm {DEFAULT} {near}"
            ));
        }
    }
    if let Some(file) = nearest_file(path) {
        help.push(format!("there is a file `{file}`"));
    }
    Error::NoManifest { path: path.to_path_buf(), help }
}

/// A file beside the one that was meant whose name is close to it.
fn nearest_file(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let listing = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let mut names: Vec<String> = listing
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .take(10_000)
        .collect();
    names.sort_unstable();
    let near = nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}
