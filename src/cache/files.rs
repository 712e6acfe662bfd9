//! What is known of each file: its signature and its digest, so that a file that did not change
//! costs one look and no hashing. Shared by reference between threads.
//!
//! Whoever forms a key keeps the entries that went into it, and compares with them afterwards.
//! Knows nothing of tasks.

mod expected;
mod look;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use expected::Expectation;
pub use look::{is_older, may_be_newer};

use self::look::{fine_device, followed, is_coarse, is_followed, look, shown_path};
use crate::base::fs::Context as _;
use crate::base::{Digest, FileError, Kind, Sig, clock, stat};

/// A path in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// What a path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub sig: Sig,
    /// Of a file its bytes, of a link its target; all zero for what has neither.
    pub digest: Digest,
    /// Whether the signature is sure to change with the next write to the file. Where it is not,
    /// the file is hashed again by the next run.
    pub trusted: bool,
}

impl Entry {
    pub fn kind(&self) -> Kind {
        self.sig.kind()
    }

    pub const ABSENT: Self =
        Self { sig: Sig::ABSENT, digest: Digest::from_bytes([0; 32]), trusted: true };
}

/// What became of a path since it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Same,
    /// It holds the same bytes and was written to: for a while it may have held others.
    Touched,
    Changed,
}

/// A path with what a look at it shows; a path that ends in NUL stands for what the link at it
/// leads to.
pub type Watched = (Arc<[u8]>, Sig);

#[derive(Debug, Clone, Copy)]
enum Row {
    Unknown,
    /// From an earlier run.
    Remembered(Entry),
    /// Looked at in this run.
    Settled(Entry),
    /// What a run would put there, whatever is there now.
    Expected(Entry),
}

#[derive(Debug, Default)]
struct Table {
    index: HashMap<Arc<[u8]>, FileId>,
    paths: Vec<Arc<[u8]>>,
    rows: Vec<Row>,
    /// What was said in this run and was not known before.
    news: Vec<FileId>,
}

impl Table {
    fn intern(&mut self, path: &[u8]) -> FileId {
        if let Some(&id) = self.index.get(path) {
            return id;
        }
        let id = FileId(u32::try_from(self.paths.len()).expect("fewer than 4 billion files"));
        let path: Arc<[u8]> = path.into();
        self.paths.push(path.clone());
        self.rows.push(Row::Unknown);
        self.index.insert(path, id);
        id
    }
}

/// The table.
#[derive(Debug)]
pub struct Files {
    table: Mutex<Table>,
    /// Where a file can be made to see how fine the clock of the file system is.
    probe_in: Option<PathBuf>,
    /// Whether anything is known that was not when it began.
    changed: AtomicBool,
    fine_device: OnceLock<Option<u32>>,
    /// Folders that were listed, each as it was before its first listing.
    listed: Mutex<BTreeMap<Vec<u8>, Entry>>,
    /// Whether a file was found other than this run had found it before: what was concluded from
    /// it need not hold at the end.
    disturbed: AtomicBool,
    /// Whether what earlier runs knew counts for nothing.
    distrusts: bool,
    /// What a run would put into place.
    expected: expected::Expected,
}

impl Files {
    /// Empty. In `probe_in` a file may be made for a moment, to see how fine the clock is.
    pub fn new(probe_in: Option<PathBuf>) -> Self {
        Self {
            table: Mutex::default(),
            probe_in,
            changed: AtomicBool::new(false),
            fine_device: OnceLock::new(),
            listed: Mutex::default(),
            disturbed: AtomicBool::new(false),
            distrusts: false,
            expected: expected::Expected::default(),
        }
    }

    pub fn changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of a path: relative to the project, or absolute for a tool.
    pub fn intern(&self, path: &[u8]) -> FileId {
        self.lock().intern(path)
    }

    pub fn path(&self, id: FileId) -> Arc<[u8]> {
        self.lock().paths[id.0 as usize].clone()
    }

    /// Takes over what an earlier run knew.
    pub fn remember(&self, path: &[u8], entry: Entry) -> FileId {
        let mut table = self.lock();
        let id = table.intern(path);
        table.rows[id.0 as usize] = Row::Remembered(entry);
        id
    }

    /// Everything known, for the state on disk.
    pub fn known(&self) -> Vec<(FileId, Arc<[u8]>, Entry)> {
        let table = self.lock();
        let rows = table.rows.iter().zip(&table.paths).enumerate();
        rows.filter_map(|(at, (row, path))| match row {
            Row::Unknown | Row::Expected(_) => None,
            Row::Remembered(entry) | Row::Settled(entry) => {
                Some((FileId(at as u32), path.clone(), *entry))
            }
        })
        .collect()
    }

