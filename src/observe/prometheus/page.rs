//! Figures as a page for Prometheus. Every name, type and unit is here, and nowhere else.
//!
//! Labels have a few fixed values each: none is the name of a task.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Registry, TextEncoder};

use crate::event::{Figures, Limit, Measure, Measures, Summary, Totals};

/// What the page is, for whoever serves it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page. `project` becomes a label of every line: files of several projects that one
/// node_exporter reads must differ in it.
pub fn page(figures: Figures, project: Option<&str>) -> String {
    let labels = project.map(|name| HashMap::from([("project".to_owned(), name.to_owned())]));
    let page = Registry::new_custom(None, labels).and_then(|registry| {
        registry.register(Box::new(Collected(figures)))?;
        TextEncoder::new().encode_to_string(&registry.gather())
    });
    page.expect("names and labels are fixed, and of a good form")
}

struct Collected(Figures);

impl Collector for Collected {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Figures { totals, last, cache } = &self.0;
        let mut all = over_runs(totals);
        all.extend(durations(&totals.measures));
        all.extend(of_tasks(&last.summary));
        let sum = &last.summary;
        let (elapsed, ended) = (sum.elapsed_ms as f64 / 1e3, last.time_ns as f64 / 1e9);
        all.extend([
            gauge("elapsed_seconds", "Wall time of the last run.", elapsed),
            gauge("run_timestamp_seconds", "When the last run ended.", ended),
            gauge(
                "memory_bytes",
                "Peak resident memory of the program itself in the last run.",
                last.memory_bytes as f64,
            ),
            labelled(
                MetricType::GAUGE,
                "build_info",
                "Always 1; says which version this is.",
                ("version", &[(env!("CARGO_PKG_VERSION"), 1.0)]),
            ),
        ]);
        if let Some(cache) = cache {
            all.extend([
                gauge("cas_objects", "Objects in the store.", cache.objects as f64),
                gauge("cas_bytes", "Bytes of the objects in the store.", cache.object_bytes as f64),
                gauge("cache_entries", "Records in the cache.", cache.entries as f64),
            ]);
        }
        all
    }
}

/// The counters: they go on from run to run.
fn over_runs(totals: &Totals) -> Vec<MetricFamily> {
    let counts = [
        ("tasks_total", "Tasks that runs needed.", totals.tasks),
        ("tasks_executed_total", "Tasks whose command ran and succeeded.", totals.executed),
        ("tasks_cached_total", "Tasks that did not need to run.", totals.cached),
        ("tasks_failed_total", "Tasks that failed.", totals.failed),
        ("cache_hits_total", "Results that were there already.", totals.cache_hits),
        ("cache_misses_total", "Results that were not there.", totals.cache_misses),
        ("retries_total", "Times that a failed command was run again.", totals.retries),
        ("timeouts_total", "Commands that exceeded their time limit.", totals.timeouts),
    ];
    let mut all: Vec<MetricFamily> =
        counts.map(|(name, help, value)| counter(name, help, value as f64)).into();
    all.extend([
        counter(
            "cpu_seconds_total",
            "Processor time of commands, all cores together.",
            totals.cpu_ms as f64 / 1e3,
        ),
        counter(
            "saved_seconds_total",
            "What the commands that did not need to run took when they last did.",
            totals.saved_ms as f64 / 1e3,
        ),
        labelled(
            MetricType::COUNTER,
            "runs_total",
            "Runs that came to their end, by how.",
            (
                "result",
                &[
                    ("succeeded", totals.runs_succeeded as f64),
                    ("failed", totals.runs_failed as f64),
                    ("interrupted", totals.runs_interrupted as f64),
                ],
            ),
        ),
        limit_hits(totals),
        labelled(
            MetricType::COUNTER,
            "errors_total",
            "Errors: tasks that failed, a cache that was damaged or could not be written, \
             and access that was denied or refused.",
            (
                "kind",
                &[
                    ("task", totals.failed as f64),
                    ("cache", totals.cache_errors as f64),
                    ("access", totals.access_errors as f64),
                ],
            ),
        ),
    ]);
    all
}

fn limit_hits(totals: &Totals) -> MetricFamily {
    let hits = |limit: &Limit| totals.limit_hits.get(limit).copied().unwrap_or(0);
    let values = Limit::ALL.map(|limit| (limit.name(), hits(&limit) as f64));
    labelled(
        MetricType::COUNTER,
        "limit_hits_total",
        "Times that a limit began to hold tasks back.",
        ("limit", &values),
    )
}

