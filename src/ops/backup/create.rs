//! Making a backup: records are read first, then the objects that they name are copied, and the
//! manifest is written when all of it is on the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::manifest::{Held, HeldRecord, Manifest};
use super::{BackupError, BackupName, Backups, Error, Progress, Told, settle};
use crate::base::fs::{self, Context as _, FileError};
use crate::base::{Digest, clock};
use crate::cache::record::Records;
use crate::home::{BackupDir, Home};
use crate::ops::upkeep::hold_off_gc;
use crate::store::{DiskStore, Flaw, Form, Packing, copy_object, locate, read_object};

/// What is done about files that the folder holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Each is read and proved, and copied again where it is damaged.
    Full,
    /// One that another backup has, with the right size, is taken for whole.
    Incremental,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Created {
    pub name: String,
    pub incremental: bool,
    pub records: usize,
    pub objects: usize,
    /// How many bytes a restore of it has.
    pub bytes: u64,
    /// Files that were not there before, and their bytes as they lie there.
    pub new_files: usize,
    pub new_bytes: u64,
    /// Records that were not whole, or whose objects were not, when they were read.
    pub left_out: u64,
}

/// A record that has been copied, and what it needs.
struct Taken {
    record: HeldRecord,
    objects: Vec<Held>,
}

impl Backups {
    /// Makes a backup. What a run adds to the cache meanwhile may be in it or not; what is in it
    /// is whole. `busy` is told where the cache is being collected, and this waits.
    pub fn create(
        &self,
        name: &BackupName,
        how: How,
        told: Told<'_>,
        busy: impl FnOnce(),
    ) -> Result<Created, Error> {
        if !self.home.records().is_dir() {
            let path = self.home.cache_dir().to_path_buf();
            return Err(BackupError::NoCache { path }.into());
        }
        let _lock = self.lock()?;
        let place = self.dir.manifest(name.as_str());
        if place.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(name.to_string()).into());
        }
        let needed = self.sweep()?.needed;
        fs::create_private_dir(&self.dir.objects())?;
        fs::create_private_dir(&self.dir.tmp())?;
        let mut copy = Copy::new(self, how, needed.files);
        let _whole = hold_off_gc(&self.home, self.patience, busy)?;
        let (taken, mut left_out) = take_records(&self.home, &mut copy)?;
        let whole = copy_objects(&taken, &mut copy, told)?;
        left_out += (taken.len() - whole.len()) as u64;
        settle(&copy.fresh, &self.dir.objects())?;
        let manifest = manifest(&whole, how, left_out);
        fs::write_durable(&place, &manifest.to_bytes())?;
        Ok(Created {
            name: name.to_string(),
            incremental: manifest.incremental,
            records: manifest.records.len(),
            objects: manifest.objects.len(),
            bytes: manifest.bytes(),
            new_files: copy.new_files,
            new_bytes: copy.new_bytes,
            left_out,
        })
    }
}

fn manifest(whole: &[&Taken], how: How, left_out: u64) -> Manifest {
    // A digest has one size here: a record that says another was left out.
    let objects: BTreeMap<Digest, Held> = whole
        .iter()
        .flat_map(|taken| taken.objects.iter().map(|object| (object.digest, *object)))
        .collect();
    Manifest {
        created_ns: clock::now_ns(),
        incremental: how == How::Incremental,
        left_out,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        objects: objects.into_values().collect(),
        records: whole.iter().map(|taken| taken.record).collect(),
    }
}

/// Copies all records that are whole; also how many are not.
fn take_records(home: &Home, copy: &mut Copy<'_>) -> Result<(Vec<Taken>, u64), Error> {
    let records = Records::new(home);
    let mut taken = Vec::new();
    let mut left_out = 0;
    for key in records.keys()? {
        let Ok((bytes, record)) = records.load(&key) else {
            left_out += 1;
            continue;
        };
        let file = copy.put(&bytes)?;
        let objects = record.objects().map(|(digest, size)| Held { digest, size }).collect();
        taken.push(Taken { record: HeldRecord { key, file }, objects });
    }
    Ok((taken, left_out))
}