    /// Looks at all remembered files, on `threads` threads. Those that did not change are settled.
    pub fn look_at_all(&self, threads: usize) {
        if self.distrusts {
            return;
        }
        let work: Vec<(usize, Arc<[u8]>, Entry)> = {
            let table = self.lock();
            let rows = table.rows.iter().zip(&table.paths).enumerate();
            rows.filter_map(|(at, (row, path))| match row {
                Row::Remembered(entry) if entry.trusted => Some((at, path.clone(), *entry)),
                _ => None,
            })
            .collect()
        };
        let same = |part: &[(usize, Arc<[u8]>, Entry)]| -> Vec<usize> {
            part.iter()
                .filter(|(_, path, entry)| look(path).is_ok_and(|sig| sig == entry.sig))
                .map(|&(at, ..)| at)
                .collect()
        };
        let parts: Vec<_> = work.chunks(work.len().div_ceil(threads.max(1)).max(256)).collect();
        let settled: Vec<Vec<usize>> = match parts.split_first() {
            None => return,
            Some((first, others)) => std::thread::scope(|scope| {
                let others: Vec<_> =
                    others.iter().map(|part| scope.spawn(move || same(part))).collect();
                let mut all = vec![same(first)];
                // A thread that died leaves its files to be looked at one by one.
                all.extend(others.into_iter().filter_map(|thread| thread.join().ok()));
                all
            }),
        };
        let mut table = self.lock();
        for at in settled.into_iter().flatten() {
            if let Row::Remembered(entry) = table.rows[at] {
                table.rows[at] = Row::Settled(entry);
            }
        }
    }

    /// What the path holds if that is known without hashing: settled, or nothing there.
    pub fn settled(&self, id: FileId) -> Option<Entry> {
        match self.lock().rows[id.0 as usize] {
            Row::Settled(entry) | Row::Expected(entry) if entry.kind() != Kind::Absent => {
                Some(entry)
            }
            _ => None,
        }
    }

