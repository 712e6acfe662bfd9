//! All that must stand as it is for a run to have nothing to do, in one file that is read in one
//! go (`docs/on-disk-format.md`): the manifest's texts, files, listed folders, variables, tools.
//!
//! It saves the manifest, the graph and the keys, and adds no way to be wrong: what it compares
//! is what the long way compares.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};

use super::bytes::{Reader, Writer};
use super::files::Watched;
use super::inputs::find_tool;
use crate::base::{Digest, FileError, Hasher, RelPath, Sig, fs, stat};
use crate::config::Environment;

const MAGIC: &[u8; 8] = b"rvmstd\0\x01";
/// Fewer files than this are looked at in one thread: starting another costs as much.
const SHARE: usize = 2048;

/// What a run found up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub tasks: u64,
    /// What running them took earlier.
    pub saved_ms: u64,
}

/// A tool and where the PATH leads to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tool {
    /// The task's folder, for names with a slash and relative folders of the PATH.
    pub cwd: RelPath,
    /// The PATH that the task sets itself.
    pub own_path: Option<String>,
    pub name: String,
    pub found: PathBuf,
}

/// What must stand, in the making.
#[derive(Debug, Default)]
pub struct Standing {
    pub files: Vec<Watched>,
    /// Whether all that the state knows of is among the files.
    pub is_whole: bool,
    /// Variables that tasks asked for.
    pub env: BTreeMap<String, Option<Vec<u8>>>,
    pub tools: Vec<Tool>,
}

/// What else decides whether it can be used: who wrote it, and for what.
#[derive(Debug, Default)]
pub struct Basis(Hasher);

impl Basis {
    /// Adds a part. Each carries its length, so that none runs into the next.
    pub fn with(mut self, part: &[u8]) -> Self {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    pub fn finish(self) -> Digest {
        self.0.finish()
    }
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct FileRow {
    sig: Sig,
    /// Of the last part of the path among the names, where it ends in NUL.
    name: u32,
    /// 1: what the link there leads to.
    followed: u32,
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct FolderRow {
    /// Of its path among the names, where it ends in NUL.
    name: u32,
    /// The number of its first file.
    first: u32,
}

impl Standing {
    /// From the bytes of its file, if they are whole and of this basis.
    pub fn parse(bytes: &[u8], basis: &Digest) -> Option<(Self, Done)> {
        let (mut from, done, is_whole) = open(bytes, basis)?;
        let mut standing = Self { is_whole, ..Self::default() };
        for _ in 0..from.u32()? {
            let name = std::str::from_utf8(from.bytes()?).ok()?.to_owned();
            standing.env.insert(name, read_optional(&mut from)?.map(<[u8]>::to_vec));
        }
        for _ in 0..from.u32()? {
            standing.tools.push(read_tool(&mut from)?);
        }
        let table = Table { folders: from.bytes()?, files: from.bytes()?, names: from.bytes()? };
        standing.files = table.watched()?;
        Some((standing, done))
    }

    /// Writes it in one step. Nothing is written where a path should show two things at once.
    pub fn write(mut self, path: &Path, basis: &Digest, done: Done) -> Result<(), FileError> {
        self.files.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        self.files.dedup();
        if self.files.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Ok(());
        }
        fs::write_atomic(path, &self.to_bytes(basis, done))
    }

    /// The files are sorted.
    fn to_bytes(&self, basis: &Digest, done: Done) -> Vec<u8> {
        let mut names = Vec::new();
        let mut folders: Vec<FolderRow> = Vec::new();
        let mut files: Vec<FileRow> = Vec::with_capacity(self.files.len());
        let mut add_name = |name: &[u8]| {
            let at = names.len() as u32;
            names.extend_from_slice(name);
            names.push(0);
            at
        };
        let mut last: Option<&[u8]> = None;
        for (path, sig) in &self.files {
            let (plain, followed) = match path.strip_suffix(&[0]) {
                Some(plain) => (plain, 1),
                None => (&path[..], 0),
            };
            let (folder, name) = split(plain);
            if last != Some(folder) {
                folders.push(FolderRow { name: add_name(folder), first: files.len() as u32 });
                last = Some(folder);
            }
            files.push(FileRow { sig: *sig, name: add_name(name), followed });
        }
        let mut out = Writer(MAGIC.to_vec());
        out.u32(0);
        out.digest(basis);
        out.u64(done.tasks);
        out.u64(done.saved_ms);
        out.u8(u8::from(self.is_whole));
        out.u32(self.env.len() as u32);
        for (name, value) in &self.env {
            out.bytes(name.as_bytes());
            write_optional(&mut out, value.as_deref());
        }
        out.u32(self.tools.len() as u32);
        for tool in &self.tools {
            out.bytes(tool.cwd.as_bytes());
            write_optional(&mut out, tool.own_path.as_deref().map(str::as_bytes));
            out.bytes(tool.name.as_bytes());
            out.bytes(tool.found.as_os_str().as_encoded_bytes());
        }
        out.bytes(bytemuck::cast_slice(&folders));
        out.bytes(bytemuck::cast_slice(&files));
        out.bytes(&names);
        let check = crc32fast::hash(&out.0[MAGIC.len() + 4..]);
        out.0[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&check.to_le_bytes());
        out.0
    }
}

/// The folder of a path, and the name in it. Of the project's own folder both are empty.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// What [`split`] divided, with the NUL that stands for what a link leads to.
fn join(folder: &[u8], name: &[u8], followed: bool) -> Vec<u8> {
    let mut path = folder.to_vec();
    if !folder.is_empty() && folder != b"/" {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path.extend(followed.then_some(0));
    path
}

fn write_optional(out: &mut Writer, value: Option<&[u8]>) {
    out.u8(u8::from(value.is_some()));
    out.bytes(value.unwrap_or_default());
}

fn read_optional<'a>(from: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    let is_there = from.u8()? == 1;
    from.bytes().map(|bytes| is_there.then_some(bytes))
}

/// What a look at everything shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Stands(Done),
    /// All of it was looked at, and these paths are not as they were.
    Differs(Differences),
    /// Nothing is known, or not enough.
    Unknown,
}

/// The paths that differ. Of all others that the state knows nothing has changed, if `is_whole`.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Differences {
    pub paths: HashSet<Vec<u8>>,
    pub is_whole: bool,
    /// What they differ from, as it was written.
    pub written: Vec<u8>,
}

