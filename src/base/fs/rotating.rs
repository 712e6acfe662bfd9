//! A file that several processes append whole lines to, and that begins anew when it is large:
//! `FILE`, `FILE.1`, up to as many old ones as are kept.
//!
//! Knows nothing of what the lines say.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::{Context as _, FileError};

/// When a file begins anew, and how many old ones stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file does not grow beyond this, unless a single append is larger; 0: it never ends.
    pub max_bytes: u64,
    /// How many old files stay beside the new one.
    pub keep: u32,
}

/// The file, open for appending.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    /// The last append was cut short in a line.
    torn: bool,
}

impl RotatingFile {
    /// Opens the file, and makes it and its folder if need be. What is no file (a device, a pipe)
    /// is written to, but not rotated; a pipe that nobody reads is an error and not waited for.
    pub fn open(path: &Path, rotation: Rotation) -> Result<Self, FileError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            super::create_dir_all(folder)?;
        }
        let file = open(path).at("open", path)?;
        Ok(Self { path: path.to_path_buf(), rotation, file, torn: false })
    }

    /// Appends whole lines. No other process's lines come in between, and none are lost when
    /// one of them begins a new file meanwhile.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.file.metadata()?.is_file() {
            return self.file.write_all(lines);
        }
        let written = self
            .lock_current()
            .and_then(|()| self.make_room(lines.len() as u64))
            .and_then(|()| self.write(lines));
        let unlocked = self.file.unlock();
        written.and(unlocked)
    }

    /// Locks the file that has the name now. Another process may have renamed the one that is
    /// open here while this one waited for it.
    fn lock_current(&mut self) -> io::Result<()> {
        loop {
            self.file.lock()?;
            let own = self.file.metadata()?;
            match fs::metadata(&self.path) {
                Ok(named) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // Closing the old one ends its lock.
                Ok(_) | Err(_) => self.file = open(&self.path)?,
            }
        }
    }

    /// Begins a new file where these bytes would make the present one too large. The lock on the
    /// file that has the name keeps others from doing the same: it is the last to be renamed.
    fn make_room(&mut self, more: u64) -> io::Result<()> {
        let Rotation { max_bytes, keep } = self.rotation;
        let size = self.file.metadata()?.len();
        // A name that is a link, such as that of a standard stream, is not ours to move.
        let is_link = fs::symlink_metadata(&self.path)?.is_symlink();
        if max_bytes == 0 || size == 0 || size.saturating_add(more) <= max_bytes || is_link {
            return Ok(());
        }
        for number in (1..keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if keep == 0 {
            fs::remove_file(&self.path)?;
        } else {
            fs::rename(&self.path, self.numbered(1))?;
        }
        self.torn = false;
        self.file.unlock()?;
        self.file = open(&self.path)?;
        self.lock_current()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// In one call as long as the disk takes it. What follows a line that was cut short begins on
    /// a line of its own.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        let mut left = lines;
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = lines[lines.len() - left.len() + count - 1] != b'\n';
                    left = &left[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Opens without waiting for the other end of a pipe; writing may wait.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        fcntl(file.as_fd(), FcntlArg::F_SETFL(OFlag::O_APPEND)).map_err(io::Error::from)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(folder: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(folder).expect("the folder") {
            let text = fs::read_to_string(entry.expect("an entry").path()).expect("a text");
            assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }

    #[test]
    fn a_full_file_gets_a_number_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("sub/log");
        let rotation = Rotation { max_bytes: 20, keep: 2 };
        let mut log = RotatingFile::open(&path, rotation).expect("a new file");
        for number in 0..8 {
            log.append(format!("line {number:03}\n").as_bytes()).expect("room");
        }
        let read = |name: &str| fs::read_to_string(folder.path().join("sub").join(name)).ok();
        assert_eq!(read("log").as_deref(), Some("line 006\nline 007\n"));
        assert_eq!(read("log.1").as_deref(), Some("line 004\nline 005\n"));
        assert_eq!(read("log.2").as_deref(), Some("line 002\nline 003\n"));
        assert_eq!(read("log.3"), None);
    }

    #[test]
    fn nothing_old_stays_where_none_is_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let rotation = Rotation { max_bytes: 5, keep: 0 };
        let mut log = RotatingFile::open(&path, rotation).expect("a new file");
        log.append(b"one\n").expect("room");
        log.append(b"two\n").expect("room");
        assert_eq!(fs::read(&path).expect("the file"), b"two\n");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn writers_that_rotate_under_each_other_lose_and_tear_no_line() {
        const EACH: usize = 2000;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        // A lock belongs to the opened file, so that threads with files of their own are to each
        // other as processes are.
        let rotation = Rotation { max_bytes: 4096, keep: 1000 };
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let mut log = RotatingFile::open(&path, rotation).expect("a log");
                scope.spawn(move || {
                    for number in 0..EACH {
                        log.append(
                            format!("{writer} {number} {}\n", "x".repeat(number % 50)).as_bytes(),
                        )
                        .expect("room");
                    }
                });
            }
        });
        let mut lines = lines_of(folder.path());
        lines.sort_unstable();
        let mut expected: Vec<String> = (0..4)
            .flat_map(|writer| {
                (0..EACH).map(move |n| format!("{writer} {n} {}", "x".repeat(n % 50)))
            })
            .collect();
        expected.sort_unstable();
        assert!(lines == expected, "{} lines, not {}", lines.len(), expected.len());
        assert!(fs::read_dir(folder.path()).expect("the folder").count() > 20, "it was rotated");
    }

    #[test]
    fn a_link_is_followed_and_never_moved() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "").expect("a file");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        let mut log = RotatingFile::open(&link, Rotation { max_bytes: 5, keep: 1 }).expect("a log");
        log.append(b"one\n").expect("room");
        log.append(b"two\n").expect("room");
        assert_eq!(fs::read(&target).expect("the file"), b"one\ntwo\n");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 2);
    }

    #[test]
    fn a_file_that_was_taken_away_is_made_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let mut log = RotatingFile::open(&path, Rotation { max_bytes: 0, keep: 1 }).expect("a log");
        log.append(b"one\n").expect("room");
        fs::remove_file(&path).expect("a file");
        log.append(b"two\n").expect("room");
        assert_eq!(fs::read(&path).expect("the file"), b"two\n");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_an_error_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let error = RotatingFile::open(&path, Rotation { max_bytes: 0, keep: 0 });
        assert_eq!(error.expect_err("no reader").source.raw_os_error(), Some(libc::ENXIO));
    }
}
