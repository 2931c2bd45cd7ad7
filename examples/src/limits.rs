//! Bounds a program with the cgroup library alone: gives it a cgroup, waits for its memory to run
//! out, and reads what it has used.
//!
//! Run as root: `cargo run --example limits`.

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use orlop::cgroups::{Bytes, Cgroup, CgroupPath, Event, Layout, Limit, Limits, Micros};

/// Waits until it is in the cgroup, and then wants all memory there is.
const GREEDY: &str = "read go; exec tail /dev/zero";

fn main() -> Result<(), Box<dyn Error>> {
    let layout = Layout::probe()?;
    println!("this host: {:?}", layout.mode());
    let path = CgroupPath::new(&format!("/orlop-example-{}", std::process::id()))?;
    let limits = Limits::new()
        .memory_limit(Bytes::mib(16))
        .memory_and_swap_limit(Bytes::mib(16)) // no swap
        .pids_limit(20)
        .cpu_quota(Micros(50_000), Micros(100_000)); // half a CPU
    let cgroup = Cgroup::create(&layout, &path, &limits)?;
    // Whatever happens, nothing stays.
    let told = watch(&cgroup);
    cgroup.clear()?;
    told
}

fn watch(cgroup: &Cgroup) -> Result<(), Box<dyn Error>> {
    let mut events = cgroup.watch()?;
    let mut greedy = Command::new("sh")
        .args(["-c", GREEDY])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    // Simple; a runtime has its processes born in the cgroup instead, which is faster.
    cgroup.add_process(greedy.id())?;
    if let Some(mut stdin) = greedy.stdin.take() {
        stdin.write_all(b"go\n")?;
    }
    let event = events.next(Some(Duration::from_secs(30)))?;
    println!("event:     {event:?}");
    println!("ended:     {}", greedy.wait()?);

    let used = cgroup.stats()?;
    let peak = used.memory.memory.peak.map_or(0, |peak| peak.0 >> 10);
    println!("memory:    {peak} KiB at most");
    println!("killed:    {}", used.memory.oom_kills);
    println!("CPU time:  {:?}", used.cpu.usage);

    cgroup.update(&Limits::new().pids_limit(5))?;
    println!("processes: {:?}", cgroup.limits()?.pids);
    assert_eq!(event, Some(Event::Oom));
    assert_eq!(cgroup.limits()?.pids, Some(Limit::Value(5)));
    Ok(())
}
