//! Proving the whole of a cache: every object by its digest, every record by its check sum, its
//! key and the objects that it names.
//!
//! A run may be at work meanwhile: what it puts there is whole, and what goes away is no fault.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::gc::hold_off_gc;
use super::walk::{self, Item, Names};
use super::{named, patience};
use crate::base::fs::Context as _;
use crate::base::text::shown;
use crate::base::{Digest, FileError, clock, fs};
use crate::cache::record::{Found, Look, Records};
use crate::config::Config;
use crate::home::Home;
use crate::ops::types::Error;
use crate::store::{self, DiskStore, Inspected};

/// What was looked at, and what of it is wrong.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    pub objects: usize,
    /// Of the objects.
    pub bytes: u64,
    pub records: usize,
    /// Sorted by path.
    pub flaws: Vec<Flaw>,
    /// Whether it was asked to take away what is wrong.
    pub repair: bool,
    /// Where the list of what was taken away lies.
    pub report: Option<String>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flaw {
    pub path: String,
    pub fault: Fault,
    pub problem: String,
    /// It has been taken out of the way.
    pub repaired: bool,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// What lies in an object's place is not that object.
    Object,
    /// What lies in a record's place is no record of that key.
    Record,
    /// A record that is right in itself names an object that is not there or is damaged.
    Dangling,
    Unreadable,
}

impl Verified {
    /// The kinds of faults that are still there.
    pub fn left(&self, fault: Fault) -> bool {
        self.flaws.iter().any(|flaw| flaw.fault == fault && !flaw.repaired)
    }
}

/// Verifies the cache. With `repair` damaged objects and records are moved to the folder of the
/// damaged, and records that cannot be used are removed. `busy` is told where a collection is at
/// work, and this waits.
pub fn verify_cache(config: &Config, repair: bool, busy: impl FnOnce()) -> Result<Verified, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    let _whole = hold_off_gc(&home, patience(config), busy)?;
    let check = Check {
        store: DiskStore::new(&home),
        records: Records::new(&home),
        damaged: home.damaged(),
        repair,
    };
    let objects = over(&home.objects(), Names::Objects, |item| check.object(item));
    let bad: Bad = objects.bad.iter().copied().collect();
    let records = over(&home.records(), Names::Records, |item| check.record(item, &bad));
    let mut flaws = [objects.flaws, records.flaws].concat();
    flaws.sort_unstable();
    let mut all = Verified {
        objects: objects.count,
        bytes: objects.bytes,
        records: records.count,
        flaws,
        repair,
        report: None,
    };
    if all.flaws.iter().any(|flaw| flaw.repaired) {
        all.report = Some(write_report(&check.damaged, &all)?);
    }
    Ok(all)
}

/// What was found in a part of the cache.
#[derive(Default)]
struct Part {
    count: usize,
    bytes: u64,
    flaws: Vec<Flaw>,
    /// The names of objects that are damaged, and what was found in their places.
    bad: Vec<(Digest, Identity)>,
}

impl Part {
    fn flaw(flaw: Flaw) -> Self {
        Self { flaws: vec![flaw], ..Self::default() }
    }

    fn join(mut self, mut other: Self) -> Self {
        self.count += other.count;
        self.bytes += other.bytes;
        self.flaws.append(&mut other.flaws);
        self.bad.append(&mut other.bad);
        self
    }
}

/// Looks at everything below `folder`, on all cores.
fn over(folder: &Path, names: Names, look: impl Fn(&Item) -> Part + Sync) -> Part {
    let shelves = match walk::shelves(folder) {
        Ok(shelves) => shelves,
        Err(error) => return Part::flaw(unreadable(folder, &error)),
    };
    shelves
        .par_iter()
        .map(|shelf| match shelf.items(names) {
            Ok(items) => items.par_iter().map(&look).reduce(Part::default, Part::join),
            Err(error) => Part::flaw(unreadable(&shelf.path, &error)),
        })
        .reduce(Part::default, Part::join)
}

fn unreadable(path: &Path, error: &FileError) -> Flaw {
    flaw(path, Fault::Unreadable, error.source.to_string())
}

