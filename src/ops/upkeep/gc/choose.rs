//! What goes, and why: a decision over what was found. Nothing is removed here.

use super::pins::Pinned;
use super::survey::{Entry, Object, Objects};
use super::{Reason, Rules, Step, Stop};
use crate::base::FileError;
use crate::cache::record::{Needs, Record, Records};
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

/// What goes of the records, and what could not be known of them.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub doomed: Vec<Doomed>,
    /// It was to stop before all records were read: what an object is needed for is not known.
    pub unread: bool,
    /// It was to stop before all was chosen.
    pub unfinished: bool,
    /// Records that could not be read: how many, and why the first of them.
    pub unreadable: usize,
    pub error: Option<FileError>,
}

/// What the decision needs to look at.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    pub rules: &'a Rules,
    pub records: &'a Records,
    pub store: &'a DiskStore,
    pub pinned: &'a Pinned,
}

impl Looking<'_> {
    /// Which records go. Afterwards the objects know how many of the others name them. Where it
    /// was to stop in the middle, those go of which it is known by then.
    pub(super) fn choose(
        &self,
        entries: &[Entry],
        objects: &mut Objects,
        stop: &Stop<'_>,
    ) -> Choice {
        let mut choice = Choice::default();
        let mut stay = Vec::new();
        for entry in entries {
            choice.unread = choice.unread || stop(Step::Look);
            // What is too old is so without a look into it.
            let needs = match choice.unread {
                true => Needs::Nothing,
                false => self.records.needs(&entry.key),
            };
            let unknown = matches!(needs, Needs::OfAnotherVersion | Needs::Unreadable(_));
            let entry = Entry { unknown, ..*entry };
            match self.alone(&entry, &needs, objects) {
                Some(reason) => choice.doomed.push(Doomed { entry, reason }),
                None => {
                    objects.unknown += usize::from(unknown);
                    stay.push(entry);
                }
            }
            if let Needs::Unreadable(error) = needs {
                choice.unreadable += 1;
                choice.error.get_or_insert(error);
            }
        }
        choice.unfinished = choice.unread;
        if !choice.unread {
            self.to_size(stay, objects, stop, &mut choice);
        }
        choice.doomed.sort_unstable_by_key(|doomed| doomed.entry.key);
        choice
    }

    /// Why a record goes whatever else there is. One that stays is counted at its objects.
    fn alone(&self, entry: &Entry, needs: &Needs, objects: &mut Objects) -> Option<Reason> {
        // What is damaged or not known can only be too old.
        let record = match needs {
            Needs::Objects(record) => Some(record),
            Needs::Nothing | Needs::OfAnotherVersion | Needs::Unreadable(_) => None,
        };
        let spared = self.rules.is_protected(entry.time);
        let whole = record.is_none_or(|record| objects.hold(record, self.store));
        let reason = if spared {
            None
        } else if !whole {
            Some(Reason::Dangling)
        } else if !self.pinned.may_hold(&entry.key) && self.rules.is_old(entry.time) {
            Some(Reason::Age)
        } else {
            None
        };
        if let Some(record) = record {
            let is_pinned = self.pinned.keys.contains(&entry.key);
            objects.change(record, |object| {
                object.named = true;
                object.refs += u32::from(reason.is_none());
                object.pinned |= is_pinned && reason.is_none();
            });
        }
        reason
    }

    /// Of the records that may stay, those that were not used for longest, until what is left is
    /// small enough.
    fn to_size(
        &self,
        mut stay: Vec<Entry>,
        objects: &mut Objects,
        stop: &Stop<'_>,
        choice: &mut Choice,
    ) {
        let Some(limit) = self.rules.limit else { return };
        let held: u64 = stay.iter().map(|entry| entry.size).sum();
        let kept = objects.all.iter().filter(|object| self.fate(object, false).is_none());
        let mut total = held + kept.map(|object| object.size).sum::<u64>();
        stay.retain(|entry| {
            !self.pinned.may_hold(&entry.key) && !self.rules.is_protected(entry.time)
        });
        // What only records can need of which nothing is known goes with the last of those. Where
        // one of them cannot go, no other record makes room for it.
        let may_go = stay.iter().filter(|entry| entry.unknown).count() == objects.unknown;
        let orphans = if may_go { self.orphans(objects) } else { 0 };
        total += orphans;
        if total <= limit {
            return;
        }
        stay.sort_unstable_by_key(|entry| (entry.time, entry.key));
        for entry in stay {
            if total <= goal(limit) {
                return;
            }
            if stop(Step::Look) {
                choice.unfinished = true;
                return;
            }
            total = total.saturating_sub(entry.size);
            if entry.unknown {
                objects.unknown -= 1;
                total = total.saturating_sub(if objects.unknown == 0 { orphans } else { 0 });
            } else if let Needs::Objects(record) = self.records.needs(&entry.key) {
                total = total.saturating_sub(self.release(&record, objects));
            }
            choice.doomed.push(Doomed { entry, reason: Reason::Size });
        }
    }

    /// How many bytes stay only since it is not known whether a record names them.
    fn orphans(&self, objects: &Objects) -> u64 {
        let is_one = |object: &&Object| self.fate(object, false) == Some(Reason::Orphan);
        match objects.unknown {
            0 => 0,
            _ => objects.all.iter().filter(is_one).map(|object| object.size).sum(),
        }
    }

    /// The record names its objects no more; how many bytes go with it.
    fn release(&self, record: &Record, objects: &mut Objects) -> u64 {
        let mut freed = 0;
        objects.change(record, |object| {
            object.refs = object.refs.saturating_sub(1);
            if object.refs == 0 && self.fate(object, false).is_some() {
                freed += object.size;
            }
        });
        freed
    }

    /// Why an object goes. It may be `needed` by a record of which nothing is known, if none names
    /// it that is.
    pub(super) fn fate(&self, object: &Object, needed: bool) -> Option<Reason> {
        let rules = self.rules;
        if object.refs > 0 || rules.is_protected(object.time) {
            None
        } else if object.named {
            Some(Reason::Unneeded)
        } else {
            // Who has just put it there may not be known to be at work.
            (!needed && rules.is_past_grace(object.time)).then_some(Reason::Orphan)
        }
    }
}
