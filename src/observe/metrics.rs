//! The figures of a run as a JSON file, for `--metrics`.

use std::path::PathBuf;

use serde::Serialize;

use crate::base::{clock, fs};
use crate::event::{Event, Observer, Stamped, Summary};

/// Writes the file when the run has finished, in one step.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
}

impl Metrics {
    /// The file's folder must exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Observer for Metrics {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        let Event::RunFinished { summary } = &event.event else { return Ok(()) };
        let figures = Figures::new(summary, event.time_ns);
        let mut text = serde_json::to_vec_pretty(&figures).map_err(|error| error.to_string())?;
        text.push(b'\n');
        fs::write_atomic(&self.path, &text).map_err(|error| format!("{error}: {}", error.source))
    }

    fn name(&self) -> &'static str {
        "metrics"
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    timestamp: String,
    elapsed_seconds: f64,
    tasks: Tasks,
    cache: Cache,
    timing_ms: TimingMs,
}

#[derive(Debug, Serialize)]
struct Tasks {
    total: usize,
    executed: usize,
    /// Every task that did not need to run.
    cached: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct Cache {
    hits: usize,
    misses: usize,
    /// From 0 to 1.
    hit_rate: f64,
}

/// Of executed tasks.
#[derive(Debug, Serialize)]
struct TimingMs {
    total: u64,
    average: f64,
    min: u64,
    max: u64,
}

impl Figures {
    fn new(sum: &Summary, time_ns: i64) -> Self {
        Self {
            timestamp: clock::rfc3339(time_ns),
            elapsed_seconds: sum.elapsed_ms as f64 / 1000.0,
            tasks: Tasks {
                total: sum.total,
                executed: sum.executed,
                cached: sum.cached + sum.up_to_date,
                failed: sum.failed,
            },
            cache: Cache {
                hits: sum.cache_hits,
                misses: sum.cache_misses,
                hit_rate: ratio(sum.cache_hits as f64, sum.cache_hits + sum.cache_misses),
            },
            timing_ms: TimingMs {
                total: sum.timing.total_ms,
                average: ratio(sum.timing.total_ms as f64, sum.executed),
                min: sum.timing.min_ms,
                max: sum.timing.max_ms,
            },
        }
    }
}

/// To four places; of nothing it is 0.
fn ratio(part: f64, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { (part / whole as f64 * 10_000.0).round() / 10_000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timing;

    fn finished(summary: Summary) -> Stamped {
        Stamped {
            seq: 1,
            time_ns: 1_700_000_000_000_000_000,
            run: "r".into(),
            event: Event::RunFinished { summary },
        }
    }

    #[test]
    fn the_file_has_the_documented_form() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("m.json");
        let summary = Summary {
            total: 10,
            executed: 3,
            cached: 2,
            up_to_date: 4,
            failed: 1,
            cache_hits: 6,
            cache_misses: 1,
            timing: Timing { total_ms: 100, min_ms: 10, max_ms: 60 },
            elapsed_ms: 1234,
            ..Summary::default()
        };
        Metrics::new(path.clone()).observe(&finished(summary)).expect("a writable folder");
        let expected = r#"{
  "timestamp": "2023-11-14T22:13:20Z",
  "elapsed_seconds": 1.234,
  "tasks": {
    "total": 10,
    "executed": 3,
    "cached": 6,
    "failed": 1
  },
  "cache": {
    "hits": 6,
    "misses": 1,
    "hit_rate": 0.8571
  },
  "timing_ms": {
    "total": 100,
    "average": 33.3333,
    "min": 10,
    "max": 60
  }
}
"#;
        assert_eq!(String::from_utf8(fs::read(&path).expect("the file")).expect("text"), expected);
    }

    #[test]
    fn a_run_of_nothing_divides_by_nothing() {
        let figures = Figures::new(&Summary::default(), 0);
        assert_eq!(figures.cache.hit_rate, 0.0);
        assert_eq!(figures.timing_ms.average, 0.0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("none/m.json");
        let problem =
            Metrics::new(path).observe(&finished(Summary::default())).expect_err("no folder");
        assert!(problem.contains("none/m.json"), "{problem}");
    }
}
