//! Bytes by their digest, on the disk.
//!
//! An object is the bare bytes in a file named by their SHA-256; it is written beside its place
//! and renamed into it, and verified on every read. Knows nothing of tasks.

mod disk;
mod inspect;

pub use disk::{DiskStore, FetchError, Flaw, read_object};
pub(crate) use disk::{put_aside, rename_into};
pub use inspect::{Inspected, inspect};
