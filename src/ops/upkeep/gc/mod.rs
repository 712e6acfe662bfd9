//! Collecting garbage: what is too old, too much, or of no use to anybody.
//!
//! Never what a run needs that is at work: nothing goes that was written or used since the oldest
//! of them began, and nothing that is used between the look at it and its removal.

mod auto;
mod choose;
mod lock;
mod pins;
mod size;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use self::choose::{Choice, Doomed, Looking};
use self::pins::Pinned;
use self::survey::{Entry, Leftover, Objects};
use self::sweep::{Aside, Swept};
use super::recompress::at_rest;
use super::{patience, sentence};
use crate::base::fs;
use crate::base::text::{count, shown};
use crate::base::{Digest, FileError, clock};
use crate::cache::record::{Needs, Records};
use crate::config::{Cache, Config};
use crate::event::Collected;
use crate::home::Home;
use crate::ops::types::Error;
use crate::store::{self, DiskStore};

pub(in crate::ops) use auto::{collect_after_run, note_added, note_new_cache};
pub(in crate::ops) use lock::hold_off_gc;
pub(in crate::ops) use pins::follow_pins;
pub use pins::{Pin, pins, unpin};
pub(super) use sweep::is_going;

const SECOND: i64 = 1_000_000_000;
/// What the clock of a file system may be behind ours, or coarser.
const SLACK: i64 = 3 * SECOND;
/// What nobody names may belong to a record that is about to be written by someone who could not
/// say that he is at work.
const GRACE: i64 = 3600 * SECOND;

/// Where so many files cannot be removed, no other can.
const MAX_PROBLEMS: usize = 20;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is found out what goes.
    Look,
    Remove,
}

/// Whether to stop in the middle.
type Stop<'a> = dyn Fn(Step) -> bool + 'a;

/// Why something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A record that nobody has asked for, for longer than the settings allow.
    Age,
    /// The cache is larger than the settings allow, and nothing was used less recently.
    Size,
    /// A record that names an object which is not there.
    Dangling,
    /// An object that only records needed which go.
    Unneeded,
    /// An object that no record names.
    Orphan,
    /// What a dead run had in the making.
    Stale,
    /// What was set aside as damaged, for longer than results are kept.
    Damaged,
    /// The lock of a dead run.
    DeadLock,
}

/// What is collected.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    now: i64,
    protected_since: i64,
    limit: Option<u64>,
    ttl: Option<i64>,
}

impl Rules {
    fn new(settings: &Cache, home: &Home) -> Self {
        let now = clock::now_ns();
        // Where it cannot be known who is at work, all that is there may be needed.
        let oldest = store::oldest_user(home).unwrap_or(Some(i64::MIN));
        let hours = |hours: u64| i64::try_from(hours).unwrap_or(i64::MAX);
        Self {
            now,
            protected_since: oldest.map_or(now, |oldest| oldest.min(now)).saturating_sub(SLACK),
            limit: settings.max_cache_size_mb.0.map(|mib| mib << 20),
            ttl: settings.cache_ttl_hours.0.map(|ttl| hours(ttl).saturating_mul(3600 * SECOND)),
        }
    }

    /// Whether a run that is at work, or has begun since we did, may need what has this time.
    fn is_protected(&self, time: i64) -> bool {
        time >= self.protected_since
    }

    fn is_old(&self, time: i64) -> bool {
        self.ttl.is_some_and(|ttl| self.now.saturating_sub(time) > ttl)
    }

    fn is_past_grace(&self, time: i64) -> bool {
        !self.is_protected(time) && self.now.saturating_sub(time) > GRACE
    }
}

/// One thing that went, or would go.
#[derive(Debug, Clone, Serialize)]
pub struct Gone {
    pub what: What,
    pub name: Name,
    pub reason: Reason,
    pub bytes: u64,
    /// When it was written or used last.
    #[serde(serialize_with = "as_date", rename = "last_used")]
    pub time_ns: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Record,
    Object,
    /// Neither.
    Leftover,
}

/// What something is called: a key, a digest, or a path.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Name {
    Digest(Digest),
    #[serde(serialize_with = "as_shown")]
    Path(PathBuf),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest(digest) => f.write_str(&digest.hex()),
            Self::Path(path) => f.write_str(&shown(path.as_os_str().as_encoded_bytes())),
        }
    }
}

fn as_shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(path.as_os_str().as_encoded_bytes()))
}

fn as_date<S: Serializer>(ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clock::rfc3339(*ns))
}

/// What came of a collection.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Garbage {
    /// Nothing was removed: this is what would have been.
    pub dry_run: bool,
    #[serde(flatten)]
    pub totals: Collected,
    /// Records, then objects, then the rest; each sorted.
    pub removed: Vec<Gone>,
    /// What could not be removed or read, a sentence each.
    pub problems: Vec<String>,
    /// Why something stays that could go, where nothing is wrong; a sentence each.
    pub notes: Vec<String>,
}