/// Looks whether everything stands as it did. With many files on as many threads as `threads`
/// says, which takes longer to find out than to look at a few.
pub fn look(
    path: &Path,
    basis: &Digest,
    environment: &Environment,
    threads: fn() -> usize,
) -> Verdict {
    let Ok(bytes) = std::fs::read(path) else { return Verdict::Unknown };
    match verdict(&bytes, basis, environment, threads) {
        Some(Verdict::Differs(all)) => Verdict::Differs(Differences { written: bytes, ..all }),
        Some(verdict) => verdict,
        None => Verdict::Unknown,
    }
}

fn verdict(
    bytes: &[u8],
    basis: &Digest,
    environment: &Environment,
    threads: fn() -> usize,
) -> Option<Verdict> {
    let (mut from, done, is_whole) = open(bytes, basis)?;
    for _ in 0..from.u32()? {
        let name = std::str::from_utf8(from.bytes()?).ok()?;
        let value = environment.get(name).map(std::ffi::OsStr::as_encoded_bytes);
        if read_optional(&mut from)? != value {
            return None;
        }
    }
    for _ in 0..from.u32()? {
        let Tool { cwd, own_path, name, found } = read_tool(&mut from)?;
        let now = find_tool(cwd.as_path(), own_path.as_deref(), &name, environment);
        if now != Some(found) {
            return None;
        }
    }
    let table = Table { folders: from.bytes()?, files: from.bytes()?, names: from.bytes()? };
    let paths = table.differences(threads)?;
    if paths.is_empty() {
        return Some(Verdict::Stands(done));
    }
    let paths = paths.into_iter().collect();
    Some(Verdict::Differs(Differences { paths, is_whole, ..Differences::default() }))
}

/// What comes before the variables.
fn open<'a>(bytes: &'a [u8], basis: &Digest) -> Option<(Reader<'a>, Done, bool)> {
    let mut from = Reader(bytes.strip_prefix(MAGIC)?);
    if from.u32()? != crc32fast::hash(from.0) || from.digest()? != *basis {
        return None;
    }
    let done = Done { tasks: from.u64()?, saved_ms: from.u64()? };
    let is_whole = from.u8()? == 1;
    Some((from, done, is_whole))
}

fn read_tool(from: &mut Reader<'_>) -> Option<Tool> {
    let cwd = RelPath::try_from(from.bytes()?.to_vec()).ok()?;
    let own_path = read_optional(from)?.map(std::str::from_utf8).transpose().ok()?;
    let name = std::str::from_utf8(from.bytes()?).ok()?.to_owned();
    let found = OsStr::from_bytes(from.bytes()?).into();
    Some(Tool { cwd, own_path: own_path.map(str::to_owned), name, found })
}

