//! What a run would put into the workspace, laid over what is there: so that the keys of tasks are
//! known whose inputs other tasks would make. Nothing on the disk is touched.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Entry, FileId, Files, Row};
use crate::base::{Digest, FileError, Kind, Sig};

/// As deep as the kernel follows links.
const MAX_LINKS: usize = 40;

/// By folder, what will be in it.
type Folders = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, What>>;

#[derive(Debug)]
struct What {
    kind: Kind,
    /// Of a link, where it is known.
    target: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Whether there is any: a run asks for it at every turn, and never has one.
    any: AtomicBool,
    folders: Mutex<Folders>,
}

impl Expected {
    fn lock(&self) -> MutexGuard<'_, Folders> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that a run would put into place.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    pub kind: Kind,
    pub digest: Digest,
    pub size: u64,
    /// What a link says, where it is known.
    pub target: Option<&'a [u8]>,
}

impl Expectation<'_> {
    /// Nothing will be there.
    pub const GONE: Self =
        Self { kind: Kind::Absent, digest: Digest::from_bytes([0; 32]), size: 0, target: None };
    const DIR: Self = Self { kind: Kind::Dir, ..Self::GONE };

    fn entry(&self) -> Entry {
        let mode = match self.kind {
            Kind::Absent | Kind::Special => return Entry::ABSENT,
            Kind::File => libc::S_IFREG | 0o644,
            Kind::Executable => libc::S_IFREG | 0o755,
            Kind::Dir => libc::S_IFDIR | 0o755,
            Kind::Link => libc::S_IFLNK | 0o777,
        };
        let sig = Sig { mode, size: self.size, ..Sig::ABSENT };
        Entry { sig, digest: self.digest, trusted: false }
    }
}

impl Files {
    /// From here on the path counts as holding this.
    pub fn expect(&self, path: &[u8], what: Expectation<'_>) {
        self.expected.any.store(true, Ordering::Release);
        self.expect_one(path, what);
        if what.kind == Kind::Absent {
            return;
        }
        // The folders on the way are made where they are not there.
        let mut rest = path;
        while let Some(end) = rest.iter().rposition(|&byte| byte == b'/') {
            rest = &rest[..end];
            let id = self.intern(rest);
            if self.look_at(id).is_ok_and(|sig| sig.kind() == Kind::Dir) {
                break;
            }
            self.expect_one(rest, Expectation::DIR);
        }
    }

    fn expect_one(&self, path: &[u8], what: Expectation<'_>) {
        let id = self.intern(path);
        self.lock().rows[id.0 as usize] = Row::Expected(what.entry());
        let folder = path.iter().rposition(|&byte| byte == b'/').map_or(&b""[..], |at| &path[..at]);
        let what = What { kind: what.kind, target: what.target.map(<[u8]>::to_vec) };
        let mut folders = self.expected.lock();
        folders.entry(folder.to_vec()).or_default().insert(path.to_vec(), what);
    }

    /// Notes that a folder is about to be listed, and returns what a run would change in it.
    pub fn list(&self, folder: &[u8]) -> Vec<(Vec<u8>, Kind)> {
        self.note(folder);
        self.expected_in(folder)
    }

    fn expected_in(&self, folder: &[u8]) -> Vec<(Vec<u8>, Kind)> {
        if !self.expected.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let folders = self.expected.lock();
        let inside = folders.get(folder).into_iter().flatten();
        inside.map(|(path, what)| (path.clone(), what.kind)).collect()
    }

    /// What the link at a path will lead to, where that is something expected.
    pub(super) fn expected_target(
        &self,
        path: &[u8],
    ) -> Result<Option<(FileId, Entry)>, FileError> {
        if !self.expected.any.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut path = path.to_vec();
        for _ in 0..MAX_LINKS {
            let id = self.intern(&path);
            let entry = self.get(id)?;
            if entry.kind() != Kind::Link {
                let expected = matches!(self.lock().rows[id.0 as usize], Row::Expected(_));
                return Ok(expected.then_some((id, entry)));
            }
            let Some(next) = self.target(&path).and_then(|target| joined(&path, &target)) else {
                return Ok(None);
            };
            path = next;
        }
        Ok(None)
    }

    /// What the link at a path says, or will say.
    fn target(&self, path: &[u8]) -> Option<Vec<u8>> {
        let folder = path.iter().rposition(|&byte| byte == b'/').map_or(&b""[..], |at| &path[..at]);
        if let Some(what) = self.expected.lock().get(folder).and_then(|inside| inside.get(path)) {
            return what.target.clone();
        }
        let target = std::fs::read_link(Path::new(OsStr::from_bytes(path))).ok()?;
        Some(target.as_os_str().as_bytes().to_vec())
    }
}

/// Where a link at `path` with this text leads, by the text alone; none where that is not in the
/// project.
fn joined(path: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if target.starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    parts.pop();
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> Expectation<'static> {
        Expectation { kind: Kind::File, digest: Digest::of(bytes), size: 1, target: None }
    }

    #[test]
    fn what_is_expected_counts_and_brings_its_folders() {
        let files = Files::new(None);
        files.expect(b"no/such/folder/a", file(b"a"));
        let entry = files.get(files.intern(b"no/such/folder/a")).expect("an entry");
        assert_eq!((entry.kind(), entry.digest), (Kind::File, Digest::of(b"a")));
        assert_eq!(files.list(b"no/such"), [(b"no/such/folder".to_vec(), Kind::Dir)]);
        assert_eq!(files.list(b""), [(b"no".to_vec(), Kind::Dir)]);
        assert!(files.known().is_empty(), "nothing of it is kept");
    }

    #[test]
    fn expected_links_are_followed() {
        let files = Files::new(None);
        files.expect(b"no/a", file(b"a"));
        let link = Expectation { kind: Kind::Link, target: Some(b"../no/a"), ..Expectation::GONE };
        files.expect(b"such/b", link);
        let (_, entry) = files.get_followed(b"such/b").expect("an entry");
        assert_eq!(entry.digest, Digest::of(b"a"));
        assert_eq!(joined(b"a", b"../x"), None);
    }
}
