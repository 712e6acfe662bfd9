//! Keeping the record of a run that succeeded, and what is said where the same key made something
//! else before.

use std::collections::BTreeMap;

use super::Bench;
use crate::base::{Digest, Kind};
use crate::cache::record::{Found, Look, Output, Record};
use crate::event::Event;
use crate::manifest::Task;

impl Bench<'_> {
    /// Puts the record under its key. Where one is there with other outputs, the first stays, as
    /// others may have built on it, unless it cannot be given any more or the user asked for a new
    /// one; either way it is told.
    pub(super) fn keep_record(&self, task: &Task, key: &Digest, record: &Record) {
        let first = match self.records.find(key, Look::Only) {
            Found::Record(first) => Some(first),
            Found::Nothing | Found::Damaged { .. } => None,
        };
        if let Some(first) = first {
            let outputs = unlike(&first.outputs, &record.outputs);
            if !outputs.is_empty() {
                let whole = first.objects().all(|(digest, size)| self.store.has(&digest, size));
                let replaced = self.options.force || !whole;
                let (task, key) = (task.name.clone(), *key);
                self.emitter.emit(Event::TaskNotReproducible { task, key, outputs, replaced });
                if !replaced {
                    return;
                }
            }
        }
        match self.records.put(key, record) {
            Ok(()) => self.emitter.emit(Event::CacheStored {
                task: task.name.clone(),
                key: *key,
                outputs: record.outputs.len(),
            }),
            Err(error) => self.degraded(&error),
        }
    }
}

/// The paths at which two results differ, sorted.
fn unlike(first: &[Output], second: &[Output]) -> Vec<String> {
    let is = |output: &Output| (output.kind, output.mode, output.digest);
    let known = |outputs: &[Output]| -> BTreeMap<Vec<u8>, (Kind, u32, Digest)> {
        outputs.iter().map(|output| (output.path.as_bytes().to_vec(), is(output))).collect()
    };
    let (first, second) = (known(first), known(second));
    let gone = first.keys().filter(|path| !second.contains_key(*path));
    let other = second.iter().filter(|(path, is)| first.get(*path) != Some(is));
    let mut paths: Vec<&Vec<u8>> = gone.chain(other.map(|(path, _)| path)).collect();
    paths.sort_unstable();
    paths.into_iter().map(|path| crate::base::text::shown(path).into_owned()).collect()
}
