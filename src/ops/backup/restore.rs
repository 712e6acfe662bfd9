//! From a backup to a folder that `--cache-dir` can name. All of it is made and proved beside its
//! place and put there by one rename, so that nobody ever sees a part.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{Held, Manifest};
use super::{BackupError, BackupName, Backups, Error, Progress, Told, settle};
use crate::base::fs::{self, Context as _, FileError};
use crate::base::text;
use crate::home::{Home, object_in};
use crate::store::{DiskStore, Flaw, Form, Packing, copy_object, locate, read_object};

/// What a folder may hold that is overwritten: it was a cache.
const OF_A_CACHE: [&str; 2] = ["cas", "cache"];

/// A cache that was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    pub name: String,
    pub path: String,
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
}

/// Where a restore goes, and what lies around it.
struct Destination {
    path: PathBuf,
    /// Where it is made.
    beside: PathBuf,
    /// Where the old one is until the new one is in place; none: there is none.
    aside: Option<PathBuf>,
}

impl Backups {
    /// Makes a cache folder of a backup. A folder that holds something is replaced only where
    /// that is asked for by `overwrite`, and only if it is a cache.
    pub fn restore(
        &self,
        name: &BackupName,
        dest: &Path,
        overwrite: bool,
        told: Told<'_>,
    ) -> Result<Restored, Error> {
        let _lock = self.look_on()?;
        let manifest = self.manifest(name)?;
        let dest = self.destination(dest, overwrite)?;
        self.refuse_damage(name, &manifest)?;
        dest.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let made = self.make(name, &manifest, &dest.beside, told).and_then(|()| {
            dest.put_in_place()?;
            Ok(())
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&dest.beside);
        }
        made?;
        if let Some(aside) = &dest.aside {
            fs::remove_dir_all(aside)?;
        }
        Ok(Restored {
            name: name.to_string(),
            path: dest.path.display().to_string(),
            records: manifest.records.len(),
            objects: manifest.objects.len(),
            bytes: manifest.bytes(),
        })
    }

    /// What can be seen before anything is written.
    fn refuse_damage(&self, name: &BackupName, manifest: &Manifest) -> Result<(), Error> {
        let mut bad = self.bad_records(manifest);
        for object in &manifest.objects {
            let bare = self.dir.object(&object.digest);
            if locate(&bare, object.size).is_some() {
                continue;
            }
            // To read it says best why it cannot be used.
            let read = read_object(&bare, &object.digest, object.size, &mut io::sink());
            let problem = read.err().map(|flaw| flaw.to_string());
            bad.extend(problem.map(|problem| (*object, problem)));
        }
        self.damaged(name, bad)
    }

    /// An error where anything is bad.
    fn damaged(&self, name: &BackupName, bad: Vec<(Held, String)>) -> Result<(), Error> {
        if bad.is_empty() {
            return Ok(());
        }
        let problems = self.problems(bad)?;
        Err(BackupError::Damaged { name: name.to_string(), problems }.into())
    }

    fn make(
        &self,
        name: &BackupName,
        manifest: &Manifest,
        folder: &Path,
        told: Told<'_>,
    ) -> Result<(), Error> {
        let home = Home::new(Some(folder));
        for made in [home.objects(), home.store_tmp(), home.records()] {
            fs::create_private_dir(&made)?;
        }
        if self.restored.form() != Form::Bare {
            DiskStore::new(&home).expect_compressed();
        }
        let records = manifest
            .records
            .iter()
            .map(|record| (record.file, object_in(&home.records(), &record.key), true));
        let objects = manifest
            .objects
            .iter()
            .map(|object| (*object, object_in(&home.objects(), &object.digest), false));
        let all: Vec<(Held, PathBuf, bool)> = records.chain(objects).collect();
        let of_bytes = manifest.bytes();
        let mut progress = Progress { files: 0, bytes: 0, of_files: all.len(), of_bytes };
        let mut paths = Vec::with_capacity(all.len());
        for (file, bare, is_record) in &all {
            let source = self.dir.object(&file.digest);
            let (packing, mode) =
                if *is_record { (Packing::BARE, 0o600) } else { (self.restored, 0o444) };
            match copy(&source, file, bare, packing)? {
                Err(problem) => self.damaged(name, vec![(*file, problem)])?,
                Ok(path) => {
                    fs::set_mode(&path, mode)?;
                    paths.push(path);
                }
            }
            progress.files += 1;
            progress.bytes += file.size;
            told(progress);
        }
        settle(&paths, folder)?;
        for (file, path, _) in &all {
            if let Err(flaw) = read_object(path, &file.digest, file.size, &mut io::sink()) {
                let error = io::Error::other(format!("it was not written as it was read: {flaw}"));
                return Err(FileError::new("restore", path, error).into());
            }
        }
        Ok(())
    }

