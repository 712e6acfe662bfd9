//! A small file system in memory, for full disks and for a border between file systems. Only
//! root can make one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Mounted while it lives.
#[derive(Debug)]
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one on an existing folder. None, and said, where that is not allowed.
    #[expect(clippy::print_stderr, reason = "a test that proves nothing here says so")]
    pub(crate) fn mount(folder: &Path, size: &str) -> Option<Self> {
        let mounted =
            mount(&["-t", "tmpfs", "-o", &format!("mode=755,size={size}"), "tmpfs"], folder);
        if mounted {
            return Some(Self(folder.to_path_buf()));
        }
        eprintln!("SKIPPED: no file system can be mounted here; run this test as root");
        None
    }

    /// Gives it another size.
    pub(crate) fn resize(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], &self.0), "it can be resized");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str], folder: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(args).arg(folder).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
