//! Judges programs that nobody trusts: each gets the same input, a time limit, a memory limit, a
//! limit on processes and one on what is kept of its output, and a verdict.
//!
//! Run as root: `cargo run --example judge`.

use std::error::Error;
use std::time::{Duration, Instant};

use orlop::cgroups::{Bytes, Limits};
use orlop::{Command, ExitStatus, Mount, Output, Resource, Root};
use orlop_examples::Rootfs;

const TIME: Duration = Duration::from_secs(2);
const MEMORY: Bytes = Bytes::mib(32);
const PROCESSES: u64 = 16;
const OUTPUT: usize = 64 << 10;

const INPUT: &[u8] = b"3\n1\n2\n";
const ANSWER: &[u8] = b"1\n2\n3\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accepted,
    WrongAnswer,
    TimeLimit,
    MemoryLimit,
    OutputLimit,
    RuntimeError,
}

/// Name, program, and what is to come out.
const SUBMISSIONS: [(&str, &str, Verdict); 9] = [
    ("sorts", "sort", Verdict::Accepted),
    ("only copies", "cat", Verdict::WrongAnswer),
    ("never ends", "while :; do :; done", Verdict::TimeLimit),
    (
        "sleeps, with children",
        "sleep 1000 & sleep 1000",
        Verdict::TimeLimit,
    ),
    (
        "wants 100 MiB",
        "dd if=/dev/zero of=/dev/null bs=100M count=1",
        Verdict::MemoryLimit,
    ),
    (
        "fills a file system in memory",
        "dd if=/dev/zero of=/dev/shm/x bs=1M",
        Verdict::MemoryLimit,
    ),
    ("floods", "yes", Verdict::OutputLimit),
    ("fails", "exit 3", Verdict::RuntimeError),
    (
        "starts too many",
        "for i in $(yes 1 | head -n 50); do sleep 1 & done; wait",
        Verdict::RuntimeError,
    ),
];

/// One sandbox for all submissions; each spawn is a new one.
fn sandbox(rootfs: &Rootfs, program: &str) -> Command {
    let limits = Limits::new()
        .memory_limit(MEMORY)
        .memory_and_swap_limit(MEMORY)
        .pids_limit(PROCESSES);
    Command::new("sh")
        .args(["-c", program])
        .root(Root::pivot(rootfs.path()).read_only())
        .default_mounts()
        .mount(Mount::tmpfs("/data").size(Bytes::mib(1)).mode(0o777))
        .current_dir("/data")
        .user(1000, 1000)
        .limits(limits)
        .rlimit(Resource::Core, 0, 0)
        .rlimit(Resource::NoFile, 64, 64)
        .timeout(TIME)
        .capture_limit(OUTPUT)
}

fn verdict(output: &Output) -> Verdict {
    let killed_for_memory = output
        .stats
        .as_ref()
        .is_some_and(|stats| stats.memory.oom_kills > 0);
    if killed_for_memory {
        Verdict::MemoryLimit
    } else if output.truncated {
        Verdict::OutputLimit
    } else if output.status.timed_out() {
        Verdict::TimeLimit
    } else if !output.status.success() {
        Verdict::RuntimeError
    } else if output.stdout == ANSWER {
        Verdict::Accepted
    } else {
        Verdict::WrongAnswer
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let rootfs = Rootfs::new()?;
    println!(
        "{:<30} {:<14} {:>8} {:>10}  status",
        "program", "verdict", "time", "memory"
    );
    for (name, program, expected) in SUBMISSIONS {
        let start = Instant::now();
        let output = sandbox(&rootfs, program).build()?.output_with(INPUT)?;
        let found = verdict(&output);
        print_row(name, found, start.elapsed(), &output);
        assert_eq!(
            found,
            expected,
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            start.elapsed() < TIME * 10,
            "{name}: took {:?}",
            start.elapsed()
        );
    }
    Ok(())
}

fn print_row(name: &str, verdict: Verdict, time: Duration, output: &Output) {
    let peak = output
        .stats
        .as_ref()
        .and_then(|stats| stats.memory.memory.peak);
    let memory = peak.map_or_else(
        || "?".to_owned(),
        |Bytes(bytes)| format!("{} KiB", bytes >> 10),
    );
    let status: ExitStatus = output.status;
    let verdict = format!("{verdict:?}");
    println!(
        "{name:<30} {verdict:<14} {:>5} ms {memory:>10}  {status}",
        time.as_millis()
    );
}