/// Copies the objects of the records; those of them that are whole then.
fn copy_objects<'a>(
    taken: &'a [Taken],
    copy: &mut Copy<'_>,
    told: Told<'_>,
) -> Result<Vec<&'a Taken>, Error> {
    let all: BTreeSet<Held> =
        taken.iter().flat_map(|taken| taken.objects.iter().copied()).collect();
    let sizes = all.iter().map(|object| object.size);
    let of_bytes = sizes.fold(0_u64, u64::saturating_add);
    let mut progress = Progress { files: 0, bytes: 0, of_files: all.len(), of_bytes };
    let mut held: HashMap<Held, bool> = HashMap::with_capacity(all.len());
    for object in all {
        held.insert(object, copy.object(object)?);
        progress.files += 1;
        progress.bytes = progress.bytes.saturating_add(object.size);
        told(progress);
    }
    let is_whole = |taken: &&Taken| taken.objects.iter().all(|object| held[object]);
    Ok(taken.iter().filter(is_whole).collect())
}

/// Copying into the folder of backups.
struct Copy<'a> {
    to: &'a BackupDir,
    from: DiskStore,
    packing: Packing,
    how: How,
    /// What the other backups have.
    held: HashSet<(Digest, u64)>,
    /// What may not be on the disk yet.
    fresh: Vec<PathBuf>,
    new_files: usize,
    new_bytes: u64,
}

impl<'a> Copy<'a> {
    fn new(backups: &'a Backups, how: How, held: HashSet<(Digest, u64)>) -> Self {
        let Backups { dir: to, packing, .. } = backups;
        let from = DiskStore::new(&backups.home);
        let packing = *packing;
        Self { to, from, packing, how, held, fresh: Vec::new(), new_files: 0, new_bytes: 0 }
    }

    /// Keeps the bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<Held, FileError> {
        let file = Held { digest: Digest::of(bytes), size: bytes.len() as u64 };
        if !self.has(file) {
            let tmp = self.to.tmp().join(fs::unique_name());
            let packed = self.packing.pack(bytes);
            let form = packed.as_ref().map_or(Form::Bare, |_| self.packing.form());
            let bytes = packed.as_deref().unwrap_or(bytes);
            let written =
                fs::create_new(&tmp).and_then(|mut out| out.write_all(bytes).at("write", &tmp));
            self.place(&tmp, file, written.map(|()| form))?;
        }
        Ok(file)
    }

    /// Keeps an object of the cache. False: the cache does not have it whole.
    fn object(&mut self, object: Held) -> Result<bool, FileError> {
        if self.has(object) {
            return Ok(true);
        }
        let tmp = self.to.tmp().join(fs::unique_name());
        let from = self.from.path(&object.digest);
        match copy_object(&from, (&object.digest, object.size), self.packing, &tmp) {
            Ok(form) => {
                self.place(&tmp, object, Ok(form))?;
                Ok(true)
            }
            Err(Flaw::Write(error)) => {
                let failed = Err(FileError::new("write", &tmp, error));
                self.place(&tmp, object, failed).map(|()| false)
            }
            Err(_) => fs::remove_file(&tmp).map(|()| false),
        }
    }

    /// Whether the folder has the file, as far as is asked for.
    fn has(&mut self, file: Held) -> bool {
        let bare = self.to.object(&file.digest);
        let known = self.held.contains(&(file.digest, file.size));
        if self.how == How::Incremental {
            return known && locate(&bare, file.size).is_some();
        }
        let whole = read_object(&bare, &file.digest, file.size, &mut std::io::sink()).is_ok();
        if whole && !known {
            self.fresh.extend(locate(&bare, file.size).map(|(_, path)| path));
        }
        whole
    }

    /// Gives a finished file its name, over whatever is damaged there.
    fn place(
        &mut self,
        tmp: &Path,
        file: Held,
        written: Result<Form, FileError>,
    ) -> Result<(), FileError> {
        let bare = self.to.object(&file.digest);
        let placed = written.and_then(|form| {
            fs::set_mode(tmp, 0o444)?;
            bare.parent().map_or(Ok(()), fs::create_private_dir)?;
            let path = form.at(&bare);
            if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                fs::remove_dir_all(&path)?;
            }
            let stored = tmp.symlink_metadata().at("examine", tmp)?.len();
            fs::rename(tmp, &path)?;
            remove_others(&bare, form)?;
            Ok((path, stored))
        });
        if placed.is_err() {
            let _ = fs::remove_file(tmp);
        }
        let (path, stored) = placed?;
        self.held.insert((file.digest, file.size));
        self.fresh.push(path);
        self.new_files += 1;
        self.new_bytes += stored;
        Ok(())
    }
}

/// Removes what lies in the places of an object's other forms: it is not the object, or one too
/// many.
fn remove_others(bare: &Path, kept: Form) -> Result<(), FileError> {
    for form in Form::ALL.into_iter().filter(|form| *form != kept) {
        let path = form.at(bare);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path)?,
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
    }
    Ok(())
}
