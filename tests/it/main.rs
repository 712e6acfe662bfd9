//! The integration tests: one binary, one file a theme. All but `tidy` and `readme` drive the
//! program as a user does.

#![expect(clippy::disallowed_methods, reason = "tests make files and start programs themselves")]

mod audit;
mod backup;
mod cache;
mod cgroups;
mod checkouts;
mod commands;
mod compression;
mod config;
mod cproject;
mod crash;
// Only a debug build panics when it is told to.
#[cfg(debug_assertions)]
mod crashes;
mod damage;
mod crowd;
mod disk;
mod docs;
mod edits;
mod examples;
mod failures;
mod gc;
mod health;
mod jobserver;
mod keys;
mod killed;
mod large;
mod leases;
mod life;
mod limits;
mod locks;
mod logs;
mod metrics;
mod misses;
mod mistakes;
mod model;
mod notify;
mod outputs;
mod pools;
mod processes;
mod profile;
mod prometheus;
mod races;
mod readme;
mod readonly;
mod restore;
mod said;
mod runs;
mod security;
mod settings;
mod shared;
mod signals;
mod standing;
mod stats;
mod support;
mod sync;
mod terminal;
mod tidy;
mod timeouts;
mod together;
