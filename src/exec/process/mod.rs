//! Processes as the kernel has them: starting, waiting, signals, `/proc`, the limit of open files.
//!
//! Knows nothing of commands, slots or runs. All of it is system calls.

pub(super) mod clone;
pub(super) mod descriptors;
pub(super) mod mark;
pub(super) mod proc;
pub(super) mod spawn;
pub(super) mod wait;
