//! What must hold between tasks: names are unique and known, and each output has one maker.
//!
//! Knows nothing of what is on disk. Edges and cycles are the graph's.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;

use super::mistake::{Mistake, Mistakes, quoted};
use super::{Input, Manifest, Span, Spanned, Task};
use crate::base::pattern::{folder_ends, has_meta};
use crate::base::relpath::is_in;
use crate::base::{Pattern, RelPath, TaskName, text};

/// What ends the literal part of a pattern.
const META: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// How much is done to find a pattern that matches its own task's output. What is left out shows
/// when the task runs: its input then changes under it, and nothing is saved.
struct Effort {
    /// How many bytes of patterns may be compiled.
    pattern_bytes: usize,
    /// How many outputs may be looked at, each once for each pattern of its task.
    looks: usize,
}

impl Effort {
    fn compile(&mut self, text: &str) -> Option<Pattern> {
        self.pattern_bytes = self.pattern_bytes.checked_sub(text.len())?;
        Pattern::parse(text).ok()
    }

    fn look(&mut self) -> Option<()> {
        self.looks = self.looks.checked_sub(1)?;
        Some(())
    }
}

/// Adds all mistakes between tasks.
pub(super) fn check(manifest: &Manifest, mistakes: &mut Mistakes) {
    let names = names(manifest, mistakes);
    deps(manifest, &names, mistakes);
    overlaps(manifest, mistakes);
    let mut effort = Effort { pattern_bytes: 128 * 1024, looks: 5_000_000 };
    for task in &manifest.tasks {
        own_outputs(task, &mut effort, mistakes);
    }
    sources(manifest, mistakes);
}

fn names<'m>(manifest: &'m Manifest, mistakes: &mut Mistakes) -> HashMap<&'m TaskName, Span> {
    let mut names = HashMap::with_capacity(manifest.tasks.len());
    for task in &manifest.tasks {
        let first = *names.entry(&task.name).or_insert(task.span);
        if first != task.span {
            mistakes.add(
                Mistake::new(
                    task.span,
                    format!("there are two tasks `{}`", quoted(task.name.as_str())),
                )
                .label("the second")
                .also(first, "the first")
                .help("rename one of them"),
            );
        }
    }
    names
}

fn deps(manifest: &Manifest, names: &HashMap<&TaskName, Span>, mistakes: &mut Mistakes) {
    for task in &manifest.tasks {
        for dep in &task.deps {
            let shown = quoted(dep.value.as_str());
            if dep.value == task.name {
                mistakes.add(
                    Mistake::new(dep.span, format!("task `{shown}` depends on itself"))
                        .label("its own name")
                        .help("take it out"),
                );
            } else if !names.contains_key(&dep.value) && !mistakes.names_missing {
                let all = manifest.tasks.iter().map(|task| task.name.as_str());
                let nearest = mistakes.nearest(dep.value.as_str(), all);
                mistakes.add(
                    Mistake::new(dep.span, format!("there is no task `{shown}`"))
                        .label("not known")
                        .meant(nearest),
                );
            }
        }
    }
}

/// One output and the task that makes it.
type Made<'m> = (&'m Spanned<RelPath>, &'m Task);

/// Finds outputs that are the same as another, or lie in it: sorted, what a folder holds follows
/// it at once.
fn overlaps(manifest: &Manifest, mistakes: &mut Mistakes) {
    let mut all: Vec<Made<'_>> = manifest
        .tasks
        .iter()
        .flat_map(|task| task.outputs.iter().map(move |output| (output, task)))
        .collect();
    all.sort_by(|(a, one), (b, other)| {
        by_component(a.value.as_bytes(), b.value.as_bytes()).then_with(|| {
            (one.span.source, one.span.start).cmp(&(other.span.source, other.span.start))
        })
    });
    let mut outer: Option<Made<'_>> = None;
    for made in all {
        match outer {
            Some(folder) if made.0.value.is_in(&folder.0.value) => {
                mistakes.add(overlap(folder, made));
            }
            _ => outer = Some(made),
        }
    }
}

