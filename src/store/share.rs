//! Blocks that two files share until one of them is written to, where the file system can do that:
//! an object and an output then take the room of one, and nothing is copied.
//!
//! What of a file is only in memory would have to be written to the disk first, so such a file is
//! copied.

use std::fs::File;
use std::time::Duration;

use crate::base::fs::memory;
use crate::base::{clock, fs};

/// Smaller files are copied sooner than their blocks are shared.
const LARGE: u64 = 256 * 1024;
/// By then the kernel has written a file to its disk, where it does not say so itself.
const WRITTEN: Duration = Duration::from_secs(60);

/// Gives `out`, which is empty, the blocks of an object that was written at this time. Otherwise
/// it is still empty.
pub(super) fn out_of_store(object: &File, length: u64, written_ns: i64, out: &File) -> bool {
    let is_written = || match memory::in_memory(object) {
        Ok(pages) => pages.unwritten == 0,
        Err(_) => clock::now_ns().saturating_sub(written_ns) > WRITTEN.as_nanos() as i64,
    };
    length >= LARGE && is_written() && fs::share_blocks(object, out).is_ok()
}

/// Gives an object in the making, which is empty, the blocks of a file. Otherwise it is still
/// empty.
///
/// The bytes of the object are hashed where it lies. So it is not done for a file that is in
/// memory, as most are that have just been made: to copy it from there costs less than to read its
/// blocks from the disk. One that was made by sharing blocks, as `cp` does, is not.
pub(super) fn into_store(file: &File, length: u64, object: &File) -> bool {
    let is_on_disk_only = || {
        memory::in_memory(file).is_ok_and(|pages| pages.unwritten == 0 && pages.bytes < length / 2)
    };
    length >= LARGE && is_on_disk_only() && fs::share_blocks(file, object).is_ok()
}
