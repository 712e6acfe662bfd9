//! What a line of the audit log says: who did what to what, when, and whether it succeeded.
//!
//! Knows nothing of chains, files and events.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::base::clock;

/// Longer texts are cut, so that a line stays a line that a tail of the file holds.
pub(super) const MAX_TEXT: usize = 4096;

/// What kind of thing happened. The names are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditType {
    TaskStart,
    TaskComplete,
    TaskFail,
    CacheHit,
    CacheMiss,
    CacheStore,
    ConfigLoad,
    ConfigChange,
    SecurityViolation,
    PermissionDenied,
    ResourceLimit,
    SystemStart,
    SystemStop,
    Error,
    Warning,
}

impl AuditType {
    pub const ALL: [Self; 15] = [
        Self::TaskStart,
        Self::TaskComplete,
        Self::TaskFail,
        Self::CacheHit,
        Self::CacheMiss,
        Self::CacheStore,
        Self::ConfigLoad,
        Self::ConfigChange,
        Self::SecurityViolation,
        Self::PermissionDenied,
        Self::ResourceLimit,
        Self::SystemStart,
        Self::SystemStop,
        Self::Error,
        Self::Warning,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::TaskStart => "TASK_START",
            Self::TaskComplete => "TASK_COMPLETE",
            Self::TaskFail => "TASK_FAIL",
            Self::CacheHit => "CACHE_HIT",
            Self::CacheMiss => "CACHE_MISS",
            Self::CacheStore => "CACHE_STORE",
            Self::ConfigLoad => "CONFIG_LOAD",
            Self::ConfigChange => "CONFIG_CHANGE",
            Self::SecurityViolation => "SECURITY_VIOLATION",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceLimit => "RESOURCE_LIMIT",
            Self::SystemStart => "SYSTEM_START",
            Self::SystemStop => "SYSTEM_STOP",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
        }
    }

    /// By its name, in capitals or not.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for AuditType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for AuditType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What happened, without its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Seconds since 1970.
    pub time: i64,
    pub kind: AuditType,
    /// What it was done to: a task, a file, a verb.
    pub resource: String,
    pub action: &'static str,
    pub success: bool,
    pub details: String,
}

impl Record {
    /// Of now.
    pub(super) fn new(kind: AuditType, resource: impl Into<String>, action: &'static str) -> Self {
        let time = clock::now_ns().div_euclid(1_000_000_000);
        let (resource, details) = (cut(resource.into()), String::new());
        Self { time, kind, resource, action, success: true, details }
    }

    #[must_use]
    pub(super) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = cut(details.into());
        self
    }

    /// It did not succeed, or is nothing good.
    #[must_use]
    pub(super) fn failed(mut self) -> Self {
        self.success = false;
        self
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = text.floor_char_boundary(MAX_TEXT);
        let rest = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("... ({rest} more bytes)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_whatever_their_case() {
        for one in AuditType::ALL {
            assert_eq!(AuditType::parse(&one.name().to_lowercase()), Some(one));
        }
        assert_eq!(AuditType::parse("TASK"), None);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let record = Record::new(AuditType::Error, "x", "y").details("é".repeat(5000));
        assert!(record.details.ends_with("... (5904 more bytes)"), "{}", record.details.len());
    }
}
