//! The variables that the process was started with: the one place that reads them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The variables that the process was started with.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// A copy of this process's environment.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn capture() -> Self {
        Self(std::env::vars_os().collect())
    }

    pub fn from_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.0.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// Whether the program is told to panic at a place, so that what a panic leaves can be tested
    /// for real. Only a debug build obeys.
    pub fn panics_at(&self, place: &str) -> bool {
        cfg!(debug_assertions) && self.get("REPROVM_DEBUG_PANIC").is_some_and(|told| told == place)
    }

    /// Panics if the program is told to at this place.
    pub fn panic_point(&self, place: &str) {
        assert!(!self.panics_at(place), "told to panic at {place}");
    }

    /// Sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}
