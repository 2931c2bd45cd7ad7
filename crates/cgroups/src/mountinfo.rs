//! The cgroup mounts in `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::io::{Errno, read, retry_on_intr};

/// One line of mountinfo, as far as cgroups need it. Paths are as the kernel writes them, in one
/// form only and with [`unescape`] to undo; most are only compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount<'a> {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    /// Which directory of the file system is mounted here.
    pub(crate) root: &'a [u8],
    pub(crate) mountpoint: &'a [u8],
    pub(crate) fstype: &'a [u8],
    pub(crate) super_options: &'a [u8],
}

impl<'a> Mount<'a> {
    /// A line, or `None` where it is not of the documented form.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let _device = fields.next()?;
        // What is joined to them has to stay below them.
        let mut directory = || fields.next().filter(|path| path.starts_with(b"/"));
        let (root, mountpoint) = (directory()?, directory()?);
        fields.find(|field| field == b"-")?;
        let fstype = fields.next()?;
        let _source = fields.next()?;
        let super_options = fields.next().unwrap_or_default();
        Some(Self {
            id,
            parent,
            root,
            mountpoint,
            fstype,
            super_options,
        })
    }

    pub(crate) fn is_cgroup(&self) -> bool {
        matches!(self.fstype, b"cgroup" | b"cgroup2")
    }
}

/// The lines of a table.
pub(crate) fn lines(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    table.split(|&byte| byte == b'\n')
}

fn number(field: &[u8]) -> Option<u64> {
    let plain = !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    str::from_utf8(field).ok().filter(|_| plain)?.parse().ok()
}

/// Undoes the octal escapes (`\040` and kin) of mount paths.
pub(crate) fn unescape(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        if let (
            b'\\',
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ],
        ) = (byte, after)
        {
            plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            plain.push(byte);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

/// Whether looking up the mount's path leads to it, by the tree of all mounts:
/// nothing is mounted on top of it, nor over a directory above it.
pub(crate) fn is_visible(mount: &Mount<'_>, all: &[Mount<'_>]) -> bool {
    if all
        .iter()
        .any(|top| top.parent == mount.id && top.mountpoint == mount.mountpoint)
    {
        return false;
    }
    let mut current = mount;
    // A chain of parents is never longer than the list; a cycle ends the walk.
    for _ in 0..=all.len() {
        let hidden = all.iter().any(|other| {
            other.parent == current.parent
                && other.id != current.id
                && is_strict_prefix(other.mountpoint, current.mountpoint)
        });
        if hidden {
            return false;
        }
        match all
            .iter()
            .find(|parent| parent.id == current.parent && parent.id != current.id)
        {
            Some(parent) => current = parent,
            None => return true,
        }
    }
    false
}

fn is_strict_prefix(prefix: &[u8], path: &[u8]) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.starts_with(b"/") || (prefix == b"/" && !rest.is_empty()),
        None => false,
    }
}

/// A file by lines, in reads of one page, and only as far as asked for: hosts with
/// many containers have thousands of mounts, and the cgroup ones come early.
pub(crate) struct Lines<F> {
    file: F,
    pending: Vec<u8>,
    at_end: bool,
}

impl<F: AsFd> Lines<F> {
    pub(crate) fn new(file: F) -> Self {
        Self {
            file,
            pending: Vec::with_capacity(4096),
            at_end: false,
        }
    }

    /// Reads on.
    pub(crate) fn fill(&mut self) -> Result<(), Errno> {
        let mut chunk = [0; 4096];
        let n = retry_on_intr(|| read(&self.file, &mut chunk))?;
        self.pending.extend_from_slice(&chunk[..n]);
        self.at_end = n == 0;
        Ok(())
    }

    /// Whether all of it is read.
    pub(crate) fn at_end(&self) -> bool {
        self.at_end
    }

    /// What is read and not handed out yet.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.pending
    }

    /// Hands out line after line, until `done` or the file ends.
    pub(crate) fn each(&mut self, mut done: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
        loop {
            let mut start = 0;
            while let Some(length) = self.pending[start..].iter().position(|&b| b == b'\n') {
                let line = &self.pending[start..start + length];
                start += length + 1;
                if done(line) {
                    return Ok(());
                }
            }
            self.pending.drain(..start);
            if self.at_end {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_line_with_optional_fields_and_escapes() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 shared:2 - cgroup2 none rw,nsdelegate";
        let mount = Mount::parse(line.as_bytes()).unwrap();
        assert_eq!((mount.id, mount.parent), (36, 35));
        assert_eq!(mount.root, b"/mnt1");
        assert_eq!(unescape(mount.mountpoint), Path::new(r"/mnt 2\x"));
        assert_eq!(mount.fstype, b"cgroup2");
        assert_eq!(mount.super_options, b"rw,nsdelegate");
    }

    #[test]
    fn broken_lines_are_no_mounts() {
        for line in [
            "",
            "1",
            "1 2 0:1 / /m rw",
            "x 2 0:1 / /m rw - cgroup c rw",
            "1 2 0:1 - cgroup",
            "1 2 0:1  /m rw - cgroup c rw",
            "1 2 0:1 / m rw - cgroup c rw",
        ] {
            assert_eq!(Mount::parse(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(unescape(br"\9\04"), Path::new(r"\9\04"));
    }

    #[test]
    fn lines_of_a_file_longer_than_a_page() {
        let path = std::env::temp_dir().join(format!("orlop-test-{}-lines", std::process::id()));
        let text: Vec<_> = (0..2000).map(|n| format!("line {n}")).collect();
        std::fs::write(&path, text.join("\n") + "\n").unwrap();
        let open = || Lines::new(std::fs::File::open(&path).unwrap());
        let mut seen = Vec::new();
        let mut all = open();
        all.fill().unwrap();
        assert!(!all.at_end());
        all.each(|line| {
            seen.push(String::from_utf8(line.to_vec()).unwrap());
            false
        })
        .unwrap();
        assert_eq!(seen, text);
        assert!(all.at_end());
        let mut count = 0;
        let mut some = open();
        some.each(|_| {
            count += 1;
            count == 700
        })
        .unwrap();
        assert_eq!(count, 700);
        assert!(!some.at_end());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_bind_mount_above_hides_what_is_below() {
        let text = "23 1 0:20 / / rw - ext4 x rw\n\
                    31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                    35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    50 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let all: Vec<_> = lines(text.as_bytes()).filter_map(Mount::parse).collect();
        let visible: Vec<_> = all
            .iter()
            .filter(|m| m.is_cgroup() && is_visible(m, &all))
            .map(|m| m.id)
            .collect();
        assert_eq!(visible, [50]);
    }

    #[test]
    fn a_sibling_of_similar_name_hides_nothing() {
        let text = "23 1 0:20 / / rw - ext4 x rw\n\
                    33 23 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    34 23 0:31 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct";
        let all: Vec<_> = lines(text.as_bytes()).filter_map(Mount::parse).collect();
        assert!(all.iter().all(|m| is_visible(m, &all)));
    }
}
