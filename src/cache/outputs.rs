//! What a task makes: taking stock before it runs, clearing its own remains away, collecting and
//! keeping what it made.
//!
//! What lay in an output folder before and was not touched is the user's, and stays.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::expand;
use super::files::{Entry, FileId, Files, may_be_newer};
use super::record::Output;
use crate::base::fs::{self, Context as _, beneath};
use crate::base::relpath::is_in;
use crate::base::{FileError, Kind, RelPath, Sig, clock, stat};
use crate::manifest::Task;
use crate::store::DiskStore;

/// Something that a task made, as it lies in the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub output: Output,
    pub file: FileId,
    /// Whether the task wrote it; what was there before and stayed as it was is not ours to
    /// remove.
    pub owned: bool,
}

/// What lay at the outputs of a task before it ran.
#[derive(Debug, Clone, Default)]
pub struct Before(BTreeMap<Vec<u8>, Sig>);

impl Before {
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(Vec::as_slice)
    }

    pub fn from_paths(paths: impl IntoIterator<Item = Vec<u8>>) -> Self {
        // Without their signatures all of them count as untouched.
        Self(paths.into_iter().map(|path| (path, Sig::ABSENT)).collect())
    }

    /// What lay there.
    pub fn kind(&self, path: &[u8]) -> Kind {
        self.0.get(path).map_or(Kind::Absent, Sig::kind)
    }

    fn holds(&self, path: &[u8]) -> bool {
        self.0.contains_key(path)
    }

    fn is_untouched(&self, path: &[u8], sig: &Sig) -> bool {
        self.0.get(path).is_some_and(|before| match sig.kind() {
            // A folder changes with what is put into it.
            Kind::Dir => {
                Sig { mtime: 0, ctime: 0, size: 0, ..*before }
                    == Sig { mtime: 0, ctime: 0, size: 0, ..*sig }
            }
            _ => before == sig,
        })
    }
}

/// Why outputs could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("outputs are missing: {}", .0.join(", "))]
    Missing(Vec<String>),
    #[error("output `{path}` {problem}")]
    Refused { path: String, problem: String },
    #[error("output `{path}` {problem}")]
    LeadsOut { path: String, problem: &'static str },
    #[error(transparent)]
    File(#[from] FileError),
}

/// An error where the way to an output leads out of the project: neither we nor the command may
/// write there.
pub fn check_way(output: &RelPath) -> Result<(), FileError> {
    if beneath::leads_out(output.as_path()) {
        let why = "a folder on the way is a symbolic link that leads out of the project";
        return Err(FileError::new("reach", output.as_path(), io::Error::other(why)));
    }
    Ok(())
}

/// A folder with foreign files lies where a task makes a file. It must not run: many commands
/// would put their file into the folder.
pub fn folder_in_the_way(output: &RelPath) -> FileError {
    let why = "a folder with files that the task did not make is in its place; move it away";
    FileError::new("make the file", output.as_path(), io::Error::other(why))
}

/// For file work: the project itself is `.`.
fn as_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(if path.is_empty() { b"." } else { path }))
}

fn sig_of(path: &[u8]) -> Result<Sig, FileError> {
    let path = as_path(path);
    stat::lstat_at(stat::HERE, &fs::c_path(&path)?).at("examine", &path)
}

/// What is at the outputs now.
pub fn take_stock(task: &Task) -> Result<Before, FileError> {
    let mut stock = BTreeMap::new();
    for output in &task.outputs {
        let path = output.value.as_bytes();
        let sig = sig_of(path)?;
        if sig.kind() == Kind::Dir {
            for inside in expand::tree(path, &[], expand::AS_IT_IS)? {
                let sig = sig_of(&inside)?;
                stock.insert(inside, sig);
            }
        }
        if sig.kind() != Kind::Absent {
            stock.insert(path.to_vec(), sig);
        }
    }
    Ok(Before(stock))
}