    fn destination(&self, dest: &Path, overwrite: bool) -> Result<Destination, Error> {
        let refuse = |problem: String, help: &'static str| {
            Error::from(BackupError::BadDestination { path: dest.to_path_buf(), problem, help })
        };
        let name = dest.file_name().ok_or_else(|| {
            refuse("it has no name of its own".to_owned(), "name a folder that need not be there")
        })?;
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let path = parent.join(name);
        let beside_as = |end: &str| {
            let mut file = OsString::from(".");
            file.push(name);
            file.push(format!(".{}.{end}", fs::unique_name()));
            parent.join(file)
        };
        let mut found = Destination { beside: beside_as("restoring"), path, aside: None };
        match found.path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(FileError::new("examine", &found.path, error).into()),
            Ok(meta) if !meta.is_dir() => {
                return Err(refuse("it is no folder".to_owned(), "name a folder"));
            }
            Ok(_) => {}
        }
        let held = std::fs::read_dir(&found.path).at("list", &found.path)?;
        let held: Vec<OsString> = held.flatten().map(|entry| entry.file_name()).collect();
        if held.is_empty() {
            return Ok(found);
        }
        if !overwrite {
            return Err(refuse(
                "it is not empty".to_owned(),
                "name a folder that is empty or not there, or replace a cache by `--overwrite`",
            ));
        }
        if let Some(other) = held.iter().find(|name| !OF_A_CACHE.iter().any(|own| name == own)) {
            let other = text::shown(other.as_encoded_bytes()).into_owned();
            return Err(refuse(
                format!("it holds `{other}`, which is no part of a cache"),
                "name a folder of its own for the cache",
            ));
        }
        found.aside = Some(beside_as("old"));
        Ok(found)
    }
}

impl Destination {
    fn put_in_place(&self) -> Result<(), FileError> {
        let Some(aside) = &self.aside else {
            return fs::rename(&self.beside, &self.path).and_then(|()| self.settle());
        };
        fs::rename(&self.path, aside)?;
        if let Err(error) = fs::rename(&self.beside, &self.path) {
            // As it was: nothing was lost.
            let _ = fs::rename(aside, &self.path);
            return Err(error);
        }
        self.settle()
    }

    fn settle(&self) -> Result<(), FileError> {
        self.path.parent().map_or(Ok(()), fs::sync)
    }
}

/// Copies a file of a backup to its place, in the form that is asked for; where it lies then. The
/// inner error says what is wrong with the source.
fn copy(
    source: &Path,
    file: &Held,
    bare: &Path,
    packing: Packing,
) -> Result<Result<PathBuf, String>, FileError> {
    bare.parent().map_or(Ok(()), fs::create_private_dir)?;
    // The whole folder is in the making: nobody looks for a form in it yet.
    match copy_object(source, (&file.digest, file.size), packing, bare) {
        Ok(Form::Bare) => Ok(Ok(bare.to_path_buf())),
        Ok(form) => {
            let path = form.at(bare);
            fs::rename(bare, &path).map(|()| Ok(path))
        }
        Err(Flaw::Write(error)) => Err(FileError::new("write", bare, error)),
        Err(flaw) => Ok(Err(flaw.to_string())),
    }
}
