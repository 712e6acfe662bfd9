//! Bytes by their digest, on the disk and elsewhere.
//!
//! An object is the bare bytes in a file named by their SHA-256; it is written beside its place
//! and renamed into it, and verified on every read. Knows nothing of tasks.

mod disk;
mod incoming;
mod inspect;
mod lease;
pub mod remote;
mod users;

pub use disk::{Added, DiskStore, FetchError, Flaw, read_object};
pub(crate) use disk::{put_aside, rename_into};
pub use incoming::{Incoming, Refused};
pub use inspect::{Inspected, inspect};
pub use lease::{Asked, Lease, Leases, is_held, remove_dead};
pub use users::{User, oldest_user};
