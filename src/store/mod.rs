//! Bytes by their digest, on the disk and elsewhere.
//!
//! An object is the bare bytes in a file named by their SHA-256, or these bytes compressed, with
//! the codec's suffix; it is written beside its place and renamed into it, and verified on every
//! read. Knows nothing of tasks.

mod disk;
mod form;
mod incoming;
mod inspect;
mod lease;
mod list;
mod pack;
mod read;
pub mod remote;
mod repack;
mod share;
#[cfg(test)]
mod tests;
mod users;

pub use disk::{Added, DiskStore, FetchError};
pub(crate) use disk::{put_aside, rename_into};
pub use form::{Form, locate};
pub use incoming::{Incoming, Refused};
pub use inspect::{Inspected, inspect};
pub use lease::{Asked, Lease, Leases, is_held, remove_dead};
pub use list::{Stored, stored};
pub use pack::Packing;
pub use read::{Flaw, read_object};
pub use repack::{Change, Outcome, change_form, copy_object, open_bare};
pub use users::{User, oldest_user};
