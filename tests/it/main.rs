//! The integration tests: one binary, one file a theme. All but `tidy` and `readme` drive the
//! program as a user does.

#![expect(clippy::disallowed_methods, reason = "tests make files and start programs themselves")]

mod cache;
mod commands;
mod config;
mod cproject;
mod docs;
mod examples;
mod health;
mod locks;
mod readme;
mod stats;
mod support;
mod tidy;
