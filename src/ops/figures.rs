//! The figures of a project over all its runs: kept when a run ends, and put together when
//! somebody asks. A figure that cannot be kept is lost, and the run is none the worse.
//!
//! Knows nothing of who asks.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use super::upkeep;
use crate::base::clock;
use crate::base::fs::{self, Context as _, FileError};
use crate::config::Config;
use crate::event::{CacheCount, Figures, LastRun, Measure, Measures, Summary, Totals};
use crate::home::Home;

/// Runs that had nothing to do leave at most so many bytes before one of them adds them up.
const MAX_NOTES: u64 = 64 * 1024;
/// How long a count of the cache is good, and how many times longer than it took.
const COUNT_HOLDS: Duration = Duration::from_secs(10);
const COUNT_FACTOR: u32 = 20;
/// Of the form of the file. Another one is treated as if it were not there.
const VERSION: u32 = 1;

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    totals: Totals,
    last: LastRun,
}

/// Adds a run that is over. The lock of the workspace is held.
pub(super) fn keep(home: &Home, summary: &Summary, measures: &Measures) {
    let last = last_run(summary);
    let kept = notes(home).and_then(|file| {
        fold(home, &file, |kept| {
            kept.totals.add_run(summary, measures);
            kept.last = last;
        })
    });
    tell(kept);
}

/// Notes a run that had nothing to do, at the cost of one line: no lock of the workspace, and
/// nothing read.
pub(super) fn note(home: &Home, summary: &Summary) {
    let LastRun { time_ns, memory_bytes, .. } = last_run(summary);
    let Summary { total, saved_ms, elapsed_ms, .. } = summary;
    let line = format!("{time_ns} {memory_bytes} {total} {saved_ms} {elapsed_ms}\n");
    let noted = notes(home).and_then(|mut file| {
        file.write_all(line.as_bytes()).at("write", &home.totals_notes())?;
        let length = file.metadata().at("examine", &home.totals_notes())?.len();
        if length > MAX_NOTES { fold(home, &file, |_| {}) } else { Ok(()) }
    });
    tell(noted);
}

/// Adds how long requests to a remote store took, outside of a run.
pub(super) fn keep_requests(home: &Home, measures: &Measures) {
    if measures.get(Measure::Remote).count() == 0 {
        return;
    }
    tell(notes(home).and_then(|file| fold(home, &file, |kept| kept.totals.add_measures(measures))));
}

fn tell(kept: Result<(), FileError>) {
    if let Err(error) = kept {
        let problem = format!("{error}: {}", error.source);
        tracing::debug!(problem, "figures of the run are lost");
    }
}

/// The notes, which are ours until the file is closed.
fn notes(home: &Home) -> Result<File, FileError> {
    let path = home.totals_notes();
    let file = fs::open_append(&path)?;
    file.lock().at("lock", &path)?;
    Ok(file)
}

/// Takes the notes in and changes the totals. Who is killed between the two writes leaves notes
/// that are counted twice; the other way round they would be lost.
fn fold(home: &Home, notes: &File, change: impl FnOnce(&mut Kept)) -> Result<(), FileError> {
    let mut kept = read(home);
    change(&mut kept);
    let text = serde_json::to_vec(&kept).unwrap_or_default();
    fs::write_atomic(&home.totals(), &text)?;
    notes.set_len(0).at("cut", &home.totals_notes())
}

/// The totals with the notes. What cannot be read is not there.
fn read(home: &Home) -> Kept {
    let parsed = std::fs::read(home.totals()).ok().and_then(|text| parse(&text));
    let mut kept = parsed.unwrap_or(Kept { version: VERSION, ..Kept::default() });
    let notes = std::fs::read(home.totals_notes()).unwrap_or_default();
    for run in String::from_utf8_lossy(&notes).lines().filter_map(parse_note) {
        kept.totals.add_run(&run.summary, &Measures::default());
        if run.time_ns >= kept.last.time_ns {
            kept.last = run;
        }
    }
    kept
}

fn parse(text: &[u8]) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(text).ok()?;
    (kept.version == VERSION).then_some(kept)
}

