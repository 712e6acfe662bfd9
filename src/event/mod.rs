//! What happened, as plain data, and the stream that carries it.
//!
//! Knows nothing of who listens.

mod about;
mod emit;
mod kinds;
mod level;
mod measures;
mod security;
mod tally;
mod totals;

pub use emit::{Emitter, Observer, Stamped};
pub use kinds::{
    Event, Failure, FolderOn, HitSource, Holder, InputChange, MissReason, Outcome, Output,
    SkipReason, Summary, Timing, Usage,
};
pub use level::Level;
pub use measures::{Histogram, Measure, Measures};
pub use security::{Access, Danger, Violation};
pub use tally::Tally;
pub use totals::{CacheCount, Figures, LastRun, Totals};
