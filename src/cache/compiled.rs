//! The manifest as it was last understood: tasks, edges, and which tasks a path can concern, in
//! one file from which single tasks are read (`docs/on-disk-format.md`).
//!
//! It is used only while the manifest's texts stand as they did.

use std::fs::File;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;

use super::bytes::{Reader, Writer};
use super::standing::Basis;
use crate::base::pattern::folder_ends;
use crate::base::{Digest, FileError, Pattern, Sig, TaskName, fs};
use crate::graph::{Graph, TaskId, ids};
use crate::manifest::{Input, Manifest, Pool, Task};

/// The last byte is raised whenever a task is written otherwise; a test holds that.
const MAGIC: &[u8; 8] = b"rvmcmp\0\x01";

/// A text of the manifest, as it was before it was read.
pub type Source = (Vec<u8>, Sig);

/// The file, mapped.
#[derive(Debug)]
pub struct Compiled {
    map: Mmap,
    pub sources: Vec<Source>,
    pub pools: Vec<Pool>,
    count: u32,
    tasks: Part,
    deps: Lists,
    dependents: Lists,
    /// The tasks that name a path as an input or an output.
    paths: Index,
    names: Index,
    /// The tasks that have patterns.
    patterned: Part,
}

/// Where something lies in the file.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: usize,
    length: usize,
}

/// A list of tasks for each task: where each begins, and all of them.
#[derive(Debug, Clone, Copy)]
struct Lists {
    starts: Part,
    ids: Part,
}

/// Words, sorted, each with a task.
#[derive(Debug, Clone, Copy)]
struct Index {
    rows: Part,
    words: Part,
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct IndexRow {
    at: u32,
    length: u32,
    task: u32,
}

/// Writes the file, unless it says the same already. The graph is the manifest's.
pub fn write(
    path: &Path,
    manifest: &Manifest,
    graph: &Graph,
    sources: &[Source],
) -> Result<(), FileError> {
    let basis = basis(path, sources);
    if stored_basis(path) == Some(basis) {
        return Ok(());
    }
    let Some(bytes) = to_bytes(manifest, graph, sources, &basis) else { return Ok(()) };
    fs::write_atomic(path, &bytes)
}

/// By whom it was written, from which texts.
fn basis(path: &Path, sources: &[Source]) -> Digest {
    let basis = Basis::default()
        .with(env!("CARGO_PKG_VERSION").as_bytes())
        .with(path.as_os_str().as_encoded_bytes());
    let texts = |basis: Basis, (path, sig): &Source| basis.with(path).with(bytemuck::bytes_of(sig));
    sources.iter().fold(basis, texts).finish()
}

fn stored_basis(path: &Path) -> Option<Digest> {
    use std::io::Read as _;
    let mut head = [0; MAGIC.len() + 4 + 32];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    let mut from = Reader(head.strip_prefix(MAGIC)?);
    from.u32()?;
    from.digest()
}

/// None where something does not fit into its field.
fn to_bytes(
    manifest: &Manifest,
    graph: &Graph,
    sources: &[Source],
    basis: &Digest,
) -> Option<Vec<u8>> {
    let mut tasks: Vec<u8> = Vec::new();
    let mut starts = vec![0_u32];
    let (mut paths, mut names, mut patterned) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids(manifest.tasks.len()) {
        let task = &manifest.tasks[id.index()];
        let bytes = postcard::to_stdvec(task).ok()?;
        tasks.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        tasks.extend_from_slice(&bytes);
        starts.push(u32::try_from(tasks.len()).ok()?);
        names.push((task.name.as_str().as_bytes(), id.0));
        paths.extend(task.outputs.iter().map(|out| (out.value.as_bytes(), id.0)));
        for input in &task.inputs {
            match &input.value {
                Input::Path(path) => paths.push((path.as_bytes(), id.0)),
                Input::Glob(_) | Input::Exclude(_) => patterned.push(id.0),
            }
        }
    }
    patterned.dedup();
    let mut out = Writer(MAGIC.to_vec());
    out.u32(0);
    out.digest(basis);
    out.u32(u32::try_from(sources.len()).ok()?);
    for (path, sig) in sources {
        out.bytes(path);
        out.0.extend_from_slice(bytemuck::bytes_of(sig));
    }
    out.bytes(&postcard::to_stdvec(&manifest.pools).ok()?);
    out.u32(u32::try_from(manifest.tasks.len()).ok()?);
    out.bytes(bytemuck::cast_slice(&starts));
    write_lists(&mut out, graph.len(), |id| graph.deps(id))?;
    write_lists(&mut out, graph.len(), |id| graph.dependents(id))?;
    write_index(&mut out, paths)?;
    write_index(&mut out, names)?;
    out.bytes(bytemuck::cast_slice(&patterned));
    let check = crc32fast::hash(&out.0[MAGIC.len() + 4..]);
    out.0[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&check.to_le_bytes());
    let head = u32::try_from(out.0.len()).ok()?;
    out.0.extend_from_slice(&tasks);
    out.u32(head);
    Some(out.0)
}

fn write_lists<'a>(
    out: &mut Writer,
    count: usize,
    list: impl Fn(TaskId) -> &'a [TaskId],
) -> Option<()> {
    let mut starts = vec![0_u32];
    let mut all: Vec<u32> = Vec::new();
    for id in ids(count) {
        all.extend(list(id).iter().map(|id| id.0));
        starts.push(u32::try_from(all.len()).ok()?);
    }
    out.bytes(bytemuck::cast_slice(&starts));
    out.bytes(bytemuck::cast_slice(&all));
    Some(())
}

