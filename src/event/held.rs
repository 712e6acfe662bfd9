//! A file without a name that an event tells of, open until the last who hears of it is done.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use super::Output;
use crate::base::Digest;

/// Keeps the file there. Two are equal: what is in them is not theirs to say.
#[derive(Debug, Clone)]
pub struct HeldFile {
    _file: Arc<File>,
}

impl PartialEq for HeldFile {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for HeldFile {}

impl Output {
    /// The first `len` bytes of a file without a name. It is opened anew by whoever reads it, so
    /// that nobody moves the place of another.
    pub fn held(file: File, len: u64, object: Digest) -> Self {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Self::File { path, len, object, held: Some(HeldFile { _file: Arc::new(file) }) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn each_reader_begins_at_the_beginning() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(b"words").expect("room for it");
        let output = Output::held(file, 5, Digest::of(b"words"));
        let Output::File { path, .. } = &output else { panic!("{output:?}") };
        for _ in 0..2 {
            let mut text = String::new();
            File::open(path).expect("the file").read_to_string(&mut text).expect("text");
            assert_eq!(text, "words");
        }
    }
}
