//! A shell that is root of its own sandbox, for a user who is nobody on the host: a user namespace
//! in which the caller's own id is root, and nobody else is there.
//!
//! Run as any user: `cargo run --example rootless`. Started as root it gives that up first.

use std::error::Error;
use std::os::unix::process::CommandExt;

use orlop::{Command, Process, Root, Stdio};
use orlop_examples::Rootfs;

/// Debian's user `nobody` and group `nogroup`.
const NOBODY: u32 = 65534;

const SCRIPT: &str = r#"
echo "inside:  user $(id -u), groups $(id -G), host $(hostname), pid $$"
echo "map:    $(cat /proc/self/uid_map)"
echo "groups:  setgroups is $(cat /proc/self/setgroups)"
echo "powers: $(grep CapEff /proc/self/status)"
echo "network: $(ls /sys/class/net)"
mount -t tmpfs none /data 2>/dev/null && echo "mount:   allowed" || echo "mount:   refused"
echo mine >/note && ls -ln /note
"#;

fn main() -> Result<(), Box<dyn Error>> {
    if user() == 0 {
        // The file itself, wherever it lies: nobody might not be let into its folder.
        let error = std::process::Command::new("/proc/self/exe")
            .uid(NOBODY)
            .gid(NOBODY)
            .exec();
        return Err(error.into());
    }
    println!("outside: user {}", user());
    let rootfs = Rootfs::new()?;
    let sandbox = Command::new("sh")
        .root(Root::pivot(rootfs.path()))
        .default_mounts()
        .hostname("rootless")
        .map_self_to_root();
    let output = sandbox.clone().args(["-c", SCRIPT]).output()?;
    let said = String::from_utf8(output.stdout)?;
    print!("{said}");
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    for expected in [
        "user 0,",
        "host rootless, pid 1",
        "setgroups is deny",
        "mount:   refused",
        " 0 ",
    ] {
        assert!(said.contains(expected), "{expected:?} is not there");
    }
    // On the host the file is the caller's own.
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&rootfs.path().join("note").metadata()?),
        user()
    );

    let mut shell = sandbox.stdin(Stdio::piped()).spawn()?;
    let mut second = shell.exec(&Process::new("id").stdout(Stdio::piped()))?;
    let output = second.wait_with_output()?;
    print!("entered: {}", String::from_utf8(output.stdout)?);
    assert!(output.status.success() && shell.wait()?.success());
    Ok(())
}

/// The caller's user id, without a library: that of its own process's files.
fn user() -> u32 {
    std::fs::metadata("/proc/self/status")
        .map_or(0, |about| std::os::unix::fs::MetadataExt::uid(&about))
}