fn overlap(first: Made<'_>, second: Made<'_>) -> Mistake {
    // The later in the text is the one that is marked.
    let key = |made: &Made<'_>| (made.0.span.source, made.0.span.start);
    let (before, after) =
        if key(&first) <= key(&second) { (first, second) } else { (second, first) };
    let (output, task) = after;
    let (other, other_task) = before;
    let shown = output.value.shown().into_owned();
    let shown = quoted(&shown);
    let other_shown = other.value.shown().into_owned();
    let relation = if output.value == other.value {
        String::new()
    } else if output.value.is_in(&other.value) {
        format!(" lies in `{}`, which", quoted(&other_shown))
    } else {
        format!(" holds `{}`, which", quoted(&other_shown))
    };
    if task.span == other_task.span {
        return Mistake::new(
            output.span,
            format!("output `{shown}`{relation} is an output of the same task"),
        )
        .label("named here")
        .also(other.span, "and here")
        .help("keep one of them; an output folder is kept with all that is in it");
    }
    let message = if relation.is_empty() {
        format!("output `{shown}` is made by two tasks")
    } else {
        format!("output `{shown}`{relation} another task makes")
    };
    Mistake::new(output.span, message)
        .label(format!("made by `{}`", quoted(task.name.as_str())))
        .also(other.span, format!("made by `{}`", quoted(other_task.name.as_str())))
        .help("each output has one task that makes it")
}

/// The order of paths in which a folder is followed by all that is in it.
fn by_component(a: &[u8], b: &[u8]) -> Ordering {
    let key = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    match a.iter().zip(b).position(|(one, other)| one != other) {
        Some(at) => key(a[at]).cmp(&key(b[at])),
        None => a.len().cmp(&b.len()),
    }
}

/// Finds inputs of a task that are, hold or match what it makes itself.
fn own_outputs(task: &Task, effort: &mut Effort, mistakes: &mut Mistakes) {
    if task.outputs.is_empty() || task.inputs.is_empty() {
        return;
    }
    let mut outputs: Vec<&Spanned<RelPath>> = task.outputs.iter().collect();
    outputs.sort_by(|a, b| by_component(a.value.as_bytes(), b.value.as_bytes()));
    let kept = not_excluded(task, &outputs, effort);
    for input in &task.inputs {
        let found = match &input.value {
            Input::Path(path) => {
                maker(&outputs, path.as_bytes()).or_else(|| inside(&kept, path.as_bytes()))
            }
            Input::Glob(glob) => matched(glob, &kept, effort),
            Input::Exclude(_) => None,
        };
        if let Some(output) = found {
            mistakes.add(own_output(task, input, output));
        }
    }
}

fn own_output(task: &Task, input: &Spanned<Input>, output: &Spanned<RelPath>) -> Mistake {
    let shown = output.value.shown().into_owned();
    let shown = quoted(&shown);
    let name = quoted(task.name.as_str());
    let (label, excludable) = match &input.value {
        Input::Path(path) if *path == output.value => ("an input".to_owned(), false),
        Input::Path(path) if path.is_in(&output.value) => {
            ("an input that lies in it".to_owned(), false)
        }
        Input::Path(_) => ("an input that holds it".to_owned(), true),
        Input::Glob(_) | Input::Exclude(_) => ("a pattern that matches it".to_owned(), true),
    };
    let mistake = Mistake::new(input.span, format!("task `{name}` reads its own output `{shown}`"))
        .label(label)
        .also(output.span, "an output");
    if excludable {
        mistake.help(format!("leave it out of the inputs: `!{shown}`"))
    } else {
        mistake.help("a task cannot wait for itself; write to another path, or take the input out")
    }
}

