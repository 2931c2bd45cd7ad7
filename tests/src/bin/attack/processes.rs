//! Looks at the processes in `/proc`, as an attacker in the container does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which file something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    /// Of a path, links followed.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let meta = path.metadata()?;
        Ok(Self(meta.dev(), meta.ino()))
    }

    /// Of an open file.
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self(meta.dev(), meta.ino()))
    }
}

/// The ids of all processes but the caller.
pub(crate) fn others() -> io::Result<Vec<i32>> {
    let own = std::process::id().to_string();
    Ok(fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| *name != own)
        .filter_map(|name| name.parse().ok())
        .collect())
}

/// Opens the report, to which lines are appended.
pub(crate) fn report(path: &Path) -> io::Result<File> {
    let mut file = File::options().create(true).append(true).open(path)?;
    file.write_all(b"ready\n")?;
    Ok(file)
}
