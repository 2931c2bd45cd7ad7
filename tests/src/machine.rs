//! Where figures come from.

use std::fs;

/// The machine in a few words each: processor, memory, kernel, system.
#[must_use]
pub fn describe() -> Vec<(&'static str, String)> {
    vec![
        ("processor", processor()),
        ("memory", memory()),
        (
            "kernel",
            version_of_two(&read("/proc/sys/kernel/osrelease")),
        ),
        ("load average at the end", load()),
        ("system", quoted(&read("/etc/os-release"), "PRETTY_NAME=")),
    ]
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let count = text
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown model", |(_, model)| model);
    format!("{count} × {model}")
}

fn memory() -> String {
    let kib: u64 = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    format!("{} MiB", kib >> 10)
}

/// Whether others keep the machine busier than one benchmark does.
#[must_use]
pub fn is_busy() -> bool {
    let load: f64 = load()
        .split(' ')
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(0.0);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    #[expect(
        clippy::cast_precision_loss,
        reason = "machines have fewer than 2^52 processors"
    )]
    let processors = processors as f64;
    load > processors
}

/// A machine that is busy with something else shows here.
fn load() -> String {
    let text = read("/proc/loadavg");
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str, key: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap_or("unknown")
        .trim_matches('"')
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `6.18.44-more` is 6.18.
fn version_of_two(release: &str) -> String {
    let parts: Vec<&str> = release.trim().split('.').take(2).collect();
    parts.join(".")
}
