//! Lists what can be opened for writing. Nothing is written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// One path a line. Folders of processes but pid 1's are left out: they are alike.
pub(crate) fn list(folders: &[OsString]) -> io::Result<()> {
    let mut open: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(folder) = open.pop() {
        // A folder that can't be read holds nothing that could be found.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                if !is_other_process(&path) {
                    open.push(path);
                }
            } else if kind.is_file() && can_be_written(&path) {
                println!("{}", path.display());
            }
        }
    }
    Ok(())
}

fn is_other_process(path: &Path) -> bool {
    let Ok(rest) = path.strip_prefix("/proc") else {
        return false;
    };
    let task = rest.components().any(|part| part.as_os_str() == "task");
    task || rest
        .to_str()
        .is_some_and(|name| name != "1" && name.parse::<u32>().is_ok())
}

fn can_be_written(path: &Path) -> bool {
    // A masked file is listed as what it was, and is a device now.
    let is_file = path.metadata().is_ok_and(|meta| meta.is_file());
    is_file
        && File::options()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .is_ok()
}