/// The rows as they lie in the file.
#[derive(Clone, Copy)]
struct Table<'a> {
    folders: &'a [u8],
    files: &'a [u8],
    names: &'a [u8],
}

impl Table<'_> {
    fn folder(&self, at: usize) -> Option<FolderRow> {
        let size = size_of::<FolderRow>();
        self.folders.get(at * size..(at + 1) * size).map(bytemuck::pod_read_unaligned)
    }

    fn file(&self, at: usize) -> Option<FileRow> {
        let size = size_of::<FileRow>();
        self.files.get(at * size..(at + 1) * size).map(bytemuck::pod_read_unaligned)
    }

    fn name(&self, at: u32) -> Option<&CStr> {
        CStr::from_bytes_until_nul(self.names.get(at as usize..)?).ok()
    }

    /// The paths that are not as they were; none: the table is not whole.
    fn differences(&self, threads: fn() -> usize) -> Option<Vec<Vec<u8>>> {
        let count = self.files.len() / size_of::<FileRow>();
        let threads = if count > SHARE { threads().max(1) } else { 1 };
        let share = count.div_ceil(threads).max(SHARE);
        std::thread::scope(|scope| {
            let others: Vec<_> = (share..count)
                .step_by(share)
                .map(|from| scope.spawn(move || self.part(from..(from + share).min(count))))
                .collect();
            let mut all = self.part(0..share.min(count));
            for other in others {
                // A thread that died has seen nothing.
                let part = other.join().ok().flatten();
                if let (Some(all), Some(part)) = (&mut all, &part) {
                    all.extend_from_slice(part);
                } else {
                    all = None;
                }
            }
            all
        })
    }

    fn part(&self, part: std::ops::Range<usize>) -> Option<Vec<Vec<u8>>> {
        let folders = self.folders.len() / size_of::<FolderRow>();
        let mut at = self.folder_of(part.start, folders)?;
        let mut end = 0;
        let (mut folder, mut path): (Folder, &CStr) = (Folder::Here, c"");
        let mut different = Vec::new();
        for file in part {
            while file >= end {
                path = self.name(self.folder(at)?.name)?;
                folder = Folder::open(path);
                at += 1;
                end = self.folder(at).map_or(usize::MAX, |next| next.first as usize);
            }
            let row = self.file(file)?;
            let name = self.name(row.name)?;
            if folder.look(name, row.followed == 1) != Some(row.sig) {
                different.push(join(path.to_bytes(), name.to_bytes(), row.followed == 1));
            }
        }
        Some(different)
    }

    /// All of it, as it was written.
    fn watched(&self) -> Option<Vec<Watched>> {
        let count = self.files.len() / size_of::<FileRow>();
        let mut all = Vec::with_capacity(count);
        let (mut at, mut end, mut path): (usize, usize, &CStr) = (0, 0, c"");
        for file in 0..count {
            while file >= end {
                path = self.name(self.folder(at)?.name)?;
                at += 1;
                end = self.folder(at).map_or(usize::MAX, |next| next.first as usize);
            }
            let row = self.file(file)?;
            let name = self.name(row.name)?;
            let path = join(path.to_bytes(), name.to_bytes(), row.followed == 1);
            all.push((path.into(), row.sig));
        }
        Some(all)
    }

    /// The number of the folder that holds a file.
    fn folder_of(&self, file: usize, folders: usize) -> Option<usize> {
        let (mut low, mut high) = (0, folders);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.folder(middle)?.first as usize <= file {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(low)
    }
}

/// The folder that names are looked up in.
enum Folder {
    /// The process's own.
    Here,
    Open(OwnedFd),
    /// It is not there, so nothing in it is.
    Gone,
    Unknown,
}

