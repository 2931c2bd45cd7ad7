//! The lines of `mountinfo` (`proc_pid_mountinfo(5)`). They are bytes: so are paths.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// One mount, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Which part of the file system is mounted; `/` for all of it.
    pub root: PathBuf,
    pub point: PathBuf,
    pub kind: String,
}

impl Mount {
    /// A line, or `None` where it is not of the documented form.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (root, point) = (path(fields.next()?), path(fields.next()?));
        // Optional fields are between.
        fields.find(|field| *field == b"-")?;
        let kind = String::from_utf8_lossy(fields.next()?).into_owned();
        Some(Self { root, point, kind })
    }

    /// Whether the whole file system is mounted there.
    pub(crate) fn is_whole(&self) -> bool {
        self.root == Path::new("/")
    }
}

/// All mounts of a table, in its order.
pub(crate) fn mounts(table: &[u8]) -> impl Iterator<Item = Mount> {
    table.split(|byte| *byte == b'\n').filter_map(Mount::parse)
}

/// The kernel writes `\040` for a blank, and others so.
fn path(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\').and_then(octal);
        plain.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(plain))
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn lines_are_read() {
        let line = b"29 22 0:26 /a\\040b /mnt/c\\134d rw,nosuid shared:4 - tmpfs none rw";
        let mount = Mount::parse(line).unwrap();
        assert_eq!(mount.root, Path::new("/a b"));
        assert_eq!(mount.point, Path::new("/mnt/c\\d"));
        assert_eq!(mount.kind, "tmpfs");
        assert!(!mount.is_whole());
        assert!(Mount::parse(b"").is_none() && Mount::parse(b"1 2 3 - x").is_none());
    }

    #[test]
    fn a_path_that_is_no_text_hides_no_other_mount() {
        let table = b"1 0 0:1 / /\xff rw - proc proc rw\n2 0 0:2 / /sys\\9 rw - sysfs sysfs rw\n";
        let points: Vec<_> = mounts(table).map(|mount| mount.point).collect();
        assert_eq!(points[0].as_os_str().as_bytes(), b"/\xff");
        assert_eq!(points[1], Path::new("/sys\\9"));
    }
}
