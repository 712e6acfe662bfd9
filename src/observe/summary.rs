//! The first and the last line of a run.

use super::words;
use crate::base::text::count;
use crate::event::Summary;

/// What the lines need beside the totals.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) tasks: usize,
    pub(super) jobs: usize,
    pub(super) dry_run: bool,
    /// Settled in bulk.
    pub(super) up_to_date: usize,
    /// In a dry run: tasks that would be restored, and those that wait for others' results.
    pub(super) to_restore: usize,
    pub(super) waiting: usize,
}

/// What a run did, in one line.
pub fn summary_text(sum: &Summary) -> String {
    Run::default().summary(sum)
}

impl Run {
    /// `12 tasks, 7 up to date, 4 jobs`
    pub(super) fn plan(&self) -> String {
        let mut parts = vec![count(self.tasks, "task")];
        if self.up_to_date > 0 {
            parts.push(format!("{} up to date", self.up_to_date));
        }
        if !self.dry_run {
            parts.push(count(self.jobs, "job"));
        }
        parts.join(", ")
    }

    pub(super) fn summary(&self, sum: &Summary) -> String {
        let took = words::duration(sum.elapsed_ms);
        if sum.total == 0 {
            return "nothing to do: no tasks".to_owned();
        }
        if self.dry_run && sum.planned > 0 {
            return self.would(sum);
        }
        if sum.up_to_date == sum.total {
            return format!("up to date: {} in {took}", count(sum.total, "task"));
        }
        let mut parts: Vec<String> = [
            (sum.executed, "executed"),
            (sum.cached, "cached"),
            (sum.up_to_date, "up to date"),
            (sum.failed, "failed"),
            (sum.skipped, "skipped"),
            (sum.cancelled, "cancelled"),
        ]
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
        if parts.is_empty() {
            parts.push("none done".to_owned());
        }
        let saved = if sum.saved_ms >= 10 {
            format!(", saved {}", words::duration(sum.saved_ms))
        } else {
            String::new()
        };
        let interrupted = sum.interrupted.map_or_else(String::new, |signal| {
            format!("interrupted by {}: ", words::signal(signal))
        });
        format!("{interrupted}{}: {} in {took}{saved}", count(sum.total, "task"), parts.join(", "))
    }

    /// `would run 3 of 12 tasks, restore 1; 2 of them depend on results`
    fn would(&self, sum: &Summary) -> String {
        let run = sum.planned.saturating_sub(self.to_restore);
        let total = count(sum.total, "task");
        let mut text = match (run, self.to_restore) {
            (0, restored) => format!("would restore {restored} of {total}"),
            (run, 0) => format!("would run {run} of {total}"),
            (run, restored) => format!("would run {run} of {total}, restore {restored}"),
        };
        if self.waiting > 0 {
            let verb = if self.waiting == 1 { "depends" } else { "depend" };
            text.push_str(&format!("; {} {verb} on results of others", self.waiting));
        }
        text
    }
}
