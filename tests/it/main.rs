//! The integration tests: one binary, one file a theme. All but `tidy` and `readme` drive the
//! program as a user does.

#![expect(clippy::disallowed_methods, reason = "tests make files and start programs themselves")]

mod cproject;
mod crashes;
mod docs;
mod examples;
mod logs;
mod readme;
mod support;
mod tidy;