    /// Whether anything is there now; a link that leads nowhere is not. What we may not look at
    /// counts as there: whoever reads it gets the better message.
    pub fn exists(&self, id: FileId) -> bool {
        let path = self.path(id);
        match shown_path(&path).metadata() {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }

    /// The signature of what is at the path now. Nothing is read.
    pub fn look_at(&self, id: FileId) -> Result<Sig, FileError> {
        if let Row::Expected(entry) = self.lock().rows[id.0 as usize] {
            return Ok(entry.sig);
        }
        let path = self.path(id);
        look(&path).at("examine", &shown_path(&path))
    }

    /// From here on nothing is believed that an earlier run knew: every file that is asked for
    /// is read, whatever its times say.
    pub fn distrust(&mut self) {
        self.distrusts = true;
    }

    /// What the path holds now; looks each time, since a task may have written it without saying
    /// so, and hashes where the look shows something new.
    pub fn get(&self, id: FileId) -> Result<Entry, FileError> {
        let (path, row) = {
            let table = self.lock();
            (table.paths[id.0 as usize].clone(), table.rows[id.0 as usize])
        };
        let remembered = match row {
            Row::Expected(entry) => return Ok(entry),
            Row::Remembered(_) if self.distrusts => None,
            Row::Settled(entry) | Row::Remembered(entry) if entry.trusted => Some(entry),
            _ => None,
        };
        let entry = self.examine(&path, remembered)?;
        if matches!(row, Row::Settled(before) if before != entry) {
            self.disturbed.store(true, Ordering::Relaxed);
        }
        if remembered == Some(entry) {
            self.lock().rows[id.0 as usize] = Row::Settled(entry);
        } else {
            self.put(id, entry);
        }
        Ok(entry)
    }

    /// As [`Files::get`], whatever was known before.
    pub fn get_fresh(&self, id: FileId) -> Result<Entry, FileError> {
        self.forget(id);
        self.get(id)
    }

    /// As [`Files::get`], and where the path is a link, what it leads to.
    pub fn get_followed(&self, path: &[u8]) -> Result<(FileId, Entry), FileError> {
        let id = self.intern(path);
        let entry = self.get(id)?;
        if entry.kind() != Kind::Link {
            return Ok((id, entry));
        }
        if let Some(target) = self.expected_target(path)? {
            return Ok(target);
        }
        let id = self.followed(path);
        Ok((id, self.get(id)?))
    }

    /// The id of what the link at a path leads to.
    pub fn followed(&self, path: &[u8]) -> FileId {
        self.intern(&followed(path))
    }

    /// What became of the path since [`Files::get`] gave the entry.
    pub fn since(&self, id: FileId, entry: &Entry) -> Result<Since, FileError> {
        let path = self.path(id);
        if look(&path).at("examine", &shown_path(&path))? == entry.sig {
            return Ok(Since::Same);
        }
        let now = self.examine(&path, None)?;
        if now.kind() == entry.kind() && now.digest == entry.digest {
            self.put(id, now);
            return Ok(Since::Touched);
        }
        Ok(Since::Changed)
    }

    /// What was looked at in this run and is there, with its path, and whether that is all that is
    /// known; none where a look at one would not be sure to show the next change.
    pub fn all_settled(&self) -> Option<(Vec<Watched>, bool)> {
        let table = self.lock();
        let mut is_whole = true;
        let mut all = Vec::with_capacity(table.rows.len());
        for (row, path) in table.rows.iter().zip(&table.paths) {
            match row {
                Row::Settled(entry) if entry.kind() == Kind::Absent => {}
                Row::Settled(entry) if entry.trusted => all.push((path.clone(), entry.sig)),
                Row::Settled(_) | Row::Expected(_) => return None,
                Row::Remembered(_) => is_whole = false,
                Row::Unknown => {}
            }
        }
        Some((all, is_whole))
    }

    /// Takes for settled what is remembered of all paths but these: someone has just looked at
    /// every one of them.
    pub fn settle_all_but(&self, changed: &HashSet<Vec<u8>>) {
        let mut table = self.lock();
        let Table { rows, paths, .. } = &mut *table;
        for (row, path) in rows.iter_mut().zip(paths) {
            if let Row::Remembered(entry) = *row
                && entry.trusted
                && entry.kind() != Kind::Absent
                && !changed.contains(&path[..])
            {
                *row = Row::Settled(entry);
            }
        }
    }

    /// Notes that a folder is about to be listed, so that what is in it can be known to stand.
    fn note(&self, folder: &[u8]) {
        let now = clock::now_ns();
        // What cannot be looked at is no folder of which anything is known.
        let Ok(sig) = look(&followed(folder)) else { return };
        let entry = Entry { sig, digest: Digest::default(), trusted: self.is_trusted(&sig, now) };
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.entry(folder.to_vec()).or_insert(entry);
    }

    /// The folders that were listed.
    pub fn listed(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Entry>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file was found other than it had been found before in this run.
    pub fn is_disturbed(&self) -> bool {
        self.disturbed.load(Ordering::Relaxed)
    }

    /// Says what the path holds from now on.
    pub fn put(&self, id: FileId, entry: Entry) {
        self.changed.store(true, Ordering::Relaxed);
        let mut table = self.lock();
        table.rows[id.0 as usize] = Row::Settled(entry);
        table.news.push(id);
    }

    /// What was learned in this run, each path once.
    pub fn news(&self) -> Vec<(Arc<[u8]>, Entry)> {
        let mut table = self.lock();
        let mut news = std::mem::take(&mut table.news);
        news.sort_unstable();
        news.dedup();
        let known = news.into_iter().filter_map(|id| match table.rows[id.0 as usize] {
            Row::Settled(entry) => Some((table.paths[id.0 as usize].clone(), entry)),
            Row::Unknown | Row::Remembered(_) | Row::Expected(_) => None,
        });
        known.collect()
    }

    /// Whether the path is in the table.
    pub fn has(&self, path: &[u8]) -> bool {
        self.lock().index.contains_key(path)
    }

    /// The path has to be looked at again.
    pub fn forget(&self, id: FileId) {
        self.lock().rows[id.0 as usize] = Row::Unknown;
    }

    /// Looks, and hashes where the signature is not that of `remembered`.
    fn examine(&self, path: &[u8], remembered: Option<Entry>) -> Result<Entry, FileError> {
        let shown = shown_path(path);
        let sig = look(path).at("examine", &shown)?;
        if let Some(entry) = remembered
            && entry.sig == sig
        {
            return Ok(entry);
        }
        match sig.kind() {
            Kind::Absent => Ok(Entry::ABSENT),
            Kind::Dir | Kind::Special => {
                Ok(Entry { sig, digest: Digest::default(), trusted: true })
            }
            Kind::Link => {
                let now = clock::now_ns();
                let target = std::fs::read_link(&shown).at("read the link", &shown)?;
                let digest = Digest::of(target.as_os_str().as_bytes());
                Ok(Entry { sig, digest, trusted: self.is_trusted(&sig, now) })
            }
            Kind::File | Kind::Executable => self.hash(path, &shown),
        }
    }

    fn hash(&self, path: &[u8], shown: &Path) -> Result<Entry, FileError> {
        for _ in 0..3 {
            let mut file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(shown)
                .at("open", shown)?;
            let before = stat::fstat(file.as_fd()).at("examine", shown)?;
            let now = clock::now_ns();
            let (digest, _) = Digest::of_file(&mut file).at("read", shown)?;
            let after = stat::fstat(file.as_fd()).at("examine", shown)?;
            let sig = look(path).at("examine", shown)?;
            let same_file = is_followed(path) || sig == after;
            if before == after && same_file {
                return Ok(Entry { sig, digest, trusted: self.is_trusted(&sig, now) });
            }
        }
        // It is being written to; whoever uses it finds it changed afterwards.
        Err(FileError::new("read", shown, std::io::Error::other("it is being written to")))
    }

    /// Whether a write after the moment `hashed` must show in the signature: the file is older
    /// than a tick of its clock, or the kernel gives each write that follows a look a new time.
    pub fn is_trusted(&self, sig: &Sig, hashed: i64) -> bool {
        if is_older(sig, hashed) {
            return true;
        }
        let fine = *self.fine_device.get_or_init(|| self.probe_in.as_deref().and_then(fine_device));
        !is_coarse(sig) && fine == Some(sig.dev)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests edit files")]
mod tests {
    use super::*;

    fn table() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = Files::new(Some(folder.path().to_path_buf()));
        (folder, files)
    }

    fn id(files: &Files, path: &Path) -> FileId {
        files.intern(path.as_os_str().as_bytes())
    }

    #[test]
    fn a_change_is_found_also_one_that_was_taken_back() {
        let (folder, files) = table();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").expect("a writable folder");
        let a = id(&files, &path);
        let one = files.get(a).expect("a file");
        assert_eq!(one.digest, Digest::of(b"one"));
        std::fs::write(&path, "three").expect("a writable folder");
        assert_eq!(files.since(a, &one).expect("a file"), Since::Changed);
        assert_eq!(files.get(a).expect("a file").digest, Digest::of(b"three"));
        // Whatever others saw meanwhile.
        assert_eq!(files.since(a, &one).expect("a file"), Since::Changed);
        std::fs::write(&path, "one").expect("a writable folder");
        assert_eq!(files.since(a, &one).expect("a file"), Since::Touched);
        let again = files.get(a).expect("a file");
        assert_eq!(files.since(a, &again).expect("a file"), Since::Same);
        files.forget(a);
        assert_eq!(files.get(a).expect("a file").kind(), Kind::File);
    }

    #[test]
    fn what_is_absent_is_looked_for_again() {
        let (folder, files) = table();
        let path = folder.path().join("a");
        let a = id(&files, &path);
        assert_eq!(files.get(a).expect("nothing"), Entry::ABSENT);
        std::fs::write(&path, "one").expect("a writable folder");
        assert_eq!(files.get(a).expect("a file").digest, Digest::of(b"one"));
    }

    #[test]
    fn a_link_is_its_target_text_or_what_it_leads_to() {
        let (folder, files) = table();
        std::fs::write(folder.path().join("a"), "one").expect("a writable folder");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("a", &link).expect("a link");
        let of = id(&files, &link);
        assert_eq!(files.get(of).expect("a link").digest, Digest::of(b"a"));
        let (_, entry) = files.get_followed(link.as_os_str().as_bytes()).expect("a file");
        assert_eq!((entry.kind(), entry.digest), (Kind::File, Digest::of(b"one")));
    }

    #[test]
    fn a_file_younger_than_the_clocks_tick_is_not_trusted_by_its_times_alone() {
        let (_folder, files) = table();
        files.fine_device.set(None).expect("the first to say");
        let sig = Sig { mtime: 5_000_000_001, ctime: 5_000_000_001, ..Sig::default() };
        assert!(!files.is_trusted(&sig, 5_000_000_002));
        assert!(files.is_trusted(&sig, 5_100_000_000));
        let whole_seconds = Sig { mtime: 5_000_000_000, ctime: 5_000_000_000, ..Sig::default() };
        assert!(!files.is_trusted(&whole_seconds, 6_900_000_000));
        assert!(files.is_trusted(&whole_seconds, 7_100_000_000));
    }

    #[test]
    fn the_bulk_look_settles_what_did_not_change() {
        let (folder, files) = table();
        let mut ids = Vec::new();
        for at in 0..1000 {
            let path = folder.path().join(at.to_string());
            std::fs::write(&path, "x").expect("a writable folder");
            let entry = files.get(id(&files, &path)).expect("a file");
            let entry = Entry { trusted: true, ..entry };
            ids.push(files.remember(path.as_os_str().as_bytes(), entry));
        }
        std::fs::write(folder.path().join("7"), "yy").expect("a writable folder");
        files.look_at_all(2);
        let settled = ids.iter().filter(|&&id| files.settled(id).is_some()).count();
        assert_eq!(settled, 999);
    }
}
