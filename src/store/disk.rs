//! The store on the disk. Shared by reference between threads and, by its renames, between
//! processes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::form::{self, Form};
use super::pack::{Packing, is_enough};
use super::read::{CopyError, Flaw, clone_object, copy_hashing, read_object};
use super::share;
use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError};
use crate::home::{self, Home};

/// Up to this size a file is read whole before it is decided whether it must be written.
const SMALL: u64 = 1 << 20;

/// The objects of one cache folder.
#[derive(Debug, Clone)]
pub struct DiskStore {
    objects: PathBuf,
    tmp: PathBuf,
    damaged: PathBuf,
    pub(super) packing: Packing,
    mark: PathBuf,
    /// Whether anything here may be compressed; asked once.
    is_marked: Arc<OnceLock<bool>>,
    added: Arc<Added>,
}

/// What was put into a cache that was not there before.
#[derive(Debug, Default)]
pub struct Added {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Added {
    /// Counts a file of so many bytes.
    pub fn note(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many files, and bytes.
    pub fn get(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// Why an object could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("object {} is not in the store", .0.short())]
    Missing(Digest),
    /// The file is there but is not the object; it has been set aside.
    #[error("object {} at `{}` is damaged: {problem}", digest.short(), path.display())]
    Damaged { digest: Digest, path: PathBuf, problem: String },
    #[error(transparent)]
    File(#[from] FileError),
}

impl DiskStore {
    /// One that keeps new objects as bare bytes.
    pub fn new(home: &Home) -> Self {
        Self {
            objects: home.objects(),
            tmp: home.store_tmp(),
            damaged: home.damaged(),
            packing: Packing::BARE,
            mark: home.compressed(),
            is_marked: Arc::default(),
            added: Arc::default(),
        }
    }

    /// What this store and its clones have added.
    pub fn added(&self) -> &Added {
        &self.added
    }

    /// The same, but new objects are kept so. What is there is read whatever its form is.
    pub fn packing(self, packing: Packing) -> Self {
        Self { packing, is_marked: Arc::default(), ..self }
    }

    /// Says to all who store here from now on that what they have may lie here compressed.
    pub fn expect_compressed(&self) {
        self.is_marked.get_or_init(|| {
            // Without it something may be stored twice: no reason not to store it.
            let _ = fs::create_new(&self.mark);
            true
        });
    }

    /// Whether the object need not be stored, for a record that will be written: from here on it
    /// counts as new, so that whoever collects garbage leaves it alone. Where nothing was ever
    /// compressed, and is not now, only the bare form is looked for: this is asked before all that
    /// is stored. An object that is just changing its form may be stored once more.
    pub fn keep(&self, digest: &Digest, length: u64) -> bool {
        let may_be_packed = self.packing.form() != Form::Bare
            || *self.is_marked.get_or_init(|| self.mark.symlink_metadata().is_ok());
        let found = match may_be_packed {
            true => form::glance(&self.path(digest), length).map(|(_, path)| path),
            false => Some(self.path(digest)).filter(|path| form::seems(Form::Bare, path, length)),
        };
        // One of another user cannot be touched; it is there all the same.
        let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        found.is_some_and(|path| !fs::touch(&path).is_err_and(gone))
    }

    /// Where the bare form of the object lies, if it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        home::object_in(&self.objects, digest)
    }

    pub(super) fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// Keeps the bytes.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, FileError> {
        let (digest, length) = (Digest::of(bytes), bytes.len() as u64);
        if self.keep(&digest, length) {
            return Ok(digest);
        }
        let packed = self.packing.pack(bytes);
        let (form, bytes) = match &packed {
            Some(packed) => (self.packing.form(), &packed[..]),
            None => (Form::Bare, bytes),
        };
        let tmp = self.tmp.join(fs::unique_name());
        let mut file = fs::create_new(&tmp)?;
        let written = file.write_all(bytes).at("write", &tmp);
        self.place(&file, &tmp, form, written.map(|()| (digest, length))).map(|()| digest)
    }

    /// Keeps what `file` holds from here on; its digest and length.
    pub fn put_file(&self, file: &mut File, path: &Path) -> Result<(Digest, u64), FileError> {
        let length = file.metadata().at("read", path)?.len();
        if length <= SMALL {
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            file.read_to_end(&mut bytes).at("read", path)?;
            return Ok((self.put_bytes(&bytes)?, bytes.len() as u64));
        }
        if self.packing.is_worth(file, length)
            && let Some(done) = self.put_packed(file, path)?
        {
            return Ok(done);
        }
        let tmp = self.tmp.join(fs::unique_name());
        let mut out = fs::create_new(&tmp)?;
        let is_whole = file.stream_position().at("read", path)? == 0;
        let kept = if is_whole && share::into_store(file, length, &out) {
            copy_hashing(&mut out, &mut io::sink(), u64::MAX)
        } else {
            copy_hashing(file, &mut out, u64::MAX)
        };
        let (digest, total) = match kept {
            Ok(done) => done,
            Err(error) => {
                let _ = fs::remove_file(&tmp);
                return Err(error.named(path, &tmp));
            }
        };
        if self.keep(&digest, total) {
            fs::remove_file(&tmp)?;
            return Ok((digest, total));
        }
        self.place(&out, &tmp, Form::Bare, Ok((digest, total))).map(|()| (digest, total))
    }

    /// Keeps what a large file holds in the form of the settings. It is hashed first: to compress
    /// it costs far more. None: it is better kept bare, and nothing has happened.
    fn put_packed(&self, file: &mut File, path: &Path) -> Result<Option<(Digest, u64)>, FileError> {
        let start = file.stream_position().at("read", path)?;
        let hashed = copy_hashing(file, &mut io::sink(), u64::MAX);
        let (digest, total) = hashed.map_err(|error| error.named(path, path))?;
        if self.keep(&digest, total) {
            return Ok(Some((digest, total)));
        }
        file.seek(SeekFrom::Start(start)).at("read", path)?;
        let packed = self.pack_file(file, &digest, total)?;
        file.seek(SeekFrom::Start(start)).at("read", path)?;
        let Some((out, tmp)) = packed else { return Ok(None) };
        let placed = self.place(&out, &tmp, self.packing.form(), Ok((digest, total)));
        placed.map(|()| Some((digest, total)))
    }

    /// Compresses so many bytes from here on to a file in the making; none where it is not worth
    /// it, or they have another digest meanwhile, or it did not work: the bare bytes are always as
    /// good.
    pub(super) fn pack_file(
        &self,
        file: &mut File,
        digest: &Digest,
        length: u64,
    ) -> Result<Option<(File, PathBuf)>, FileError> {
        let tmp = self.tmp.join(fs::unique_name());
        let out = fs::create_new(&tmp)?;
        let packed = self.packing.write(out, length, |encoder| {
            let (found, _) = copy_hashing(file, encoder, length)?;
            if found == *digest { Ok(()) } else { Err(CopyError::Read(io::Error::other("other"))) }
        });
        if let Ok(out) = packed
            && is_enough(length, out.metadata().at("examine", &tmp)?.len())
        {
            return Ok(Some((out, tmp)));
        }
        fs::remove_file(&tmp)?;
        Ok(None)
    }

    /// Whether a file of that name is there, and can be the object by its length. Its bytes are
    /// verified when it is read. As [`find`](Self::find), also while its form is changed: a task is
    /// run again where the answer is no.
    pub fn has(&self, digest: &Digest, length: u64) -> bool {
        self.find(digest, length).is_some()
    }

    /// The form in which the object seems to be there, and where. Finds it also while its form is
    /// changed.
    pub fn find(&self, digest: &Digest, length: u64) -> Option<(Form, PathBuf)> {
        form::locate(&self.path(digest), length)
    }

    /// Whether anything lies in one of the object's places, be it the object or not.
    pub fn is_occupied(&self, digest: &Digest) -> bool {
        !form::present(&self.path(digest)).is_empty()
    }

    /// Writes the object to `out`, which is worth nothing unless this succeeds.
    pub fn fetch(
        &self,
        digest: &Digest,
        length: u64,
        out: &mut impl Write,
    ) -> Result<(), FetchError> {
        let path = self.path(digest);
        read_object(&path, digest, length, out).map_err(|flaw| self.refusal(digest, &path, flaw))
    }

    /// The same for an empty file, which may share the blocks of the object.
    pub fn fetch_file(
        &self,
        digest: &Digest,
        length: u64,
        out: &mut File,
    ) -> Result<(), FetchError> {
        let path = self.path(digest);
        clone_object(&path, digest, length, out).map_err(|flaw| self.refusal(digest, &path, flaw))
    }

    fn refusal(&self, digest: &Digest, path: &Path, flaw: Flaw) -> FetchError {
        match flaw {
            Flaw::Missing => FetchError::Missing(*digest),
            Flaw::Damaged { path, problem } => self.set_aside(digest, path, problem),
            Flaw::Unreadable(error) => error.into(),
            Flaw::Write(error) => FileError::new("write a copy of", path, error).into(),
        }
    }

    /// The object's bytes, verified.
    pub fn fetch_bytes(&self, digest: &Digest, length: u64) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::with_capacity(usize::try_from(length.min(SMALL)).unwrap_or(0));
        self.fetch(digest, length, &mut bytes)?;
        Ok(bytes)
    }