/// The output that `path` is or lies in, of a task's sorted outputs. These do not overlap each
/// other, or that has been said.
fn maker<'t>(outputs: &[&'t Spanned<RelPath>], path: &[u8]) -> Option<&'t Spanned<RelPath>> {
    let after = outputs
        .partition_point(|output| by_component(output.value.as_bytes(), path) != Ordering::Greater);
    outputs[..after].last().copied().filter(|output| is_in(path, output.value.as_bytes()))
}

/// The first output that lies in `folder`, of sorted ones.
fn inside<'t>(outputs: &[&'t Spanned<RelPath>], folder: &[u8]) -> Option<&'t Spanned<RelPath>> {
    let at = outputs
        .partition_point(|output| by_component(output.value.as_bytes(), folder) == Ordering::Less);
    outputs.get(at).copied().filter(|output| is_in(output.value.as_bytes(), folder))
}

/// The first output that the pattern matches, or that holds all it could match.
fn matched<'t>(
    glob: &str,
    outputs: &[&'t Spanned<RelPath>],
    effort: &mut Effort,
) -> Option<&'t Spanned<RelPath>> {
    // A path that matches begins with the literal head and ends with the literal tail, so that
    // hardly a pattern has to be compiled. `**/` may stand for nothing, hence no slash in front.
    let head = &glob[..glob.find(META).unwrap_or(glob.len())];
    let tail = &glob[glob.rfind(META).map_or(0, |at| at + 1)..];
    let tail = tail.trim_start_matches('/');
    let folder = head.rfind('/').map_or("", |slash| &head[..slash]);
    if !folder.is_empty()
        && let Some(output) = maker(outputs, folder.as_bytes())
    {
        return Some(output);
    }
    let mut pattern = None;
    for output in outputs {
        effort.look()?;
        let path = output.value.as_bytes();
        if !path.starts_with(head.as_bytes()) || !path.ends_with(tail.as_bytes()) {
            continue;
        }
        if pattern.is_none() {
            pattern = Some(effort.compile(glob)?);
        }
        if pattern.as_ref().is_some_and(|pattern| pattern.is_match(path)) {
            return Some(output);
        }
    }
    None
}

/// The outputs that the task's exclusions do not cover. Where the effort ends, those that are not
/// known are taken as covered.
fn not_excluded<'t>(
    task: &Task,
    outputs: &[&'t Spanned<RelPath>],
    effort: &mut Effort,
) -> Vec<&'t Spanned<RelPath>> {
    let mut literal = HashSet::new();
    let mut patterns = Vec::new();
    for input in &task.inputs {
        match &input.value {
            Input::Exclude(text) if !has_meta(text) => {
                literal.insert(text.as_bytes());
            }
            Input::Exclude(text) => match effort.compile(text) {
                Some(pattern) => patterns.push(pattern),
                None => return Vec::new(),
            },
            Input::Path(_) | Input::Glob(_) => {}
        }
    }
    let mut kept = Vec::new();
    for output in outputs {
        let path = output.value.as_bytes();
        if folder_ends(path).any(|end| literal.contains(&path[..end])) {
            continue;
        }
        let looks = patterns.iter().all(|_| effort.look().is_some());
        if looks && !patterns.iter().any(|pattern| pattern.covers(path)) {
            kept.push(*output);
        }
    }
    kept
}

/// Finds outputs that are, or hold, the manifest itself.
fn sources(manifest: &Manifest, mistakes: &mut Mistakes) {
    let mut held = HashMap::new();
    for source in &manifest.sources {
        let path = source.as_os_str().as_bytes();
        for end in folder_ends(path) {
            held.entry(&path[..end]).or_insert(path);
        }
    }
    for task in &manifest.tasks {
        for output in &task.outputs {
            if let Some(source) = held.get(output.value.as_bytes()) {
                let shown = output.value.shown().into_owned();
                let source = text::shown(source).into_owned();
                mistakes.add(
                    Mistake::new(
                        output.span,
                        format!("output `{}` would replace `{}`", quoted(&shown), quoted(&source)),
                    )
                    .label("part of the manifest")
                    .help("write the result to a path of its own"),
                );
            }
        }
    }
}
