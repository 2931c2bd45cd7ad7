//! Links, and exchanges of links, where mount points are looked up or made.

use orlop_tests::attacker::Swap;
use orlop_tests::canary::Canary;
use orlop_tests::security::config::{bind, mount, tmpfs};
use orlop_tests::security::{self, container_by, race, started_by};
use orlop_tests::{Bundle, Fixture, assert_safe, test_name};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A folder of the test's.
fn folder(fixture: &Fixture, name: &str) -> PathBuf {
    let path = fixture.file(name);
    fs::create_dir(&path).expect("make a folder");
    path
}

/// A bundle with a volume at `/vol`, and the volume's folder on the host.
fn with_volume(fixture: &Fixture) -> (Bundle, PathBuf) {
    let volume = folder(fixture, "volume");
    let bundle = bind(fixture.bundle(), &volume, "/vol");
    fs::create_dir(bundle.rootfs().join("vol")).expect("make a mount point");
    (bundle, volume)
}

/// CVE-2021-30465: two containers share a volume; the one exchanges a folder in it for a link to
/// the host's while the other mounts there.
#[test]
fn rt_11_mount_point_exchanged_for_a_host_folder() {
    let fixture = security::fixture(test_name!());
    let (bundle, volume) = with_volume(&fixture);
    let host = folder(&fixture, "host");
    for parent in [&host, &volume.join("d")] {
        fs::create_dir_all(parent.join("x")).unwrap();
        fs::create_dir_all(parent.join("y")).unwrap();
    }
    symlink(&host, volume.join("l")).unwrap();
    let bundle = mount(bundle, "tmpfs", "mark11", "/vol/d/x", &[]);
    let bundle = bind(bundle, fixture.canary().path(), "/vol/d/y");
    // A later mount whose source is the folder that the earlier ones must not have reached.
    let bundle = bind(bundle, &host, "/seen")
        .script("grep mark11 /proc/self/mountinfo; ls /seen/y")
        .written();
    fs::create_dir(bundle.rootfs().join("seen")).unwrap();
    let swap = Swap::start(&volume.join("d"), &volume.join("l")).unwrap();
    for number in race::tries() {
        let output = fixture.container(&bundle).run();
        if output.status.success() {
            let points: Vec<Option<&str>> = output.stdout.lines().map(point_of).collect();
            let inside = matches!(points[..], [Some(point)] if !point.starts_with("/seen"));
            assert_safe!(inside, "try {number}: mounted outside: {output}");
        }
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// CVE-2024-45310, CVE-2019-18837: the folders of a mount point are made through a link. Seen red
/// on runc 1.1.5.
#[test]
fn rt_12_mount_point_made_while_its_parent_is_exchanged() {
    let fixture = security::fixture(test_name!());
    let (bundle, volume) = with_volume(&fixture);
    let host = folder(&fixture, "host");
    fs::create_dir(volume.join("d")).unwrap();
    symlink(&host, volume.join("l")).unwrap();
    let bundle = tmpfs(bundle, "/vol/d/x/y").written();
    let swap = Swap::start(&volume.join("d"), &volume.join("l")).unwrap();
    for number in race::tries() {
        fixture.container(&bundle).run();
        let made = fs::read_dir(&host).unwrap().count();
        assert_safe!(made == 0, "try {number}: made a folder on the host");
        // Next time it has to be made anew.
        let _ = fs::remove_dir_all(volume.join("d/x"));
        let _ = fs::remove_dir_all(volume.join("l/x"));
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// The same for the file that a file is mounted on. Seen red on runc 1.1.5.
#[test]
fn rt_12_mount_point_file_made_while_its_parent_is_exchanged() {
    let fixture = security::fixture(test_name!());
    let (bundle, volume) = with_volume(&fixture);
    let host = folder(&fixture, "host");
    fs::create_dir(volume.join("d")).unwrap();
    symlink(&host, volume.join("l")).unwrap();
    let file = fixture.canary().path().join("secret");
    let bundle = bind(bundle, &file, "/vol/d/file").written();
    let swap = Swap::start(&volume.join("d"), &volume.join("l")).unwrap();
    for number in race::tries() {
        fixture.container(&bundle).run();
        let made = fs::read_dir(&host).unwrap().count();
        assert_safe!(made == 0, "try {number}: made a file on the host");
        let _ = fs::remove_file(volume.join("d/file"));
        let _ = fs::remove_file(volume.join("l/file"));
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// Links that stand still, to a folder of the host's and to names that don't exist in it.
#[test]
fn rt_12_links_out_of_the_image_stay_in_it() {
    let fixture = security::fixture(test_name!());
    let host = folder(&fixture, "host");
    let canary = Canary::of(&host).unwrap();
    let up = "../".repeat(20);
    for target in [
        host.clone(),
        host.join("new"),
        PathBuf::from(format!("{up}{}", host.join("new").display())),
        PathBuf::from("/proc/self/root/").join(host.strip_prefix("/").unwrap()),
    ] {
        for destination in ["/link", "/link/below", "/link/../link/below"] {
            let bundle = tmpfs(fixture.bundle(), destination)
                .set("/root/readonly", json!(false))
                .written();
            symlink(&target, bundle.rootfs().join("link")).unwrap();
            fixture.container(&bundle).run();
            let touched = canary.differences().unwrap();
            assert_safe!(
                touched.is_empty(),
                "{destination} with a link to {}: {touched:?}",
                target.display()
            );
        }
    }
    fixture.assert_clean();
}

/// Images rely on this: a dangling link is resolved within the image, and what it leads to is
/// made there.
#[test]
fn rt_12_a_dangling_link_is_made_within_the_image() {
    let fixture = security::fixture(test_name!());
    for (link, target, destination, made) in [
        ("last", "/missing/one", "/last", "/missing/one"),
        (
            "middle",
            "/missing/two",
            "/middle/below",
            "/missing/two/below",
        ),
        ("relative", "missing/three", "/relative", "/missing/three"),
    ] {
        let bundle = mount(fixture.bundle(), "tmpfs", "mark12", destination, &[])
            .args(&["grep", "mark12", "/proc/self/mountinfo"])
            .written();
        symlink(target, bundle.rootfs().join(link)).unwrap();
        let output = fixture.container(&bundle).run().ok();
        let points: Vec<Option<&str>> = output.stdout.lines().map(point_of).collect();
        assert_eq!(points, [Some(made)], "{destination}: {output}");
        assert!(bundle.rootfs().join(&made[1..]).is_dir(), "{made}");
    }
    fixture.assert_clean();
}

#[test]
fn rt_12_a_chain_of_41_links_is_an_error() {
    let fixture = security::fixture(test_name!());
    let bundle = tmpfs(fixture.bundle(), "/link0").written();
    for number in 0..41 {
        let next = format!("link{}", number + 1);
        symlink(next, bundle.rootfs().join(format!("link{number}"))).unwrap();
    }
    fs::create_dir(bundle.rootfs().join("link41")).unwrap();
    fixture
        .container(&bundle)
        .run()
        .fails_naming(&["/link0", "levels of symbolic links"]);
    fixture.assert_clean();
}

/// Opening a FIFO waits, opening a terminal could make it the controlling one: neither is needed
/// to mount on them.
#[test]
fn rt_12_special_files_as_mount_points_are_not_opened() {
    let fixture = security::fixture(test_name!());
    let file = fixture.canary().path().join("secret");
    let bundle = bind(fixture.bundle(), &file, "/fifo").args(&["cat", "/fifo"]);
    let bundle = bundle.written();
    let fifo = bundle.rootfs().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from(0o666), 0).unwrap();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "the host's secret\n");
    fixture.assert_clean();
}

/// Folders made for a mount point inherit the group of a setgid parent, and don't depend on the
/// caller's umask.
#[test]
fn rt_12_made_folders_have_the_usual_modes() {
    let fixture = security::fixture(test_name!());
    let (bundle, volume) = with_volume(&fixture);
    std::os::unix::fs::chown(&volume, None, Some(1000)).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o2775)).unwrap();
    let bundle = tmpfs(bundle, "/vol/a/b");
    let bundle = tmpfs(bundle, "/made/inner").written();
    let runtime = started_by(&fixture, "umask 077; exec \"$@\"");
    let container = container_by(&fixture, &runtime, &bundle, "umask");
    container.call("run").run().ok();
    let meta = volume.join("a").metadata().unwrap();
    assert_eq!(
        meta.gid(),
        1000,
        "group of a folder made below a setgid one"
    );
    assert_eq!(meta.mode() & 0o7777, 0o2755, "mode below a setgid folder");
    for made in ["made", "made/inner"] {
        let mode = bundle.rootfs().join(made).metadata().unwrap().mode();
        assert_eq!(mode & 0o7777, 0o755, "{made}");
    }
    fixture.assert_clean();
}

/// The mode of a tmpfs: as asked for, else that of the folder below it; `/dev/shm` is for all.
#[test]
fn rt_12_a_tmpfs_has_the_mode_asked_for_or_its_folders() {
    let fixture = security::fixture(test_name!());
    let bundle = mount(fixture.bundle(), "tmpfs", "a", "/asked", &["mode=1750"]);
    let bundle = mount(bundle, "tmpfs", "b", "/inherited", &[]);
    let bundle = mount(bundle, "tmpfs", "c", "/inherited1777", &["size=64k"]);
    let bundle = mount(bundle, "tmpfs", "d", "/new", &[])
        .args(&[
            "stat",
            "-c",
            "%n %a",
            "/asked",
            "/inherited",
            "/inherited1777",
            "/new",
        ])
        .written();
    for (name, mode) in [
        ("asked", 0o755),
        ("inherited", 0o705),
        ("inherited1777", 0o1777),
    ] {
        let path = bundle.rootfs().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(
        output.stdout,
        "/asked 1750\n/inherited 705\n/inherited1777 1777\n/new 1777\n"
    );
    let bundle = fixture.bundle();
    let bundle = bundle
        .args(&["stat", "-c", "%a", "/dev/shm", "/dev", "/dev/mqueue"])
        .written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "1777\n755\n1777\n");
    fixture.assert_clean();
}

/// CVE-2026-115521: the image has its own `/proc/self/fd`, through which a runtime would find its
/// mounts again to make them read-only.
#[test]
fn rt_13_read_only_with_an_image_that_has_its_own_proc() {
    let fixture = security::fixture(test_name!());
    let volume = folder(&fixture, "volume");
    let mut bundle = fixture.bundle();
    bundle.config["mounts"] = json!([]);
    bundle.config["linux"]["maskedPaths"] = json!([]);
    bundle.config["linux"]["readonlyPaths"] = json!(["/kept"]);
    let source = volume.display().to_string();
    let bundle = mount(bundle, "bind", &source, "/vol", &["bind", "ro"])
        .script("for f in /new /vol/new /kept/new; do touch $f && echo wrote $f; done; true")
        .written();
    let rootfs = bundle.rootfs();
    for name in [
        "vol",
        "kept",
        "decoy",
        "proc/self/fd",
        "proc/thread-self/fd",
    ] {
        fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    for fd in 0..64 {
        for task in ["self", "thread-self"] {
            symlink("/decoy", rootfs.join(format!("proc/{task}/fd/{fd}"))).unwrap();
        }
    }
    let container = fixture.container(&bundle);
    container.create().ok();
    let table = mount_options(container.pid());
    for point in ["/", "/vol", "/kept"] {
        let options = table.iter().find(|(p, _)| p == point).map(|(_, o)| o);
        let read_only = options.is_some_and(|o| o.split(',').any(|word| word == "ro"));
        assert_safe!(read_only, "{point} is not read-only: {table:?}");
    }
    container.delete_force().ok();
    let output = fixture.container(&bundle).run();
    assert_safe!(output.stdout.is_empty(), "written: {output}");
    assert!(Path::new(&volume).read_dir().unwrap().next().is_none());
    fixture.assert_clean();
}

/// The mount point in a line of `mountinfo`.
fn point_of(line: &str) -> Option<&str> {
    line.split(' ').nth(4)
}

/// Mount point and options of each mount that a process sees.
fn mount_options(pid: u32) -> Vec<(String, String)> {
    fs::read_to_string(format!("/proc/{pid}/mountinfo"))
        .expect("read the container's mount table")
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(4).map(str::to_owned);
            Some((words.next()?, words.next()?))
        })
        .collect()
}
