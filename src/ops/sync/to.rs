//! What the local cache has and the remote store has not. An object is proved before it is sent,
//! and a record is sent when all that it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::pool::each;
use super::{Direction, Synced, open, record_bytes};
use crate::base::Digest;
use crate::base::http::Payload;
use crate::cache::record::{Record, Records};
use crate::config::Config;
use crate::event::Emitter;
use crate::home::Home;
use crate::ops::types::Error;
use crate::ops::{figures, security};
use crate::store::remote::{Name, Opened, Presence, Remote};
use crate::store::{DiskStore, open_bare, read_object};

/// Up to this size an object is read once, and sent from memory.
const SMALL: u64 = 4 << 20;

/// An object by its digest, with its size.
type Object = (Digest, u64);

/// What became of one thing.
enum Sent {
    Now,
    /// It was there.
    Before,
    /// It is not here as it should be.
    Bad(String),
}

/// An error where the settings do not let anything be sent. Connects to nothing.
pub fn may_sync_to(config: &Config) -> Result<(), Error> {
    open(&config.remote_cas, Direction::ToRemote).map(drop)
}

/// Sends what the remote store does not have yet.
pub fn sync_to(config: &Config, dry_run: bool) -> Result<Synced, Error> {
    let opened = open(&config.remote_cas, Direction::ToRemote)?;
    let home = Home::new(Some(&config.cache.cache_dir));
    security::refuse_exposed(&home, &Emitter::new(String::new(), Vec::new()))?;
    let sent = send(&opened, &home, dry_run);
    if !dry_run {
        figures::keep_requests(&home, &opened.remote.measures());
    }
    sent
}

fn send(opened: &Opened, home: &Home, dry_run: bool) -> Result<Synced, Error> {
    let sender = Sender {
        remote: &opened.remote,
        tmp: home.store_tmp(),
        store: DiskStore::new(home),
        records: Records::new(home),
        dry_run,
    };
    let mut done = Synced::new(Direction::ToRemote, opened, dry_run);
    let records = sender.load(&mut done)?;
    let objects: Vec<Object> =
        records.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut bad: BTreeMap<Object, String> = BTreeMap::new();
    for (object, sent) in objects.iter().zip(each(&objects, |object| sender.object(object))?) {
        match sent {
            Sent::Now => {
                done.objects += 1;
                done.bytes += object.1;
            }
            Sent::Before => done.objects_there += 1,
            Sent::Bad(problem) => {
                bad.insert(*object, problem);
            }
        }
    }
    let mut whole = Vec::new();
    for (key, objects) in &records {
        match objects.iter().find_map(|object| Some((object, bad.get(object)?))) {
            None => whole.push(*key),
            Some(((digest, _), problem)) => {
                let why = format!("its object {}: {problem}", digest.short());
                done.leave_out(format!("record {}", key.short()), why);
            }
        }
    }
    for (key, sent) in whole.iter().zip(each(&whole, |key| sender.record(key))?) {
        match sent {
            Sent::Now => done.records += 1,
            Sent::Before => done.records_there += 1,
            Sent::Bad(problem) => done.leave_out(format!("record {}", key.short()), problem),
        }
    }
    Ok(done.sorted())
}

struct Sender<'a> {
    remote: &'a dyn Remote,
    /// For what is compressed here and sent bare.
    tmp: PathBuf,
    store: DiskStore,
    records: Records,
    dry_run: bool,
}

impl Sender<'_> {
    /// The keys of the records that are whole, with the objects of each.
    fn load(&self, done: &mut Synced) -> Result<BTreeMap<Digest, Vec<Object>>, Error> {
        let mut all = BTreeMap::new();
        for key in self.records.keys()? {
            match self.records.load(&key) {
                Ok((_, record)) => {
                    all.insert(key, record.objects().collect());
                }
                Err(problem) => done.leave_out(format!("record {}", key.short()), problem),
            }
        }
        Ok(all)
    }

    fn object(&self, &(digest, size): &Object) -> Result<Sent, Error> {
        let name = Name::object(digest);
        match self.remote.look_for(&name)? {
            // One that the store does not measure is taken for whole.
            Presence::There(length) if length.is_none_or(|length| length == size) => {
                return Ok(Sent::Before);
            }
            Presence::There(_) | Presence::Absent => {}
        }
        let path = self.store.path(&digest);
        if size <= SMALL {
            let mut bytes = Vec::new();
            return match read_object(&path, &digest, size, &mut bytes) {
                Ok(()) => self.put(&name, Payload::Bytes(&bytes)),
                Err(flaw) => Ok(Sent::Bad(flaw.to_string())),
            };
        }
        match open_bare(&self.store, &digest, size, &self.tmp) {
            Ok(file) => self.put(&name, Payload::File(&file, size)),
            Err(flaw) => Ok(Sent::Bad(flaw.to_string())),
        }
    }

    /// The record, unless the store has one for this key: that one is as good.
    fn record(&self, key: &Digest) -> Result<Sent, Error> {
        let name = Name::record(*key);
        let there = record_bytes(self.remote, &name)?;
        if let Ok(Some(bytes)) = there
            && Record::parse(&bytes, key).is_ok()
        {
            return Ok(Sent::Before);
        }
        match self.records.load(key) {
            Ok((bytes, _)) => self.put(&name, Payload::Bytes(&bytes)),
            Err(problem) => Ok(Sent::Bad(problem)),
        }
    }

    fn put(&self, name: &Name, payload: Payload<'_>) -> Result<Sent, Error> {
        if !self.dry_run {
            self.remote.put(name, payload)?;
        }
        Ok(Sent::Now)
    }
}
