//! What was asked of a remote store, and when.

/// One request, with all its tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `get`, `look` or `put`.
    pub kind: &'static str,
    /// The thing in the store.
    pub name: String,
    /// Nanoseconds since 1970.
    pub began_ns: i64,
    pub took_us: u64,
}
