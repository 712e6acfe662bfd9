//! The program over HTTP: so far one page of text, for Prometheus.
//!
//! Knows nothing of what the page says, and nothing of the terminal.

mod page;
mod stop;

pub use page::{BindError, Page, PageServer};
pub use stop::{StopSignals, permit_many_connections};
