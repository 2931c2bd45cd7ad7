//! What an image, or a volume on `/dev`, can make of the device nodes that a runtime relies on.
//! Nothing of the host's may be changed through them, and no mask may come undone.

use orlop_tests::attacker::Swap;
use orlop_tests::canary::Canary;
use orlop_tests::security::config::{bind, tmpfs, user, with_image_dev};
use orlop_tests::security::{self, container_by, race, started_by};
use orlop_tests::{Bundle, Fixture, assert_safe, skip, test_name};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// How the kernel's `/proc/version` begins: what a mask must not turn into.
const KERNEL: &str = "Linux version";

/// A folder to bind on `/dev`, where `null` is made by the closure.
fn dev_folder(fixture: &Fixture, null: impl Fn(&Path)) -> PathBuf {
    let folder = fixture.file("dev");
    fs::create_dir(&folder).expect("make a folder for /dev");
    for (name, minor) in [
        ("full", 7),
        ("random", 8),
        ("tty", 0),
        ("urandom", 9),
        ("zero", 5),
    ] {
        let major = if name == "tty" { 5 } else { 1 };
        device(&folder.join(name), major, minor);
    }
    null(&folder.join("null"));
    folder
}

fn device(path: &Path, major: u32, minor: u32) {
    let kind = FileType::CharacterDevice;
    mknodat(CWD, path, kind, Mode::from(0o666), makedev(major, minor)).expect("make a device node");
}

fn masking(fixture: &Fixture, folder: &Path) -> Bundle {
    bind(with_image_dev(fixture.bundle()), folder, "/dev")
        .set("/linux/maskedPaths", json!(["/proc/keys"]))
        .args(&["cat", "/proc/keys"])
        .written()
}

/// The mask holds, or the container is refused.
#[track_caller]
fn mask_holds(fixture: &Fixture, bundle: &Bundle, forged: &str) {
    let output = fixture.container(bundle).run();
    assert_safe!(
        !output.stdout.contains(forged),
        "the masked file shows the image's choice: {output}"
    );
    assert_safe!(
        output.stdout.is_empty(),
        "the masked file is not masked: {output}"
    );
}

/// CVE-2025-31133. Seen red on runc 1.1.5.
#[test]
fn rt_07_mask_through_dev_null_link() {
    let fixture = security::fixture(test_name!());
    let folder = dev_folder(&fixture, |null| symlink("/proc/version", null).unwrap());
    mask_holds(&fixture, &masking(&fixture, &folder), KERNEL);
    fixture.assert_clean();
}

/// Seen red on runc 1.1.5.
#[test]
fn rt_07_mask_with_a_regular_file_as_dev_null() {
    let fixture = security::fixture(test_name!());
    let folder = dev_folder(&fixture, |null| fs::write(null, "FORGED\n").unwrap());
    mask_holds(&fixture, &masking(&fixture, &folder), "FORGED");
    assert_eq!(fs::read_to_string(folder.join("null")).unwrap(), "FORGED\n");
    fixture.assert_clean();
}

/// Opening a FIFO waits for a writer that never comes.
#[test]
fn rt_07_mask_with_a_fifo_as_dev_null() {
    let fixture = security::fixture(test_name!());
    let folder = dev_folder(&fixture, |null| {
        mknodat(CWD, null, FileType::Fifo, Mode::from(0o666), 0).unwrap();
    });
    let bundle = masking(&fixture, &folder).args(&["true"]).written();
    let output = fixture.container(&bundle).run();
    assert!(output.code() <= 1, "refused or contained: {output}");
    fixture.assert_clean();
}

