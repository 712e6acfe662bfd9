//! A look at a path of the table, and how much it says: how fine the clock of a file system is.

use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::base::{Sig, fs, stat};

/// Clocks of file systems tick every 10 ms at worst, or every second or two on old ones.
const TICK_NS: i64 = 20_000_000;
const COARSE_TICK_NS: i64 = 2_000_000_000;

/// Whether the file was last written to more than a tick of its clock before the moment.
pub fn is_older(sig: &Sig, moment: i64) -> bool {
    sig.newest().saturating_add(tick(sig)) < moment
}

/// Whether it may have changed at the moment or later: a file that is written just after it bears
/// the time of the tick before.
pub fn may_be_newer(sig: &Sig, moment: i64) -> bool {
    sig.ctime.saturating_add(tick(sig)) >= moment
}

fn tick(sig: &Sig) -> i64 {
    if is_coarse(sig) { COARSE_TICK_NS } else { TICK_NS }
}

/// Whether the file system seems to know no parts of a second.
pub(super) fn is_coarse(sig: &Sig) -> bool {
    sig.mtime % 1_000_000_000 == 0 && sig.ctime % 1_000_000_000 == 0
}

/// The name under which the table keeps what a link leads to; no path holds a NUL.
pub(super) fn followed(path: &[u8]) -> Vec<u8> {
    let mut name = path.to_vec();
    name.push(0);
    name
}

pub(super) fn is_followed(path: &[u8]) -> bool {
    path.last() == Some(&0)
}

/// For file work and for messages.
pub(super) fn shown_path(path: &[u8]) -> PathBuf {
    let plain = path.strip_suffix(&[0]).unwrap_or(path);
    if plain.is_empty() {
        PathBuf::from(".")
    } else {
        PathBuf::from(std::ffi::OsStr::from_bytes(plain))
    }
}

pub(super) fn look(path: &[u8]) -> std::io::Result<Sig> {
    let plain = path.strip_suffix(&[0]).unwrap_or(path);
    let name = if plain.is_empty() { &b"."[..] } else { plain };
    let mut buffer = [0_u8; 256];
    let owned;
    let name = if name.len() < buffer.len() {
        buffer[..name.len()].copy_from_slice(name);
        std::ffi::CStr::from_bytes_until_nul(&buffer).expect("the buffer is longer than the name")
    } else {
        owned = CString::new(name).map_err(std::io::Error::other)?;
        owned.as_c_str()
    };
    if is_followed(path) {
        stat::follow_at(stat::HERE, name)
    } else {
        stat::lstat_at(stat::HERE, name)
    }
}

/// The device of the folder if a write right after a look always shows there, as with the
/// multigrain timestamps of Linux 6.13 (Documentation/filesystems/multigrain-ts.rst).
pub(super) fn fine_device(folder: &Path) -> Option<u32> {
    use std::io::Write as _;
    let path = folder.join(fs::unique_name());
    let mut file = fs::create_new(&path).ok()?;
    let mut look = || {
        file.write_all(b"x").ok()?;
        stat::fstat(file.as_fd()).ok()
    };
    let times: Option<Vec<Sig>> = (0..5).map(|_| look()).collect();
    let _ = fs::remove_file(&path);
    let times = times?;
    times
        .windows(2)
        .all(|pair| pair[0].ctime < pair[1].ctime && pair[0].mtime < pair[1].mtime)
        .then(|| times[0].dev)
}