/// Removes what the task's earlier run made, so that nothing stale survives, and makes the
/// folders that the outputs will lie in.
pub fn clear(task: &Task, own: &[Vec<u8>], files: &Files) -> Result<(), FileError> {
    for output in &task.outputs {
        check_way(&output.value)?;
    }
    remove_all(own, files)?;
    for output in &task.outputs {
        if let Some(folder) = output.value.parent() {
            beneath::create_dir_all(folder.as_path())?;
        }
    }
    Ok(())
}

/// Removes files and links; of folders those that are empty then.
pub fn remove_all(paths: &[Vec<u8>], files: &Files) -> Result<(), FileError> {
    // The deepest first, so that folders are empty when their turn comes.
    let mut sorted: Vec<&Vec<u8>> = paths.iter().collect();
    sorted.sort_unstable();
    // Behind a link in the place of a folder of ours nothing is ours; only the link goes.
    let mut links: Vec<&Vec<u8>> = Vec::new();
    let mut kept = Vec::with_capacity(sorted.len());
    for path in sorted {
        if links.iter().any(|link| is_in(path, link)) {
            files.forget(files.intern(path));
            continue;
        }
        kept.push(path);
        let sig = sig_of(path)?;
        if sig.kind() == Kind::Link {
            links.push(path);
        }
        if sig.kind() == Kind::Dir && sig.mode & 0o200 == 0 {
            inside(beneath::set_mode(&as_path(path), sig.mode & 0o777 | 0o700))?;
        }
    }
    for path in kept.into_iter().rev() {
        let shown = as_path(path);
        match sig_of(path)?.kind() {
            Kind::Absent => {}
            Kind::Dir => beneath::remove_empty_dir(&shown),
            _ => inside(beneath::remove_file(&shown))?,
        }
        files.forget(files.intern(path));
    }
    Ok(())
}

/// What lies behind a link that leads out is not ours, and stays.
fn inside(done: Result<(), FileError>) -> Result<(), FileError> {
    match done {
        Err(error) if beneath::led_out(&error.source) => Ok(()),
        other => other,
    }
}

/// What an interrupted or failed run of the task left behind: what is at the outputs, but what
/// was there before it and what is older.
pub fn remains(task: &Task, before: &Before, started_ns: i64) -> Result<Vec<Vec<u8>>, FileError> {
    let now = take_stock(task)?;
    let left = now.0.into_iter().filter(|(path, sig)| {
        !before.holds(path) && (may_be_newer(sig, started_ns) || sig.kind() == Kind::Dir)
    });
    Ok(left.map(|(path, _)| path).collect())
}

/// All that the task made, kept in `store` where one is given; sorted by path.
pub fn collect(
    task: &Task,
    before: &Before,
    files: &Files,
    store: Option<&DiskStore>,
) -> Result<(Vec<Made>, Option<FileError>), OutputError> {
    let mut missing = Vec::new();
    let mut paths: Vec<(Vec<u8>, Sig, bool)> = Vec::new();
    for output in &task.outputs {
        let path = output.value.as_bytes();
        let sig = sig_of(path)?;
        match sig.kind() {
            Kind::Absent => missing.push(output.value.to_string()),
            Kind::Dir => {
                for inside in expand::tree(path, &[], expand::AS_IT_IS)? {
                    let sig = sig_of(&inside)?;
                    if !before.is_untouched(&inside, &sig) {
                        paths.push((inside, sig, true));
                    }
                }
                paths.push((path.to_vec(), sig, !before.holds(path)));
            }
            _ => paths.push((path.to_vec(), sig, !before.is_untouched(path, &sig))),
        }
    }
    if !missing.is_empty() {
        return Err(OutputError::Missing(missing));
    }
    paths.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut keeper = Keeper { files, store, trouble: None };
    let mut made = Vec::with_capacity(paths.len());
    for (path, sig, owned) in paths {
        made.push(keeper.collect_one(&path, sig, owned)?);
    }
    Ok((made, keeper.trouble))
}

/// Takes outputs in; stops keeping them in the store with the first trouble there.
struct Keeper<'a> {
    files: &'a Files,
    store: Option<&'a DiskStore>,
    trouble: Option<FileError>,
}