/// Collects what is garbage by the settings. `busy` is told where another one is at it, or the
/// cache is being read as a whole, and this one waits.
pub fn collect_garbage(
    config: &Config,
    dry_run: bool,
    busy: impl FnOnce(),
) -> Result<Garbage, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    if !home.objects().is_dir() && !home.records().is_dir() {
        return Ok(Garbage { dry_run, ..Garbage::default() });
    }
    // Who only looks changes nothing, not even by a file for the lock.
    let patience = patience(config);
    let _lock = if dry_run { None } else { Some(lock::alone(&home, patience, busy)?) };
    Ok(collect(&home, &Rules::new(&config.cache, &home), dry_run, &|_| false))
}

/// The collection itself; the lock is held.
fn collect(home: &Home, rules: &Rules, dry_run: bool, stop: &Stop<'_>) -> Garbage {
    let totals = Collected { limit: rules.limit, ..Collected::default() };
    let done = Garbage { dry_run, totals, ..Garbage::default() };
    let mut collector = Collector { home, dry_run, stop, aside: Aside::new(home), done };
    if let Err(error) = collector.all(rules) {
        collector.done.problems.push(sentence(&error));
        collector.done.totals.unfinished = true;
    }
    if !dry_run {
        collector.aside.finish();
    }
    let mut done = collector.done;
    let counted = done.totals.kept_bytes.filter(|_| !done.totals.unfinished);
    // Also where it is not known: the next run is not to try the same at once.
    if !dry_run && let Err(error) = size::write(home, counted) {
        done.problems.push(sentence(&error));
    }
    done
}

struct Collector<'a> {
    home: &'a Home,
    dry_run: bool,
    stop: &'a Stop<'a>,
    aside: Aside,
    done: Garbage,
}

