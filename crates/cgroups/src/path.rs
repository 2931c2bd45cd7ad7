//! The validated path of a cgroup.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};

const MAX_PATH: usize = 4096;
const MAX_COMPONENT: usize = 255;

/// The path of a cgroup in its hierarchies.
///
/// An absolute path (`/a/b`) lies below the root of each hierarchy's mount. A
/// relative one (`a/b`) lies below the caller's own cgroup on v1, and beside the
/// caller's own cgroup on pure v2, where a cgroup with processes cannot have
/// limited children.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupPath {
    absolute: bool,
    relative: PathBuf,
}

impl CgroupPath {
    /// Checks and normalises a path: empty components and `.` go away.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPath`] for `..`, NUL, newline, a path that names nothing,
    /// more than 4096 bytes, or a component of more than 255.
    pub fn new(path: &str) -> Result<Self> {
        let invalid = |reason| Error::InvalidPath {
            path: path.chars().take(200).collect(),
            reason,
        };
        if path.len() > MAX_PATH {
            return Err(invalid("longer than 4096 bytes"));
        }
        if path.contains(['\0', '\n']) {
            return Err(invalid("contains a NUL or a newline"));
        }
        let mut relative = PathBuf::new();
        for component in path.split('/') {
            match component {
                "" | "." => {}
                ".." => return Err(invalid("\"..\" is not allowed")),
                name if name.len() > MAX_COMPONENT => {
                    return Err(invalid("a component is longer than 255 bytes"));
                }
                name => relative.push(name),
            }
        }
        if relative.as_os_str().is_empty() {
            return Err(invalid("names no cgroup below the root"));
        }
        Ok(Self {
            absolute: path.starts_with('/'),
            relative,
        })
    }

    /// Whether it counts from the root of each hierarchy.
    #[must_use]
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// The components, without a leading `/`.
    #[must_use]
    pub fn relative(&self) -> &Path {
        &self.relative
    }
}

impl FromStr for CgroupPath {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self> {
        Self::new(path)
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.absolute { "/" } else { "" };
        write!(f, "{slash}{}", self.relative.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        for (text, normal) in [
            ("/a/b", "/a/b"),
            ("//a///b/", "/a/b"),
            ("./a/./b", "a/b"),
            ("a", "a"),
            ("/a..b/...", "/a..b/..."),
        ] {
            assert_eq!(
                CgroupPath::new(text).unwrap().to_string(),
                normal,
                "{text:?}"
            );
        }
    }

    #[test]
    fn refuses() {
        let long = format!("/{}", "a/".repeat(2100));
        let wide = "a".repeat(256);
        for text in [
            "", "/", "//", ".", "..", "/..", "a/../b", "a/..", "a\0b", "a\nb", &long, &wide,
        ] {
            assert!(
                matches!(CgroupPath::new(text), Err(Error::InvalidPath { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_length_limit_is_exact() {
        let path = format!("/{}", "ab/".repeat(1365));
        assert_eq!(path.len(), 4096);
        assert!(CgroupPath::new(&path).is_ok());
        assert!(CgroupPath::new(&format!("{path}/")).is_err());
    }
}
