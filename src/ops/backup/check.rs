//! Proving a backup: every file of it is read and hashed, and every record read.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::manifest::{Held, Manifest};
use super::{BackupName, Backups, Error, Progress, Told};
use crate::base::Digest;
use crate::cache::record::Record;
use crate::store::{Form, read_object};

/// A file of a backup that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    pub digest: Digest,
    pub path: String,
    pub problem: String,
    /// All backups that need it.
    pub backups: Vec<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem, backups, .. } = self;
        write!(f, "`{path}`: {problem}; needed by {}", backups.join(", "))
    }
}

/// What was found in a backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    pub name: String,
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
    /// Empty: it is whole.
    pub problems: Vec<Problem>,
}

impl Backups {
    /// Reads and proves all of a backup.
    pub fn verify(&self, name: &BackupName, told: Told<'_>) -> Result<Verified, Error> {
        let _lock = self.look_on()?;
        let manifest = self.manifest(name)?;
        let mut bad = self.bad_records(&manifest);
        let of_bytes = manifest.objects.iter().map(|object| object.size).sum();
        let of_files = manifest.objects.len();
        let mut progress = Progress { files: 0, bytes: 0, of_files, of_bytes };
        for object in &manifest.objects {
            let path = self.dir.object(&object.digest);
            let read = read_object(&path, &object.digest, object.size, &mut io::sink());
            bad.extend(read.err().map(|flaw| (*object, flaw.to_string())));
            progress.files += 1;
            progress.bytes += object.size;
            told(progress);
        }
        Ok(Verified {
            name: name.to_string(),
            records: manifest.records.len(),
            objects: manifest.objects.len(),
            bytes: manifest.bytes(),
            problems: self.problems(bad)?,
        })
    }

    /// The records that are not whole, or need what the manifest does not have.
    pub(super) fn bad_records(&self, manifest: &Manifest) -> Vec<(Held, String)> {
        let listed: HashSet<(Digest, u64)> =
            manifest.objects.iter().map(|object| (object.digest, object.size)).collect();
        let mut bad = Vec::new();
        for held in &manifest.records {
            let mut bytes = Vec::new();
            let path = self.dir.object(&held.file.digest);
            let read = read_object(&path, &held.file.digest, held.file.size, &mut bytes);
            let problem = match read {
                Err(flaw) => Some(flaw.to_string()),
                Ok(()) => match Record::parse(&bytes, &held.key) {
                    Err(problem) => Some(format!("it is no record of {}: {problem}", held.key)),
                    Ok(record) => record
                        .objects()
                        .find(|object| !listed.contains(object))
                        .map(|(digest, _)| format!("it needs {digest}, which is not listed")),
                },
            };
            bad.extend(problem.map(|problem| (held.file, problem)));
        }
        bad
    }

    /// Where a file of a backup lies, or would if it were there.
    fn lies_at(&self, file: &Held) -> PathBuf {
        let bare = self.dir.object(&file.digest);
        let there = Form::ALL.map(|form| form.at(&bare));
        there.into_iter().find(|path| path.symlink_metadata().is_ok()).unwrap_or(bare)
    }

    /// With the backups that need each.
    pub(super) fn problems(&self, bad: Vec<(Held, String)>) -> Result<Vec<Problem>, Error> {
        if bad.is_empty() {
            return Ok(Vec::new());
        }
        let mut owners: Vec<(String, HashSet<Digest>)> = Vec::new();
        for name in self.names()? {
            // One that cannot be read is told by those who look at it.
            if let Ok(manifest) = self.manifest(&name) {
                owners.push((name.to_string(), manifest.files().map(|file| file.digest).collect()));
            }
        }
        let problem = |(file, problem): (Held, String)| Problem {
            digest: file.digest,
            path: self.lies_at(&file).display().to_string(),
            problem,
            backups: owners
                .iter()
                .filter(|(_, files)| files.contains(&file.digest))
                .map(|(name, _)| name.clone())
                .collect(),
        };
        Ok(bad.into_iter().map(problem).collect())
    }
}
