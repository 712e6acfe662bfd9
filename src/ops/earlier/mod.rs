//! What an earlier run saves this one: all of it where nothing changed, all but a few tasks where
//! little did, and the reading of the state beside that of the manifest.

mod ahead;
mod slice;
mod standing;

pub(super) use ahead::{Ahead, load};
pub use slice::Slice;
pub(super) use standing::Part;
pub use standing::{FirstLook, Seen, Unchanged, first_look};
