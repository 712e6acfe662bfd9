//! From a record back to files: all of it is fetched and verified first, then put into place.
//!
//! Until everything is there nothing of the project changes. Restored files are copies: writing
//! to one cannot reach the store.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::expand;
use super::files::{Entry, FileId, Files};
use super::outputs::{self, Made};
use super::record::{Output, Record};
use crate::base::fs::{self, Context as _, beneath};
use crate::base::relpath::is_in;
use crate::base::{FileError, Kind, RelPath, clock, stat};
use crate::store::{DiskStore, FetchError};

/// Why a record did not become files. In each case the project is as it was, but for `File`,
/// which names how far it came.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An output that the task did not make lies there, with other bytes.
    #[error("`{0}` was not made by the task and would be overwritten")]
    NotOurs(String),
    #[error("link `{0}` leads out of the project")]
    LeadsOut(String),
    /// Something of the user's is where an output goes. The command must not run either.
    #[error(transparent)]
    Blocked(FileError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Where things come from and go through.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub files: &'a Files,
    pub store: &'a DiskStore,
    /// A folder of ours, best in the project's own file system.
    pub stage: &'a Path,
}

/// Makes the outputs what the record says. `now` is what the task made last, as far as is known,
/// `remains` what a run that did not succeed left. Before anything changes, `announce` gets the
/// paths that will be ours where this does not come to its end, unless all are known to be. Returns what lies there, and how
/// many outputs had to be put right.
pub fn restore(
    record: &Record,
    now: &[Made],
    remains: &[Vec<u8>],
    means: Means<'_>,
    announce: &dyn Fn(Vec<Vec<u8>>),
) -> Result<(Vec<Made>, usize), RestoreError> {
    let mut made = Vec::with_capacity(record.outputs.len());
    let mut wrong = Vec::new();
    let mut ours = remains.to_vec();
    let was: HashMap<FileId, &Made> = now.iter().map(|made| (made.file, made)).collect();
    // What seems to lie in a folder in whose place something else lies, a link say, lies elsewhere.
    let mut displaced: Vec<&RelPath> = Vec::new();
    for output in &record.outputs {
        let file = means.files.intern(output.path.as_bytes());
        let entry = match is_elsewhere(output.path.as_bytes(), &displaced) {
            true => Entry::ABSENT,
            false => means.files.get_fresh(file)?,
        };
        if output.kind == Kind::Dir && !matches!(entry.kind(), Kind::Dir | Kind::Absent) {
            displaced.push(&output.path);
        }
        let owned = was.get(&file).is_none_or(|made| made.owned);
        if !is_as(&entry, output) {
            if !owned && entry.kind() != Kind::Absent && !has_bytes(&entry, output) {
                return Err(RestoreError::NotOurs(output.path.to_string()));
            }
            // A folder that is there already may be the user's.
            if owned && (output.kind != Kind::Dir || entry.kind() != Kind::Dir) {
                ours.push(output.path.as_bytes().to_vec());
            }
            wrong.push((output, has_bytes(&entry, output), entry.kind()));
        }
        made.push(Made { output: output.clone(), file, owned });
    }
    let mut stale = stale(record, now, remains);
    stale.retain(|path| !is_elsewhere(path, &displaced));
    for &(output, _, there) in &wrong {
        if !is_elsewhere(output.path.as_bytes(), &displaced) {
            check_place(output, there, &stale)?;
        }
    }
    let staged = stage(&wrong, means)?;
    let restored = staged.len();
    let known: HashSet<&[u8]> =
        now.iter().filter(|made| made.owned).map(|made| made.output.path.as_bytes()).collect();
    if ours.iter().any(|path| !known.contains(&path[..])) {
        announce(ours);
    }
    outputs::remove_all(&stale, means.files)?;
    place(staged)?;
    for made in &made {
        settle(made, means.files)?;
    }
    Ok((made, restored + stale.len()))
}

/// What is the task's own and is not in the record.
fn stale(record: &Record, now: &[Made], remains: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let kept: HashSet<&[u8]> = record.outputs.iter().map(|output| output.path.as_bytes()).collect();
    let old = now.iter().filter(|old| old.owned).map(|old| old.output.path.as_bytes());
    let all = old.chain(remains.iter().map(Vec::as_slice));
    all.filter(|path| !kept.contains(path)).map(<[u8]>::to_vec).collect()
}

/// Whether a path lies below one of the displaced folders.
fn is_elsewhere(path: &[u8], displaced: &[&RelPath]) -> bool {
    displaced.iter().any(|at| path != at.as_bytes() && is_in(path, at.as_bytes()))
}

/// An error where an output cannot be put without harm to what is not ours: behind a link that
/// leads out, or in the place of a folder that holds more than `ours`.
fn check_place(output: &Output, there: Kind, ours: &[Vec<u8>]) -> Result<(), RestoreError> {
    outputs::check_way(&output.path).map_err(RestoreError::Blocked)?;
    if output.kind == Kind::Dir || there != Kind::Dir {
        return Ok(());
    }
    let inside = expand::tree(output.path.as_bytes(), &[], expand::AS_IT_IS)?;
    if inside.iter().all(|path| ours.contains(path)) {
        return Ok(());
    }
    Err(RestoreError::Blocked(outputs::folder_in_the_way(&output.path)))
}

/// Whether a path holds just what the output is.
pub fn is_as(entry: &Entry, output: &Output) -> bool {
    has_bytes(entry, output)
        && entry.kind() == output.kind
        && (output.kind == Kind::Link || entry.sig.mode & 0o7777 == output.mode)
}

