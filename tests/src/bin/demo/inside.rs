//! One container that looks around, beside the host.

use std::collections::BTreeMap;
use std::process::Command;

use orlop_tests::{Fixture, Output};
use serde_json::Value;

use crate::paper::Paper;
use crate::{MEMORY_MIB, PROCESSES, Result, bundle, label};

/// What both look at: a name and a value on each line.
const LOOK: &str = r#"
echo "pid $$"
set -- /proc/[0-9]*; echo "processes $#"
echo "hostname $(hostname)"
echo "mounts $(wc -l </proc/self/mountinfo)"
echo "root $(awk '$5 == "/" { root = $6 } END { print root }' /proc/self/mountinfo)"
echo "network $(ls /sys/class/net | tr '\n' ' ')"
echo "ipc $(readlink /proc/self/ns/ipc)"
echo "capabilities $(awk '/^CapEff/ { print $2 }' /proc/self/status)"
for file in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do
    [ ! -e $file ] || echo "memory_limit $(cat $file)"
done
for file in /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max; do
    [ ! -e $file ] || echo "pids_limit $(cat $file)"
done
"#;

/// What only the container does: a program that takes twice the memory, and a crowd.
const PUSH: &str = r#"
dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo "dd_status $?"
sh -c 'for i in $(seq 40); do sleep 5 & done' >/dev/null 2>/dev/shm/refusal
set -- /proc/[0-9]*; echo "crowd $#"
read -r refusal </dev/shm/refusal; echo "refusal ${refusal##*: }"
"#;

type Facts = BTreeMap<String, String>;

/// A row of the table, and whether it is as it should be.
struct Row {
    name: &'static str,
    inside: String,
    outside: String,
    good: bool,
}

/// Runs the container and prints what it saw. Returns whether all of it is as it should be.
pub(crate) fn show(paper: &Paper, fixture: &Fixture, config: &Value) -> Result<bool> {
    let script = format!("{LOOK}{PUSH}");
    let bundle = bundle(&fixture.file("inside"), config, &["sh", "-c", &script])?;
    let container = fixture.container(&bundle);
    let output = container.run();
    let inside = facts(&output.stdout);
    if !output.status.success() {
        container.delete_force();
        return Err(output.to_string().into());
    }
    let host = Command::new("/bin/busybox")
        .args(["sh", "-c", LOOK])
        .output()?;
    let host = facts(&String::from_utf8_lossy(&host.stdout));

    heading(paper, fixture, &output);
    let rows = rows(&inside, &host);
    for Row {
        name,
        inside,
        outside,
        good,
    } in &rows
    {
        let inside = format!("{inside:<36}");
        let inside = if *good {
            paper.good(inside)
        } else {
            paper.bad(inside)
        };
        paper.line(&format!("  {name:<14}{inside} {}", paper.dim(outside)));
    }
    Ok(rows.iter().all(|row| row.good))
}

fn heading(paper: &Paper, fixture: &Fixture, output: &Output) {
    let kernel = rustix::system::uname();
    paper.line(&format!(
        "{} on Linux {}: a container, from inside",
        paper.bold(label(fixture.runtime())),
        kernel.release().to_string_lossy()
    ));
    let took = format!(
        "{:.1} ms with all that is done inside",
        milliseconds(output)
    );
    paper.line(&paper.dim(format!(
        "  orlop-runc spec; limits of {MEMORY_MIB} MiB and {PROCESSES} processes; orlop-runc run ({took})\n"
    )));
    let columns = format!("  {:<14}{:<36} {}", "", "in the container", "on the host");
    paper.line(&paper.bold(columns));
}

fn milliseconds(output: &Output) -> f64 {
    output.elapsed.as_secs_f64() * 1e3
}

fn facts(text: &str) -> Facts {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn rows(inside: &Facts, host: &Facts) -> Vec<Row> {
    let of = |facts: &Facts, name: &str| facts.get(name).cloned().unwrap_or_default();
    let here = |name: &str| of(inside, name);
    let there = |name: &str| of(host, name);
    let differs = |name: &str| !here(name).is_empty() && here(name) != there(name);
    let processes = |facts: &Facts| {
        format!(
            "{}, of {} to be seen",
            of(facts, "pid"),
            of(facts, "processes")
        )
    };
    let mounts = |facts: &Facts| {
        let mode = if of(facts, "root").starts_with("ro") {
            "read-only"
        } else {
            "writable"
        };
        format!("{}, the root {mode}", of(facts, "mounts"))
    };
    let row = |name, inside, outside, good| Row {
        name,
        inside,
        outside,
        good,
    };
    vec![
        row(
            "process id",
            processes(inside),
            processes(host),
            here("pid") == "1",
        ),
        row(
            "host name",
            here("hostname"),
            there("hostname"),
            here("hostname") == "orlop-demo",
        ),
        row(
            "mounts",
            mounts(inside),
            mounts(host),
            here("root").starts_with("ro"),
        ),
        row(
            "network",
            here("network"),
            there("network"),
            here("network") == "lo",
        ),
        row("IPC", here("ipc"), there("ipc"), differs("ipc")),
        row(
            "capabilities",
            capabilities(&here("capabilities")),
            capabilities(&there("capabilities")),
            differs("capabilities"),
        ),
        memory(&here("memory_limit"), &here("dd_status")),
        pids(&here("pids_limit"), &here("crowd"), &here("refusal")),
    ]
}

/// 137 is the status of a program that was killed by SIGKILL, as the kernel does when memory ends.
fn memory(limit: &str, status: &str) -> Row {
    let mib = limit.parse::<u64>().map_or(0, |bytes| bytes >> 20);
    let good = mib == MEMORY_MIB && status == "137";
    let fate = if status == "137" {
        "killed"
    } else {
        "not stopped"
    };
    Row {
        name: "memory limit",
        inside: format!("{mib} MiB; what took 64 MiB was {fate}"),
        outside: String::new(),
        good,
    }
}

fn pids(limit: &str, crowd: &str, refusal: &str) -> Row {
    let reached: u64 = crowd.parse().unwrap_or(0);
    Row {
        name: "process limit",
        inside: format!(
            "{limit}; of 40 more, {} could start",
            reached.saturating_sub(1)
        ),
        outside: format!("(the next: {})", refusal.to_lowercase()),
        good: limit == PROCESSES.to_string() && reached <= PROCESSES && !refusal.is_empty(),
    }
}

/// The names of a mask's few capabilities, or their number.
fn capabilities(mask: &str) -> String {
    const NAMES: [&str; 41] = [
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "linux_immutable",
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
        "ipc_owner",
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
        "audit_control",
        "setfcap",
        "mac_override",
        "mac_admin",
        "syslog",
        "wake_alarm",
        "block_suspend",
        "audit_read",
        "perfmon",
        "bpf",
        "checkpoint_restore",
    ];
    let mask = u64::from_str_radix(mask, 16).unwrap_or(0);
    if mask.count_ones() > 4 {
        return format!("{}", mask.count_ones());
    }
    let names = NAMES.iter().enumerate();
    let held: Vec<&str> = names
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    held.join(" ")
}
