//! Whether a folder lies on a file system that is not the machine's own: one of a network, or one
//! that a program serves. Knows nothing of what is kept there.

use std::path::Path;

use nix::sys::statfs::statfs;

/// The magic numbers of linux/magic.h and of the file systems' own headers, and what people call
/// them. How wide the number is, and whether it has a sign, depends on the machine; 32 bits count.
const SHARED: [(u32, &str); 9] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x00C3_6400, "Ceph"),
];

/// What the file system of the folder is called, where it is one of a network or of a program.
/// Where the folder is not there yet, that of the one in which it would be made.
pub fn shared_file_system(folder: &Path) -> Option<&'static str> {
    let there = folder.ancestors().find(|folder| folder.exists());
    let path = there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    name_of(statfs(path).ok()?.filesystem_type().0 as u32)
}

fn name_of(magic: u32) -> Option<&'static str> {
    SHARED.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_others_are_known_by_their_numbers() {
        for (magic, name) in [
            (libc::NFS_SUPER_MAGIC, "NFS"),
            (libc::SMB_SUPER_MAGIC, "SMB"),
            (libc::FUSE_SUPER_MAGIC, "FUSE"),
            (libc::AFS_SUPER_MAGIC, "AFS"),
        ] {
            assert_eq!(name_of(magic as u32), Some(name));
        }
        for magic in [
            libc::EXT4_SUPER_MAGIC,
            libc::TMPFS_MAGIC,
            libc::BTRFS_SUPER_MAGIC,
            libc::XFS_SUPER_MAGIC,
            libc::OVERLAYFS_SUPER_MAGIC,
        ] {
            assert_eq!(name_of(magic as u32), None);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_yet_lies_where_it_would_be_made() {
        assert_eq!(shared_file_system(Path::new("/proc/none/at/all")), None);
        assert_eq!(
            shared_file_system(Path::new("none/at/all")),
            shared_file_system(Path::new("."))
        );
    }
}
