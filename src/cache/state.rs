//! The state of the workspace: what each file held and what each task did, in one file that is
//! replaced whole, and a journal of what happened since. `docs/on-disk-format.md` describes both.
//!
//! Whatever cannot be read is as if it had never been written.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bytes::{Reader, Writer};
use super::files::{Entry, FileId, Files};
use super::outputs::Made;
use super::record::Output;
use crate::base::fs;
use crate::base::pattern::folder_ends;
use crate::base::{Digest, FileError, Kind, RelPath, Sig, TaskName};

const MAGIC: &[u8; 8] = b"rvmwst\0\x02";
/// More than any real state, less than could hurt.
const MAX_BYTES: u64 = 8 << 30;

/// An entry takes so many bytes.
const ENTRY: usize = size_of::<Sig>() + 32 + 1;

/// What is remembered of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskRow {
    /// Of the last success; meaningful while `phase` is not `New`.
    pub key: Digest,
    pub result: Digest,
    pub duration_ms: u64,
    /// The most memory that one of its processes had; 0: not known.
    pub peak_rss_bytes: u64,
    pub phase: Phase,
    /// What the task made, sorted by path.
    pub made: Vec<Made>,
    /// While `Running`, what lay at the outputs before; when `Failed`, what the run left there.
    pub listed: Vec<Vec<u8>>,
    /// When that run began, nanoseconds since 1970.
    pub started_ns: i64,
}

/// How the last run of a task ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It never succeeded here.
    #[default]
    New = 0,
    /// It succeeded, and its key stands for what it did.
    Done = 1,
    /// It succeeded, but an input changed meanwhile: what it made belongs to no key.
    Unproven = 2,
    /// It began; in a state that was read back: and was killed.
    Running = 3,
    /// It failed or was cancelled.
    Failed = 4,
}

impl Phase {
    fn from_u8(value: u8) -> Option<Self> {
        [Self::New, Self::Done, Self::Unproven, Self::Running, Self::Failed]
            .get(usize::from(value))
            .copied()
    }
}

/// The state of the workspace for one manifest. Shared by reference between threads.
#[derive(Debug)]
pub struct State {
    pub files: Files,
    tasks: Mutex<HashMap<TaskName, TaskRow>>,
    journal: Mutex<Journal>,
    path: PathBuf,
    /// Only some tasks and files were read: what is new stays in the journal.
    is_part: bool,
}

/// What is wanted of a state.
#[derive(Debug, Default)]
pub struct Wanted {
    pub tasks: HashSet<TaskName>,
    /// With all that lies in them.
    pub paths: HashSet<Vec<u8>>,
}

impl Wanted {
    fn has(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(&[0]).unwrap_or(path);
        folder_ends(path).any(|end| self.paths.contains(&path[..end]))
            || self.paths.contains(&b""[..])
    }
}

#[derive(Debug)]
enum Journal {
    /// Nothing was noted in this run; what an earlier one left may be there.
    Unopened {
        path: PathBuf,
        found: bool,
    },
    Open {
        path: PathBuf,
        file: File,
    },
    /// It could not be written; the state at the end is all there will be.
    Broken {
        path: PathBuf,
    },
}

impl State {
    /// Reads the state, and the journal of a run that did not come to its end. Of `probe_in` see
    /// [`Files::new`].
    pub fn load(path: PathBuf, journal: PathBuf, probe_in: Option<PathBuf>) -> Self {
        let files = Files::new(probe_in);
        let mut tasks = HashMap::new();
        if let Ok(bytes) = fs::read_regular(&path, MAX_BYTES)
            && read_state(&bytes, &files, &mut tasks, None).is_none()
        {
            tracing::warn!(path = %path.display(), "state is damaged and not believed");
            tasks.clear();
        }
        tracing::debug!(tasks = tasks.len(), path = %path.display(), "state loaded");
        let found = journal.symlink_metadata().is_ok();
        if let Ok(bytes) = fs::read_regular(&journal, MAX_BYTES) {
            let frames = replay(&bytes, &files, &mut tasks);
            tracing::debug!(frames, "journal was replayed");
        }
        Self {
            files,
            tasks: Mutex::new(tasks),
            journal: Mutex::new(Journal::Unopened { path: journal, found }),
            path,
            is_part: false,
        }
    }

