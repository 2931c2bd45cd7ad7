//! The image that containers are made of: no registry is asked.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const BUSYBOX: &str = "/bin/busybox";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n";
const GROUP: &str = "root:x:0:\nuser:x:1000:\nstaff:x:50:user\n";

/// Makes `<folder>/box.tar`, a root file system of busybox-static with all its applets, and returns
/// its path.
///
/// # Errors
/// `NotFound` without busybox-static, otherwise what the file system reports.
pub fn make(folder: &Path) -> io::Result<PathBuf> {
    let root = folder.join("box");
    for name in ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(BUSYBOX, root.join("bin/busybox"))?;
    let applets = Command::new(BUSYBOX).arg("--list").output()?.stdout;
    for applet in String::from_utf8_lossy(&applets).lines() {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet))?;
        }
    }
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    let tar = folder.join("box.tar");
    let made = Command::new("tar")
        .args(["--owner=0", "--group=0", "-C"])
        .arg(&root)
        .arg("-cf")
        .arg(&tar)
        .arg(".")
        .status()?;
    if !made.success() {
        return Err(io::Error::other(format!("tar: {made}")));
    }
    Ok(tar)
}