/// Seen red on runc 1.1.5.
#[test]
fn rt_07_mask_while_dev_null_is_exchanged() {
    let fixture = security::fixture(test_name!());
    let folder = dev_folder(&fixture, |null| device(null, 1, 3));
    symlink("/proc/version", folder.join("link")).unwrap();
    let bundle = masking(&fixture, &folder);
    let swap = Swap::start(&folder.join("null"), &folder.join("link")).unwrap();
    for _ in race::tries() {
        mask_holds(&fixture, &bundle, KERNEL);
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// Files and folders read as empty and can't be written; a path that isn't there is no error.
#[test]
fn rt_07_masks_do_what_they_are_for() {
    let fixture = security::fixture(test_name!());
    let script = "cat /secret; ls /folder; cat /proc/keys; \
         echo x >/secret; touch /folder/new || echo refused; [ -c /secret ] && echo null";
    let bundle = fixture
        .bundle()
        .set("/root/readonly", json!(false))
        .set(
            "/linux/maskedPaths",
            json!(["/secret", "/folder", "/proc/keys", "/not/there"]),
        )
        .script(script)
        .written();
    fs::write(bundle.rootfs().join("secret"), "secret\n").unwrap();
    fs::create_dir(bundle.rootfs().join("folder")).unwrap();
    fs::write(bundle.rootfs().join("folder/file"), "").unwrap();
    let output = fixture.container(&bundle).run();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.first(), Some(&"refused"), "{output}");
    assert_eq!(
        fs::read_to_string(bundle.rootfs().join("secret")).unwrap(),
        "secret\n"
    );
    fixture.assert_clean();
}

/// The host's file, bound into the container for root to read, and its owner.
fn host_file(fixture: &Fixture) -> (PathBuf, Canary) {
    let folder = fixture.file("host");
    fs::create_dir(&folder).expect("make a folder");
    let file = folder.join("file");
    fs::write(&file, "original\n").expect("write the host's file");
    rustix::fs::chmod(&file, Mode::from(0o600)).expect("close the host's file to others");
    let canary = Canary::of(&folder).expect("remember the host's file");
    (file, canary)
}

fn printing_bundle(fixture: &Fixture, file: &Path) -> Bundle {
    let bundle = bind(with_image_dev(fixture.bundle()), file, "/hf");
    let bundle = user(bundle, 1000, 1000)
        .args(&["echo", "overwritten"])
        .written();
    fs::write(bundle.rootfs().join("hf"), "").expect("make a mount point");
    symlink("/hf", bundle.rootfs().join("dev/null")).expect("make a link");
    bundle
}

/// CVE-2026-88265, with a pipe as standard output: its device number is 0, as a file's. Seen red on
/// runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_09_stdio_through_dev_null_link() {
    let fixture = security::fixture(test_name!());
    let (file, canary) = host_file(&fixture);
    let bundle = printing_bundle(&fixture, &file);
    let runtime = started_by(&fixture, "\"$@\" | cat");
    container_by(&fixture, &runtime, &bundle, "piped")
        .call("run")
        .run();
    assert_safe!(
        canary.differences().unwrap().is_empty(),
        "the host's file was touched: {:?}",
        canary.differences()
    );
    fixture.assert_clean();
}

/// The same with a regular file as standard output, and with standard input from `/dev/null`. Seen
/// red on runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_09_stdio_to_a_file_through_dev_null_link() {
    let fixture = security::fixture(test_name!());
    let (file, canary) = host_file(&fixture);
    let bundle = printing_bundle(&fixture, &file);
    fixture.container(&bundle).run();
    assert_safe!(
        canary.differences().unwrap().is_empty(),
        "the host's file was touched: {:?}",
        canary.differences()
    );
    fixture.assert_clean();
}

/// What a runtime does not own it must not give away: a file as standard output stays root's. Seen
/// red on crun 1.8.1.
#[test]
fn rt_09_files_as_stdio_keep_their_owner() {
    let fixture = security::fixture(test_name!());
    let (file, _) = host_file(&fixture);
    let bundle = user(fixture.bundle(), 1000, 1000)
        .args(&["echo", "written"])
        .written();
    let redirect = format!("\"$@\" >{}", file.display());
    let runtime = started_by(&fixture, &redirect);
    let container = container_by(&fixture, &runtime, &bundle, "file");
    container.call("run").run().ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), "written\n");
    let meta = file.metadata().unwrap();
    assert_safe!(
        (meta.uid(), meta.gid()) == (0, 0),
        "a file given as standard output now belongs to {}:{}",
        meta.uid(),
        meta.gid()
    );
    fixture.assert_clean();
}

