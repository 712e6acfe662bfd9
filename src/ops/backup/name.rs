//! The name of a backup.

use std::fmt;

use super::error::BackupError;
use crate::base::name::is_name_char;

/// With the end of its file's name it must be a name that every file system takes.
const MAX: usize = 200;

/// At most 200 bytes of ASCII letters, digits, `_`, `-` and `.`, not beginning with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupName(String);

impl BackupName {
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let problem = if text.is_empty() {
            "it is empty"
        } else if text.len() > MAX {
            "it has more than 200 bytes"
        } else if text.starts_with('.') {
            "it begins with a dot"
        } else if !text.chars().all(is_name_char) {
            "only letters, digits, `_`, `-` and `.` can stand in it"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(BackupError::BadName { name: text.chars().take(MAX).collect(), problem })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
