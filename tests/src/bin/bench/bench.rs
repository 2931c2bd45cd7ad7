//! What all rows share: who takes part, and the place where it happens.

use crate::contestant::{self, Contestant, Kind};
use crate::driver::{Driver, Line};
use crate::options::Options;
use crate::race::Length;
use crate::samples::Budget;
use orlop_tests::view::{Cgroups, View, has_v1};
use orlop_tests::{Bundle, TempDir, locate};
use rustix::mount::{MountFlags, mount};
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The race course.
pub(crate) struct Bench {
    pub(crate) driver: Driver,
    pub(crate) contestants: Vec<Contestant>,
    /// A bundle that runs `true`.
    pub(crate) short: PathBuf,
    /// A bundle that sleeps.
    pub(crate) long: PathBuf,
    /// A bundle like those of an engine: see [`engine`].
    pub(crate) engine: PathBuf,
    pub(crate) tools: Tools,
    pub(crate) view: Cgroups,
    quick: bool,
    // Dropped in this order: what is mounted keeps the folder from being removed.
    _roots: StateRoots,
    scratch: TempDir,
}

/// A tmpfs for state roots: on a machine of today they are below `/run`, which is one.
struct StateRoots(PathBuf);

impl StateRoots {
    fn mount(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), None)?;
        Ok(Self(folder))
    }
}

