//! Which lines of an audit log are asked for, and what they add up to.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::Path;

use serde::Serialize;

use super::lines::Lines;
use crate::base::place::shown;
use crate::base::{FileError, clock};
use crate::observe::{AuditType, Line};

/// So many failures are listed: the last.
const FAILURES: usize = 20;

/// What is asked for; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub kinds: Vec<AuditType>,
    /// The name, or how it begins with `*` behind it.
    pub resource: Option<String>,
    /// Seconds since 1970, the first that counts.
    pub since: Option<i64>,
    /// The first that does not count any more.
    pub until: Option<i64>,
}

impl AuditFilter {
    fn takes(&self, line: &Line) -> bool {
        let named = self.resource.as_ref().is_none_or(|name| {
            *name == line.resource
                || name.strip_suffix('*').is_some_and(|begin| line.resource.starts_with(begin))
        });
        named
            && (self.kinds.is_empty() || self.kinds.contains(&line.kind))
            && self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time < until)
    }
}

/// Hands on each line that is asked for. Returns how many lines could not be read.
pub(super) fn each<E: From<FileError>>(
    path: &Path,
    filter: &AuditFilter,
    mut take: impl FnMut(&Line) -> Result<(), E>,
) -> Result<u64, E> {
    let mut lines = Lines::open(path)?;
    let mut unreadable = 0;
    while let Some(raw) = lines.next()? {
        match raw.parse() {
            Some(line) if filter.takes(&line) => take(&line)?,
            Some(_) => {}
            None => unreadable += 1,
        }
    }
    Ok(unreadable)
}

/// A line as data.
#[derive(Debug, Clone, Serialize)]
pub struct AuditLine {
    time: String,
    #[serde(rename = "type")]
    kind: AuditType,
    user: String,
    process: u32,
    resource: String,
    action: String,
    success: bool,
    details: String,
    seq: u64,
    hash: String,
}

impl From<&Line> for AuditLine {
    fn from(line: &Line) -> Self {
        Self {
            time: clock::rfc3339(line.time.saturating_mul(1_000_000_000)),
            kind: line.kind,
            user: line.user.clone(),
            process: line.process,
            resource: line.resource.clone(),
            action: line.action.clone(),
            success: line.success,
            details: line.details.clone(),
            seq: line.seq,
            hash: line.hash.hex(),
        }
    }
}

/// How many, and how many of them did not succeed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AuditCount {
    pub lines: u64,
    pub failed: u64,
}

impl AuditCount {
    fn add(&mut self, line: &Line) {
        self.lines += 1;
        self.failed += u64::from(!line.success);
    }
}

/// What the lines of a range of time add up to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AuditReport {
    pub file: String,
    /// The first and the last line that counts.
    pub first: Option<String>,
    pub last: Option<String>,
    pub all: AuditCount,
    /// Lines that could not be read.
    pub unreadable: u64,
    /// Of each of the types, also of those that did not occur.
    pub types: BTreeMap<&'static str, AuditCount>,
    pub users: BTreeMap<String, AuditCount>,
    /// The last ones.
    pub failures: VecDeque<AuditLine>,
}

pub(super) fn report(path: &Path, filter: &AuditFilter) -> Result<AuditReport, FileError> {
    let types = AuditType::ALL.map(|one| (one.name(), AuditCount::default())).into();
    let file = shown(path);
    let mut report = AuditReport { file, types, ..AuditReport::default() };
    report.unreadable = each(path, filter, |line| {
        let time = clock::rfc3339(line.time.saturating_mul(1_000_000_000));
        report.first.get_or_insert_with(|| time.clone());
        report.last = Some(time);
        report.all.add(line);
        report.types.entry(line.kind.name()).or_default().add(line);
        report.users.entry(line.user.clone()).or_default().add(line);
        if !line.success {
            if report.failures.len() == FAILURES {
                report.failures.pop_front();
            }
            report.failures.push_back(AuditLine::from(line));
        }
        Ok::<(), FileError>(())
    })?;
    Ok(report)
}
