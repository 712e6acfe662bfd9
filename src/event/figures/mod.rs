//! What is counted and measured: of one run by the one fold, and of all runs.

mod measures;
mod summary;
mod tally;
mod totals;

pub use measures::{Histogram, Measure, Measures};
pub use summary::{Summary, Timing};
pub use tally::Tally;
pub use totals::{CacheCount, Figures, LastRun, Totals};