fn parse_note(line: &str) -> Option<LastRun> {
    let mut words = line.split(' ');
    let time_ns = words.next()?.parse().ok()?;
    let memory_bytes = words.next()?.parse().ok()?;
    let total = words.next()?.parse().ok()?;
    let saved_ms = words.next()?.parse().ok()?;
    let elapsed_ms = words.next()?.parse().ok()?;
    let (up_to_date, cache_hits) = (total, total);
    let some =
        Summary { total, up_to_date, cache_hits, saved_ms, elapsed_ms, ..Summary::default() };
    Some(LastRun { time_ns, memory_bytes, summary: some })
}

fn last_run(summary: &Summary) -> LastRun {
    LastRun { time_ns: clock::now_ns(), memory_bytes: own_memory(), summary: summary.clone() }
}

/// What this process used at most.
fn own_memory() -> u64 {
    let peak_kib = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    u64::try_from(peak_kib).unwrap_or(0).saturating_mul(1024)
}

/// The figures of the project that the process stands in.
pub fn figures(cache: &CacheCounter) -> Figures {
    Figures { cache: cache.count(), ..figures_of_runs(cache) }
}

/// The same without those of the cache, which take long to count.
pub fn figures_of_runs(cache: &CacheCounter) -> Figures {
    // Without the notes nobody can be adding them up.
    let notes = File::open(cache.home.totals_notes());
    let _held = notes.as_ref().map(File::lock_shared);
    let Kept { totals, last, .. } = read(&cache.home);
    Figures { totals, last, cache: None }
}

/// Counts the cache when somebody asks, and not again for some seconds.
#[derive(Debug)]
pub struct CacheCounter {
    home: Home,
    /// Until when it is good.
    counted: Mutex<Option<(Instant, Option<CacheCount>)>>,
}

impl CacheCounter {
    pub fn new(config: &Config) -> Self {
        Self::at(&config.cache.cache_dir)
    }

    fn at(cache_dir: &Path) -> Self {
        Self { home: Home::new(Some(cache_dir)), counted: Mutex::new(None) }
    }

    /// None: it cannot be read. Those who ask at the same time wait for one count.
    pub fn count(&self) -> Option<CacheCount> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = clock::instant();
        if let Some((until, count)) = *counted
            && begun < until
        {
            return count;
        }
        let count = upkeep::count(&self.home)
            .inspect_err(|error| {
                tracing::warn!(problem = %error.source, "cannot count the cache: {error}");
            })
            .ok();
        let now = clock::instant();
        let took = now.duration_since(begun).saturating_mul(COUNT_FACTOR);
        *counted = Some((now + COUNT_HOLDS.max(took), count));
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_half_a_note_is_none() {
        let run = parse_note("17 4096 3 250 12").expect("a whole note");
        let Summary { total, up_to_date, cache_hits, saved_ms, elapsed_ms, .. } = run.summary;
        assert_eq!((run.time_ns, run.memory_bytes), (17, 4096));
        assert_eq!((total, up_to_date, cache_hits, saved_ms, elapsed_ms), (3, 3, 3, 250, 12));
        for half in ["", "17", "17 4096 3 250", "17 4096 3 250 x", "a b c d e"] {
            assert_eq!(parse_note(half), None, "{half:?}");
        }
    }

    #[test]
    fn the_cache_is_counted_only_for_who_wants_to_know_of_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let counter = CacheCounter::at(folder.path());
        assert_eq!(figures_of_runs(&counter).cache, None);
        assert!(counter.counted.lock().expect("no panic").is_none());
        assert!(figures(&counter).cache.is_some());
        assert!(counter.counted.lock().expect("no panic").is_some());
    }

    #[test]
    fn totals_of_another_form_are_not_there() {
        let kept = Kept { version: VERSION, ..Kept::default() };
        let text = serde_json::to_string(&kept).expect("plain data");
        assert!(parse(text.as_bytes()).is_some());
        assert!(parse(text.replace("\"version\":1", "\"version\":2").as_bytes()).is_none());
        assert!(parse(&text.as_bytes()[..text.len() / 2]).is_none());
    }
}
