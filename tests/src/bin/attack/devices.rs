//! Makes device nodes and opens them.

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

/// For each `NAME=TYPE:MAJOR:MINOR` a line `NAME mknod ERRNO open ERRNO`, 0 for success.
pub(crate) fn open_all(devices: &[OsString]) -> io::Result<()> {
    for device in devices {
        let (name, kind, number) =
            parse(device).ok_or_else(|| io::Error::other("a device is NAME=TYPE:MAJOR:MINOR"))?;
        let path = format!("/dev/attack-{name}");
        let made = mknodat(CWD, &path, kind, Mode::from(0o600), number);
        let opened = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        println!(
            "{name} mknod {} open {}",
            made.err().map_or(0, rustix::io::Errno::raw_os_error),
            opened.err().and_then(|e| e.raw_os_error()).unwrap_or(0)
        );
    }
    Ok(())
}

fn parse(device: &OsString) -> Option<(&str, FileType, u64)> {
    let (name, rest) = device.to_str()?.split_once('=')?;
    let mut parts = rest.split(':');
    let kind = match parts.next()? {
        "b" => FileType::BlockDevice,
        _ => FileType::CharacterDevice,
    };
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((name, kind, makedev(major, minor)))
}