/// The gauges of the run that goes on, or of the last one.
fn of_tasks(sum: &Summary) -> Vec<MetricFamily> {
    let (count, seconds) = (|number: usize| number as f64, |ms: u64| ms as f64 / 1e3);
    let rate = "Hits of all that was asked of the cache in the last run, from 0 to 1.";
    let time = "Time of the executed commands of the last run, added up";
    let cpu = "Cores that the commands of the last run kept busy on average";
    let gauges = [
        ("tasks", "Tasks that the last run needed.", count(sum.total)),
        ("tasks_executed", "Tasks that the last run executed.", count(sum.executed)),
        ("tasks_cached", "Tasks that the last run did not need to run.", count(sum.settled())),
        ("tasks_failed", "Tasks that failed in the last run.", count(sum.failed)),
        ("tasks_skipped", "Tasks that the last run left out.", count(sum.skipped)),
        ("tasks_cancelled", "Tasks that the last run was stopped at.", count(sum.cancelled)),
        ("cache_hit_rate", rate, sum.hit_ratio()),
        ("cache_hit_ratio", rate, sum.hit_ratio()),
        ("execution_time_ms", &format!("{time}, in milliseconds."), sum.timing.total_ms as f64),
        ("execution_seconds", &format!("{time}."), seconds(sum.timing.total_ms)),
        (
            "task_average_seconds",
            "Mean time of an executed command of the last run.",
            sum.average_ms() / 1e3,
        ),
        (
            "task_min_seconds",
            "Time of the shortest executed command of the last run.",
            seconds(sum.timing.min_ms),
        ),
        (
            "task_max_seconds",
            "Time of the longest executed command of the last run.",
            seconds(sum.timing.max_ms),
        ),
        ("cpu_usage_percent", &format!("{cpu}, times 100."), sum.busy_cores() * 100.0),
        ("cpu_usage_ratio", &format!("{cpu}."), sum.busy_cores()),
        (
            "peak_memory_bytes",
            "Peak resident memory of the largest process of the last run's commands.",
            sum.peak_rss_bytes as f64,
        ),
    ];
    gauges.map(|(name, help, value)| gauge(name, help, value)).into()
}

fn durations(measures: &Measures) -> Vec<MetricFamily> {
    let outcomes = [("executed", Measure::Executed), ("failed", Measure::Failed)];
    let tasks = outcomes.map(|(outcome, measure)| {
        let mut metric = histogram(measures, measure);
        metric.set_label(vec![label("outcome", outcome)]);
        metric
    });
    let waits = vec![histogram(measures, Measure::QueueWait)];
    let restores = vec![histogram(measures, Measure::Restore)];
    let requests = vec![histogram(measures, Measure::Remote)];
    let family = |name, help, metrics| family(MetricType::HISTOGRAM, name, help, metrics);
    vec![
        family("task_duration_seconds", "Time of commands, by how they ended.", tasks.into()),
        family(
            "task_queue_wait_seconds",
            "From the end of a task's last dependency to the start of its command.",
            waits,
        ),
        family(
            "restore_duration_seconds",
            "Time to put the files of a cached result in place.",
            restores,
        ),
        family(
            "remote_request_duration_seconds",
            "Time of requests to a remote store, each with all its tries.",
            requests,
        ),
    ]
}

fn histogram(measures: &Measures, measure: Measure) -> Metric {
    let buckets = measures.up_to(measure).into_iter().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let counted = measures.get(measure);
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counted.count());
    histogram.set_sample_sum(counted.seconds());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    family(MetricType::COUNTER, name, help, vec![sample(MetricType::COUNTER, value)])
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    family(MetricType::GAUGE, name, help, vec![sample(MetricType::GAUGE, value)])
}

/// One line for each value of a label.
fn labelled(
    kind: MetricType,
    name: &str,
    help: &str,
    (key, values): (&str, &[(&str, f64)]),
) -> MetricFamily {
    let samples = values.iter().map(|(text, value)| {
        let mut metric = sample(kind, *value);
        metric.set_label(vec![label(key, text)]);
        metric
    });
    family(kind, name, help, samples.collect())
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn sample(kind: MetricType, value: f64) -> Metric {
    let mut metric = Metric::default();
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn family(kind: MetricType, name: &str, help: &str, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("reprovm_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LastRun;

    #[test]
    fn each_name_has_one_family_with_help_and_lines_of_its_own() {
        let text = page(Figures::default(), Some("a \"b\"\\c"));
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut unique = names.clone();
        unique.dedup();
        assert_eq!(names, unique);
        assert_eq!(text.matches("# HELP ").count(), names.len());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("reprovm_"), "{line}");
            assert!(line.contains("project=\"a \\\"b\\\"\\\\c\""), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_counted_is_left_out_and_not_zero() {
        let text = page(Figures::default(), None);
        assert!(!text.contains("reprovm_cas_objects") && text.contains("reprovm_tasks 0\n"));
    }

    #[test]
    fn a_figure_has_its_two_names_in_their_units() {
        let summary = Summary {
            cache_hits: 1,
            cache_misses: 3,
            cpu_ms: 300,
            elapsed_ms: 200,
            timing: crate::event::Timing { total_ms: 1500, ..Default::default() },
            ..Summary::default()
        };
        let last = LastRun { summary, ..LastRun::default() };
        let text = page(Figures { last, ..Figures::default() }, None);
        for line in [
            "reprovm_cache_hit_rate 0.25\n",
            "reprovm_cache_hit_ratio 0.25\n",
            "reprovm_execution_time_ms 1500\n",
            "reprovm_execution_seconds 1.5\n",
            "reprovm_cpu_usage_percent 150\n",
            "reprovm_cpu_usage_ratio 1.5\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
