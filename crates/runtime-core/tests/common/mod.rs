//! What the tests of real sandboxes share: a root file system, and a way to say that a test can't
//! run here.
// Each test program uses some of it, and here too a failed call ends the test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use orlop::{Command, Root};

/// Returns from a test that can't run here, aloud: what is named by `ORLOP_SKIPPED` lists it.
#[macro_export]
macro_rules! need_root {
    () => {
        if !$crate::common::is_root() {
            fn here() {}
            let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
            $crate::common::skipped(name, "needs root");
            return;
        }
    };
}

pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("\nUid:\t0\t0\t")
}

pub fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    // Not `eprint!`: the test harness captures that of a test that passes.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("ORLOP_SKIPPED") {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Programs of the root file system, all of them busybox.
const APPLETS: [&str; 32] = [
    "sh", "true", "false", "cat", "echo", "env", "hostname", "id", "ip", "kill", "ls", "mount",
    "ps", "pwd", "sleep", "stat", "touch", "tty", "umask", "wc", "yes", "head", "mkdir", "mknod",
    "dd", "stty", "nproc", "grep", "readlink", "ipcs", "test", "nc",
];

/// A root file system of busybox in a folder of its own, removed in the end.
pub struct Rootfs(PathBuf);

impl Rootfs {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "orlop-command-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        for dir in ["bin", "etc", "proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        // By another process: as long as a child of another thread had the file open for writing, it
        // could not be executed.
        let copied = std::process::Command::new("cp")
            .arg("/bin/busybox")
            .arg(root.join("bin/busybox"))
            .status();
        assert!(copied.unwrap().success(), "needs Debian's busybox-static");
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n",
        )
        .unwrap();
        Self(root)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A program in this root, with the default mounts.
    pub fn command(&self, program: &str) -> Command {
        Command::new(program)
            .root(Root::pivot(&self.0))
            .default_mounts()
    }

    /// A script in this root, with the default mounts.
    pub fn script(&self, script: &str) -> Command {
        self.command("/bin/sh").args(["-c", script])
    }

    /// A program in this root, with no mounts at all.
    pub fn bare(&self, program: &str) -> Command {
        Command::new(program).root(Root::pivot(&self.0))
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// What a command writes to its standard output, without the last line's end.
#[track_caller]
pub fn say(command: &Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{error}"));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{}: {stdout}{stderr}",
        output.status
    );
    stdout.trim_end().to_owned()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The open descriptors of this process, and what each is.
pub fn open_files() -> Vec<String> {
    let list = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut all: Vec<_> = list
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            // The list itself is open while it is read.
            let own = format!("/proc/{}/fd", std::process::id());
            (target != Path::new(&own)).then(|| {
                format!(
                    "{} {}",
                    entry.file_name().to_string_lossy(),
                    target.display()
                )
            })
        })
        .collect();
    all.sort();
    all
}

/// Mounts of this process's namespace that show one of its root file systems.
pub fn own_mounts() -> Vec<String> {
    let tag = format!("orlop-command-{}-", std::process::id());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts
        .lines()
        .filter(|line| line.contains(&tag))
        .map(str::to_owned)
        .collect()
}

/// Cgroups whose names begin as those that this process gives to sandboxes.
pub fn own_cgroups() -> Vec<PathBuf> {
    let prefix = format!("orlop-{}-", std::process::id());
    let layout = orlop::cgroups::Layout::probe().unwrap();
    let places = layout.hierarchies().iter().flat_map(|one| {
        let own = one.own_path();
        [own.parent().map(Path::to_path_buf), Some(own)]
    });
    let lists = places
        .flatten()
        .filter_map(|place| fs::read_dir(place).ok());
    let entries = lists.flat_map(|list| list.flatten());
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}

/// Makes sure that every cgroup that is there now goes, other tests' too.
#[track_caller]
pub fn no_cgroup_stays() {
    let start = Instant::now();
    let now = own_cgroups();
    while now.iter().any(|path| path.exists()) {
        assert!(start.elapsed() < Duration::from_secs(30), "{now:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Children of this process that have ended and that nobody has waited for.
pub fn zombies() -> Vec<String> {
    let own = std::process::id().to_string();
    let list = fs::read_dir("/proc").unwrap().flatten();
    let stats = list.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let fields: Vec<_> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            fields.first() == Some(&"Z") && fields.get(1) == Some(&own.as_str())
        })
        .collect()
}
