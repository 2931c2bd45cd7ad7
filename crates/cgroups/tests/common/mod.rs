//! What the tests on real hierarchies share: names of their own, views of the
//! host, and children to put into cgroups. They need root and cgroup mounts, and
//! say so where they are missing.
// Each test program uses some of it, and here too a failed call ends the test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use orlop_cgroups::{Cgroup, CgroupPath, Controller, DeviceNumber, Layout, Mode, Signal, Version};

/// The v1 hierarchies of this host alone, or `None`, aloud, where there are none.
pub fn v1_view() -> Option<Layout> {
    or_skipped(v1(), "needs root and cgroup v1")
}

/// The unified hierarchy of this host alone.
pub fn v2_view() -> Option<Layout> {
    or_skipped(v2(), "needs root and cgroup v2")
}

/// The host as it is.
pub fn host_view() -> Option<Layout> {
    or_skipped(host(), "needs root and cgroups")
}

fn or_skipped(view: Option<Layout>, reason: &str) -> Option<Layout> {
    if view.is_none() {
        skipped(reason);
    }
    view
}

fn v1() -> Option<Layout> {
    view(|line| !line.contains(" - cgroup2 "), Mode::V1)
}

fn v2() -> Option<Layout> {
    view(|line| !line.contains(" - cgroup "), Mode::V2)
}

fn host() -> Option<Layout> {
    is_root()
        .then(|| Layout::probe().unwrap())
        .filter(|layout| layout.mode() != Mode::None)
}

fn view(keep: fn(&str) -> bool, mode: Mode) -> Option<Layout> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mountinfo: String = mountinfo
        .lines()
        .filter(|line| keep(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let layout = Layout::parse(
        &mountinfo,
        &fs::read_to_string("/proc/self/cgroup").unwrap(),
    );
    (is_root() && layout.mode() == mode).then_some(layout)
}

/// Says aloud that the running test can't run here; what is named by `ORLOP_SKIPPED` lists it.
pub fn skipped(reason: &str) {
    let program = module_path!().split("::").next().unwrap();
    // The harness calls a test's thread by the test's name.
    let thread = std::thread::current();
    let line = format!("SKIPPED {program}::{}: {reason}\n", thread.name().unwrap());
    // Not `eprint!`: the harness captures that of a test that passes.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("ORLOP_SKIPPED") {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("\nUid:\t0\t0\t")
}

/// A path that no other test has.
pub fn own_path() -> CgroupPath {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    CgroupPath::new(&format!("/orlop-test-{}-{n}", std::process::id())).unwrap()
}

/// A cgroup that is killed and removed at the end of a test, however it ends.
pub struct Scratch(pub Cgroup);

impl std::ops::Deref for Scratch {
    type Target = Cgroup;

    fn deref(&self) -> &Cgroup {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.0.kill_all(Signal::KILL);
        let destroyed = self.0.destroy();
        if !std::thread::panicking() {
            destroyed.unwrap();
            assert!(
                self.0
                    .members()
                    .iter()
                    .all(|member| !member.path().exists())
            );
        }
    }
}

/// A child that ends with the test.
pub struct Process(pub Child);

impl Process {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Starts a shell script inside the cgroup.
    pub fn in_cgroup(cgroup: &Cgroup, script: &str) -> Self {
        // The shell waits for a line, so that it does nothing outside of the cgroup.
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        cgroup.add_process(child.id()).unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
        Self(child)
    }

    /// Waits for the first line that it prints.
    pub fn wait_for_line(&mut self) -> String {
        use std::io::Read;
        let mut line = String::new();
        let mut byte = [0];
        let stdout = self.0.stdout.as_mut().unwrap();
        // Byte by byte, so that what comes after stays for `output`.
        while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(char::from(byte[0]));
        }
        line
    }

    pub fn output(mut self) -> String {
        use std::io::Read;
        let mut text = String::new();
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        self.0.wait().unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn member_path(cgroup: &Cgroup, hierarchy: &str) -> PathBuf {
    let member = cgroup
        .members()
        .iter()
        .find(|m| m.hierarchy().split(',').any(|n| n == hierarchy));
    member
        .unwrap_or_else(|| panic!("no hierarchy {hierarchy}"))
        .path()
        .to_owned()
}

pub fn read(cgroup: &Cgroup, hierarchy: &str, file: &str) -> String {
    fs::read_to_string(member_path(cgroup, hierarchy).join(file))
        .unwrap()
        .trim()
        .to_owned()
}

pub fn has(layout: &Layout, hierarchy: &str) -> bool {
    layout
        .hierarchies()
        .iter()
        .any(|h| h.name().split(',').any(|n| n == hierarchy))
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "waited in vain for: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every view of this host that a test can run on.
pub fn views() -> Vec<Layout> {
    [host(), v1(), v2()].into_iter().flatten().collect()
}

/// Every view on which all of these controllers can be had.
pub fn views_with(controllers: &[Controller]) -> Vec<Layout> {
    let has = |layout: &Layout| {
        controllers
            .iter()
            .all(|one| layout.hierarchy_of(*one).unwrap().is_some())
    };
    let views: Vec<_> = views().into_iter().filter(has).collect();
    if views.is_empty() {
        skipped(&format!("needs cgroup controllers {controllers:?}"));
    }
    views
}

pub fn version_of(layout: &Layout) -> Vec<Version> {
    layout
        .hierarchies()
        .iter()
        .map(orlop_cgroups::Hierarchy::version)
        .collect()
}

/// The disk that a directory is on; a partition counts as part of it.
pub fn disk_of(dir: &Path) -> Option<DeviceNumber> {
    use std::os::unix::fs::MetadataExt;
    let number = fs::metadata(dir).unwrap().dev();
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let whole = |device: &str| {
        let (major, minor) = device.trim().split_once(':')?;
        Some(DeviceNumber {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    };
    let sysfs = format!("/sys/dev/block/{major}:{minor}");
    match fs::read_to_string(format!("{sysfs}/../dev")) {
        Ok(disk) if Path::new(&sysfs).join("partition").exists() => whole(&disk),
        _ => (major != 0).then_some(DeviceNumber { major, minor }),
    }
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Runs the ignored test of that name in this program again, as an unprivileged user.
pub fn again_as(user: u32, test: &str, variables: &[(&str, String)]) {
    use std::os::unix::process::CommandExt;
    // The program itself may lie where that user cannot go.
    let program = std::env::current_exe().unwrap();
    let copy = std::env::temp_dir().join(format!("orlop-test-{}-{test}", std::process::id()));
    fs::copy(program, &copy).unwrap();
    let output = Command::new(&copy)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .uid(user)
        .gid(user)
        .output()
        .unwrap();
    fs::remove_file(&copy).unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
