//! Rows that time the cgroup library beside the bare calls, in this process.

use crate::bench::Bench;
use crate::race::Length;
use crate::samples::{Budget, Entry, Note, Row, Unit};
use orlop::cgroups::{Bytes, Cgroup, CgroupPath, Controller, Error, Layout, Limits, Version};
use orlop_tests::stats::median;
use rustix::fs::{CWD, Mode, OFlags, mkdir, open, unlinkat};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const OURS: &str = "orlop-cgroups";
const BARE: &str = "bare mkdir, write, rmdir";

/// With how many other cgroups a host is full.
const MANY: usize = 10_000;

pub(super) fn beside_bare_calls(bench: &mut Bench) -> Row {
    let (entries, notes) = outcome(race(bench, 0));
    Row {
        key: "cgroups",
        title: "cgroups of a container with three limits, made and removed",
        unit: Unit::Microseconds,
        budget: Budget::Part(1.3, BARE.to_owned()),
        entries,
        notes,
    }
}

pub(super) fn among_many(bench: &mut Bench) -> Row {
    let alone = race(bench, 0);
    let (entries, mut notes) = outcome(race(bench, MANY));
    if let Ok(alone) = alone {
        let middle = |entry: &Entry| median(&entry.rounds.concat()).unwrap_or_default();
        notes.extend(alone.iter().zip(&entries).map(|(before, after)| {
            let growth = middle(after) / middle(before);
            Note::Remark(format!(
                "{}: {growth:.2} times what it costs without the others.",
                after.label
            ))
        }));
        notes.push(Note::Remark(
            "The growth of the bare calls is the kernel's: on v1 a write to `cpuset.cpus` looks at \
             every cpuset there is."
                .to_owned(),
        ));
    }
    Row {
        key: "cgroups-many",
        title: "the same with 10,000 other cgroups in each hierarchy",
        unit: Unit::Microseconds,
        budget: Budget::Part(1.3, BARE.to_owned()),
        entries,
        notes,
    }
}

fn outcome(raced: io::Result<Vec<Entry>>) -> (Vec<Entry>, Vec<Note>) {
    match raced {
        Ok(entries) => (entries, Vec::new()),
        Err(error) => (Vec::new(), vec![Note::out(OURS, &error)]),
    }
}

/// Both ways in turns, one life of a cgroup each.
fn race(bench: &Bench, others: usize) -> io::Result<Vec<Entry>> {
    let Length { rounds, samples } = bench.length(10, 60);
    let layout = Layout::probe().map_err(io::Error::other)?;
    let path = path_of("orlop-t-bench")?;
    let limits = Limits::new()
        .memory_limit(Bytes::mib(64))
        .pids_limit(100)
        .cpu_shares(512);
    let bare = BareCalls::of(&layout, &path, &limits)?;
    let _others = Others::make(&layout, others)?;
    let mut entries = [(OURS, true), (BARE, false)].map(|(label, ours)| Entry {
        label: label.to_owned(),
        ours,
        rounds: vec![Vec::with_capacity(samples); rounds],
    });
    for round in 0..rounds {
        ours(&layout, &path, &limits)?;
        bare.run()?;
        for sample in 0..samples {
            for turn in 0..2 {
                let who = (round + sample + turn) % 2;
                let time = match who {
                    0 => ours(&layout, &path, &limits)?,
                    _ => bare.run()?,
                };
                entries[who].rounds[round].push(time.as_secs_f64() * 1e6);
            }
        }
    }
    Ok(entries.into())
}

fn ours(layout: &Layout, path: &CgroupPath, limits: &Limits) -> io::Result<Duration> {
    let start = Instant::now();
    Cgroup::create(layout, path, limits)
        .and_then(|cgroup| cgroup.destroy())
        .map_err(io::Error::other)?;
    Ok(start.elapsed())
}

fn path_of(name: &str) -> io::Result<CgroupPath> {
    CgroupPath::new(&format!("/{name}")).map_err(io::Error::other)
}

/// The calls that nobody can do without, with everything known beforehand.
struct BareCalls {
    folders: Vec<PathBuf>,
    writes: Vec<(PathBuf, String)>,
}

impl BareCalls {
    fn of(layout: &Layout, path: &CgroupPath, limits: &Limits) -> io::Result<Self> {
        // What ours writes is read from a cgroup that ours has made.
        let cgroup = Cgroup::create(layout, path, limits).map_err(io::Error::other)?;
        let writes = written(layout, &cgroup);
        cgroup.destroy().map_err(io::Error::other)?;
        Ok(Self {
            folders: cgroup.record().into_iter().map(|one| one.path).collect(),
            writes: writes.map_err(io::Error::other)??,
        })
    }

    fn run(&self) -> io::Result<Duration> {
        let start = Instant::now();
        for folder in &self.folders {
            mkdir(folder, Mode::from_raw_mode(0o755))?;
        }
        for (file, value) in &self.writes {
            let file = open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::write(&file, value.as_bytes())?;
        }
        for folder in &self.folders {
            remove(folder)?;
        }
        Ok(start.elapsed())
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    Ok(unlinkat(CWD, folder, rustix::fs::AtFlags::REMOVEDIR)?)
}

/// The files with a value in them that a cgroup needs, or that a limit asks for.
fn written(layout: &Layout, cgroup: &Cgroup) -> Result<io::Result<Vec<(PathBuf, String)>>, Error> {
    let files = [
        (Controller::Memory, "memory.limit_in_bytes", Version::V1),
        (Controller::Pids, "pids.max", Version::V1),
        (Controller::Cpu, "cpu.shares", Version::V1),
        (Controller::Cpuset, "cpuset.cpus", Version::V1),
        (Controller::Cpuset, "cpuset.mems", Version::V1),
        (Controller::Memory, "memory.max", Version::V2),
        (Controller::Pids, "pids.max", Version::V2),
        (Controller::Cpu, "cpu.weight", Version::V2),
    ];
    let mut paths = Vec::new();
    for (controller, file, version) in files {
        let hierarchy = layout.hierarchy_of(controller)?;
        let Some(hierarchy) = hierarchy.filter(|one| one.version() == version) else {
            continue;
        };
        let mut members = cgroup.members().iter();
        let member = members.find(|one| one.hierarchy() == hierarchy.name());
        paths.extend(member.map(|one| one.path().join(file)));
    }
    let read = |path: PathBuf| fs::read_to_string(&path).map(|text| (path, text.trim().to_owned()));
    Ok(paths.into_iter().map(read).collect())
}

/// Cgroups that are only there.
struct Others(Vec<PathBuf>);

impl Others {
    fn make(layout: &Layout, count: usize) -> io::Result<Self> {
        let mut made = Self(Vec::new());
        if count == 0 {
            return Ok(made);
        }
        for place in Cgroup::plan_paths(layout, &path_of("orlop-t-bench-others")?) {
            made.add(place.path.clone())?;
            for n in 0..count {
                made.add(place.path.join(n.to_string()))?;
            }
        }
        Ok(made)
    }

    fn add(&mut self, folder: PathBuf) -> io::Result<()> {
        mkdir(&folder, Mode::from_raw_mode(0o755))?;
        self.0.push(folder);
        Ok(())
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            if let Err(error) = remove(folder) {
                eprintln!("bench: {} is left: {error}", folder.display());
            }
        }
    }
}