/// `/dev` of the image is a link out of it; the target is the link's text, and the folder it
/// leads to on the host holds what a runtime makes or removes.
#[track_caller]
fn dev_link_is_not_followed(fixture: &Fixture, target: impl Fn(&Bundle, &Path) -> PathBuf) {
    let folder = fixture.file("outside");
    fs::create_dir(&folder).expect("make a folder");
    for name in ["ptmx", "console", "null"] {
        fs::write(folder.join(name), "the host's\n").expect("write a file");
    }
    let canary = Canary::of(&folder).expect("remember the folder");
    let bundle = with_image_dev(fixture.bundle()).written();
    let dev = bundle.rootfs().join("dev");
    fs::remove_dir(&dev).expect("remove the image's /dev");
    symlink(target(&bundle, &folder), &dev).expect("make a link");
    let container = fixture.container(&bundle);
    container.call("run").run();
    container.delete_force();
    let touched = canary.differences().expect("read the folder again");
    assert_safe!(touched.is_empty(), "the host was touched: {touched:#?}");
}

/// CVE-2026-41579, CVE-2026-47766. Seen red on runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_10_dev_is_an_absolute_link() {
    let fixture = security::fixture(test_name!());
    dev_link_is_not_followed(&fixture, |_, folder| folder.to_path_buf());
    fixture.assert_clean();
}

/// The same upwards. Seen red on runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_10_dev_is_a_link_upwards() {
    let fixture = security::fixture(test_name!());
    dev_link_is_not_followed(&fixture, |_, _| PathBuf::from("../../outside"));
    fixture.assert_clean();
}

/// Seen red on runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_10_dev_is_exchanged_for_a_link() {
    let fixture = security::fixture(test_name!());
    let folder = fixture.file("outside");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ptmx"), "the host's\n").unwrap();
    let canary = Canary::of(&folder).unwrap();
    let bundle = with_image_dev(fixture.bundle()).written();
    symlink(&folder, bundle.rootfs().join("link")).unwrap();
    let names = ["dev", "link"].map(|name| bundle.rootfs().join(name));
    let swap = Swap::start(&names[0], &names[1]).unwrap();
    for number in race::tries() {
        fixture.container(&bundle).run();
        let touched = canary.differences().unwrap();
        assert_safe!(touched.is_empty(), "try {number}: touched: {touched:#?}");
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// Without a mount on `/dev` the image's folder gets the nodes and links of the OCI's default
/// list.
#[test]
fn rt_10_an_ordinary_image_dev_is_filled() {
    let fixture = security::fixture(test_name!());
    let mount = rustix::fs::statvfs(fixture.path()).unwrap();
    if mount.f_flag.contains(rustix::fs::StatVfsMountFlags::NODEV) {
        skip!("a nodev file system holds the test's files: devices there can't be opened");
    }
    let script = "cd /dev; for n in null zero full random urandom tty; do \
         [ -c $n ] || echo missing $n; done; \
         for l in fd stdin stdout stderr; do readlink $l; done; echo x >/dev/null && echo written";
    let bundle = with_image_dev(fixture.bundle()).script(script).written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(
        output.stdout,
        "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\nwritten\n"
    );
    fixture.assert_clean();
}

/// Every name that a runtime makes in `/dev` is a link to a file of the host's, or to a name there
/// that doesn't exist yet.
#[test]
fn rt_44_image_links_at_every_name_in_dev() {
    let fixture = security::fixture(test_name!());
    let folder = fixture.file("outside");
    fs::create_dir(&folder).unwrap();
    let canary_file = folder.join("file");
    fs::write(&canary_file, "the host's\n").unwrap();
    let canary = Canary::of(&folder).unwrap();
    for target in [canary_file, folder.join("new")] {
        let bundle = tmpfs(with_image_dev(fixture.bundle()), "/dev/shm").written();
        for name in [
            "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm",
            "stderr", "stdin", "stdout", "tty", "urandom", "zero",
        ] {
            symlink(&target, bundle.rootfs().join("dev").join(name)).unwrap();
        }
        let container = fixture.container(&bundle);
        container.run();
        container.delete_force();
        let touched = canary.differences().unwrap();
        assert_safe!(touched.is_empty(), "the host was touched: {touched:#?}");
    }
    fixture.assert_clean();
}
