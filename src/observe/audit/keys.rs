//! The key that seals the log, and that changes with every seal: who finds it can make no seal of
//! the past.
//!
//! The file holds the initial key, 64 hex digits, until it is used for the first time; from then
//! on the number of the epoch and its key.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError};

/// What the file begins with once it was used.
const USED: &str = "reprovm-audit-key epoch=";
/// No such file is larger.
const MOST: u64 = 1024;

/// The key of an epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct EpochKey {
    pub epoch: u64,
    pub key: [u8; 32],
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochKey({})", self.epoch)
    }
}

impl EpochKey {
    /// The key of the epoch after this one. There is no way back.
    #[must_use]
    pub fn next(&self) -> Self {
        let key = *Digest::keyed(&self.key, b"evolve").as_bytes();
        Self { epoch: self.epoch + 1, key }
    }

    /// Reads a file with an initial key, or with that of an epoch.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .at("open the key", path)?;
        Self::read_from(&mut file).at("use the key", path)
    }

    fn read_from(file: &mut File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let problem = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if !meta.is_file() || meta.len() > MOST {
            return Err(problem("it is no file of 64 hex digits"));
        }
        if meta.mode() & 0o077 != 0 {
            return Err(problem("others than its owner may read it: `chmod 600` it"));
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Self::parse(text.trim()).ok_or_else(|| {
            problem("it has to hold 64 hex digits, as `openssl rand -hex 32` prints them")
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (epoch, hex) = match text.strip_prefix(USED) {
            Some(rest) => {
                let (epoch, hex) = rest.split_once(" key=")?;
                (epoch.parse().ok()?, hex)
            }
            None => (0, text),
        };
        let key = *Digest::parse(&hex.to_ascii_lowercase()).ok()?.as_bytes();
        Some(Self { epoch, key })
    }
}

/// The file of a key that lives.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    pub(super) fn read(&self) -> Result<EpochKey, FileError> {
        EpochKey::read(&self.path)
    }

    /// Puts the key of the next epoch in place, and writes over what held the old one.
    pub(super) fn replace(&self, next: &EpochKey) -> Result<(), FileError> {
        let old = OpenOptions::new().write(true).open(&self.path).at("open the key", &self.path)?;
        let size = usize::try_from(old.metadata().map_or(0, |meta| meta.len())).unwrap_or(0);
        let text = format!("{USED}{} key={}\n", next.epoch, Digest::from_bytes(next.key));
        fs::write_durable(&self.path, text.as_bytes())?;
        let mut old = old;
        old.write_all(&vec![b'0'; size])
            .and_then(|()| old.sync_data())
            .at("write over the old key of", &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_the_user_made_it_and_as_we_left_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("key");
        let first = EpochKey { epoch: 0, key: [0xab; 32] };
        let hex = format!("{}\n", "AB".repeat(32));
        fs::write_atomic(&path, hex.as_bytes()).expect("a key");
        let file = KeyFile::new(&path);
        assert_eq!(file.read().expect("the key"), first);
        let mut old = File::open(&path).expect("the file");
        file.replace(&first.next()).expect("a new key");
        assert_eq!(file.read().expect("the key"), first.next());
        assert_ne!(first.next().next().key, first.next().key);
        let mut left = String::new();
        old.read_to_string(&mut left).expect("the old file");
        assert_eq!(left, "0".repeat(hex.len()), "the old key is gone from the disk");
    }

    #[test]
    fn what_is_no_key_or_lies_open_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("key");
        for text in ["", "abc", "reprovm-audit-key epoch=x key=00", &"g".repeat(64)] {
            fs::write_atomic(&path, text.as_bytes()).expect("a file");
            assert!(EpochKey::read(&path).is_err(), "{text}");
        }
        fs::write_atomic(&path, "00".repeat(32).as_bytes()).expect("a file");
        fs::set_mode(&path, 0o644).expect("a mode");
        let error = EpochKey::read(&path).expect_err("others may read it");
        assert!(error.source.to_string().contains("chmod 600"), "{error:?}");
    }
}
