//! The integration tests: one binary, one file a theme. All but `tidy` and `readme` drive the
//! program as a user does.

#![expect(clippy::disallowed_methods, reason = "tests make files and start programs themselves")]

mod cproject;
mod docs;
mod examples;
mod failures;
mod killed;
mod metrics;
mod outputs;
mod processes;
mod readme;
mod readonly;
mod said;
mod signals;
mod support;
mod tidy;
mod timeouts;
mod together;
