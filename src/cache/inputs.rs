//! What a task reads, settled, and the recipe that comes of it.

use std::collections::BTreeMap;
use std::env::consts::{ARCH, OS};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::expand;
use super::files::{Entry, FileId, Files};
use super::recipe::{Recipe, RecipeBuilder};
use crate::base::pattern::PatternError;
use crate::base::{Digest, FileError, Kind, Pattern, Sig, TaskName, text};
use crate::config::Environment;
use crate::manifest::{Input, Task};

/// A file, link or folder that a task reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub path: Vec<u8>,
    /// What it leads to, where it is a link that the manifest names.
    pub file: FileId,
    pub entry: Entry,
}

/// Why the inputs of a task could not be settled.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("input `{0}` is not there")]
    Missing(String),
    #[error("input `{path}` is {}, which cannot be hashed", kind.noun())]
    Refused { path: String, kind: Kind },
    #[error("input `{path}` has {size} bytes, and at most {limit} are allowed")]
    TooLarge { path: String, size: u64, limit: u64 },
    #[error("tool `{0}` is not on the PATH")]
    ToolMissing(String),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// How far to go for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Only what is known already.
    Known,
    /// Look and hash.
    Full,
}

/// All that a task reads, sorted by path, each once. None: `Known` was not enough. A file of more
/// than `limit` bytes is refused, and not read for it.
pub fn members(
    task: &Task,
    files: &Files,
    effort: Effort,
    limit: Option<u64>,
) -> Result<Option<Vec<Member>>, InputError> {
    let excludes = excludes(task)?;
    let note = |folder: &[u8]| files.list(folder);
    let unread = limit.filter(|_| effort == Effort::Full);
    // There may be a million of them: in order already, but for what several inputs stand for.
    let (mut found, mut walked) = (Vec::new(), Vec::new());
    for input in &task.inputs {
        let paths = match &input.value {
            Input::Exclude(_) => continue,
            Input::Glob(glob) => expand::glob(&Pattern::parse(glob)?, &excludes, &note)?,
            Input::Path(path) => {
                refuse_large(path.as_bytes(), Links::Followed, files, unread)?;
                let Some((file, entry)) = named(path.as_bytes(), files, effort)? else {
                    return Ok(None);
                };
                let path = path.as_bytes().to_vec();
                let inside = match entry.kind() {
                    Kind::Dir => expand::tree(&path, &excludes, &note)?,
                    _ => Vec::new(),
                };
                found.push(Member { path, file, entry });
                inside
            }
        };
        for path in paths {
            refuse_large(&path, Links::Kept, files, unread)?;
            let file = files.intern(&path);
            let Some(entry) = one(file, files, effort)? else { return Ok(None) };
            walked.push(Member { path, file, entry });
        }
    }
    // What the manifest names goes before what was found by walking: the sort is stable.
    found.append(&mut walked);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found.dedup_by(|later, first| later.path == first.path);
    for member in &found {
        // It was small when it was looked at, or is known from an earlier run.
        within(&member.path, &member.entry.sig, limit)?;
        let shown = || text::shown(&member.path).into_owned();
        match member.entry.kind() {
            Kind::Absent => return Err(InputError::Missing(shown())),
            kind @ Kind::Special => return Err(InputError::Refused { path: shown(), kind }),
            Kind::File | Kind::Executable | Kind::Dir | Kind::Link => {}
        }
    }
    Ok(Some(found))
}

/// Whether a link is read as what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    Followed,
    Kept,
}

/// Looks at a file that is to be read, and refuses it where it is too large. Those that were
/// read in this run were looked at before.
fn refuse_large(
    path: &[u8],
    links: Links,
    files: &Files,
    limit: Option<u64>,
) -> Result<(), InputError> {
    if limit.is_none() {
        return Ok(());
    }
    let file = files.intern(path);
    if files.settled(file).is_some_and(|entry| entry.kind().is_file()) {
        return Ok(());
    }
    let mut sig = files.look_at(file)?;
    if sig.kind() == Kind::Link && links == Links::Followed {
        sig = files.look_at(files.followed(path))?;
    }
    within(path, &sig, limit)
}

