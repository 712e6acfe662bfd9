//! What came of a run, from its events alone: what each task did, the critical path, what the
//! cache cost and saved, and how two runs differ.
//!
//! Knows nothing of where events are kept.

mod account;
mod compare;
mod ledger;
mod path;
mod turn;

pub use account::{Account, Beginning, Costs, Hit, TaskAccount};
pub use compare::{Comparison, Newly, Pace, compare};
pub use ledger::{Ledger, TaskCosts};
pub use path::{CriticalPath, Step, critical_path};
pub use turn::{Span, Turn, Work};
