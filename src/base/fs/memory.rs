//! What of a file the kernel has in memory, and files that are read where they lie there.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use memmap2::Mmap;

/// The number of `cachestat`, the same on all machines that we build for.
const CACHESTAT: libc::c_long = 451;

/// How many bytes the kernel keeps together.
pub fn page_size() -> u64 {
    // SAFETY: the call takes no memory of ours.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The bytes of a file that is replaced by renaming and never written to in place. Whoever wrote to
/// it all the same would change them; whoever cut it would end this process where it reads on.
pub fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: what is read is checked, as bytes that anyone may have written.
    unsafe { Mmap::map(file) }
}

/// What of a file the kernel has in memory, in bytes of whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InMemory {
    pub bytes: u64,
    /// Of these, what is still to be written to the disk.
    pub unwritten: u64,
}

/// Asks the kernel what of a file it has in memory (`cachestat`, Linux 6.5); an error where it does
/// not say.
pub fn in_memory(file: &File) -> io::Result<InMemory> {
    #[repr(C)]
    struct Range {
        start: u64,
        /// 0: to the end.
        length: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Pages {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    let (all, mut pages) = (Range { start: 0, length: 0 }, Pages::default());
    // SAFETY: both structures are as the call wants them and outlive it.
    let answer =
        unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const all, &raw mut pages, 0) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    let page = page_size();
    Ok(InMemory { bytes: pages.cached * page, unwritten: (pages.dirty + pages.writeback) * page })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_written_is_in_memory_and_what_is_not_there_is_not() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let Ok(pages) = in_memory(&file) else { return };
        assert_eq!(pages, InMemory { bytes: 0, unwritten: 0 });
        file.write_all(&[1; 100_000]).expect("room for it");
        let pages = in_memory(&file).expect("it was told before");
        assert!((100_000..1_000_000).contains(&pages.bytes), "{pages:?}");
        assert!(pages.unwritten <= pages.bytes, "{pages:?}");
    }
}
