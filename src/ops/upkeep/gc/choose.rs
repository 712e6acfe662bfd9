//! What goes, and why: a decision over what was found. Nothing is removed here.

use std::collections::BTreeSet;

use super::survey::{self, Entry, Object, Objects};
use super::{Reason, Rules, Stop};
use crate::base::Digest;
use crate::cache::record::{Record, Records};
use crate::store::DiskStore;

/// What is collected down to, where there is too much: so much less than the limit that the next
/// run does not have to collect again.
fn goal(limit: u64) -> u64 {
    limit - limit / 10
}

/// A record that goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doomed {
    pub entry: Entry,
    pub reason: Reason,
}

/// What the decision needs to look at.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    pub rules: &'a Rules,
    pub records: &'a Records,
    pub store: &'a DiskStore,
    pub pinned: &'a BTreeSet<Digest>,
}

impl Looking<'_> {
    /// Which records go. Afterwards the objects know how many of the others name them.
    /// None: it was to stop.
    pub(super) fn choose(
        &self,
        entries: &[Entry],
        objects: &mut Objects,
        stop: &Stop<'_>,
    ) -> Option<Vec<Doomed>> {
        let mut doomed = Vec::new();
        let mut stay = Vec::new();
        for entry in entries {
            if stop() {
                return None;
            }
            match self.alone(entry, objects) {
                Some(reason) => doomed.push(Doomed { entry: *entry, reason }),
                None => stay.push(*entry),
            }
        }
        doomed.extend(self.to_size(stay, objects));
        doomed.sort_unstable_by_key(|doomed| doomed.entry.key);
        Some(doomed)
    }

    /// Why a record goes whatever else there is. One that stays is counted at its objects.
    fn alone(&self, entry: &Entry, objects: &mut Objects) -> Option<Reason> {
        let is_pinned = self.pinned.contains(&entry.key);
        // Of another version, or damaged: it can only be too old.
        let record = survey::read(self.records, &entry.key);
        let spared = self.rules.is_protected(entry.time);
        let whole = record.as_ref().is_none_or(|record| objects.hold(record, self.store));
        let reason = if spared {
            None
        } else if !whole {
            Some(Reason::Dangling)
        } else if !is_pinned && self.rules.is_old(entry.time) {
            Some(Reason::Age)
        } else {
            None
        };
        if let Some(record) = record {
            objects.change(&record, |object| {
                object.named = true;
                object.refs += u32::from(reason.is_none());
                object.pinned |= is_pinned && reason.is_none();
            });
        }
        reason
    }

    /// Of the records that may stay, those that were not used for longest, until what is left is
    /// small enough.
    fn to_size(&self, stay: Vec<Entry>, objects: &mut Objects) -> Vec<Doomed> {
        let Some(limit) = self.rules.limit else { return Vec::new() };
        let held: u64 = stay.iter().map(|entry| entry.size).sum();
        let kept = objects.0.iter().filter(|object| self.fate(object).is_none());
        let mut total = held + kept.map(|object| object.size).sum::<u64>();
        if total <= limit {
            return Vec::new();
        }
        let mut stay = stay;
        stay.retain(|entry| {
            !self.pinned.contains(&entry.key) && !self.rules.is_protected(entry.time)
        });
        stay.sort_unstable_by_key(|entry| (entry.time, entry.key));
        let mut doomed = Vec::new();
        for entry in stay {
            if total <= goal(limit) {
                break;
            }
            total = total.saturating_sub(entry.size);
            if let Some(record) = survey::read(self.records, &entry.key) {
                total = total.saturating_sub(self.release(&record, objects));
            }
            doomed.push(Doomed { entry, reason: Reason::Size });
        }
        doomed
    }

    /// The record names its objects no more; how many bytes go with it.
    fn release(&self, record: &Record, objects: &mut Objects) -> u64 {
        let mut freed = 0;
        objects.change(record, |object| {
            object.refs = object.refs.saturating_sub(1);
            if object.refs == 0 && self.fate(object).is_some() {
                freed += object.size;
            }
        });
        freed
    }

    /// Why an object goes.
    pub(super) fn fate(&self, object: &Object) -> Option<Reason> {
        let rules = self.rules;
        if object.refs > 0 || rules.is_protected(object.time) {
            None
        } else if object.named {
            Some(Reason::Unneeded)
        } else {
            // Who has just put it there may not be known to be at work.
            rules.is_past_grace(object.time).then_some(Reason::Orphan)
        }
    }
}
