//! The words every room speaks: digests, paths, names, the clock, file work, cancelling, sending.
//!
//! Knows nothing of policy, of formats or of what is printed.

pub mod cancel;
pub mod clock;
pub mod diagnostic;
pub mod digest;
pub mod fs;
pub mod http;
pub mod name;
pub mod net;
pub mod pattern;
pub mod relpath;
pub mod signals;
pub mod size;
pub mod stat;
pub mod text;

pub use cancel::{Cancel, CancelLevel};
pub use diagnostic::{Diagnostic, Place};
pub use digest::{Digest, Hasher};
pub use fs::FileError;
pub use name::{NameError, TaskName};
pub use pattern::Pattern;
pub use relpath::{PathError, RelPath};
pub use size::ByteSize;
pub use stat::{Kind, Sig};
pub use text::secret::Secret;
pub use text::{nearest, place, secret};