impl Collector<'_> {
    fn all(&mut self, rules: &Rules) -> Result<(), FileError> {
        if let Some(link) = linked_folder(self.home) {
            let error = std::io::Error::other("it is a link, which is not followed");
            return Err(FileError::new("collect in", &link, error));
        }
        let home = self.home;
        if !self.dry_run {
            self.aside.prepare()?;
        }
        let Some(mut objects) = Objects::list(home, self.stop)? else { return self.stopped() };
        let Some(entries) = survey::records(home, self.stop)? else { return self.stopped() };
        let (records, store) = (Records::new(home), DiskStore::new(home));
        let pinned = Pinned::of(home)?;
        let looking = Looking { rules, records: &records, store: &store, pinned: &pinned };
        self.count(&entries, &objects);
        let choice = looking.choose(&entries, &mut objects, self.stop);
        self.done.totals.unfinished |= choice.unfinished;
        self.tell_unknown(&choice, &pinned, objects.unknown);
        self.count_pinned(&choice, &pinned, &entries, &objects);
        let known = self.records(&choice.doomed, &records, &mut objects);
        if known && !choice.unread {
            self.objects(&looking, &objects);
        }
        self.leftovers(rules)
    }

    /// What is there before anything goes.
    fn count(&mut self, entries: &[Entry], objects: &Objects) {
        let sizes = objects.all.iter().map(|object| object.size);
        let bytes = entries.iter().map(|entry| entry.size).chain(sizes).sum();
        self.done.totals.kept_bytes = Some(bytes);
        self.done.totals.kept_files = Some(entries.len() + objects.all.len());
    }

    fn count_pinned(
        &mut self,
        choice: &Choice,
        pinned: &Pinned,
        entries: &[Entry],
        objects: &Objects,
    ) {
        let records = entries.iter().filter(|entry| pinned.keys.contains(&entry.key));
        let objects = objects.all.iter().filter(|object| object.pinned);
        let sizes = objects.map(|object| object.size);
        let bytes = records.map(|entry| entry.size).chain(sizes).sum();
        self.done.totals.pinned_bytes = (!choice.unread).then_some(bytes);
    }

    /// Says what stays since something could not be read.
    fn tell_unknown(&mut self, choice: &Choice, pinned: &Pinned, unknown: usize) {
        if let Some(error) = pinned.unreadable.first() {
            let text = "no record goes for its age or its size, since it may be pinned";
            self.done.problems.push(format!("{}: {text}", sentence(error)));
        }
        if let Some(error) = choice.error.as_ref().filter(|_| unknown > 0) {
            let what = count(choice.unreadable, "record");
            let text = "what no record names stays, since it may be theirs";
            self.done.problems.push(format!("{}: {text} ({what})", sentence(error)));
        } else if unknown > 0 {
            let what = count(unknown, "record");
            self.done.notes.push(format!(
                "{what} of another version of the program: what no record names stays, since it \
                 may be theirs"
            ));
        }
    }

    fn stopped(&mut self) -> Result<(), FileError> {
        self.done.totals.unfinished = true;
        Ok(())
    }

    /// Whether to leave the rest as it is.
    fn is_stopped(&mut self) -> bool {
        let stopped = (self.stop)(Step::Remove) || self.done.problems.len() >= MAX_PROBLEMS;
        self.done.totals.unfinished |= stopped;
        stopped
    }

    /// Records first, so that at no time one names an object that is gone. Whether the objects may
    /// follow: not where it is not known any more what the records name that stay.
    fn records(&mut self, doomed: &[Doomed], records: &Records, objects: &mut Objects) -> bool {
        let mut known = true;
        for Doomed { entry, reason } in doomed {
            if self.is_stopped() {
                return false;
            }
            if !self.remove(&records.path(&entry.key), entry.time) {
                // It needs its objects still.
                match records.needs(&entry.key) {
                    Needs::Objects(record) => objects.change(&record, |object| object.refs += 1),
                    Needs::Nothing => {}
                    Needs::OfAnotherVersion | Needs::Unreadable(_) => {
                        known &= entry.unknown;
                        objects.unknown += 1;
                    }
                }
                continue;
            }
            self.done.totals.records += 1;
            self.went(What::Record, Name::Digest(entry.key), *reason, (entry.size, entry.time));
        }
        known
    }

    fn objects(&mut self, looking: &Looking<'_>, objects: &Objects) {
        let folder = self.home.objects();
        for object in &objects.all {
            let Some(reason) = looking.fate(object, objects.unknown > 0) else { continue };
            if self.is_stopped() {
                return;
            }
            if self.remove(&object.path(&folder), object.time) {
                self.done.totals.objects += 1;
                let name = Name::Digest(object.digest);
                self.went(What::Object, name, reason, (object.size, object.time));
            }
        }
    }

    /// What is neither a record nor an object.
    fn leftovers(&mut self, rules: &Rules) -> Result<(), FileError> {
        if self.is_stopped() {
            return Ok(());
        }
        let mut all = Vec::new();
        let mut add = |found: Vec<Leftover>, reason| {
            all.extend(found.into_iter().map(|left| (left, reason)));
        };
        let mut stale = survey::unique(&self.home.store_tmp())?;
        let at_rest = at_rest(self.home);
        if at_rest.is_some() {
            stale.extend(survey::unique(&self.home.recompress())?);
        }
        stale.retain(|left| rules.is_past_grace(left.time));
        add(stale, Reason::Stale);
        let mut damaged = survey::unique(&self.home.damaged())?;
        damaged.retain(|left| rules.is_old(left.time));
        add(damaged, Reason::Damaged);
        add(survey::locks(self.home)?, Reason::DeadLock);
        for (left, reason) in all {
            if self.is_stopped() {
                break;
            }
            let gone = self.leftover(&left.path, reason);
            if self.or_problem(gone) {
                self.done.totals.remains += 1;
                let of = (left.size, left.time);
                self.went(What::Leftover, Name::Path(left.path), reason, of);
            }
        }
        Ok(())
    }

    /// Whether it is gone, or would be.
    fn leftover(&self, path: &Path, reason: Reason) -> Result<bool, FileError> {
        if reason == Reason::DeadLock {
            return if self.dry_run { Ok(!store::is_held(path)) } else { store::remove_dead(path) };
        }
        if !self.dry_run {
            match path.symlink_metadata() {
                Ok(meta) if meta.is_dir() => fs::remove_dir_all(path)?,
                _ => fs::remove_file(path)?,
            }
        }
        Ok(true)
    }

    /// Whether it is gone, or would be.
    fn remove(&mut self, path: &Path, time: i64) -> bool {
        let gone = match self.dry_run {
            true => Ok(Swept::Gone),
            false => self.aside.sweep(path, time),
        };
        self.or_problem(gone.map(|swept| swept == Swept::Gone))
    }

    /// What cannot be removed stays, and the others go.
    fn or_problem(&mut self, gone: Result<bool, FileError>) -> bool {
        gone.unwrap_or_else(|error| {
            self.done.problems.push(sentence(&error));
            false
        })
    }

    fn went(&mut self, what: What, name: Name, reason: Reason, (bytes, time_ns): (u64, i64)) {
        let totals = &mut self.done.totals;
        totals.bytes += bytes;
        if what != What::Leftover {
            totals.kept_bytes = totals.kept_bytes.map(|kept| kept.saturating_sub(bytes));
            totals.kept_files = totals.kept_files.map(|kept| kept.saturating_sub(1));
        }
        self.done.removed.push(Gone { what, name, reason, bytes, time_ns });
    }
}

/// A folder of ours that is a link: what that leads to is not ours.
fn linked_folder(home: &Home) -> Option<PathBuf> {
    let cas = home.cache_dir().join("cas");
    let folders = [
        cas,
        home.objects(),
        home.records(),
        home.store_tmp(),
        home.damaged(),
        home.leases(),
        home.users(),
        home.going(),
        home.recompress(),
    ];
    folders.into_iter().find(|folder| folder.is_symlink())
}