    /// Takes a damaged object out of the way, so that the next one who makes it can keep it.
    fn set_aside(&self, digest: &Digest, path: PathBuf, problem: String) -> FetchError {
        put_aside(&path, &self.damaged);
        FetchError::Damaged { digest: *digest, path, problem }
    }

    /// Gives a finished file its name: that of an object of this length.
    pub(super) fn place(
        &self,
        file: &File,
        tmp: &Path,
        form: Form,
        written: Result<(Digest, u64), FileError>,
    ) -> Result<(), FileError> {
        let placed = written.and_then(|(digest, length)| {
            file.set_permissions(std::fs::Permissions::from_mode(0o444)).at("protect", tmp)?;
            let bare = self.path(&digest);
            if form != Form::Bare {
                self.expect_compressed();
            }
            rename_into(tmp, &form.at(&bare))?;
            // What lies where one looks first and cannot be the object would hide it. What can be
            // has just been put there by another run.
            for earlier in Form::ALL.into_iter().filter(|earlier| *earlier < form) {
                let path = earlier.at(&bare);
                if path.symlink_metadata().is_ok() && !form::seems(earlier, &path, length) {
                    put_aside(&path, &self.damaged);
                }
            }
            self.added.note(file.metadata().map_or(0, |meta| meta.len()));
            Ok(())
        });
        if placed.is_err() {
            let _ = fs::remove_file(tmp);
        }
        placed
    }
}

/// Renames into a folder that may have to be made first. Whoever cleans the store may take an
/// empty folder away between the two, so it is made again a few times.
pub(crate) fn rename_into(from: &Path, to: &Path) -> Result<(), FileError> {
    for _ in 0..8 {
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        if let Some(folder) = to.parent() {
            fs::create_private_dir(folder)?;
        }
    }
    fs::rename(from, to)
}

/// Moves what is damaged out of the way, or removes it where that fails; best effort, since what
/// stays is found damaged again and never used.
pub(crate) fn put_aside(path: &Path, folder: &Path) {
    let name = path.file_name().unwrap_or(OsStr::new("object")).to_string_lossy().into_owned();
    let to = folder.join(format!("{name}.{}", fs::unique_name()));
    if fs::create_private_dir(folder).and_then(|()| fs::rename(path, &to)).is_err() {
        let _ = fs::remove_file(path);
        fs::remove_empty_dir(path);
        tracing::info!(path = %path.display(), "damaged object removed");
    } else {
        // Its age there counts from now.
        let _ = fs::touch(&to);
        tracing::info!(path = %path.display(), to = %to.display(), "damaged object set aside");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use super::*;

    fn store() -> (tempfile::TempDir, DiskStore) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = Home::new(Some(folder.path()));
        for made in [home.objects(), home.store_tmp()] {
            fs::create_private_dir(&made).expect("a folder");
        }
        (folder, DiskStore::new(&home))
    }

    fn put(store: &DiskStore, bytes: &[u8]) -> Digest {
        store.put_bytes(bytes).expect("room for it")
    }

    #[test]
    fn what_is_put_comes_back_and_is_the_bare_bytes() {
        let (_folder, store) = store();
        for length in [0, 1, 5000, (SMALL + 10) as usize] {
            let bytes = vec![7; length];
            let mut file = tempfile::tempfile().expect("a temporary file");
            file.write_all(&bytes).expect("room for it");
            file.rewind().expect("a seekable file");
            let (digest, size) = store.put_file(&mut file, Path::new("x")).expect("room for it");
            assert_eq!((digest, size), (Digest::of(&bytes), length as u64));
            assert_eq!(store.fetch_bytes(&digest, size).expect("the object"), bytes);
            assert_eq!(fs::read(&store.path(&digest)).expect("the file"), bytes);
        }
        assert_eq!(std::fs::read_dir(&store.tmp).expect("the folder").count(), 0);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test damages files")]
    fn a_damaged_object_is_set_aside_and_can_be_put_again() {
        let (_folder, store) = store();
        let digest = put(&store, b"hello");
        let path = store.path(&digest);
        for bad in [&b"hellO"[..], b"", b"hello!"] {
            std::fs::remove_file(&path).expect("the object");
            std::fs::write(&path, bad).expect("a writable folder");
            let error = store.fetch_bytes(&digest, 5).expect_err("damage");
            assert!(matches!(error, FetchError::Damaged { .. }), "{error}");
            assert!(matches!(store.fetch_bytes(&digest, 5), Err(FetchError::Missing(_))));
            assert_eq!(put(&store, b"hello"), digest);
            assert_eq!(store.fetch_bytes(&digest, 5).expect("the object"), b"hello");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test damages files")]
    fn a_fifo_link_or_folder_in_an_objects_place_is_damage_and_never_followed() {
        let (folder, store) = store();
        let digest = put(&store, b"hello");
        let path = store.path(&digest);
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, b"hello").expect("a writable folder");
        let plant: [&dyn Fn(); 3] = [
            &|| nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo"),
            &|| std::os::unix::fs::symlink(&elsewhere, &path).expect("a link"),
            &|| std::fs::create_dir(&path).expect("a folder"),
        ];
        for plant in plant {
            std::fs::remove_file(&path).expect("the object");
            plant();
            let error = store.fetch_bytes(&digest, 5).expect_err("damage");
            assert!(matches!(error, FetchError::Damaged { .. }), "{error}");
            assert_eq!(put(&store, b"hello"), digest);
        }
    }
}
