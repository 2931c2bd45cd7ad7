//! A sandbox that lives on: programs enter it one after the other, find what the earlier ones have
//! left, and all end with it.
//!
//! Run as root: `cargo run --example session`.

use std::error::Error;
use std::time::Instant;

use orlop::cgroups::{Bytes, Limits};
use orlop::{Child, Command, Mount, Process, Root, Signal, Stdio};
use orlop_examples::Rootfs;

/// Runs a script in the sandbox, and shows both.
fn run(sandbox: &Child, script: &str) -> Result<String, Box<dyn Error>> {
    let start = Instant::now();
    let process = Process::new("sh")
        .args(["-c", script])
        .current_dir("/data")
        .user(1000, 1000);
    let mut child = sandbox.exec(&process.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stdout)?;
    println!(
        "$ {script}    # {} µs, {}",
        start.elapsed().as_micros(),
        output.status
    );
    print!("{said}");
    Ok(said)
}

fn main() -> Result<(), Box<dyn Error>> {
    let rootfs = Rootfs::new()?;
    // The first program only keeps the sandbox open; it ends when its input does.
    let mut sandbox = Command::new("cat")
        .root(Root::pivot(rootfs.path()).read_only())
        .default_mounts()
        .mount(Mount::tmpfs("/data").size(Bytes::mib(4)).mode(0o777))
        .hostname("session")
        .limits(Limits::new().memory_limit(Bytes::mib(64)).pids_limit(32u64))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;

    run(&sandbox, "echo 'kept between programs' >note; hostname")?;
    assert_eq!(run(&sandbox, "cat note")?, "kept between programs\n");
    assert_eq!(run(&sandbox, "ps -o comm | sed -n 2p")?, "cat\n");

    let mut background = sandbox.exec(&Process::new("sleep").arg("1000"))?;
    assert!(run(&sandbox, "ps -o args")?.contains("sleep 1000"));
    let inside = sandbox
        .cgroup()
        .map(|cgroup| cgroup.processes())
        .transpose()?;
    println!("in its cgroup: {inside:?}");

    // Closing its input ends the first program, and with it all that is in its PID namespace.
    let status = sandbox.wait()?;
    println!(
        "the sandbox: {status}; the program in the background: {}",
        background.wait()?
    );
    assert!(status.success());
    assert_eq!(background.wait()?.signal(), Some(Signal::KILL));
    Ok(())
}
