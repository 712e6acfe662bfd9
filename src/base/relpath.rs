//! A path inside the project: cannot be absolute, cannot climb out.
//!
//! Bytes, not text: a file name on Unix is any bytes but `/` and NUL.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::text;

/// The longest path that the kernel takes, its closing NUL counted.
pub const PATH_MAX: usize = 4096;
/// The longest name of one component.
pub const NAME_MAX: usize = 255;

/// A path relative to the project's root, normalised: no `.`, no `..`, no empty component.
/// The root itself is the empty path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct RelPath(Box<[u8]>);

/// Why a text is no path inside the project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path is empty")]
    Empty,
    #[error("the path is absolute; paths are relative to the project")]
    Absolute,
    #[error("the path has a `..`; write it without, so that one file has one name")]
    Parent,
    #[error("the path leaves the project")]
    Outside,
    #[error("the path holds a NUL byte")]
    Nul,
    #[error("the path is longer than {PATH_MAX} bytes, or one of its names than {NAME_MAX}")]
    TooLong,
}

impl From<RelPath> for Vec<u8> {
    fn from(path: RelPath) -> Self {
        path.0.into()
    }
}

/// The root is the empty path here.
impl TryFrom<Vec<u8>> for RelPath {
    type Error = PathError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, PathError> {
        if bytes.is_empty() { Ok(Self::root()) } else { Self::parse(&bytes) }
    }
}

impl RelPath {
    /// Parses and normalises. `a//./b/` becomes `a/b`, and `.` the root.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes[0] == b'/' {
            return Err(PathError::Absolute);
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        let mut depth = 0_usize;
        let mut climbs = false;
        let mut out = Vec::with_capacity(bytes.len());
        for part in bytes.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." if depth == 0 => return Err(PathError::Outside),
                b".." => {
                    depth -= 1;
                    climbs = true;
                }
                _ if part.len() > NAME_MAX => return Err(PathError::TooLong),
                _ => {
                    depth += 1;
                    if !out.is_empty() {
                        out.push(b'/');
                    }
                    out.extend_from_slice(part);
                }
            }
        }
        if climbs {
            return Err(PathError::Parent);
        }
        if out.len() >= PATH_MAX {
            return Err(PathError::TooLong);
        }
        Ok(Self(out.into()))
    }

    /// The project itself.
    pub fn root() -> Self {
        Self::default()
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For file work; the root is `.`.
    pub fn as_path(&self) -> &Path {
        if self.0.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(&self.0)) }
    }

    /// This path with one more component, or several joined by `/`.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        if self.is_root() {
            return Self::parse(name);
        }
        let mut bytes = self.0.to_vec();
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self::parse(&bytes)
    }

    /// The folder that holds it; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        &self.0[start..]
    }

    /// Whether it lies below `folder`, or is it.
    pub fn is_in(&self, folder: &Self) -> bool {
        is_in(&self.0, &folder.0)
    }

    /// As a person should see it, control characters escaped.
    pub fn shown(&self) -> Cow<'_, str> {
        if self.is_root() { Cow::Borrowed(".") } else { text::shown(&self.0) }
    }
}

/// Whether `path` lies below `folder` or is it; both normalised, the root empty.
pub fn is_in(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty()
        || path == folder
        || (path.len() > folder.len() && path.starts_with(folder) && path[folder.len()] == b'/')
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({})", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, PathError> {
        RelPath::parse(text.as_bytes()).map(|path| path.to_string())
    }

    #[test]
    fn one_file_has_one_name() {
        assert_eq!(parse("./a//b/").as_deref(), Ok("a/b"));
        assert_eq!(parse(".").as_deref(), Ok("."));
        assert_eq!(parse("a/./b").as_deref(), Ok("a/b"));
    }

    #[test]
    fn no_path_leaves_the_project() {
        assert_eq!(parse("/etc/passwd"), Err(PathError::Absolute));
        assert_eq!(parse("../x"), Err(PathError::Outside));
        assert_eq!(parse("a/../../x"), Err(PathError::Outside));
        assert_eq!(parse("a/../x"), Err(PathError::Parent));
        assert_eq!(parse(""), Err(PathError::Empty));
        assert_eq!(parse("a\0b"), Err(PathError::Nul));
        assert_eq!(parse(&"x".repeat(256)), Err(PathError::TooLong));
        assert_eq!(parse(&"x/".repeat(3000)), Err(PathError::TooLong));
    }

    #[test]
    fn containment_goes_by_component() {
        let path = |text: &str| RelPath::parse(text.as_bytes()).expect("a good path");
        assert!(path("a/b").is_in(&path("a")));
        assert!(path("a").is_in(&path("a")));
        assert!(!path("ab").is_in(&path("a")));
        assert!(path("a").is_in(&RelPath::root()));
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(RelPath::root()));
        assert_eq!(path("a/b").name(), b"b");
    }
}
