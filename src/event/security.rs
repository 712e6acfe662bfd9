//! What the security checks find, as plain data.

use serde::{Deserialize, Serialize};

/// Something that a security check struck at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Violation {
    /// The command does what hardly any build means to do.
    DangerousCommand {
        danger: Danger,
        /// Where it stands, as `manifest.txt:3`.
        place: String,
    },
    /// An input has more bytes than the settings allow.
    InputTooLarge { path: String, size: u64, limit: u64 },
    /// An output is, or lies behind, a symbolic link that leads out of the project.
    LinkLeadsOut { path: String },
}

/// Why a command is known to be dangerous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Danger {
    /// `rm -rf /`
    RemovesRoot,
    /// `dd of=/dev/sda`, `> /dev/sda`
    OverwritesDevice,
    /// `mkfs /dev/sda1`
    MakesFileSystem,
    /// `:(){ :|:& };:`
    ForkBomb,
    /// `curl ... | sh`
    RunsDownload,
    /// `chmod 777 /`
    OpensRoot,
}

/// What may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    Input,
    /// A folder of the cache or of the workspace, or what lies in it.
    Cache,
}
