//! What a cache holds, counted.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::Serialize;

use super::named;
use super::walk::{self, Item, Names};
use crate::base::{Digest, FileError, clock};
use crate::cache::record::{Found, Look, Records};
use crate::config::Config;
use crate::event::CacheCount;
use crate::home::Home;
use crate::ops::runs::{CacheHistory, cache_history};
use crate::ops::types::Error;
use crate::store::Form;

/// The figures of a cache.
#[derive(Debug, Default, Serialize)]
pub struct CacheStats {
    pub cache_dir: String,
    /// Records that can be used.
    pub total_entries: usize,
    /// Of the objects and the records.
    pub total_size_bytes: u64,
    pub cas_objects_count: usize,
    /// As they lie there, compressed or not.
    pub cas_objects_bytes: u64,
    /// The same objects as bare bytes. What is compressed and named by no record that can be used
    /// counts as it lies there.
    pub cas_raw_bytes: u64,
    /// How much of these bytes is stored: 1 where nothing is compressed.
    pub compression_ratio: f64,
    /// In how many files of each form the objects lie.
    pub forms: BTreeMap<Form, FormCount>,
    /// Objects that no record names.
    pub orphans_count: usize,
    pub orphans_bytes: u64,
    /// Records that cannot be used.
    pub damaged_entries: usize,
    /// When the oldest and the newest record were written.
    pub oldest: Option<String>,
    pub newest: Option<String>,
    /// What running everything again took once: what the cache can save.
    pub recorded_ms: u64,
    /// Hits of all that was asked in the last runs, from 0 to 1; none: nothing was.
    pub hit_rate: Option<f64>,
    /// What it did in them.
    pub history: CacheHistory,
}

/// The objects in one form.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FormCount {
    pub objects: usize,
    pub bytes: u64,
    pub raw_bytes: u64,
}

/// Counts the cache. Bytes are not read, names and sizes are.
pub fn cache_stats(config: &Config) -> Result<CacheStats, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    let records = Records::new(&home);
    let cache_dir = home.cache_dir().display().to_string();
    let mut stats = CacheStats { cache_dir, ..CacheStats::default() };
    let mut wanted: HashMap<Digest, u64> = HashMap::new();
    let mut times: Option<(i64, i64)> = None;
    each(&home.records(), Names::Records, |key, _, data| {
        let found = records.find(key, Look::Only);
        if matches!(found, Found::Nothing) {
            return;
        }
        stats.total_size_bytes += data.len();
        let Found::Record(record) = found else {
            stats.damaged_entries += 1;
            return;
        };
        stats.total_entries += 1;
        stats.recorded_ms = stats.recorded_ms.saturating_add(record.usage.duration_ms);
        wanted.extend(named(&record).map(|(_, digest, size)| (digest, size)));
        let time = data.mtime().saturating_mul(1_000_000_000).saturating_add(data.mtime_nsec());
        let (oldest, newest) = times.unwrap_or((time, time));
        times = Some((oldest.min(time), newest.max(time)));
    })?;
    each(&home.objects(), Names::Objects, |digest, form, data| {
        let stored = data.len();
        let size = wanted.get(digest);
        let raw = if form == Form::Bare { stored } else { size.copied().unwrap_or(stored) };
        stats.cas_objects_count += 1;
        stats.cas_objects_bytes += stored;
        stats.cas_raw_bytes = stats.cas_raw_bytes.saturating_add(raw);
        let of_form = stats.forms.entry(form).or_default();
        of_form.objects += 1;
        of_form.bytes += stored;
        of_form.raw_bytes = of_form.raw_bytes.saturating_add(raw);
        if size.is_none() {
            stats.orphans_count += 1;
            stats.orphans_bytes += stored;
        }
    })?;
    stats.compression_ratio = ratio(stats.cas_objects_bytes, stats.cas_raw_bytes);
    stats.total_size_bytes += stats.cas_objects_bytes;
    stats.oldest = times.map(|(oldest, _)| clock::rfc3339(oldest));
    stats.newest = times.map(|(_, newest)| clock::rfc3339(newest));
    (stats.hit_rate, stats.history) = cache_history(&home)?;
    Ok(stats)
}

/// Counts by names and sizes alone: no file is opened, however many there are.
pub(in crate::ops) fn count(home: &Home) -> Result<CacheCount, FileError> {
    let mut count = CacheCount::default();
    each(&home.objects(), Names::Objects, |_, _, data| {
        count.objects += 1;
        count.object_bytes += data.len();
    })?;
    each(&home.records(), Names::Records, |_, _, _| count.entries += 1)?;
    Ok(count)
}

/// Calls `take` for everything below `folder` that has a name of ours; what goes away meanwhile
/// is left out.
fn each(
    folder: &Path,
    names: Names,
    mut take: impl FnMut(&Digest, Form, &Metadata),
) -> Result<(), FileError> {
    for shelf in walk::shelves(folder)? {
        for Item { path, digest, form } in shelf.items(names)? {
            if let (Some(digest), Ok(data)) = (&digest, path.symlink_metadata()) {
                take(digest, form, &data);
            }
        }
    }
    Ok(())
}

/// The share of `raw` that `stored` is, with three places.
fn ratio(stored: u64, raw: u64) -> f64 {
    if raw == 0 { 1.0 } else { (stored as f64 / raw as f64 * 1000.0).round() / 1000.0 }
}
