//! What the examples share: a root file system of busybox, made in a temporary folder.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Debian's package busybox-static: one program without libraries.
const BUSYBOX: &str = "/bin/busybox";

/// Its programs that the examples use.
const PROGRAMS: [&str; 19] = [
    "cat", "dd", "echo", "grep", "head", "hostname", "id", "kill", "ls", "mount", "ps", "sed",
    "sh", "sleep", "sort", "touch", "true", "wc", "yes",
];

/// A root file system in a folder of its own, which is removed in the end.
#[derive(Debug)]
pub struct Rootfs(PathBuf);

impl Rootfs {
    /// Makes one from the host's busybox.
    ///
    /// # Errors
    /// When busybox is missing, or the temporary folder can't be written to.
    pub fn new() -> io::Result<Self> {
        let rootfs =
            Self(std::env::temp_dir().join(format!("orlop-example-{}", std::process::id())));
        // What is mounted later needs a place that is there, if the root is read-only by then.
        for folder in ["bin", "dev", "etc", "proc", "sys", "tmp", "data"] {
            fs::create_dir_all(rootfs.0.join(folder))?;
        }
        fs::copy(BUSYBOX, rootfs.0.join("bin/busybox")).map_err(|error| {
            let message = format!("copy {BUSYBOX} (Debian: package busybox-static): {error}");
            io::Error::new(error.kind(), message)
        })?;
        for program in PROGRAMS {
            symlink("busybox", rootfs.0.join("bin").join(program))?;
        }
        fs::write(
            rootfs.0.join("etc/passwd"),
            "root:x:0:0::/:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n",
        )?;
        Ok(rootfs)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("remove {}: {error}", self.0.display());
        }
    }
}
