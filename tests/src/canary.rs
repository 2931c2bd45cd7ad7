//! Tells whether anything in a tree of files has been touched.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Inode number.
    pub inode: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Device number of a device file.
    pub device: u64,
    /// Hash of the content, or of a link's target; 0 of what has none.
    pub content: u64,
    /// Extended attributes, ACLs included.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A tree of files as it was.
#[derive(Debug)]
pub struct Canary {
    root: PathBuf,
    entries: BTreeMap<PathBuf, Entry>,
}

impl Canary {
    /// Makes a small tree to watch: a file of each kind and mode, with secrets in them.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn plant(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join("folder/inner"))?;
        fs::write(root.join("secret"), "the host's secret\n")?;
        fs::write(root.join("folder/inner/program"), "#!/bin/sh\n")?;
        fs::write(root.join("empty"), "")?;
        std::os::unix::fs::symlink("secret", root.join("link"))?;
        Self::of(root)
    }

    /// Remembers a tree that exists.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn of(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.to_path_buf(),
            entries: scan(root)?,
        })
    }

    /// Where the tree is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What differs now, one line a file.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn differences(&self) -> io::Result<Vec<String>> {
        let now = scan(&self.root)?;
        let gone_or_changed = self
            .entries
            .iter()
            .filter_map(|(path, was)| match now.get(path) {
                None => Some(format!("{} is gone", path.display())),
                Some(is) if is != was => {
                    Some(format!("{}: was {was:?}, is {is:?}", path.display()))
                }
                Some(_) => None,
            });
        let new = now
            .keys()
            .filter(|path| !self.entries.contains_key(*path))
            .map(|path| format!("{} is new", path.display()));
        Ok(gone_or_changed.chain(new).collect())
    }

    /// Fails the test if anything differs.
    ///
    /// # Panics
    /// When something differs or the tree can't be read.
    #[track_caller]
    pub fn assert_untouched(&self) {
        let differences = self.differences().expect("read the canary");
        assert!(
            differences.is_empty(),
            "the host was touched:\n{}",
            differences.join("\n")
        );
    }
}

fn scan(root: &Path) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut entries = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let entry = look(&path)?;
        let is_folder = entry.mode & libc::S_IFMT == libc::S_IFDIR;
        entries.insert(path.clone(), entry);
        if is_folder {
            for child in fs::read_dir(&path)? {
                open.push(child?.path());
            }
        }
    }
    Ok(entries)
}

fn look(path: &Path) -> io::Result<Entry> {
    let meta = path.symlink_metadata()?;
    let kind = meta.file_type();
    let content = if kind.is_file() {
        hash(&fs::read(path)?)
    } else if kind.is_symlink() {
        hash(fs::read_link(path)?.as_os_str().as_bytes())
    } else {
        0
    };
    Ok(Entry {
        inode: meta.ino(),
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        device: meta.rdev(),
        content,
        attributes: attributes(path)?,
    })
}

fn attributes(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = BTreeMap::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

/// Accidents are looked for, not forgeries: the standard library's hash does.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    fn planted(name: &str) -> (TempDir, Canary) {
        let folder = TempDir::new(name).unwrap();
        let canary = Canary::plant(&folder.path().join("tree")).unwrap();
        (folder, canary)
    }

    #[test]
    fn an_untouched_tree_has_no_differences() {
        let (_folder, canary) = planted("canary_same");
        canary.assert_untouched();
    }

    #[test]
    fn every_kind_of_touch_is_seen() {
        type Touch = fn(&Path);
        let touches: [Touch; 5] = [
            |tree| fs::write(tree.join("secret"), "other").unwrap(),
            |tree| fs::write(tree.join("folder/new"), "").unwrap(),
            |tree| fs::remove_file(tree.join("link")).unwrap(),
            |tree| std::os::unix::fs::chown(tree.join("empty"), Some(7), None).unwrap(),
            |tree| {
                fs::copy(tree.join("secret"), tree.join("copy")).unwrap();
                fs::rename(tree.join("copy"), tree.join("secret")).unwrap();
            },
        ];
        for (number, touch) in touches.into_iter().enumerate() {
            let (_folder, canary) = planted("canary_touch");
            touch(canary.path());
            assert_eq!(canary.differences().unwrap().len(), 1, "touch {number}");
        }
    }
}
