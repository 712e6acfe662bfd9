//! The limit of open files: raised for us, kept for our children, and waited for where it is
//! reached.
//!
//! Knows nothing of what is opened.

use std::io;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use libc::rlimit;

/// What we hold open beside the commands: standard streams, the state, the lock, the guard,
/// the jobserver.
const OURS: u64 = 28;
/// What one command takes at most: its log, and one at a time to start or clear it.
const EACH: u64 = 2;
/// How often a full table is looked at again, a millisecond apart.
const TRIES: u32 = 1000;

/// Raises the soft limit of open files to the hard one. Children get the original back.
pub(in crate::exec) fn raise_limit() {
    let original = original_limit();
    if original.rlim_cur < original.rlim_max {
        let raised = rlimit { rlim_cur: original.rlim_max, ..original };
        // SAFETY: the structure is valid; a refusal leaves the limit as it was.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) };
    }
}

/// The limit of open files that this process was started with, taken at the first call.
pub(in crate::exec) fn original_limit() -> rlimit {
    static ORIGINAL: OnceLock<rlimit> = OnceLock::new();
    *ORIGINAL.get_or_init(|| {
        let mut limit = rlimit { rlim_cur: 1024, rlim_max: 1024 };
        // SAFETY: the structure is writable; a refusal leaves the usual values in it.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
        limit
    })
}

/// How many commands at a time the limit of open files carries, at least one.
pub(in crate::exec) fn most_slots() -> usize {
    slots_under(original_limit().rlim_max)
}

fn slots_under(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(OURS) / EACH).unwrap_or(usize::MAX).max(1)
}

/// Opens something, again and again while the table of open files is full: others close theirs.
pub(in crate::exec) fn patiently<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for tried in 0..TRIES {
        match open() {
            Err(error) if is_full(&error) => {
                if tried == 0 {
                    tracing::info!(%error, "table of open files is full; waiting for room");
                }
                thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
    open()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_carries_few_commands_but_never_none() {
        assert_eq!(slots_under(1024), 498);
        assert_eq!(slots_under(64), 18);
        assert_eq!(slots_under(3), 1);
    }

    #[test]
    fn a_full_table_is_waited_for_and_other_errors_are_not() {
        let mut tries = 0;
        let opened = patiently(|| {
            tries += 1;
            if tries < 3 { Err(io::Error::from_raw_os_error(libc::EMFILE)) } else { Ok(tries) }
        });
        assert_eq!(opened.expect("the third time"), 3);
        let failed = patiently(|| Err::<(), _>(io::Error::from_raw_os_error(libc::ENOENT)));
        assert_eq!(failed.expect_err("at once").raw_os_error(), Some(libc::ENOENT));
    }
}
