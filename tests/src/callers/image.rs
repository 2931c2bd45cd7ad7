//! The image that containers are made of: no registry is asked.

use serde_json::json;
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
    pack(&root, &folder.join("box.tar"))
}

/// Makes `<folder>/<name>-image.tar` from [`make`]'s root file system, an archive as `docker save`
/// writes it, of an image `docker.io/library/<name>:latest` with that command.
///
/// # Errors
/// What the file system reports.
pub fn archive(folder: &Path, name: &str, command: &[&str]) -> io::Result<PathBuf> {
    let layer = folder.join("box.tar");
    let image = folder.join(format!("{name}-image"));
    fs::create_dir_all(&image)?;
    let sum = Command::new("sha256sum").arg(&layer).output()?.stdout;
    let sum = String::from_utf8_lossy(&sum);
    let sum = sum.split(' ').next().unwrap_or_default();
    fs::hard_link(&layer, image.join("layer.tar"))?;
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Cmd": command, "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{sum}")] },
    });
    fs::write(image.join("config.json"), config.to_string())?;
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": [format!("docker.io/library/{name}:latest")],
        "Layers": ["layer.tar"],
    }]);
    fs::write(image.join("manifest.json"), manifest.to_string())?;
    pack(&image, &folder.join(format!("{name}-image.tar")))
}

fn pack(tree: &Path, tar: &Path) -> io::Result<PathBuf> {
    let made = Command::new("tar")
        .args(["--owner=0", "--group=0", "-C"])
        .arg(tree)
        .arg("-cf")
        .arg(tar)
        .arg(".")
        .status()?;
    if !made.success() {
        return Err(io::Error::other(format!("tar: {made}")));
    }
    Ok(tar.to_path_buf())
}
