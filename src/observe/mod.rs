//! The listeners of a run: the terminal, its progress display, JSON lines, the journal, the
//! profile, the log, the audit log, the metrics file, Prometheus, messages, the text graph.
//!
//! They know events and nothing of what made them.

mod audit;
mod console;
mod failures;
mod graph;
mod journal;
mod json;
mod log;
mod metrics;
pub mod notify;
mod paint;
mod profile;
mod progress;
mod prometheus;
mod sink;
mod stats;
mod stream;
mod summary;
pub mod words;

pub use self::prometheus::{CONTENT_TYPE, Live, page};
pub use audit::{Anchor, Audit, AuditEnd, AuditOptions, AuditType, EpochKey, Line, instance_of};
pub use console::{Console, Detail};
pub use failures::Failures;
pub use graph::{Graph, Node, Status, Statuses, render_graph};
pub use journal::{Header, Journal, JournalOptions, Odd, Tail, name_of, read, run_of, tail};
pub use json::Json;
pub use log::{LogError, LogEvents, LogHandle, LogOptions, Recent, start_log};
pub use metrics::Metrics;
pub use paint::{Mark, Paint};
pub use profile::{Profile, path_text};
pub use progress::{Above, Progress};
pub use stats::Stats;
pub use summary::summary_text;
