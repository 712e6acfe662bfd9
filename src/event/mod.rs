//! What happened, as plain data, and the stream that carries it.
//!
//! Knows nothing of who listens.

mod about;
mod emit;
mod kinds;
mod level;
mod security;
mod tally;

pub use emit::{Emitter, Observer, Stamped};
pub use kinds::{
    Event, Failure, FolderOn, HitSource, Holder, InputChange, MissReason, Outcome, Output,
    SkipReason, Summary, Timing, Usage,
};
pub use level::Level;
pub use security::{Access, Danger, Violation};
pub use tally::Tally;
