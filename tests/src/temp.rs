//! A private folder that goes away.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the names of all our temporary folders, ids and cgroups begin with.
pub const PREFIX: &str = "orlop-t";

/// A folder that only its owner can write to, removed with all that is in it when dropped.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Makes `<temporary folder>/orlop-t-<name>-<pid>-<counter>`.
    ///
    /// # Errors
    /// What `mkdir(2)` reports.
    pub fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(unique(name));
        fs::DirBuilder::new().mode(0o755).create(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A leaked mount below would have its content removed; leave such a tree for a person.
        if !has_mounts(&self.path) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A name that no other test, process or run uses: `orlop-t-<name>-<pid>-<counter>`.
#[must_use]
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    format!("{PREFIX}-{name}-{}-{number}", std::process::id())
}

fn has_mounts(path: &Path) -> bool {
    let Some(path) = path.to_str() else {
        return true;
    };
    fs::read_to_string("/proc/self/mountinfo").is_ok_and(|table| {
        table
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .any(|point| point.starts_with(path))
    })
}
