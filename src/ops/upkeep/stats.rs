//! What a cache holds, counted.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::Serialize;

use super::{named, walk};
use crate::base::{Digest, FileError, clock};
use crate::cache::record::{Found, Look, Records};
use crate::config::Config;
use crate::event::CacheCount;
use crate::home::Home;
use crate::ops::runs::{CacheHistory, cache_history};
use crate::ops::types::Error;

/// The figures of a cache.
#[derive(Debug, Default, Serialize)]
pub struct CacheStats {
    pub cache_dir: String,
    /// Records that can be used.
    pub total_entries: usize,
    /// Of the objects and the records.
    pub total_size_bytes: u64,
    pub cas_objects_count: usize,
    pub cas_objects_bytes: u64,
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

/// Counts the cache. Bytes are not read, names and sizes are.
pub fn cache_stats(config: &Config) -> Result<CacheStats, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    let records = Records::new(&home);
    let cache_dir = home.cache_dir().display().to_string();
    let mut stats = CacheStats { cache_dir, ..CacheStats::default() };
    let mut wanted: HashSet<Digest> = HashSet::new();
    let mut times: Option<(i64, i64)> = None;
    each(&home.records(), |key, data| {
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
        wanted.extend(named(&record).map(|(_, digest, _)| digest));
        let time = data.mtime().saturating_mul(1_000_000_000).saturating_add(data.mtime_nsec());
        let (oldest, newest) = times.unwrap_or((time, time));
        times = Some((oldest.min(time), newest.max(time)));
    })?;
    each(&home.objects(), |digest, data| {
        stats.cas_objects_count += 1;
        stats.cas_objects_bytes += data.len();
        if !wanted.contains(digest) {
            stats.orphans_count += 1;
            stats.orphans_bytes += data.len();
        }
    })?;
    stats.total_size_bytes += stats.cas_objects_bytes;
    stats.oldest = times.map(|(oldest, _)| clock::rfc3339(oldest));
    stats.newest = times.map(|(_, newest)| clock::rfc3339(newest));
    (stats.hit_rate, stats.history) = cache_history(&home)?;
    Ok(stats)
}

/// Counts by names and sizes alone: no file is opened, however many there are.
pub(in crate::ops) fn count(home: &Home) -> Result<CacheCount, FileError> {
    let mut count = CacheCount::default();
    each(&home.objects(), |_, data| {
        count.objects += 1;
        count.object_bytes += data.len();
    })?;
    each(&home.records(), |_, _| count.entries += 1)?;
    Ok(count)
}

/// Calls `take` for everything below `folder` that has a name of ours; what goes away meanwhile
/// is left out.
fn each(folder: &Path, mut take: impl FnMut(&Digest, &std::fs::Metadata)) -> Result<(), FileError> {
    for shelf in walk::shelves(folder)? {
        for item in shelf.items()? {
            if let (Some(digest), Ok(data)) = (&item.digest, item.path.symlink_metadata()) {
                take(digest, &data);
            }
        }
    }
    Ok(())
}
