//! The figures of a run as a JSON file, for `--metrics`: while it goes on, and at its end.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;

use crate::base::{clock, fs};
use crate::event::{Event, Observer, Stamped, Summary, Tally};

/// Writes the file, in one step each time.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    interval: Duration,
    so_far: Arc<Mutex<SoFar>>,
    ticker: Option<Ticker>,
}

#[derive(Debug, Default)]
struct SoFar {
    tally: Tally,
    began_ns: i64,
}

impl Metrics {
    /// The file's folder must exist. While the run goes on the file is written in this interval.
    pub fn new(path: PathBuf, interval: Duration) -> Self {
        Self { path, interval, so_far: Arc::default(), ticker: None }
    }

    /// From the first command on: a run that has none starts no thread.
    fn tick(&mut self) {
        if self.ticker.is_none() {
            self.ticker = Ticker::start(&self.path, self.interval, &self.so_far);
        }
    }
}

impl Observer for Metrics {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        {
            let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
            so_far.tally.fold(event);
            if matches!(event.event, Event::RunStarted { .. }) {
                so_far.began_ns = event.time_ns;
            }
        }
        match &event.event {
            Event::TaskStarted { .. } => self.tick(),
            Event::RunFinished { summary } => {
                // It must not write after us.
                self.ticker = None;
                return write(&self.path, &Figures::new(summary, event.time_ns, true));
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "metrics"
    }
}

/// A thread that writes the figures again and again, until this is dropped.
#[derive(Debug)]
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// None: the machine is out of threads. The figures are still written at the end.
    fn start(path: &Path, interval: Duration, so_far: &Arc<Mutex<SoFar>>) -> Option<Self> {
        let (path, so_far) = (path.to_path_buf(), Arc::clone(so_far));
        let (stop, stopped) = mpsc::channel::<()>();
        let tick = move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let figures = so_far.lock().unwrap_or_else(PoisonError::into_inner).figures();
                if let Err(problem) = write(&path, &figures) {
                    // The end of the run says it to everyone.
                    tracing::warn!(problem, "figures of the run cannot be written");
                }
            }
        };
        let thread = thread::Builder::new().name("metrics".into()).spawn(tick).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl SoFar {
    fn figures(&self) -> Figures {
        let now_ns = clock::now_ns();
        let elapsed = u64::try_from(now_ns - self.began_ns).unwrap_or(0);
        Figures::new(&self.tally.summary(Duration::from_nanos(elapsed)), now_ns, false)
    }
}

fn write(path: &Path, figures: &Figures) -> Result<(), String> {
    let mut text = serde_json::to_vec_pretty(figures).map_err(|error| error.to_string())?;
    text.push(b'\n');
    fs::write_atomic(path, &text).map_err(|error| format!("{error}: {}", error.source))
}

#[derive(Debug, Serialize)]
struct Figures {
    timestamp: String,
    elapsed_seconds: f64,
    tasks: Tasks,
    cache: Cache,
    timing_ms: TimingMs,
    run: Run,
    resources: Resources,
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

#[derive(Debug, Serialize)]
struct Run {
    /// False while it goes on.
    finished: bool,
    /// The signal that ended it early.
    interrupted: Option<i32>,
    skipped: usize,
    cancelled: usize,
    retries: usize,
    timeouts: usize,
    cache_errors: usize,
    access_errors: usize,
    /// What the tasks that did not run took when they last did.
    saved_ms: u64,
}

/// What the commands used.
#[derive(Debug, Serialize)]
struct Resources {
    cpu_ms: u64,
    /// 100 is one core.
    cpu_usage_percent: f64,
    /// Of the largest process.
    peak_memory_bytes: u64,
}

impl Figures {
    fn new(sum: &Summary, time_ns: i64, finished: bool) -> Self {
        Self {
            timestamp: clock::rfc3339(time_ns),
            elapsed_seconds: sum.elapsed_ms as f64 / 1000.0,
            tasks: Tasks {
                total: sum.total,
                executed: sum.executed,
                cached: sum.settled(),
                failed: sum.failed,
            },
            cache: Cache {
                hits: sum.cache_hits,
                misses: sum.cache_misses,
                hit_rate: rounded(sum.hit_ratio()),
            },
            timing_ms: TimingMs {
                total: sum.timing.total_ms,
                average: rounded(sum.average_ms()),
                min: sum.timing.min_ms,
                max: sum.timing.max_ms,
            },
            run: Run {
                finished,
                interrupted: sum.interrupted,
                skipped: sum.skipped,
                cancelled: sum.cancelled,
                retries: sum.retries,
                timeouts: sum.timeouts,
                cache_errors: sum.cache_errors,
                access_errors: sum.access_errors,
                saved_ms: sum.saved_ms,
            },
            resources: Resources {
                cpu_ms: sum.cpu_ms,
                cpu_usage_percent: rounded(sum.busy_cores() * 100.0),
                peak_memory_bytes: sum.peak_rss_bytes,
            },
        }
    }
}

/// To four places.
fn rounded(figure: f64) -> f64 {
    (figure * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timing;

    fn metrics(path: PathBuf) -> Metrics {
        Metrics::new(path, Duration::from_secs(60))
    }

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
            elapsed_ms: 1000,
            retries: 2,
            interrupted: Some(15),
            cpu_ms: 1500,
            peak_rss_bytes: 4096,
            ..Summary::default()
        };
        metrics(path.clone()).observe(&finished(summary)).expect("a writable folder");
        let expected = r#"{
  "timestamp": "2023-11-14T22:13:20Z",
  "elapsed_seconds": 1.0,
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
  },
  "run": {
    "finished": true,
    "interrupted": 15,
    "skipped": 0,
    "cancelled": 0,
    "retries": 2,
    "timeouts": 0,
    "cache_errors": 0,
    "access_errors": 0,
    "saved_ms": 0
  },
  "resources": {
    "cpu_ms": 1500,
    "cpu_usage_percent": 150.0,
    "peak_memory_bytes": 4096
  }
}
"#;
        assert_eq!(String::from_utf8(fs::read(&path).expect("the file")).expect("text"), expected);
    }

    #[test]
    fn a_run_of_nothing_divides_by_nothing() {
        let figures = Figures::new(&Summary::default(), 0, true);
        assert_eq!(figures.cache.hit_rate, 0.0);
        assert_eq!(figures.timing_ms.average, 0.0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("none/m.json");
        let problem = metrics(path).observe(&finished(Summary::default())).expect_err("no folder");
        assert!(problem.contains("none/m.json"), "{problem}");
    }
}