impl Drop for StateRoots {
    fn drop(&mut self) {
        // The mount namespace goes with the program, so this is only for the folder's sake.
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// Programs that the benchmark compiles.
pub(crate) struct Tools {
    /// The straight-line container.
    pub(crate) floor: PathBuf,
    /// The same with the C library that starts fastest, where there is a compiler for it.
    pub(crate) floor_alone: Option<PathBuf>,
    /// Prints the peak resident set of a program.
    pub(crate) peak: PathBuf,
    /// The program that every contestant runs.
    pub(crate) nothing: PathBuf,
}

impl Bench {
    /// Enters the private mount namespace and gets everything ready.
    pub(crate) fn prepare(options: &Options) -> io::Result<Self> {
        let scratch = TempDir::new("bench")?;
        // Before the newer suite's dynamic linker is in place: compilers are the host's.
        let tools = Tools::compile(scratch.path())?;
        let view = if has_v1() { Cgroups::V1 } else { Cgroups::Host };
        View {
            cgroups: view,
            linker: locate::peers_dir("forky"),
        }
        .enter()?;
        let roots = StateRoots::mount(scratch.path().join("state"))?;
        let short = Bundle::create(&scratch.path().join("short"))?;
        let long = Bundle::create(&scratch.path().join("long"))?.args(&["sleep", "3600"]);
        long.write()?;
        let engine = engine(scratch.path())?;
        for bundle in [&short, &long, &engine] {
            let program = bundle.rootfs().join("bin/true");
            fs::remove_file(&program)?;
            fs::copy(&tools.nothing, &program)?;
        }
        let mut driver = Driver::new(scratch.path())?;
        Ok(Self {
            contestants: contestant::all(options, &mut driver, &roots.0)?,
            driver,
            short: short.path().to_path_buf(),
            long: long.path().to_path_buf(),
            engine: engine.path().to_path_buf(),
            tools,
            view,
            quick: options.quick,
            _roots: roots,
            scratch,
        })
    }

    /// Those with runc's command line.
    pub(crate) fn runtimes(&self) -> Vec<Contestant> {
        let is_runtime = |one: &&Contestant| one.kind == Kind::Runtime;
        self.contestants
            .iter()
            .filter(is_runtime)
            .cloned()
            .collect()
    }

    /// That part of the newest crun's figure.
    pub(crate) fn part_of_crun(&self, part: f64) -> Budget {
        contestant::baseline(&self.contestants).map_or(Budget::Unknown, |crun| {
            Budget::Part(part, crun.label.clone())
        })
    }

    /// A tenth of it, when in a hurry.
    pub(crate) const fn length(&self, rounds: usize, samples: usize) -> Length {
        if self.quick {
            Length {
                rounds: 3,
                samples: samples.div_ceil(3),
            }
        } else {
            Length { rounds, samples }
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

/// A container as engines make it: a filter of their default's size, a user namespace, 20 bind
/// mounts, and limits.
fn engine(folder: &Path) -> io::Result<Bundle> {
    const PROFILE: &str =
        include_str!("../../../../crates/runtime-core/src/seccomp/testdata/large.json");
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let mut bundle = Bundle::create(&folder.join("engine"))?
        .args(&["true"])
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/linux/seccomp", serde_json::from_str(PROFILE)?)
        .set("/linux/resources/memory", json!({"limit": 256 << 20}))
        .set("/linux/resources/pids", json!({"limit": 100}));
    let volumes = folder.join("volumes");
    fs::create_dir(&volumes)?;
    for n in 0..20 {
        let source = volumes.join(n.to_string());
        fs::create_dir(&source)?;
        // An engine owns its root file systems as the container's root; this one is the host's.
        fs::create_dir_all(bundle.rootfs().join("volumes").join(n.to_string()))?;
        let volume = json!({
            "destination": format!("/volumes/{n}"), "type": "bind", "source": source,
            "options": ["rbind", "rprivate", if n % 2 == 0 { "rw" } else { "ro" }],
        });
        bundle = bundle.set("/mounts/-", volume);
    }
    bundle.write()?;
    Ok(bundle)
}

impl Tools {
    fn compile(folder: &Path) -> io::Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
        let freestanding = [
            "-static",
            "-nostdlib",
            "-ffreestanding",
            "-fno-stack-protector",
            "-fno-pie",
            "-no-pie",
        ];
        Ok(Self {
            floor: compile(
                &sources.join("floor.c"),
                &folder.join("floor"),
                &["-static"],
            )?,
            floor_alone: fast_floor(&sources, folder)?,
            peak: compile(&sources.join("peak.c"), &folder.join("peak"), &freestanding)?,
            nothing: compile(&sources.join("true.c"), &folder.join("true"), &freestanding)?,
        })
    }
}

/// A start of glibc takes half a millisecond in a virtual machine that traps CPUID.
fn fast_floor(sources: &Path, folder: &Path) -> io::Result<Option<PathBuf>> {
    const COMPILER: &str = "musl-gcc";
    if locate::in_path(COMPILER).is_none() {
        return Ok(None);
    }
    // The kernel's headers are with glibc's.
    let headers = format!(
        "-idirafter/usr/include/{}-linux-gnu",
        std::env::consts::ARCH
    );
    let options = ["-static", "-idirafter/usr/include", &headers];
    let program = folder.join("floor-alone");
    compile_with(COMPILER, &sources.join("floor.c"), &program, &options).map(Some)
}

fn compile(source: &Path, program: &Path, options: &[&str]) -> io::Result<PathBuf> {
    compile_with("cc", source, program, options)
}

fn compile_with(
    compiler: &str,
    source: &Path,
    program: &Path,
    options: &[&str],
) -> io::Result<PathBuf> {
    let output = Command::new(compiler)
        .args(["-O2", "-Wall", "-o"])
        .args([program, source])
        .args(options)
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("{compiler}: {error}")))?;
    if output.status.success() {
        return Ok(program.to_path_buf());
    }
    Err(io::Error::other(format!(
        "{compiler} {}: {}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    )))
}

/// `create` of a bundle under an id, with its pid in a file.
pub(crate) fn create(
    contestant: &Contestant,
    bundle: &Path,
    pid_file: &Path,
    id: &str,
) -> io::Result<Line> {
    let (bundle, pid_file) = (bundle.to_string_lossy(), pid_file.to_string_lossy());
    contestant.line(&["create", "--bundle", &bundle, "--pid-file", &pid_file, id])
}
