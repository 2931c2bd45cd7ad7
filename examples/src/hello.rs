//! Hello, sandbox: runs a script in namespaces of its own, and shows what it sees there.
//!
//! Run as root: `cargo run --example hello`.

use std::error::Error;

use orlop::{Command, Root};
use orlop_examples::Rootfs;

const SCRIPT: &str = r#"
echo "Hello from $(hostname), I am pid $$ and user $(id -u)."
echo "network:   $(ls /sys/class/net)"
echo "processes: $(ps -o pid,comm | sed 1d | wc -l)"
echo "powers:    $(grep CapEff /proc/self/status)"
touch /here 2>/dev/null && echo "root:      writable" || echo "root:      read-only"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let rootfs = Rootfs::new()?;
    let output = Command::new("sh")
        .args(["-c", SCRIPT])
        .root(Root::pivot(rootfs.path()).read_only())
        .default_mounts()
        .hostname("sandbox")
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    print!("{said}");
    assert!(output.status.success(), "{}", output.status);
    for expected in [
        "from sandbox, I am pid 1 and user 0",
        "network:   lo\n",
        "\t0000000000000000\n",
        "read-only",
    ] {
        assert!(said.contains(expected), "{expected:?} is not there");
    }
    Ok(())
}