impl Keeper<'_> {
    fn collect_one(&mut self, path: &[u8], sig: Sig, owned: bool) -> Result<Made, OutputError> {
        let rel = RelPath::parse(path).map_err(|error| OutputError::Refused {
            path: String::from_utf8_lossy(path).into_owned(),
            problem: error.to_string(),
        })?;
        let refused = |problem: &str| OutputError::Refused {
            path: rel.to_string(),
            problem: problem.to_owned(),
        };
        let leads_out = |problem| OutputError::LeadsOut { path: rel.to_string(), problem };
        let shown = as_path(path);
        let file = self.files.intern(path);
        let (entry, size) = match sig.kind() {
            Kind::Dir => (Entry { sig, ..Entry::ABSENT }, 0),
            Kind::Link => {
                let target = std::fs::read_link(&shown).at("read the link", &shown)?;
                let target = target.as_os_str().as_bytes();
                if !stays_inside(&rel, target) {
                    return Err(leads_out("is a symbolic link that leads out of the project"));
                }
                let entry = self.files.get_fresh(file)?;
                if let Some(Err(error)) = self.usable_store().map(|store| store.put_bytes(target)) {
                    self.trouble = Some(error);
                }
                (entry, target.len() as u64)
            }
            Kind::File | Kind::Executable => {
                if !beneath::is_beneath(&shown) {
                    return Err(leads_out(
                        "lies behind a symbolic link that leads out of the project",
                    ));
                }
                self.keep_file(&shown, sig)?
            }
            Kind::Absent => return Err(refused("vanished while it was read")),
            Kind::Special => return Err(refused("is a fifo, a socket or a device")),
        };
        self.files.put(file, entry);
        let kind = entry.kind();
        let mode = if kind == Kind::Link { 0 } else { entry.sig.mode & 0o777 };
        let output = Output { path: rel, kind, mode, size, digest: entry.digest };
        Ok(Made { output, file, owned })
    }

    /// Hashes an output file, and keeps it where there is a store.
    fn keep_file(&mut self, path: &Path, sig: Sig) -> Result<(Entry, u64), OutputError> {
        let unreadable = || OutputError::Refused {
            path: path.display().to_string(),
            problem: "is being written to by something that outlived the task".to_owned(),
        };
        if let Some(store) = self.usable_store() {
            let mut file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)
                .at("open", path)?;
            let hashed = clock::now_ns();
            match store.put_file(&mut file, path) {
                Ok((digest, size)) => {
                    let after = stat::fstat(file.as_fd()).at("examine", path)?;
                    if after != sig {
                        return Err(unreadable());
                    }
                    let trusted = self.files.is_trusted(&sig, hashed);
                    return Ok((Entry { sig, digest, trusted }, size));
                }
                Err(error) => self.trouble = Some(error),
            }
        }
        let file = self.files.intern(path.as_os_str().as_bytes());
        let entry = self.files.get_fresh(file)?;
        Ok((entry, entry.sig.size))
    }

    fn usable_store(&self) -> Option<&DiskStore> {
        self.store.filter(|_| self.trouble.is_none())
    }
}

/// Whether a link at `path` with this text leads to a place inside the project, by its text
/// alone.
pub fn stays_inside(path: &RelPath, target: &[u8]) -> bool {
    if target.first().is_none_or(|&b| b == b'/') {
        return false;
    }
    let mut depth = path.as_bytes().iter().filter(|&&b| b == b'/').count();
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_by_their_text() {
        let at = |path: &str, target: &str| {
            let path = RelPath::parse(path.as_bytes()).expect("a good path");
            stays_inside(&path, target.as_bytes())
        };
        assert!(at("a/link", "../b"));
        assert!(at("link", "nowhere/yet"));
        assert!(!at("link", "../b"));
        assert!(!at("a/link", "../../b"));
        assert!(!at("a/link", "/etc/passwd"));
        assert!(!at("a/link", "x/../../../b"));
        assert!(!at("a/link", ""));
    }
}
