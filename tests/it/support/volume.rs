//! A file system on a disk that is a file, for what that of the machine may not do: XFS and btrfs
//! let files share blocks. Only root can mount one. `tests/servers.sh` installs what makes them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::say;

/// The smallest that XFS agrees to.
const SIZE: u64 = 320 << 20;

/// Mounted while it lives.
#[derive(Debug)]
pub(crate) struct Volume {
    image: PathBuf,
    folder: PathBuf,
}

impl Volume {
    /// Mounts an empty one of this kind on a new folder. None, and said, where that is not allowed.
    pub(crate) fn mount(kind: &str, folder: &Path) -> Option<Self> {
        let image = folder.with_extension("image");
        fs::create_dir(folder).expect("a folder");
        File::create_new(&image).and_then(|file| file.set_len(SIZE)).expect("a sparse file");
        let made = run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image));
        assert!(made, "mkfs.{kind} works; `sh tests/servers.sh` installs it");
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", "loop"]).arg(&image).arg(folder);
        if run(&mut mount) {
            return Some(Self { image, folder: folder.to_path_buf() });
        }
        say(&format!("SKIPPED: no {kind} can be mounted here; run this test as root"));
        None
    }

    /// Puts other bytes on its disk, behind the back of the file system.
    pub(crate) fn overwrite(&self, place: u64, bytes: &[u8]) {
        let image = File::options().write(true).open(&self.image).expect("the disk");
        image.write_all_at(bytes, place).expect("it can be written to");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if !run(Command::new("umount").arg("-l").arg(&self.folder)) {
            say("a volume of a test could not be taken away");
        }
        let _ = fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
}
