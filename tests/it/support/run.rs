//! What a run of the program said, and how it ended.

use std::time::Duration;

use serde_json::Value;

/// A run that has ended. The methods that check return the run, so that they read on.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) line: String,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(super) took: Duration,
    /// The most memory that the program itself had, as far as it was seen.
    pub(super) peak_kib: u64,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// How many tasks ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub(crate) struct Summary {
    pub(crate) total: usize,
    pub(crate) executed: usize,
    pub(crate) cached: usize,
    pub(crate) up_to_date: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) cancelled: usize,
}

impl Run {
    #[track_caller]
    pub(crate) fn success(&self) -> &Self {
        self.code(0)
    }

    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Self {
        assert!(self.code == Some(code), "expected code {code}\n{}", self.transcript());
        self
    }

    /// None: it was ended by a signal.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.code
    }

    /// It was ended by this signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: i32) -> &Self {
        assert!(self.signal == Some(signal), "expected signal {signal}\n{}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn within(&self, limit: Duration) -> &Self {
        assert!(self.took <= limit, "took {:?}, not {limit:?}\n{}", self.took, self.transcript());
        self
    }

    /// The program itself had no more memory; what it starts does not count.
    #[track_caller]
    pub(crate) fn within_memory(&self, mib: u64) -> &Self {
        let peak = self.peak_kib >> 10;
        assert!(peak <= mib, "had {peak} MiB of memory, not {mib}\n{}", self.transcript());
        self
    }

    /// All of stdout, to the byte.
    #[track_caller]
    pub(crate) fn stdout(&self, exact: &str) -> &Self {
        assert!(self.out() == exact, "stdout is not\n{exact}\n{}", self.transcript());
        self
    }

    /// All of stderr, to the byte.
    #[track_caller]
    pub(crate) fn stderr(&self, exact: &str) -> &Self {
        assert!(self.err() == exact, "stderr is not\n{exact}\n{}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn stdout_has(&self, part: &str) -> &Self {
        assert!(self.out().contains(part), "stdout lacks `{part}`\n{}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn stdout_lacks(&self, part: &str) -> &Self {
        assert!(!self.out().contains(part), "stdout has `{part}`\n{}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn stderr_has(&self, part: &str) -> &Self {
        assert!(self.err().contains(part), "stderr lacks `{part}`\n{}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn stderr_lacks(&self, part: &str) -> &Self {
        assert!(!self.err().contains(part), "stderr has `{part}`\n{}", self.transcript());
        self
    }

    /// On stdout or stderr: for words that matter wherever they stand.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) -> &Self {
        let said = self.out().contains(part) || self.err().contains(part);
        assert!(said, "nowhere `{part}`\n{}", self.transcript());
        self
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// All of stderr as it is.
    pub(crate) fn stderr_bytes(&self) -> &[u8] {
        &self.stderr
    }

    /// The events of a run with `-o json`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let parsed = self.out().lines().map(serde_json::from_str).collect::<Result<_, _>>();
        parsed.unwrap_or_else(|error| panic!("no stream of events: {error}\n{}", self.transcript()))
    }

    /// The events of one type.
    #[track_caller]
    pub(crate) fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// The totals, from the last event of a run with `-o json`.
    #[track_caller]
    pub(crate) fn summary(&self) -> Summary {
        let events = self.events();
        let last = events.last().unwrap_or_else(|| panic!("no events\n{}", self.transcript()));
        assert!(last["type"] == "run_finished", "the last event is {last}\n{}", self.transcript());
        serde_json::from_value(last["summary"].clone())
            .unwrap_or_else(|error| panic!("no summary: {error}\n{}", self.transcript()))
    }

    /// The tasks that ended with this status, sorted.
    #[track_caller]
    pub(crate) fn tasks_with(&self, status: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .events_of("task_finished")
            .iter()
            .filter(|event| event["outcome"]["status"] == status)
            .map(|event| event["task"].as_str().expect("a task has a name").to_owned())
            .collect();
        names.sort();
        names
    }

    /// The tasks that were skipped, sorted, each with what it names.
    #[track_caller]
    pub(crate) fn skips(&self) -> Vec<(String, Value)> {
        let name = |event: &Value| event["task"].as_str().expect("a name").to_owned();
        let skipped = self.events_of("task_skipped");
        let mut all: Vec<_> =
            skipped.iter().map(|event| (name(event), event["because"].clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The tasks that were executed, sorted.
    #[track_caller]
    pub(crate) fn executed(&self) -> Vec<String> {
        self.tasks_with("executed")
    }

    /// Succeeded, and every task was taken from the cache or found up to date.
    #[track_caller]
    pub(crate) fn executed_nothing(&self) -> &Self {
        let summary = self.success().summary();
        let settled = summary.cached + summary.up_to_date;
        assert!(
            summary.executed == 0 && self.executed().is_empty() && settled == summary.total,
            "{summary:?}, executed {:?}\n{}",
            self.executed(),
            self.transcript()
        );
        self
    }

    /// What it cost.
    pub(crate) fn figures(&self) -> String {
        format!("{:?} and at most {} MiB: {}", self.took, self.peak_kib >> 10, self.line)
    }

    pub(crate) fn transcript(&self) -> String {
        let ended = match (self.code, self.signal) {
            (Some(code), _) => format!("code {code}"),
            (None, signal) => format!("signal {signal:?}"),
        };
        format!(
            "{} ended with {ended} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.took,
            self.out(),
            self.err()
        )
    }
}
