//! Pins: the newest result of a task is kept, whatever its age and however large the cache is.
//!
//! A pin is a file in the cache that names the task and its key. A run of the project in which the
//! task got another key changes it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::base::text::shown;
use crate::base::{Digest, FileError, TaskName, fs};
use crate::cache::record::Records;
use crate::cache::state::{Phase, State};
use crate::config::Config;
use crate::home::Home;
use crate::ops::earlier;
use crate::ops::project::Project;
use crate::ops::types::{BuildOptions, Error, Location};
use crate::store::DiskStore;

/// A longer file is no pin.
const MAX_BYTES: u64 = 64 * 1024;

/// A task whose newest result is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// 16 hex digits that stand for the project, the manifest and the task.
    pub id: String,
    /// The folder of the project.
    pub project: String,
    pub manifest: String,
    pub task: String,
    /// None: it has no result yet.
    pub key: Option<Digest>,
    /// Of the record and its objects; none: there is no record under the key.
    pub bytes: Option<u64>,
}

impl Project {
    /// Pins tasks of the project.
    pub fn pin(&self, options: &BuildOptions, tasks: &[String]) -> Result<Vec<Pin>, Error> {
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(self.find(task)?);
        }
        let home = Home::new(Some(&options.config.cache.cache_dir));
        let state = earlier::load(&home, &self.path, options, true);
        let mut pinned = Vec::new();
        if !options.dry_run {
            fs::create_private_dir(&home.pins())?;
        }
        for id in ids {
            let name = &self.manifest.tasks[id.index()].name;
            let (project, manifest) = place(&self.path);
            let mut pin = Pin {
                id: id_of(&self.path, name.as_str()),
                project,
                manifest,
                task: name.to_string(),
                key: newest(&state, &Records::new(&home), name),
                bytes: None,
            };
            if !options.dry_run {
                write(&home, &pin)?;
            }
            pin.bytes = size(&home, &pin);
            pinned.push(pin);
        }
        Ok(pinned)
    }
}

/// All pins of the cache, sorted by project, manifest and task.
pub fn pins(config: &Config) -> Result<Vec<Pin>, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    let mut all = read_all(&home)?;
    for pin in &mut all {
        pin.bytes = size(&home, pin);
    }
    all.sort_by(|one, other| {
        (&one.project, &one.manifest, &one.task).cmp(&(
            &other.project,
            &other.manifest,
            &other.task,
        ))
    });
    Ok(all)
}

/// Removes pins: each is named by its task, where that is of this project, or by its id.
pub fn unpin(
    config: &Config,
    location: &Location,
    dry_run: bool,
    names: &[String],
) -> Result<Vec<Pin>, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    let all = read_all(&home)?;
    let mut found = Vec::new();
    for name in names {
        let own = id_of(location.path(), name);
        let pin =
            all.iter().find(|pin| pin.id == own).or_else(|| all.iter().find(|p| p.id == *name));
        found.push(pin.ok_or_else(|| Error::NotPinned { name: name.clone() })?.clone());
    }
    for pin in found.iter().filter(|_| !dry_run) {
        fs::remove_file(&home.pins().join(&pin.id))?;
    }
    Ok(found)
}

/// The keys that are pinned.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    pub keys: BTreeSet<Digest>,
    /// Pins that cannot be read: each may be that of any record.
    pub unreadable: Vec<FileError>,
}

impl Pinned {
    pub(super) fn of(home: &Home) -> Result<Self, FileError> {
        let mut pinned = Self::default();
        for id in fs::names(&home.pins())? {
            match read(home, id) {
                Ok(pin) => pinned.keys.extend(pin.and_then(|pin| pin.key)),
                Err(error) => pinned.unreadable.push(error),
            }
        }
        Ok(pinned)
    }

    pub(super) fn may_hold(&self, key: &Digest) -> bool {
        self.keys.contains(key) || !self.unreadable.is_empty()
    }
}

/// After a run: the pins of its tasks go with their newest results.
pub(in crate::ops) fn follow_pins(home: &Home, manifest: &Path, state: &State) {
    let followed = read_all(home).and_then(|all| {
        for mut pin in all.into_iter().filter(|pin| pin.id == id_of(manifest, &pin.task)) {
            let Ok(task) = TaskName::parse(&pin.task) else { continue };
            let newest = newest(state, &Records::new(home), &task);
            if newest.is_some() && newest != pin.key {
                pin.key = newest;
                write(home, &pin)?;
            }
        }
        Ok(())
    });
    if let Err(error) = followed {
        let problem = format!("{error}: {}", error.source);
        tracing::warn!(problem, "a pin keeps an older result");
    }
}

/// The key of the task's last success here, if its result was saved.
fn newest(state: &State, records: &Records, task: &TaskName) -> Option<Digest> {
    let row = state.row(task).filter(|row| row.phase == Phase::Done)?;
    records.stamp(&row.key).map(|_| row.key)
}

/// The folder of the project, and the manifest in it.
fn place(manifest: &Path) -> (String, String) {
    let text = |path: &Path| shown(path.as_os_str().as_encoded_bytes()).into_owned();
    let manifest = manifest.strip_prefix(".").unwrap_or(manifest);
    (text(&std::env::current_dir().unwrap_or_default()), text(manifest))
}

fn id_of(manifest: &Path, task: &str) -> String {
    let (project, manifest) = place(manifest);
    let mut hex = Digest::of(format!("{project}\0{manifest}\0{task}").as_bytes()).hex();
    hex.truncate(16);
    hex
}

fn write(home: &Home, pin: &Pin) -> Result<(), FileError> {
    let Pin { id, project, manifest, task, key, .. } = pin;
    let key = key.map_or_else(|| "-".to_owned(), |key| key.hex());
    let text = format!("{project}\n{manifest}\n{task}\n{key}\n");
    fs::write_atomic(&home.pins().join(id), text.as_bytes())
}

/// What is no pin of ours is passed over, and what cannot be read.
fn read_all(home: &Home) -> Result<Vec<Pin>, FileError> {
    let names = fs::names(&home.pins())?;
    Ok(names.into_iter().filter_map(|id| read(home, id).ok().flatten()).collect())
}

/// None: it is no pin of ours.
fn read(home: &Home, id: String) -> Result<Option<Pin>, FileError> {
    if !super::super::walk::is_hex(&id, 16) {
        return Ok(None);
    }
    let path = home.pins().join(&id);
    match fs::read_regular(&path, MAX_BYTES) {
        Ok(bytes) => Ok(parse(id, bytes)),
        Err(error) if fs::is_no_file(&error) => Ok(None),
        Err(error) => Err(FileError::new("read", &path, error)),
    }
}

fn parse(id: String, bytes: Vec<u8>) -> Option<Pin> {
    let text = String::from_utf8(bytes).ok()?;
    let mut lines = text.lines().map(str::to_owned);
    let (project, manifest, task) = (lines.next()?, lines.next()?, lines.next()?);
    let key = Digest::parse(&lines.next()?).ok();
    Some(Pin { id, project, manifest, task, key, bytes: None })
}

fn size(home: &Home, pin: &Pin) -> Option<u64> {
    let (bytes, record) = Records::new(home).load(&pin.key?).ok()?;
    let store = DiskStore::new(home);
    let objects: BTreeSet<(Digest, u64)> = record.objects().collect();
    let held = objects.iter().filter(|(digest, size)| store.has(digest, *size));
    Some(bytes.len() as u64 + held.map(|(_, size)| size).sum::<u64>())
}
