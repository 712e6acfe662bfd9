//! Removing backups and what none of them needs, and the backups that runs make by themselves.

use std::collections::HashSet;

use super::create::How;
use super::{BackupName, Backups, Error, Needed};
use crate::base::Digest;
use crate::base::clock;
use crate::base::fs;
use crate::config::Config;
use crate::event::Summary;
use crate::home::BackupDir;
use crate::store::{Stored, stored};

/// What the names of backups begin with that runs make by themselves.
const AUTOMATIC: &str = "auto-";

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    pub backups: Vec<String>,
    pub files: usize,
    pub bytes: u64,
    /// Backups that cannot be read. While there are any, no object is removed: it could be
    /// theirs.
    pub unreadable: Vec<String>,
}

/// What a look over the folder found and removed.
pub(super) struct Swept {
    pub(super) needed: Needed,
    files: usize,
    bytes: u64,
}

impl Backups {
    /// Removes a backup, and the objects that no other needs.
    pub fn delete(&self, name: &BackupName) -> Result<Removed, Error> {
        let _lock = self.lock()?;
        if let Err(error @ super::BackupError::NoSuch { .. }) = self.manifest(name) {
            return Err(error.into());
        }
        self.remove(std::slice::from_ref(name))
    }

    /// Keeps the newest `keep` backups.
    pub fn cleanup(&self, keep: usize) -> Result<Removed, Error> {
        self.keep_newest(keep, |_| true)
    }

    fn keep_newest(&self, keep: usize, counts: fn(&str) -> bool) -> Result<Removed, Error> {
        let _lock = self.lock()?;
        let all = self.list()?;
        // One that cannot be read has no age, and is removed by name only.
        let counted = all.iter().filter(|one| one.problem.is_none() && counts(&one.name));
        let names: Vec<&str> = counted.map(|one| one.name.as_str()).collect();
        let old = &names[..names.len().saturating_sub(keep)];
        let old: Vec<BackupName> =
            old.iter().filter_map(|name| BackupName::parse(name).ok()).collect();
        self.remove(&old)
    }

    /// The manifests go first: what is interrupted here leaves objects that nobody needs.
    fn remove(&self, names: &[BackupName]) -> Result<Removed, Error> {
        for name in names {
            let path = self.dir.manifest(name.as_str());
            if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        if !names.is_empty() {
            fs::sync(self.dir.root())?;
        }
        let Swept { needed, files, bytes } = self.sweep()?;
        let backups = names.iter().map(BackupName::to_string).collect();
        Ok(Removed { backups, files, bytes, unreadable: needed.unreadable })
    }

    /// Removes what an interrupted verb left, and objects that no backup needs. The lock is held.
    pub(super) fn sweep(&self) -> Result<Swept, Error> {
        for file in fs::names(&self.dir.tmp())? {
            fs::remove_file(&self.dir.tmp().join(file))?;
        }
        for file in fs::names(self.dir.root())?.iter().filter(|it| BackupDir::is_unfinished(it)) {
            fs::remove_file(&self.dir.root().join(file))?;
        }
        let mut swept = Swept { needed: self.needed()?, files: 0, bytes: 0 };
        if !swept.needed.unreadable.is_empty() {
            return Ok(swept);
        }
        let needed: HashSet<Digest> =
            swept.needed.files.iter().map(|(digest, _)| *digest).collect();
        let mut unneeded = Vec::new();
        stored(&self.dir.objects(), |object| {
            if !needed.contains(&object.digest) {
                unneeded.push(object);
            }
        })?;
        for Stored { path, stored, .. } in unneeded {
            if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
            path.parent().into_iter().for_each(fs::remove_empty_dir);
            swept.files += 1;
            swept.bytes += stored;
        }
        Ok(swept)
    }
}

/// After a run: the backup that the settings ask for. What went wrong, a sentence each.
pub(in crate::ops) fn automatic(summary: &Summary, config: &Config) -> Vec<String> {
    let well =
        summary.failed + summary.skipped + summary.cancelled == 0 && summary.interrupted.is_none();
    if !config.backup.auto_backup || !well || summary.executed == 0 {
        return Vec::new();
    }
    let backups = Backups::new(config);
    let keep = usize::try_from(config.backup.max_backups).unwrap_or(usize::MAX);
    let made = make(&backups).and_then(|left_out| {
        backups.keep_newest(keep, |name| name.starts_with(AUTOMATIC)).map(|_| left_out)
    });
    match made {
        Ok(0) => Vec::new(),
        Ok(count) => vec![format!("{count} records were not whole and are not in the backup")],
        Err(error) => vec![format!("no backup was made: {}", with_causes(&error))],
    }
}

/// An incremental backup with the time as its name; how many records are not in it.
fn make(backups: &Backups) -> Result<u64, Error> {
    let now = clock::now_ns();
    let millis = now.rem_euclid(1_000_000_000) / 1_000_000;
    // With the milliseconds, so that a name that was freed is not given again.
    let time = clock::rfc3339(now).replace([':', '-'], "").replace('Z', &format!(".{millis:03}Z"));
    let mut name = format!("{AUTOMATIC}{time}");
    let busy = || tracing::info!("the backup waits for a collection of the cache");
    for again in 1.. {
        match backups.create(&BackupName::parse(&name)?, How::Incremental, &mut |_| {}, busy) {
            // Another run ended at the same moment.
            Err(Error::Backup(super::BackupError::Exists(_))) if again < 1000 => {
                name = format!("{AUTOMATIC}{time}-{again}");
            }
            other => return other.map(|made| made.left_out),
        }
    }
    Ok(0)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}
