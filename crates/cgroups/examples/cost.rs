//! What a cgroup costs, beside the bare calls that no implementation can do
//! without: `mkdir`, the two values that v1's cpuset needs, and `rmdir`; back to
//! back, and with pauses of 20 ms. Prints medians in microseconds.
//!
//! `cargo run --release -p orlop-cgroups --example cost [CGROUPS-BESIDE]`

use std::fs::{OpenOptions, create_dir, remove_dir};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use orlop_cgroups::{Bytes, Cgroup, CgroupPath, Layout, Limits, Result};

const ROUNDS: usize = 200;

fn main() -> Result<()> {
    let beside: usize = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let layout = Layout::probe()?;
    let own = format!("/orlop-cost-{}", std::process::id());
    let parent = Cgroup::create(&layout, &CgroupPath::new(&own)?, &Limits::new())?;
    let path = |n: usize| CgroupPath::new(&format!("{own}/{n}"));
    let others: Vec<_> = (0..beside)
        .map(|n| Cgroup::create(&layout, &path(n + 1)?, &Limits::new()))
        .collect::<Result<_>>()?;
    println!(
        "{:?}, {} hierarchies, {beside} cgroups beside",
        layout.mode(),
        layout.hierarchies().len()
    );
    let measured = measure_all(&layout, &path(0)?);
    others.iter().try_for_each(Cgroup::destroy)?;
    parent.destroy()?;
    measured
}

fn measure_all(layout: &Layout, path: &CgroupPath) -> Result<()> {
    measure("probe", Duration::ZERO, || Layout::probe().map(|_| ()))?;
    for pause in [Duration::ZERO, Duration::from_millis(20)] {
        let places: Vec<_> = Cgroup::plan_paths(layout, path)
            .into_iter()
            .map(|place| place.path)
            .collect();
        let none = Limits::new();
        let some = Limits::new().memory_limit(Bytes::mib(64)).pids_limit(100);
        measure_pair(
            "make: bare, ours",
            pause,
            || bare_make(&places),
            || Cgroup::create(layout, path, &none).map(drop),
            || bare_remove(&places),
        )?;
        measure_pair(
            "make with two limits: bare without, ours",
            pause,
            || bare_make(&places),
            || Cgroup::create(layout, path, &some).map(drop),
            || bare_remove(&places),
        )?;
        measure_pair(
            "remove: bare, ours",
            pause,
            || bare_remove(&places),
            || Cgroup::open(&Cgroup::plan_paths(layout, path)).destroy(),
            || bare_make(&places),
        )?;
    }
    Ok(())
}

/// Errors of the bare calls show in the figures of the next step.
fn bare_make(places: &[PathBuf]) {
    for place in places {
        let _ = create_dir(place);
        let parent = place.parent();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let cpuset = place
                .components()
                .any(|component| component.as_os_str() == "cpuset");
            if let (true, Some(parent)) = (cpuset, parent) {
                let value = std::fs::read(parent.join(file)).unwrap_or_default();
                let _ = OpenOptions::new()
                    .write(true)
                    .open(place.join(file))
                    .and_then(|mut file| file.write_all(&value));
            }
        }
    }
}

fn bare_remove(places: &[PathBuf]) {
    for place in places {
        let _ = remove_dir(place);
    }
}

fn measure(what: &str, pause: Duration, mut step: impl FnMut() -> Result<()>) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        std::thread::sleep(pause);
        let start = Instant::now();
        step()?;
        times.push(start.elapsed());
    }
    println!("{what}: {}", median(times));
    Ok(())
}

/// Both ways in turns, so that what else goes on meets both.
fn measure_pair(
    what: &str,
    pause: Duration,
    mut bare: impl FnMut(),
    mut ours: impl FnMut() -> Result<()>,
    mut undo: impl FnMut(),
) -> Result<()> {
    let rounds = if pause.is_zero() { ROUNDS } else { ROUNDS / 4 };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    // For removing, something has to be there: undoing once more does no harm.
    undo();
    for _ in 0..rounds {
        std::thread::sleep(pause);
        let start = Instant::now();
        bare();
        first.push(start.elapsed());
        undo();
        std::thread::sleep(pause);
        let start = Instant::now();
        ours()?;
        second.push(start.elapsed());
        undo();
    }
    // And nothing may be left of it.
    if what.starts_with("remove") {
        bare();
    }
    println!(
        "{what}, {} ms pauses: {} {}",
        pause.as_millis(),
        median(first),
        median(second)
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1000.0
}