fn has_bytes(entry: &Entry, output: &Output) -> bool {
    match output.kind {
        Kind::Dir | Kind::Link => entry.kind() == output.kind && entry.digest == output.digest,
        _ => entry.kind().is_file() && entry.digest == output.digest,
    }
}

/// One output on its way.
struct Staged<'a> {
    output: &'a Output,
    /// None: the bytes are in place, only the mode is wrong, or it is a folder.
    from: Option<Remnant>,
}

/// A file of the stage that goes away if it is not used.
struct Remnant(PathBuf);

impl Remnant {
    /// It has another name now.
    fn was_renamed(mut self) {
        self.0.clear();
    }
}

impl Drop for Remnant {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}

fn stage<'a>(
    wrong: &[(&'a Output, bool, Kind)],
    means: Means<'_>,
) -> Result<Vec<Staged<'a>>, RestoreError> {
    let mut staged = Vec::with_capacity(wrong.len());
    for &(output, in_place, _) in wrong {
        let path = means.stage.join(fs::unique_name());
        let from = match output.kind {
            Kind::Dir => None,
            _ if in_place => None,
            Kind::Link => {
                let target = means.store.fetch_bytes(&output.digest, output.size)?;
                if !outputs::stays_inside(&output.path, &target) {
                    return Err(RestoreError::LeadsOut(output.path.to_string()));
                }
                fs::symlink(&target, &path)?;
                Some(Remnant(path))
            }
            _ => {
                let mut file = fs::create_new(&path)?;
                let remnant = Remnant(path);
                means.store.fetch_file(&output.digest, output.size, &mut file)?;
                let mode = std::fs::Permissions::from_mode(output.mode);
                file.set_permissions(mode).at("set the mode of", &remnant.0)?;
                Some(remnant)
            }
        };
        staged.push(Staged { output, from });
    }
    Ok(staged)
}

/// Puts everything into place; folders get their modes last, so that one that may not be written
/// to can be filled.
fn place(staged: Vec<Staged<'_>>) -> Result<(), RestoreError> {
    let mut modes = Vec::new();
    for Staged { output, from } in staged {
        let path = output.path.as_path();
        let folder = path.parent().unwrap_or(Path::new(""));
        match (output.kind, from) {
            (Kind::Dir, _) => {
                open_up(folder, &mut modes)?;
                make_folder(path)?;
                beneath::set_mode(path, output.mode | 0o700)?;
                modes.push((path.to_path_buf(), output.mode));
            }
            (_, None) => beneath::set_mode(path, output.mode)?,
            (_, Some(remnant)) => match put(remnant, output) {
                Ok(()) => {}
                // The folder is not there yet, or may not be written to.
                Err((remnant, error)) if wants_its_folder(&error) => {
                    open_up(folder, &mut modes)?;
                    put(remnant, output).map_err(|(_, error)| error)?;
                }
                Err((_, error)) => return Err(error.into()),
            },
        }
    }
    // Deepest first: a closed folder hides those in it.
    for (path, mode) in modes.into_iter().rev() {
        beneath::set_mode(&path, mode)?;
    }
    Ok(())
}

/// Makes the folder that something goes into, and lets us write to it.
fn open_up(folder: &Path, modes: &mut Vec<(PathBuf, u32)>) -> Result<(), FileError> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let sig = stat::lstat_at(stat::HERE, &fs::c_path(folder)?).at("examine", folder)?;
    match sig.kind() {
        Kind::Absent => beneath::create_dir_all(folder),
        Kind::Dir if sig.mode & 0o200 == 0 => {
            modes.push((folder.to_path_buf(), sig.mode & 0o777));
            beneath::set_mode(folder, sig.mode & 0o777 | 0o700)
        }
        _ => Ok(()),
    }
}

fn make_folder(path: &Path) -> Result<(), FileError> {
    let sig = stat::lstat_at(stat::HERE, &fs::c_path(path)?).at("examine", path)?;
    if !matches!(sig.kind(), Kind::Dir | Kind::Absent) {
        beneath::remove_file(path)?;
    }
    if sig.kind() == Kind::Dir { Ok(()) } else { beneath::create_dir_all(path) }
}

fn wants_its_folder(error: &FileError) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

/// Renames a staged file to its place, relative to a folder that was opened without following a
/// link out of the project. Gives it back where that fails.
fn put(from: Remnant, output: &Output) -> Result<(), (Remnant, FileError)> {
    let path = output.path.as_path();
    let name = OsStr::from_bytes(output.path.name());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = beneath::open_folder(folder.unwrap_or(Path::new(".")));
    let folder = match folder.at("enter the folder of", path) {
        Ok(folder) => folder,
        Err(error) => return Err((from, error)),
    };
    let mut placed = beneath::rename_at(&from.0, &folder, name);
    if placed.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EISDIR)) {
        // What was ours in it has been removed; a folder with anything else in it stays, and the
        // rename says so.
        beneath::remove_empty_dir(path);
        placed = beneath::rename_at(&from.0, &folder, name);
    }
    match placed {
        Ok(()) => {
            from.was_renamed();
            Ok(())
        }
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {
            let copied = beneath::copy_at(&from.0, &folder, name).at("put into place", path);
            copied.map_err(|error| (from, error))
        }
        Err(source) => Err((from, FileError::new("put into place", path, source))),
    }
}

/// Notes what lies there now, so that nobody needs to hash it again.
fn settle(made: &Made, files: &Files) -> Result<(), FileError> {
    let path = made.output.path.as_path();
    let sig = stat::lstat_at(stat::HERE, &fs::c_path(path)?).at("examine", path)?;
    let trusted = files.is_trusted(&sig, clock::now_ns());
    files.put(made.file, Entry { sig, digest: made.output.digest, trusted });
    Ok(())
}
