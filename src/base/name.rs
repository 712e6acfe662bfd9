//! The name of a task.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name of a task, in bytes.
pub const MAX: usize = 256;

/// At most 256 bytes of ASCII letters, digits, `_`, `-` and `.`; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(Arc<str>);

/// Why a text is no name of a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a task needs a name")]
    Empty,
    #[error("a task's name has at most {MAX} bytes")]
    TooLong,
    #[error("`{0}` cannot be part of a task's name; letters, digits, `_`, `-` and `.` can")]
    BadChar(String),
}

impl TaskName {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX {
            return Err(NameError::TooLong);
        }
        match text.chars().find(|&c| !is_name_char(c)) {
            Some(bad) => Err(NameError::BadChar(bad.escape_debug().to_string())),
            None => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `c` may stand in a task's name.
pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

impl TryFrom<String> for TaskName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<TaskName> for String {
    fn from(name: TaskName) -> Self {
        name.0.to_string()
    }
}

impl Borrow<str> for TaskName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskName({})", self.0)
    }
}
