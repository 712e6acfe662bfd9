//! What happened, as plain data, and the stream that carries it.
//!
//! Knows nothing of who listens.

mod about;
mod emit;
mod figures;
mod held;
mod history;
mod kinds;
mod level;
mod limits;
mod notice;
mod operation;
mod reasons;
mod request;
mod security;
mod sharing;

pub use emit::{Emitter, Observer, Stamped};
pub use figures::{
    CacheCount, Figures, Histogram, LastRun, Measure, Measures, Summary, Tally, Timing, Totals,
};
pub use held::HeldFile;
pub use history::{
    Account, Beginning, Comparison, Costs, CriticalPath, Hit, Ledger, Newly, Pace, Span, Step,
    TaskAccount, TaskCosts, Turn, Work, compare, critical_path,
};
pub use kinds::{Event, FolderOn, HitSource, Holder, Outcome, Output, Usage};
pub use level::Level;
pub use limits::{Held, InForce, Limit, Means};
pub use notice::NoticeKind;
pub use operation::Operation;
pub use reasons::{Failure, InputChange, MissReason, SkipReason};
pub use request::Request;
pub use security::{Access, Danger, Violation};
pub use sharing::{Collected, LeaseHolder};
