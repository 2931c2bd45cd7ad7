//! Ways in which a container's root file system, or a process in it, has led a runtime astray.
//!
//! Each test names the weakness it is for. Where Debian 12's runc 1.1.5 or crun 1.8.1 has it, the
//! test has been seen red there, and says so; with `ORLOP_RUNC` it can be seen again.

use orlop_tests::attacker::Swap;
use orlop_tests::canary::Canary;
use orlop_tests::console::ConsoleSocket;
use orlop_tests::{Bundle, Fixture, test_name};
use rustix::fs::{FileType, Mode, OFlags};
use serde_json::{Value, json};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a race is run. Known-bad tools lose it within seconds.
const RACE: Duration = Duration::from_secs(6);

/// The configuration without the mounts on and below a folder.
fn without_mounts(mut bundle: Bundle, top: &str) -> Bundle {
    let below = format!("{top}/");
    let mounts = bundle.config["mounts"]
        .as_array_mut()
        .expect("a list of mounts");
    mounts.retain(|mount| {
        let destination = mount["destination"].as_str().unwrap_or_default();
        destination != top && !destination.starts_with(&below)
    });
    bundle
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

fn fifo(path: &Path) {
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).expect("make a fifo");
}

/// CVE-2019-5736: a container's root writes the runtime through `/proc/<pid>/exe`.
#[test]
fn the_runtime_cannot_be_written_from_inside() {
    let fixture = Fixture::new(test_name!());
    let program = Canary::of(fixture.runtime().program()).unwrap();
    let script = "while :; do for e in /proc/[0-9]*/exe; do
        (echo spoiled > $e) 2>/dev/null && echo written; done; done";
    let capable = json!(["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]);
    let bundle = fixture
        .bundle()
        .script(script)
        .set("/process/capabilities/bounding", capable.clone())
        .set("/process/capabilities/effective", capable.clone())
        .set("/process/capabilities/permitted", capable)
        .set("/root/readonly", json!(true))
        .written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    for _ in 0..50 {
        container.exec(&["true"]).ok();
        container.exec(&["/proc/self/exe", "true"]);
    }
    container.delete_force().ok();
    assert_eq!(program.differences().unwrap(), [""; 0]);
    fixture.assert_clean();
}

/// The same before the program is executed: what waits to be started is sealed, or read-only. Red
/// on runc 1.1.5, crun 1.8.1 and crun 1.28, whose program is only busy.
#[test]
fn a_created_init_is_not_writable() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().written());
    container.create().ok();
    let exe = format!("/proc/{}/exe", container.pid());
    // That it is busy would end with the process.
    let opened = fs::File::options().write(true).open(&exe);
    let read_only =
        opened.as_ref().err().and_then(std::io::Error::raw_os_error) == Some(libc::EROFS);
    assert!(is_sealed(&exe) || read_only, "{exe}: {opened:?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

fn is_sealed(exe: &str) -> bool {
    let file = fs::File::open(exe).expect("open init's program");
    rustix::fs::fcntl_get_seals(&file).is_ok_and(|s| s.contains(rustix::fs::SealFlags::WRITE))
}

/// CVE-2024-21626: a working directory that is a descriptor of the host's. Red on crun 1.8.1.
#[test]
fn a_working_directory_of_the_host_is_not_entered() {
    let fixture = Fixture::new(test_name!());
    // Without O_CLOEXEC: the runtime inherits it, as from a careless caller.
    let folder = fixture.canary().path();
    let leaked =
        rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    assert!(leaked.as_raw_fd() < 64, "within the numbers tried below");
    for number in 3..64 {
        let bundle = fixture
            .bundle()
            .args(&["ls"])
            .set("/process/cwd", json!(format!("/proc/self/fd/{number}")))
            .written();
        let output = fixture.container(&bundle).run();
        assert!(
            !output.stdout.contains("secret"),
            "descriptor {number}: {output}"
        );
        fs::remove_dir_all(bundle.path()).unwrap();
    }
    fixture.assert_clean();
}

/// The same through links that the container made, with `exec --cwd`. Red on crun 1.8.1.
#[test]
fn exec_does_not_enter_a_directory_of_the_host() {
    let fixture = Fixture::new(test_name!());
    let folder = fixture.canary().path();
    let _leaked =
        rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    for number in 3..64 {
        let link = bundle.rootfs().join(format!("evil{number}"));
        symlink(format!("/proc/self/fd/{number}"), link).unwrap();
    }
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    for number in 3..64 {
        let cwd = format!("/evil{number}");
        let output = container
            .call_with("exec", &["--cwd", &cwd])
            .arg("ls")
            .run();
        assert!(
            !output.stdout.contains("secret"),
            "descriptor {number}: {output}"
        );
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

/// CVE-2025-52881: a write below `/proc` that is led to another file. Red on runc 1.1.5.
#[test]
fn a_sysctl_is_not_written_through_a_false_proc() {
    let fixture = Fixture::new(test_name!());
    let (proc, file) = (fixture.file("proc"), fixture.file("target"));
    fs::create_dir(&proc).unwrap();
    fs::write(&file, "untouched\n").unwrap();
    let bundle = without_mounts(fixture.bundle(), "/proc")
        .set("/mounts/-", bind(&proc, "/proc", &["rbind"]))
        .set(
            "/linux/sysctl",
            json!({ "kernel.domainname": "REDIRECTED" }),
        )
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .written();
    let script = format!(
        "mount -t proc proc {proc} && mount --bind {file} {proc}/sys/kernel/domainname && exec \"$@\"",
        proc = proc.display(),
        file = file.display()
    );
    let prefix = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
        "sh",
    ];
    let runtime = fixture.runtime().clone().with_prefix(&prefix);
    let id = format!("{}-c", fixture.tag());
    let output = orlop_tests::Container::new(&runtime, &id, &bundle).run();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "untouched\n",
        "{output}"
    );
    fixture.assert_clean();
}

/// CVE-2025-31133: masking with what the image says is `/dev/null`. Red on runc 1.1.5.
#[test]
fn a_false_null_does_not_unmask() {
    type Forge = fn(&Path);
    let forgeries: [(&str, Forge); 3] = [
        ("link", |path| symlink("/proc/version", path).unwrap()),
        ("fifo", fifo),
        ("file", |path| fs::write(path, "Linux version 0\n").unwrap()),
    ];
    for (name, forge) in forgeries {
        let fixture = Fixture::new(&format!("{}_{name}", test_name!()));
        let dev = fixture.file("dev");
        fs::create_dir(&dev).unwrap();
        forge(&dev.join("null"));
        let bundle = without_mounts(fixture.bundle(), "/dev")
            .set("/mounts/-", bind(&dev, "/dev", &["rbind", "rw"]))
            .set("/linux/maskedPaths", json!(["/proc/meminfo"]))
            .args(&["cat", "/proc/meminfo"])
            .written();
        let output = fixture.container(&bundle).run();
        assert!(!output.stdout.contains("Linux version"), "{name}: {output}");
        assert!(!output.stdout.contains("MemTotal"), "{name}: {output}");
        fixture.assert_clean();
    }
}

/// CVE-2025-52565: `/dev/console` made through a link of the image.
#[test]
fn the_console_is_not_made_through_a_link() {
    let fixture = Fixture::new(test_name!());
    let target = fixture.canary().path().join("console");
    let bundle = without_mounts(fixture.bundle(), "/dev")
        .set("/process/terminal", json!(true))
        .set("/root/readonly", json!(false))
        .written();
    let link = bundle.rootfs().join("dev/console");
    symlink(&target, &link).unwrap();
    let socket = ConsoleSocket::listen(&fixture.file("console.sock")).unwrap();
    let container = fixture.container(&bundle);
    let output = container
        .call("create")
        .arg("--console-socket")
        .arg(socket.path())
        .run();
    assert!(!target.exists(), "{output}");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// CVE-2026-88265: standard output exchanged for a false null, and given to the user. Red on runc
/// 1.1.5 and crun 1.8.1.
#[test]
fn standard_output_is_not_exchanged_for_a_false_null() {
    let fixture = Fixture::new(test_name!());
    let file = fixture.canary().path().join("secret");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let watched = Canary::of(&file).unwrap();
    let bundle = without_mounts(fixture.bundle(), "/dev")
        .set("/mounts/-", bind(&file, "/hf", &["bind", "rw"]))
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .set("/root/readonly", json!(false))
        .set("/linux/maskedPaths", json!([]))
        .args(&["echo", "overwritten"])
        .written();
    symlink("/hf", bundle.rootfs().join("dev/null")).unwrap();
    let container = fixture.container(&bundle);
    // A pipe, as callers have it: its device number is 0, as that of a plain file.
    let runtime = fixture
        .runtime()
        .clone()
        .with_prefix(&["sh", "-c", "\"$@\" 2>&1 | cat", "sh"]);
    let output = orlop_tests::Container::new(&runtime, container.id(), &bundle).run();
    assert_eq!(watched.differences().unwrap(), [""; 0], "{output}");
    container.delete_force().ok();
}

/// CVE-2026-41579, CVE-2026-47766: devices made in `/dev` of the image, which is a link to a
/// folder of the host. Red on runc 1.1.5 and crun 1.8.1.
#[test]
fn devices_are_not_made_through_a_link() {
    let fixture = Fixture::new(test_name!());
    let folder = fixture.file("hostdev");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ptmx"), "").unwrap();
    let watched = Canary::of(&folder).unwrap();
    let bundle = without_mounts(fixture.bundle(), "/dev")
        .set("/root/readonly", json!(false))
        .written();
    fs::remove_dir(bundle.rootfs().join("dev")).unwrap();
    symlink(&folder, bundle.rootfs().join("dev")).unwrap();
    let output = fixture.container(&bundle).run();
    assert_eq!(watched.differences().unwrap(), [""; 0], "{output}");
    fixture.assert_clean();
}

/// CVE-2021-30465, CVE-2024-45310: folders for mount points made through links that a second
/// container exchanges meanwhile. Red on runc 1.1.5.
#[test]
fn mount_points_are_not_made_through_exchanged_links() {
    let fixture = Fixture::new(test_name!());
    let (volume, host) = (fixture.file("volume"), fixture.file("host"));
    fs::create_dir_all(volume.join("d")).unwrap();
    fs::create_dir(&host).unwrap();
    symlink(&host, volume.join("l")).unwrap();
    let tmpfs = json!({ "destination": "/vol/d/x/y", "type": "tmpfs", "source": "tmpfs" });
    let bundle = fixture
        .bundle()
        .set("/root/readonly", json!(false))
        .set("/mounts/-", bind(&volume, "/vol", &["rbind", "rw"]))
        .set("/mounts/-", tmpfs)
        .written();
    let swap = Swap::start(&volume.join("d"), &volume.join("l")).unwrap();
    let end = Instant::now() + RACE;
    let mut starts = 0;
    while Instant::now() < end {
        let output = fixture.container(&bundle).run();
        let made = fs::read_dir(&host).unwrap().count();
        assert_eq!(
            made, 0,
            "start {starts} made something on the host: {output}"
        );
        starts += 1;
    }
    let exchanges = swap.stop().unwrap();
    assert!(
        starts > 20 && exchanges > 1000,
        "{starts} starts, {exchanges} exchanges"
    );
    fixture.assert_clean();
}

/// CVE-2024-45310 and kin, without a race: what stands where a mount point is to be.
#[test]
fn odd_mount_points_are_refused_or_kept_inside() {
    type Place = fn(&Path, &Path);
    let places: [(&str, Place); 5] = [
        ("dangling", |at, host| {
            symlink(host.join("new"), at).unwrap()
        }),
        ("climbing", |at, _| {
            symlink("../../../../../../tmp/orlop-t-climbed", at).unwrap()
        }),
        ("magic", |at, _| {
            symlink("/proc/self/root/tmp/orlop-t-climbed", at).unwrap()
        }),
        ("fifo", |at, _| fifo(at)),
        ("loop", |at, _| {
            symlink(at.file_name().unwrap(), at).unwrap()
        }),
    ];
    for (name, place) in places {
        let fixture = Fixture::new(&format!("{}_{name}", test_name!()));
        let bundle = fixture.bundle();
        place(&bundle.rootfs().join("odd"), fixture.canary().path());
        let source = fixture.file("source");
        fs::create_dir(&source).unwrap();
        let bundle = bundle
            .set("/root/readonly", json!(false))
            .set("/mounts/-", bind(&source, "/odd/below", &["rbind"]))
            .written();
        fixture.container(&bundle).run();
        assert!(
            !Path::new("/tmp/orlop-t-climbed").exists(),
            "{name} climbed out"
        );
        fixture.assert_clean();
    }
}

/// CVE-2026-115521: read-only mounts found again through a false `/proc/self/fd`.
#[test]
fn read_only_holds_without_a_proc_of_its_own() {
    let fixture = Fixture::new(test_name!());
    let source = fixture.file("source");
    fs::create_dir(&source).unwrap();
    let bundle = without_mounts(fixture.bundle(), "/proc")
        .set("/mounts/-", bind(&source, "/mnt", &["rbind", "ro"]))
        .script("touch /x 2>&1; touch /mnt/x 2>&1; true")
        .written();
    fs::create_dir_all(bundle.rootfs().join("proc/self/fd")).unwrap();
    for number in 0..32 {
        symlink(
            "/tmp",
            bundle.rootfs().join(format!("proc/self/fd/{number}")),
        )
        .unwrap();
    }
    let output = fixture.container(&bundle).run();
    let refused = output.stdout.matches("Read-only file system").count();
    assert!(refused == 2 || !output.status.success(), "{output}");
    assert!(!source.join("x").exists() && !bundle.rootfs().join("x").exists());
    fixture.assert_clean();
}

/// CVE-2015-3631 and the bypass of 2023: something else mounted on or below `/proc`. Red on runc
/// 1.1.5 (below) and crun 1.8.1 (on it).
#[test]
fn nothing_false_is_mounted_on_proc() {
    let fixture = Fixture::new(test_name!());
    let tmpfs = |destination: &str| json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" });
    let source = fixture.file("source");
    fs::create_dir_all(source.join("attr")).unwrap();
    let refused = [
        tmpfs("/proc"),
        tmpfs("/proc/self"),
        tmpfs("/proc/sys"),
        tmpfs("/tmp/../proc/sys"),
        tmpfs("/link/sys"),
        bind(&source, "/proc/self/attr", &["bind"]),
        bind(&source, "/proc/1", &["rbind"]),
        bind(&source, "/proc", &["bind"]),
    ];
    for mount in refused {
        let bundle = fixture.bundle().set("/mounts/-", mount.clone()).written();
        symlink("/proc", bundle.rootfs().join("link")).unwrap();
        let container = fixture.container(&bundle);
        let output = container.create();
        assert!(!output.status.success(), "{mount} is not refused: {output}");
        fixture.assert_clean();
        fs::remove_dir_all(bundle.path()).unwrap();
    }
}

/// `/proc` and `/sys` of the image are links: CVE-2019-19921, CVE-2023-27561.
#[test]
fn a_link_in_place_of_proc_is_refused() {
    for top in ["proc", "sys"] {
        let fixture = Fixture::new(&format!("{}_{top}", test_name!()));
        let bundle = fixture.bundle();
        fs::remove_dir(bundle.rootfs().join(top)).unwrap();
        symlink("/tmp", bundle.rootfs().join(top)).unwrap();
        let output = fixture.container(&bundle).create();
        assert!(!output.status.success(), "/{top} is a link: {output}");
        fixture.assert_clean();
    }
}

/// Propagation: the host's mount table is the same after each mode, and without a mount namespace.
#[test]
fn propagation_does_not_reach_the_host() {
    let modes = [
        "shared",
        "rshared",
        "slave",
        "rslave",
        "private",
        "rprivate",
        "unbindable",
    ];
    let fixture = Fixture::new(test_name!());
    for mode in modes {
        let bundle = fixture
            .bundle()
            .set("/linux/rootfsPropagation", json!(mode))
            .written();
        let _ = fixture.container(&bundle).run();
        fixture.assert_clean();
        fs::remove_dir_all(bundle.path()).unwrap();
    }
    let bundle = fixture
        .bundle()
        .set(
            "/linux/namespaces",
            json!([{ "type": "pid" }, { "type": "uts" }]),
        )
        .set("/mounts", json!([]))
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .set("/root/readonly", json!(false))
        .written();
    let _ = fixture.container(&bundle).run();
    fixture.assert_clean();
}

/// CVE-2021-41103 and kin: what the runtime keeps is not for others to read.
#[test]
fn state_is_closed_to_others() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().written());
    container.create().ok();
    let folder = fixture.runtime().root().join(container.id());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (root, own) = (mode(fixture.runtime().root()), mode(&folder));
    assert!(
        root & 0o077 == 0 || own & 0o077 == 0,
        "root {root:o}, container {own:o}"
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

/// CVE-2024-9676 and kin: `/etc/passwd` of the image is endless, or hangs, or is the host's. Red on
/// runc 1.1.5 and crun 1.8.1, which wait for the fifo without end.
#[test]
fn a_passwd_file_of_any_kind_is_survived() {
    type Place = fn(&Path);
    let places: [(&str, Place); 4] = [
        ("fifo", fifo),
        ("zero", |path| symlink("/dev/zero", path).unwrap()),
        ("climbing", |path| {
            symlink("../../../../../../../../etc/passwd", path).unwrap()
        }),
        ("sparse", |path| {
            fs::File::create(path).unwrap().set_len(2 << 30).unwrap()
        }),
    ];
    for (name, place) in places {
        let fixture = Fixture::new(&format!("{}_{name}", test_name!()));
        let bundle = fixture.bundle().args(&["env"]).written();
        let path = bundle.rootfs().join("etc/passwd");
        fs::remove_file(&path).unwrap();
        place(&path);
        let output = fixture.container(&bundle).run();
        assert!(output.elapsed < Duration::from_secs(2), "{name}: {output}");
        fixture.assert_clean();
    }
}