impl Folder {
    fn open(path: &CStr) -> Self {
        if path.is_empty() {
            return Self::Here;
        }
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => Self::Open(file.into()),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Self::Gone,
                _ => Self::Unknown,
            },
        }
    }

    fn look(&self, name: &CStr, followed: bool) -> Option<Sig> {
        let folder: RawFd = match self {
            Self::Here => stat::HERE,
            Self::Open(folder) => folder.as_raw_fd(),
            Self::Gone => return Some(Sig::ABSENT),
            Self::Unknown => return None,
        };
        // Of a folder itself the name is empty.
        let name = if name.is_empty() { c"." } else { name };
        let look = if followed { stat::follow_at } else { stat::lstat_at };
        look(folder, name).ok()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests edit files")]
mod tests {
    use super::*;

    struct Case {
        folder: tempfile::TempDir,
        basis: Digest,
    }

    const DONE: Done = Done { tasks: 3, saved_ms: 40 };

    impl Case {
        fn new(count: usize) -> (Self, Standing) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut standing = Standing::default();
            for at in 0..count {
                let inner = folder.path().join(format!("d{}", at % 7));
                std::fs::create_dir_all(&inner).expect("a folder");
                std::fs::write(inner.join(at.to_string()), "x").expect("a file");
            }
            for at in 0..count {
                let path = folder.path().join(format!("d{}/{at}", at % 7));
                Self::watch(&mut standing, &path);
            }
            (Self { folder, basis: Digest::of(b"basis") }, standing)
        }

        fn watch(standing: &mut Standing, path: &Path) {
            let bytes = path.as_os_str().as_bytes().to_vec();
            let name = std::ffi::CString::new(bytes.clone()).expect("no NUL");
            let sig = stat::lstat_at(stat::HERE, &name).expect("a look");
            standing.files.push((bytes.into(), sig));
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("standing")
        }

        fn stands(&self, environment: &Environment) -> Option<Done> {
            match look(&self.file(), &self.basis, environment, || 2) {
                Verdict::Stands(done) => Some(done),
                Verdict::Differs(_) | Verdict::Unknown => None,
            }
        }
    }

    #[test]
    fn what_did_not_change_stands_and_each_change_is_seen() {
        for count in [1, 10, 5000] {
            let (case, standing) = Case::new(count);
            standing.write(&case.file(), &case.basis, DONE).expect("a writable folder");
            let none = Environment::default();
            assert_eq!(case.stands(&none), Some(DONE));
            assert_eq!(look(&case.file(), &Digest::of(b"other"), &none, || 2), Verdict::Unknown);
            let at = count / 2;
            let path = case.folder.path().join(format!("d{}/{at}", at % 7));
            let held = case.folder.path().join("held");
            std::fs::rename(&path, &held).expect("a file");
            let only = Differences {
                paths: HashSet::from([path.as_os_str().as_bytes().to_vec()]),
                is_whole: false,
                written: std::fs::read(case.file()).expect("what was written"),
            };
            let seen = look(&case.file(), &case.basis, &none, || 2);
            assert_eq!(seen, Verdict::Differs(only), "{at} of {count} is gone");
            std::fs::write(&path, "y").expect("a file");
            assert_eq!(case.stands(&none), None, "{at} of {count} is another");
            // Back again it has another time of change, so it has to be looked at.
            std::fs::rename(&held, &path).expect("a file");
            assert_eq!(case.stands(&none), None);
        }
    }

    #[test]
    fn what_was_absent_must_stay_so() {
        let (case, mut standing) = Case::new(1);
        Case::watch(&mut standing, &case.folder.path().join("none/a"));
        Case::watch(&mut standing, &case.folder.path().join("b"));
        standing.write(&case.file(), &case.basis, DONE).expect("a writable folder");
        let none = Environment::default();
        assert_eq!(case.stands(&none), Some(DONE));
        std::fs::create_dir(case.folder.path().join("none")).expect("a folder");
        assert_eq!(case.stands(&none), Some(DONE));
        std::fs::write(case.folder.path().join("none/a"), "").expect("a file");
        assert_eq!(case.stands(&none), None);
    }

    #[test]
    fn variables_and_tools_are_compared() {
        let (case, mut standing) = Case::new(1);
        standing.env.insert("CC".into(), Some(b"gcc".to_vec()));
        standing.env.insert("NONE".into(), None);
        standing.tools.push(Tool {
            cwd: RelPath::parse(b".").expect("the project"),
            own_path: Some("/nowhere:/bin".into()),
            name: "sh".into(),
            found: "/bin/sh".into(),
        });
        standing.write(&case.file(), &case.basis, DONE).expect("a writable folder");
        let env = |pairs: &[(&str, &str)]| {
            Environment::from_pairs(pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())))
        };
        assert_eq!(case.stands(&env(&[("CC", "gcc")])), Some(DONE));
        assert_eq!(case.stands(&env(&[("CC", "clang")])), None);
        assert_eq!(case.stands(&env(&[])), None);
        assert_eq!(case.stands(&env(&[("CC", "gcc"), ("NONE", "")])), None);
    }

    #[test]
    fn a_damaged_file_says_nothing() {
        let (case, standing) = Case::new(3);
        let good = standing.to_bytes(&case.basis, DONE);
        let none = Environment::default();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            std::fs::write(case.file(), &bad).expect("a writable folder");
            assert_eq!(case.stands(&none), None, "byte {at}");
            std::fs::write(case.file(), &good[..at]).expect("a writable folder");
            assert_eq!(case.stands(&none), None, "cut at {at}");
        }
    }
}
