//! The integration tests: one binary, one file a theme. All but `tidy` and `readme` drive the
//! program as a user does.

#![expect(clippy::disallowed_methods, reason = "tests make files and start programs themselves")]

mod backup;
mod commands;
mod config;
mod cproject;
mod crash;
mod damage;
mod disk;
mod docs;
mod examples;
mod failures;
mod keys;
mod killed;
mod locks;
mod metrics;
mod misses;
mod model;
mod outputs;
mod processes;
mod races;
mod readme;
mod readonly;
mod restore;
mod said;
mod signals;
mod standing;
mod support;
mod terminal;
mod tidy;
mod timeouts;
mod together;
