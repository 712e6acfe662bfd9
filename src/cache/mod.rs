//! Outcomes by key: the recipe, the records, what is known of files and of the workspace, and the
//! way back from a record to the files.
//!
//! Knows nothing of threads or of the order of tasks.

pub(crate) mod bytes;
pub mod compiled;
pub mod expand;
pub mod files;
pub mod inputs;
pub mod outputs;
pub mod recipe;
pub mod record;
pub mod restore;
pub mod standing;
pub mod state;