fn flaw(path: &Path, fault: Fault, problem: String) -> Flaw {
    let path = shown(path.as_os_str().as_encoded_bytes()).into_owned();
    Flaw { path, fault, problem, repaired: false }
}

struct Check {
    store: DiskStore,
    records: Records,
    damaged: PathBuf,
    repair: bool,
}

impl Check {
    fn object(&self, item: &Item) -> Part {
        let before = identity(&item.path);
        let Some(digest) = &item.digest else { return self.stray(item, Fault::Object) };
        match store::inspect(&item.path, item.form, digest) {
            Inspected::Sound(bytes) => Part { count: 1, bytes, ..Part::default() },
            Inspected::Gone => Part::default(),
            Inspected::Unreadable(error) => {
                Part { count: 1, ..Part::flaw(unreadable(&item.path, &error)) }
            }
            // A run may have put a good one there meanwhile.
            Inspected::Damaged(_) if identity(&item.path) != before => self.object(item),
            Inspected::Damaged(problem) => {
                let mut flaw = flaw(&item.path, Fault::Object, problem);
                flaw.repaired = self.set_aside(&item.path);
                Part {
                    count: 1,
                    bad: before.map(|was| (*digest, was)).into_iter().collect(),
                    ..Part::flaw(flaw)
                }
            }
        }
    }

    fn record(&self, item: &Item, bad: &Bad) -> Part {
        let before = identity(&item.path);
        let Some(key) = &item.digest else { return self.stray(item, Fault::Record) };
        let (fault, problem) = match self.records.find(key, Look::Only) {
            Found::Nothing => return Part::default(),
            Found::Damaged { problem, .. } => (Fault::Record, problem),
            Found::Record(record) => {
                let state = |digest: &Digest, size: u64| match self.store.find(digest, size) {
                    None => Some("not there"),
                    Some((_, path)) => {
                        let is = identity(&path).map(|is| (*digest, is));
                        is.is_some_and(|is| bad.contains(&is)).then_some("damaged")
                    }
                };
                let lost = named(&record)
                    .find_map(|(what, digest, size)| Some((what, digest, state(&digest, size)?)));
                let Some((what, digest, state)) = lost else {
                    return Part { count: 1, ..Part::default() };
                };
                let problem = format!("object {} of {what} is {state}", digest.short());
                (Fault::Dangling, problem)
            }
        };
        // It may have been replaced or cleaned away meanwhile, and its objects with it.
        if identity(&item.path) != before {
            return self.record(item, bad);
        }
        let mut flaw = flaw(&item.path, fault, problem);
        flaw.repaired = match fault {
            Fault::Dangling => self.repair && self.records.forget(key).is_ok(),
            _ => self.set_aside(&item.path),
        };
        Part { count: 1, ..Part::flaw(flaw) }
    }

    /// Something that no run puts there.
    fn stray(&self, item: &Item, fault: Fault) -> Part {
        let mut flaw = flaw(&item.path, fault, "its name is none that we give".to_owned());
        flaw.repaired = self.set_aside(&item.path);
        Part { count: 1, ..Part::flaw(flaw) }
    }

    fn set_aside(&self, path: &Path) -> bool {
        if !self.repair {
            return false;
        }
        store::put_aside(path, &self.damaged);
        identity(path).is_none()
    }
}

/// What tells one file in a place from its successor there.
type Identity = (u64, i64, i64);

/// Damaged objects. One is not bad any more when something else has come into its place.
type Bad = HashSet<(Digest, Identity)>;

/// None: nothing is there.
fn identity(path: &Path) -> Option<Identity> {
    let data = std::fs::symlink_metadata(path).ok()?;
    Some((data.ino(), data.ctime(), data.ctime_nsec()))
}

/// Writes what was taken away beside it; the path of the file.
fn write_report(damaged: &Path, all: &Verified) -> Result<String, FileError> {
    let name = format!("report-{}.{}", clock::rfc3339(clock::now_ns()), fs::unique_name());
    let path = damaged.join(name);
    fs::create_private_dir(damaged)?;
    let text = serde_json::to_vec_pretty(&all.flaws).map_err(std::io::Error::from);
    fs::write_atomic(&path, &text.at("write", &path)?)?;
    Ok(path.display().to_string())
}
