//! The integration tests: one binary, one file a theme. All but `tidy` and `readme` drive the
//! program as a user does.

#![expect(clippy::disallowed_methods, reason = "tests make files and start programs themselves")]

mod commands;
mod config;
mod cproject;
mod damage;
mod disk;
mod docs;
mod examples;
mod keys;
mod locks;
mod misses;
mod races;
mod readme;
mod restore;
mod standing;
mod support;
mod tidy;
