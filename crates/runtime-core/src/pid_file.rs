//! Pid files: there as a whole, or not at all.

use std::io::Write;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, open, renameat, unlinkat};

use crate::error::{Context, Error, Result};

/// Writes a pid in decimal, without a newline: to a new file beside it, which then takes its name.
pub(crate) fn write(path: &Path, pid: i32) -> Result<()> {
    let operation = || format!("write the pid file {}", path.display());
    let Some(name) = path.file_name() else {
        return Err(Error::invalid(
            "pid_file",
            format!("{} is no file", path.display()),
        ));
    };
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    let temporary = path.with_file_name(temporary_name);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode(0o644);
    let file = match open(&temporary, flags, mode) {
        Err(rustix::io::Errno::EXIST) => {
            // Left by a process that was killed: ours are gone within one call.
            unlinkat(CWD, &temporary, AtFlags::empty()).context(operation)?;
            open(&temporary, flags, mode)
        }
        result => result,
    };
    let mut file = std::fs::File::from(file.context(operation)?);
    let written = file
        .write_all(pid.to_string().as_bytes())
        .context(operation)
        .and_then(|()| renameat(CWD, &temporary, CWD, path).context(operation));
    if written.is_err() {
        let _ = unlinkat(CWD, &temporary, AtFlags::empty());
    }
    written
}
