//! The figures of a run as a table, for `--stats`.

use std::fmt::Write as _;
use std::io::Write;

use super::paint::Paint;
use super::sink::Sink;
use super::words;
use crate::base::ByteSize;
use crate::event::{Event, Observer, Stamped, Summary};

/// Writes the table when the run has finished.
#[derive(Debug)]
pub struct Stats<W> {
    out: Sink<W>,
    paint: Paint,
}

impl<W: Write> Stats<W> {
    pub fn new(out: W, paint: Paint) -> Self {
        Self { out: Sink::new(out), paint }
    }
}

impl<W: Write + Send> Observer for Stats<W> {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        match &event.event {
            Event::RunFinished { summary } => self.out.put(table(summary, self.paint).as_bytes()),
            _ => Ok(()),
        }
    }

    fn name(&self) -> &'static str {
        "stats"
    }
}

fn table(sum: &Summary, paint: Paint) -> String {
    let rate = match sum.cache_hits + sum.cache_misses {
        0 => "none asked".to_owned(),
        _ => format!("{:.1} %", sum.hit_ratio() * 100.0),
    };
    let ran = |ms: u64| if sum.executed == 0 { "-".to_owned() } else { words::duration(ms) };
    let average = sum.timing.total_ms / u64::try_from(sum.executed.max(1)).unwrap_or(u64::MAX);
    let peak = match sum.peak_rss_bytes {
        0 => "-".to_owned(),
        peak => ByteSize(peak).to_string(),
    };
    let groups: [(&str, Vec<(&str, String)>); 3] = [
        (
            "tasks",
            vec![
                ("total", sum.total.to_string()),
                ("executed", sum.executed.to_string()),
                ("cached", sum.cached.to_string()),
                ("up to date", sum.up_to_date.to_string()),
                ("failed", sum.failed.to_string()),
                ("skipped", sum.skipped.to_string()),
                ("cancelled", sum.cancelled.to_string()),
                ("retries", sum.retries.to_string()),
            ],
        ),
        (
            "cache",
            vec![
                ("hits", sum.cache_hits.to_string()),
                ("misses", sum.cache_misses.to_string()),
                ("hit rate", rate),
                ("time saved", words::duration(sum.saved_ms)),
            ],
        ),
        (
            "time",
            vec![
                ("of the run", words::duration(sum.elapsed_ms)),
                ("of all tasks", ran(sum.timing.total_ms)),
                ("average", ran(average)),
                ("shortest", ran(sum.timing.min_ms)),
                ("longest", ran(sum.timing.max_ms)),
                ("peak memory", peak),
            ],
        ),
    ];
    let mut out = String::new();
    for (group, rows) in groups {
        writeln!(out, "{}", paint.bold(group)).expect("writing to a string cannot fail");
        for (name, value) in rows {
            writeln!(out, "  {name:12}  {value:>10}").expect("writing to a string cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timing;

    fn stamped(event: Event) -> Stamped {
        Stamped { seq: 1, time_ns: 0, run: "r".into(), event }
    }

    #[test]
    fn the_table_has_all_figures_of_a_run() {
        let mut stats = Stats::new(Vec::new(), Paint(false));
        let summary = Summary {
            total: 10,
            executed: 3,
            cached: 2,
            up_to_date: 4,
            failed: 1,
            cache_hits: 6,
            cache_misses: 2,
            timing: Timing { total_ms: 3000, min_ms: 500, max_ms: 2000 },
            elapsed_ms: 2500,
            saved_ms: 61_000,
            peak_rss_bytes: 3 << 20,
            ..Summary::default()
        };
        stats.observe(&stamped(Event::RunFinished { summary })).expect("a vector takes everything");
        let expected = "\
tasks
  total                 10
  executed               3
  cached                 2
  up to date             4
  failed                 1
  skipped                0
  cancelled              0
  retries                0
cache
  hits                   6
  misses                 2
  hit rate          75.0 %
  time saved         1m01s
time
  of the run         2.50s
  of all tasks       3.00s
  average            1.00s
  shortest           0.50s
  longest            2.00s
  peak memory      3.0 MiB
";
        assert_eq!(String::from_utf8_lossy(stats.out.inner()), expected);
    }

    #[test]
    fn a_run_of_nothing_divides_by_nothing() {
        let text = table(&Summary::default(), Paint(false));
        assert!(text.contains("hit rate      none asked\n"), "{text}");
        assert!(text.contains("average                -\n"), "{text}");
    }
}