    /// Reads the wanted part of the state and of the journal. None: not all of it can be believed.
    pub fn load_part(
        path: PathBuf,
        journal: PathBuf,
        probe_in: Option<PathBuf>,
        wanted: &Wanted,
    ) -> Option<Self> {
        let files = Files::new(probe_in);
        let mut tasks = HashMap::new();
        // Most of it is passed over.
        let bytes = fs::map_regular(&path, MAX_BYTES).ok()?;
        read_state(&bytes, &files, &mut tasks, Some(wanted))?;
        let found = journal.symlink_metadata().is_ok();
        if found {
            replay(&fs::read_regular(&journal, MAX_BYTES).ok()?, &files, &mut tasks);
            tasks.retain(|name, _| wanted.tasks.contains(name));
        }
        Some(Self {
            files,
            tasks: Mutex::new(tasks),
            journal: Mutex::new(Journal::Unopened { path: journal, found }),
            path,
            is_part: true,
        })
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<TaskName, TaskRow>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn row(&self, task: &TaskName) -> Option<TaskRow> {
        self.tasks().get(task).cloned()
    }

    /// Looks at a row without copying it.
    pub fn with_row<T>(&self, task: &TaskName, look: impl FnOnce(Option<&TaskRow>) -> T) -> T {
        look(self.tasks().get(task))
    }

    /// Says what a task did, here and in the journal, if that is not what it had done before.
    pub fn set_row(&self, task: &TaskName, row: TaskRow) {
        if self.tasks().get(task) == Some(&row) {
            return;
        }
        let mut out = Writer::default();
        out.bytes(task.as_str().as_bytes());
        write_row(&mut out, &row, &mut |out, id| {
            out.bytes(&self.files.path(id));
        });
        let made = row.made.iter().map(|made| made.file);
        let known = made.filter_map(|id| Some((self.files.path(id), self.files.settled(id)?)));
        write_entries(&mut out, &known.collect::<Vec<_>>());
        self.tasks().insert(task.clone(), row);
        self.note(&out.0);
    }

    /// Adds a frame to the journal: length, check sum, bytes.
    fn note(&self, payload: &[u8]) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Journal::Unopened { path, .. } = &*journal {
            let path = path.clone();
            *journal = match fs::open_append(&path) {
                Ok(file) => Journal::Open { path, file },
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "journal cannot be opened");
                    Journal::Broken { path }
                }
            };
        }
        let Journal::Open { path, file } = &mut *journal else { return };
        let mut frame = Writer::default();
        frame.u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        frame.u32(crc32fast::hash(payload));
        frame.0.extend_from_slice(payload);
        if let Err(error) = file.write_all(&frame.0) {
            let path = path.clone();
            tracing::warn!(path = %path.display(), %error, "journal cannot be written");
            *journal = Journal::Broken { path };
        }
    }

    /// Replaces the state on disk and ends the journal, if anything is new: a task did something,
    /// or files were hashed again. Of a part only the journal is brought up to date.
    pub fn save(&self) -> Result<(), FileError> {
        if self.is_part {
            return self.save_part();
        }
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let path = match &*journal {
            Journal::Unopened { found: false, .. } if !self.files.changed() => return Ok(()),
            Journal::Unopened { path, .. }
            | Journal::Open { path, .. }
            | Journal::Broken { path } => path.clone(),
        };
        if let Some(folder) = self.path.parent() {
            fs::create_private_dir(folder)?;
        }
        fs::write_atomic(&self.path, &self.to_bytes())?;
        fs::remove_file(&path)?;
        tracing::debug!(tasks = self.tasks().len(), path = %self.path.display(), "state saved");
        *journal = Journal::Unopened { path, found: false };
        Ok(())
    }

    fn save_part(&self) -> Result<(), FileError> {
        let news = self.files.news();
        if !news.is_empty() {
            let mut out = Writer::default();
            out.bytes(b"");
            write_entries(&mut out, &news);
            self.note(&out.0);
        }
        match &*self.journal.lock().unwrap_or_else(PoisonError::into_inner) {
            Journal::Broken { path } => {
                let source = std::io::Error::other("not all of it could be written");
                Err(FileError::new("write", path, source))
            }
            Journal::Unopened { .. } | Journal::Open { .. } => Ok(()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let known = self.files.known();
        let mut out = Writer(MAGIC.to_vec());
        out.u32(0);
        // Files that are gone are left out, unless a task made them.
        let tasks = self.tasks();
        let mut numbers: HashMap<FileId, u32> = HashMap::with_capacity(known.len());
        let made: HashSet<FileId> =
            tasks.values().flat_map(|row| row.made.iter().map(|made| made.file)).collect();
        let count_at = out.0.len();
        out.u32(0);
        for (id, path, entry) in &known {
            if entry.kind() == Kind::Absent && !made.contains(id) {
                continue;
            }
            numbers.insert(*id, numbers.len() as u32);
            out.bytes(path);
            write_entry(&mut out, entry);
        }
        for id in &made {
            if !numbers.contains_key(id) {
                numbers.insert(*id, numbers.len() as u32);
                out.bytes(&self.files.path(*id));
                write_entry(&mut out, &Entry::ABSENT);
            }
        }
        let count = numbers.len() as u32;
        out.0[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
        let mut rows: Vec<(&TaskName, &TaskRow)> = tasks.iter().collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        out.u32(u32::try_from(rows.len()).expect("fewer than 4 billion tasks"));
        for (name, row) in rows {
            out.bytes(name.as_str().as_bytes());
            write_row(&mut out, row, &mut |out, id| out.u32(numbers[&id]));
        }
        let check = crc32fast::hash(&out.0[MAGIC.len() + 4..]);
        out.0[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&check.to_le_bytes());
        out.0
    }
}

fn write_entries(out: &mut Writer, entries: &[(Arc<[u8]>, Entry)]) {
    out.u32(u32::try_from(entries.len()).expect("fewer than 4 billion files"));
    for (path, entry) in entries {
        out.bytes(path);
        write_entry(out, entry);
    }
}

fn write_entry(out: &mut Writer, entry: &Entry) {
    out.0.extend_from_slice(bytemuck::bytes_of(&entry.sig));
    out.digest(&entry.digest);
    out.u8(u8::from(entry.trusted));
}

fn read_entry(from: &mut Reader<'_>) -> Option<Entry> {
    let sig: Sig = bytemuck::pod_read_unaligned(from.take(size_of::<Sig>())?);
    Some(Entry { sig, digest: from.digest()?, trusted: from.u8()? == 1 })
}

fn write_row(out: &mut Writer, row: &TaskRow, file: &mut dyn FnMut(&mut Writer, FileId)) {
    out.digest(&row.key);
    out.digest(&row.result);
    out.u64(row.duration_ms);
    out.u64(row.peak_rss_bytes);
    out.u8(row.phase as u8);
    out.u64(row.started_ns.cast_unsigned());
    out.u32(u32::try_from(row.made.len()).expect("fewer than 4 billion outputs"));
    for made in &row.made {
        file(out, made.file);
        out.u8(made.output.kind as u8);
        out.u32(made.output.mode);
        out.u64(made.output.size);
        out.digest(&made.output.digest);
        out.u8(u8::from(made.owned));
    }
    out.u32(u32::try_from(row.listed.len()).expect("fewer than 4 billion files"));
    for path in &row.listed {
        out.bytes(path);
    }
}

fn read_row(
    from: &mut Reader<'_>,
    file: &mut dyn FnMut(&mut Reader<'_>) -> Option<(FileId, RelPath)>,
) -> Option<TaskRow> {
    let mut row = TaskRow {
        key: from.digest()?,
        result: from.digest()?,
        duration_ms: from.u64()?,
        peak_rss_bytes: from.u64()?,
        phase: Phase::from_u8(from.u8()?)?,
        started_ns: from.u64()?.cast_signed(),
        ..TaskRow::default()
    };
    for _ in 0..from.u32()? {
        let (file, path) = file(from)?;
        let output = Output {
            path,
            kind: Kind::from_u8(from.u8()?)?,
            mode: from.u32()?,
            size: from.u64()?,
            digest: from.digest()?,
        };
        row.made.push(Made { output, file, owned: from.u8()? == 1 });
    }
    for _ in 0..from.u32()? {
        row.listed.push(from.bytes()?.to_vec());
    }
    Some(row)
}

/// Reads the state, or what is wanted of it.
fn read_state(
    bytes: &[u8],
    files: &Files,
    tasks: &mut HashMap<TaskName, TaskRow>,
    wanted: Option<&Wanted>,
) -> Option<()> {
    let mut from = Reader(bytes.strip_prefix(MAGIC)?);
    if from.u32()? != crc32fast::hash(from.0) {
        return None;
    }
    let remember =
        |path: &[u8], entry: &[u8]| Some(files.remember(path, read_entry(&mut Reader(entry))?));
    let count = from.u32()?;
    let mut numbered = Vec::new();
    for _ in 0..count {
        let (path, entry) = (from.bytes()?, from.take(ENTRY)?);
        let id = match wanted.is_none_or(|wanted| wanted.has(path)) {
            true => Some(remember(path, entry)?),
            false => None,
        };
        numbered.push((id, path, entry));
    }
    for _ in 0..from.u32()? {
        let name = std::str::from_utf8(from.bytes()?).ok()?;
        if wanted.is_some_and(|wanted| !wanted.tasks.contains(name)) {
            skip_row(&mut from)?;
            continue;
        }
        let row = read_row(&mut from, &mut |from| {
            let &(id, path, entry) = numbered.get(from.u32()? as usize)?;
            // What a wanted task made is wanted.
            let id = id.or_else(|| remember(path, entry))?;
            Some((id, RelPath::parse(path).ok()?))
        })?;
        tasks.insert(TaskName::parse(name).ok()?, row);
    }
    Some(())
}

/// Goes past what [`read_row`] would read of the state.
fn skip_row(from: &mut Reader<'_>) -> Option<()> {
    from.take(32 + 32 + 8 + 8 + 1 + 8)?;
    let made = from.u32()? as usize;
    from.take(made.checked_mul(4 + 1 + 4 + 8 + 32 + 1)?)?;
    for _ in 0..from.u32()? {
        from.bytes()?;
    }
    Some(())
}

/// Takes what the journal says up to the first frame that is not whole; says how many it took.
fn replay(bytes: &[u8], files: &Files, tasks: &mut HashMap<TaskName, TaskRow>) -> usize {
    let mut from = Reader(bytes);
    let mut frames = 0;
    while let Some(frame) = next_frame(&mut from) {
        if replay_frame(Reader(frame), files, tasks).is_none() {
            break;
        }
        frames += 1;
    }
    frames
}

/// A frame is of a task and the files that it made, or of files alone, without a name.
fn replay_frame(
    mut from: Reader<'_>,
    files: &Files,
    tasks: &mut HashMap<TaskName, TaskRow>,
) -> Option<()> {
    let name = std::str::from_utf8(from.bytes()?).ok()?;
    let row = match name {
        "" => None,
        name => {
            let row = read_row(&mut from, &mut |from| {
                let path = from.bytes()?;
                Some((files.intern(path), RelPath::parse(path).ok()?))
            })?;
            Some((TaskName::parse(name).ok()?, row))
        }
    };
    for _ in 0..from.u32()? {
        files.remember(from.bytes()?, read_entry(&mut from)?);
    }
    tasks.extend(row);
    Some(())
}

fn next_frame<'a>(from: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = from.u32()?;
    let check = from.u32()?;
    let payload = from.take(length as usize)?;
    (crc32fast::hash(payload) == check).then_some(payload)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests damage files")]
mod tests;
