//! ReproVM, room by room, in the order in which the data flows. A room uses only rooms above it
//! in this list; `tests/it/tidy.rs` holds that.

pub mod base;
pub mod event;
pub mod config;
pub mod home;
pub mod manifest;
pub mod graph;
pub mod store;
pub mod cache;
pub mod exec;
pub mod engine;
pub mod observe;
pub mod ops;
pub mod serve;
pub mod cli;