fn within(path: &[u8], sig: &Sig, limit: Option<u64>) -> Result<(), InputError> {
    match limit {
        Some(limit) if sig.kind().is_file() && sig.size > limit => {
            let path = text::shown(path).into_owned();
            Err(InputError::TooLarge { path, size: sig.size, limit })
        }
        _ => Ok(()),
    }
}

fn excludes(task: &Task) -> Result<Vec<Pattern>, PatternError> {
    task.inputs
        .iter()
        .filter_map(|input| match &input.value {
            Input::Exclude(text) => Some(Pattern::parse(text)),
            Input::Path(_) | Input::Glob(_) => None,
        })
        .collect()
}

fn one(file: FileId, files: &Files, effort: Effort) -> Result<Option<Entry>, FileError> {
    match effort {
        Effort::Known => Ok(files.settled(file)),
        Effort::Full => files.get(file).map(Some),
    }
}

fn named(path: &[u8], files: &Files, effort: Effort) -> Result<Option<(FileId, Entry)>, FileError> {
    if effort == Effort::Full {
        return files.get_followed(path).map(Some);
    }
    let file = files.intern(path);
    match files.settled(file) {
        // What a link leads to is settled with all the rest, if it was known.
        Some(entry) if entry.kind() == Kind::Link => {
            let file = files.followed(path);
            Ok(files.settled(file).map(|entry| (file, entry)))
        }
        found => Ok(found.map(|entry| (file, entry))),
    }
}

/// The tools of a task by name: the file that each is, and what it holds.
pub type Tools = BTreeMap<String, (FileId, Entry)>;

/// The tools of a task by name, with what they are. None: `Known` was not enough.
pub fn tools(
    task: &Task,
    environment: &Environment,
    files: &Files,
    effort: Effort,
) -> Result<Option<Tools>, InputError> {
    let mut found = Tools::new();
    for tool in &task.tools {
        let own_path = task.env.get("PATH").map(String::as_str);
        let path = find_tool(task.cwd.as_path(), own_path, &tool.value, environment)
            .ok_or_else(|| InputError::ToolMissing(tool.value.clone()))?;
        let Some((file, entry)) = named(path.as_os_str().as_bytes(), files, effort)? else {
            return Ok(None);
        };
        if !entry.kind().is_file() {
            return Err(InputError::ToolMissing(tool.value.clone()));
        }
        found.insert(tool.value.clone(), (file, entry));
    }
    Ok(Some(found))
}

/// Where the PATH that a task will see, its own or ours, finds the tool.
pub fn find_tool(
    cwd: &Path,
    own_path: Option<&str>,
    name: &str,
    environment: &Environment,
) -> Option<PathBuf> {
    let is_tool = |path: &Path| {
        nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file()
    };
    if name.contains('/') {
        return Some(cwd.join(name)).filter(|path| is_tool(path));
    }
    let path = match own_path {
        Some(path) => OsStr::new(path),
        None => environment.get("PATH")?,
    };
    path.as_bytes()
        .split(|&b| b == b':')
        .map(|folder| cwd.join(OsStr::from_bytes(folder)).join(name))
        .find(|path| is_tool(path))
}

/// The recipe of a task. `result_of` gives the results of the dependencies that it names.
pub fn recipe(
    task: &Task,
    environment: &Environment,
    tools: &Tools,
    members: &[Member],
    result_of: impl Fn(&TaskName) -> Digest,
) -> Recipe {
    let mut recipe = RecipeBuilder::new();
    recipe.platform(OS, ARCH);
    recipe.command(task.command.as_deref().unwrap_or_default());
    recipe.shell(task.shell.as_deref().unwrap_or_default());
    recipe.directory(task.cwd.as_bytes());
    let mut env: BTreeMap<&str, Option<&[u8]>> = BTreeMap::new();
    for name in &task.pass_env {
        env.insert(name, environment.get(name).map(OsStr::as_bytes));
    }
    for (name, value) in &task.env {
        env.insert(name, Some(value.as_bytes()));
    }
    for (name, value) in env {
        recipe.env(name, value);
    }
    let mut outputs: Vec<&[u8]> = task.outputs.iter().map(|out| out.value.as_bytes()).collect();
    outputs.sort_unstable();
    for output in outputs {
        recipe.output(output);
    }
    for (name, (_, content)) in tools {
        recipe.tool(name, &content.digest);
    }
    let mut deps: Vec<&TaskName> = task.deps.iter().map(|dep| &dep.value).collect();
    deps.sort_unstable();
    deps.dedup();
    for dep in deps {
        recipe.dependency(dep, &result_of(dep));
    }
    for member in members {
        recipe.input(&member.path, member.entry.kind(), &member.entry.digest);
    }
    recipe.finish()
}