fn write_index(out: &mut Writer, mut entries: Vec<(&[u8], u32)>) -> Option<()> {
    entries.sort_unstable();
    entries.dedup();
    let mut rows = Vec::with_capacity(entries.len());
    let mut words: Vec<u8> = Vec::new();
    for (word, task) in entries {
        let (at, length) = (u32::try_from(words.len()).ok()?, u32::try_from(word.len()).ok()?);
        rows.push(IndexRow { at, length, task });
        words.extend_from_slice(word);
    }
    out.bytes(bytemuck::cast_slice(&rows));
    out.bytes(&words);
    Some(())
}

impl Compiled {
    /// Opens the file, if it is whole. Whether the texts of the manifest stand as they did is for
    /// the caller to see.
    pub fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let map = fs::memory::map(&file).ok()?;
        let (rest, head) = map.split_last_chunk()?;
        let head = u32::from_le_bytes(*head) as usize;
        let whole = rest.get(..head)?;
        let mut from = Reader(whole.strip_prefix(MAGIC)?);
        if from.u32()? != crc32fast::hash(from.0) {
            return None;
        }
        let stored = from.digest()?;
        let mut sources = Vec::new();
        for _ in 0..from.u32()? {
            let path = from.bytes()?.to_vec();
            sources.push((path, bytemuck::pod_read_unaligned(from.take(size_of::<Sig>())?)));
        }
        if stored != basis(path, &sources) {
            return None;
        }
        let pools = postcard::from_bytes(from.bytes()?).ok()?;
        let count = from.u32()?;
        let mut part = || {
            let bytes = from.bytes()?;
            let at = bytes.as_ptr().addr() - whole.as_ptr().addr();
            Some(Part { at, length: bytes.len() })
        };
        let tasks = part()?;
        let deps = Lists { starts: part()?, ids: part()? };
        let dependents = Lists { starts: part()?, ids: part()? };
        let paths = Index { rows: part()?, words: part()? };
        let names = Index { rows: part()?, words: part()? };
        let patterned = part()?;
        // Where the tasks begin is where the head ends.
        let found =
            Self { sources, pools, count, tasks, deps, dependents, paths, names, patterned, map };
        found.number(tasks, count as usize)?;
        Some(found)
    }

    /// How many tasks the manifest has.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn bytes(&self, part: Part) -> &[u8] {
        &self.map[part.at..part.at + part.length]
    }

    fn number(&self, part: Part, at: usize) -> Option<u32> {
        self.bytes(part).get(at * 4..at * 4 + 4).map(bytemuck::pod_read_unaligned)
    }

    pub fn task(&self, id: TaskId) -> Option<Task> {
        let head = u32::from_le_bytes(*self.map.last_chunk()?) as usize;
        let from = head + self.number(self.tasks, id.index())? as usize;
        let to = head + self.number(self.tasks, id.index() + 1)? as usize;
        let mut from = Reader(self.map.get(from..to)?);
        let check = from.u32()?;
        if crc32fast::hash(from.0) != check {
            return None;
        }
        postcard::from_bytes(from.0).ok()
    }

    pub fn deps(&self, id: TaskId) -> Option<Vec<TaskId>> {
        self.list(self.deps, id)
    }

    pub fn dependents(&self, id: TaskId) -> Option<Vec<TaskId>> {
        self.list(self.dependents, id)
    }

    fn list(&self, lists: Lists, id: TaskId) -> Option<Vec<TaskId>> {
        let from = self.number(lists.starts, id.index())? as usize;
        let to = self.number(lists.starts, id.index() + 1)? as usize;
        (from..to).map(|at| self.number(lists.ids, at).map(TaskId)).collect()
    }

    pub fn id_of(&self, name: &TaskName) -> Option<TaskId> {
        let mut found = Vec::new();
        self.find(self.names, name.as_str().as_bytes(), &mut found)?;
        found.first().copied()
    }

    /// The tasks that a change at the path can concern by itself: those that name it or a folder
    /// above it, and those with a pattern that it may match.
    pub fn concerned(&self, path: &[u8]) -> Option<Vec<TaskId>> {
        let mut found = Vec::new();
        for end in std::iter::once(0).chain(folder_ends(path)) {
            self.find(self.paths, &path[..end], &mut found)?;
        }
        for at in 0..self.patterned.length / 4 {
            let id = TaskId(self.number(self.patterned, at)?);
            if self.task(id)?.inputs.iter().any(|input| may_match(&input.value, path)) {
                found.push(id);
            }
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    fn find(&self, index: Index, word: &[u8], found: &mut Vec<TaskId>) -> Option<()> {
        const ROW: usize = size_of::<IndexRow>();
        let rows = self.bytes(index.rows);
        let row = |at: usize| -> Option<IndexRow> {
            rows.get(at * ROW..(at + 1) * ROW).map(bytemuck::pod_read_unaligned)
        };
        let words = self.bytes(index.words);
        let word_of = |row: IndexRow| words.get(row.at as usize..(row.at + row.length) as usize);
        let (mut low, mut high) = (0, rows.len() / ROW);
        while low < high {
            let middle = low.midpoint(high);
            if word_of(row(middle)?)? < word { low = middle + 1 } else { high = middle }
        }
        while let Some(row) = row(low) {
            if word_of(row)? != word {
                break;
            }
            found.push(TaskId(row.task));
            low += 1;
        }
        Some(())
    }
}

/// Whether a pattern matches the path, or could match something in it.
fn may_match(input: &Input, path: &[u8]) -> bool {
    let (Input::Glob(text) | Input::Exclude(text)) = input else { return false };
    // What is no pattern is said by whoever needs it.
    Pattern::parse(text).map_or(true, |pattern| {
        path.is_empty() || pattern.covers(path) || pattern.may_match_below(path)
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests damage files")]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::manifest::parse;

    const TEXT: &str = "\
pool one { depth = 1 }
task gen {
  cmd = gen
  outputs = gen/a gen/b
}
task tree {
  cmd = t
  inputs = data
  outputs = tree
}
task globbed {
  cmd = g
  inputs = src/**/*.c !src/old/**
  outputs = globbed
}
task use {
  cmd = u
  inputs = gen/a data/x
  outputs = use
  pool = one
  env = A=1
}
task all {
  deps = use globbed
}
";

    struct Case {
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
        manifest: Manifest,
        sources: Vec<Source>,
    }

    fn case() -> Case {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("compiled");
        let manifest = parse(Path::new("m.txt"), TEXT.as_bytes()).expect("a good manifest");
        let sources = vec![(b"m.txt".to_vec(), Sig { size: 7, ..Sig::ABSENT })];
        write(&path, &manifest, &Graph::new(&manifest), &sources).expect("a writable folder");
        Case { _folder: folder, path, manifest, sources }
    }

    #[test]
    fn all_of_the_manifest_reads_back() {
        let Case { path, manifest, sources, .. } = &case();
        let compiled = Compiled::open(path).expect("a whole file");
        let graph = Graph::new(manifest);
        assert_eq!(compiled.len(), manifest.tasks.len());
        assert_eq!((&compiled.sources, &compiled.pools), (sources, &manifest.pools));
        for id in ids(manifest.tasks.len()) {
            let task = &manifest.tasks[id.index()];
            assert_eq!(format!("{:?}", compiled.task(id)), format!("{:?}", Some(task)));
            assert_eq!(compiled.deps(id).as_deref(), Some(graph.deps(id)));
            assert_eq!(compiled.dependents(id).as_deref(), Some(graph.dependents(id)));
            assert_eq!(compiled.id_of(&task.name), Some(id));
        }
        assert_eq!(compiled.id_of(&TaskName::parse("other").expect("a good name")), None);
        assert!(compiled.task(TaskId(5)).is_none() && compiled.deps(TaskId(5)).is_none());
    }

    #[test]
    fn a_path_concerns_who_names_it_or_a_folder_above_or_has_a_pattern_for_it() {
        let case = case();
        let compiled = Compiled::open(&case.path).expect("a whole file");
        for (path, tasks) in [
            ("gen/a", &["gen", "use"][..]),
            ("gen/b", &["gen"]),
            ("data/x", &["tree", "use"]),
            ("data/deep/y", &["tree"]),
            ("data", &["tree"]),
            ("tree/made", &["tree"]),
            ("src/deep/x.c", &["globbed"]),
            ("src/old/x.c", &["globbed"]),
            ("src", &["globbed"]),
            ("", &["globbed"]),
            ("elsewhere/x.c", &[]),
            ("datax", &[]),
        ] {
            let ids = compiled.concerned(path.as_bytes()).expect("a whole file");
            let names: Vec<&str> =
                ids.iter().map(|id| case.manifest.tasks[id.index()].name.as_str()).collect();
            assert_eq!(names, tasks, "{path:?}");
        }
    }

    #[test]
    fn damage_is_never_read_as_something_else() {
        let case = case();
        let good = std::fs::read(&case.path).expect("the file");
        let all = |compiled: &Compiled| -> Option<Vec<String>> {
            ids(compiled.len()).map(|id| Some(format!("{:?}", compiled.task(id)?))).collect()
        };
        let tasks = all(&Compiled::open(&case.path).expect("a whole file"));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x08;
            std::fs::write(&case.path, &bad).expect("a writable folder");
            if let Some(found) = Compiled::open(&case.path).as_ref().and_then(all) {
                assert_eq!(Some(found), tasks, "byte {at}");
            }
            std::fs::write(&case.path, &good[..at]).expect("a writable folder");
            assert!(Compiled::open(&case.path).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn the_form_of_tasks_is_the_one_that_the_number_stands_for() {
        let manifest = parse(Path::new("m.txt"), TEXT.as_bytes()).expect("a good manifest");
        let tasks = postcard::to_stdvec(&(&manifest.tasks, &manifest.pools)).expect("plain data");
        let form = "434bae9dce98aa4cd8e7ab6cc3872885c0a6598221f00f92293ab46fd9909eff";
        assert_eq!(
            (MAGIC[7], Digest::of(&tasks).hex().as_str()),
            (1, form),
            "tasks are written otherwise: raise the number in MAGIC, and set both here"
        );
    }

    #[test]
    fn it_is_written_anew_only_for_other_texts() {
        let mut case = case();
        let written = || std::fs::metadata(&case.path).expect("the file").ino();
        let (before, graph) = (written(), Graph::new(&case.manifest));
        write(&case.path, &case.manifest, &graph, &case.sources).expect("a writable folder");
        assert_eq!(written(), before);
        case.sources[0].1.size = 8;
        write(&case.path, &case.manifest, &graph, &case.sources).expect("a writable folder");
        let compiled = Compiled::open(&case.path).expect("a whole file");
        assert_eq!(compiled.sources, case.sources);
    }
}