/// The paths that folders and patterns of a task stand for now, and the named ones that are there.
pub fn paths(task: &Task, files: &Files) -> Result<Vec<Vec<u8>>, InputError> {
    let excludes = excludes(task)?;
    let note = |folder: &[u8]| files.list(folder);
    let mut found = Vec::new();
    for input in &task.inputs {
        match &input.value {
            Input::Exclude(_) => {}
            Input::Glob(glob) => {
                found.extend(expand::glob(&Pattern::parse(glob)?, &excludes, &note)?);
            }
            Input::Path(path) => {
                let path = path.as_bytes();
                let kind = files.settled(files.intern(path)).map(|entry| entry.kind());
                if matches!(kind, Some(Kind::Dir | Kind::Link)) {
                    found.extend(expand::tree(path, &excludes, &note)?);
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest;

    /// Brings the items into another order, the same each time for a state.
    fn shuffle<T>(items: &mut [T], state: &mut u64) {
        for last in (1..items.len()).rev() {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            items.swap(last, (*state >> 33) as usize % (last + 1));
        }
    }

    /// A manifest that says the same each time, in another order.
    fn text(state: &mut u64) -> String {
        let list = |words: &[&str], state: &mut u64| {
            let mut words = words.to_vec();
            shuffle(&mut words, state);
            words.join(" ")
        };
        let inputs = ["Cargo.toml", "README.md", "docs", "src/*.rs", "!src/main.rs", "LICENSE"];
        let mut fields = [
            "cmd = build".to_owned(),
            format!("inputs = {}", list(&inputs, state)),
            format!("outputs = {}", list(&["out/a", "out/b", "out/c"], state)),
            format!("deps = {}", list(&["one", "two", "three"], state)),
            format!("env = {}", list(&["A=1", "B=2", "C=3"], state)),
            format!("pass_env = {}", list(&["X", "Y", "Z"], state)),
        ];
        shuffle(&mut fields, state);
        let mut tasks = [
            format!("task t {{\n  {}\n}}\n", fields.join("\n  ")),
            "task one {\n  cmd = 1\n  outputs = one\n}\n".to_owned(),
            "task two {\n  cmd = 2\n  outputs = two\n}\n".to_owned(),
            "task three {\n  cmd = 3\n  outputs = three\n}\n".to_owned(),
        ];
        shuffle(&mut tasks, state);
        tasks.concat()
    }

    // K10.
    #[test]
    fn a_thousand_shuffles_of_all_that_a_manifest_says_give_one_key() {
        let files = Files::new(None);
        let environment = Environment::default();
        let mut state = 1;
        let mut keys: Vec<Digest> = (0..1000)
            .map(|_| {
                let manifest = manifest::parse(Path::new("m"), text(&mut state).as_bytes())
                    .expect("a good manifest");
                let task = manifest.tasks.iter().find(|task| task.name.as_str() == "t");
                let task = task.expect("the task");
                let members = members(task, &files, Effort::Full, None);
                let members = members.expect("files of the project").expect("all of them");
                assert!(members.len() > 10, "the patterns and folders are there");
                let tools = Tools::new();
                let result = |name: &TaskName| Digest::of(name.as_str().as_bytes());
                recipe(task, &environment, &tools, &members, result).key()
            })
            .collect();
        keys.dedup();
        assert_eq!(keys.len(), 1);
    }
}
