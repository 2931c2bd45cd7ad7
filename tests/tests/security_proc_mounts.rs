//! What may be mounted on and below `/proc` and `/sys`, and that they are what they seem.

use orlop_tests::attacker::Swap;
use orlop_tests::security::config::{bind, mount, user_namespace, without_mounts};
use orlop_tests::security::{self, race};
use orlop_tests::{Bundle, Fixture, assert_safe, exposed, test_name};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Makes `name` of the image a link, and tells what happens.
#[track_caller]
fn link_is_refused(name: &str, target: &str) {
    let fixture = security::fixture(&format!("{}_{name}", test_name!()));
    let bundle = fixture.bundle().written();
    fs::create_dir(bundle.rootfs().join("bad")).expect("make the link's target");
    fs::remove_dir(bundle.rootfs().join(name)).expect("remove the image's folder");
    symlink(target, bundle.rootfs().join(name)).expect("make a link");
    let container = fixture.container(&bundle);
    let output = container.run();
    assert_safe!(
        !output.status.success(),
        "runs with /{name} as a link to {target}"
    );
    output.fails_naming(&[&format!("/{name}")]);
    fixture.assert_clean();
}

/// CVE-2019-16884, CVE-2019-19921 and their returns: label writes go to a file of the image's.
#[test]
fn rt_05_proc_is_a_link() {
    link_is_refused("proc", "/bad");
}

#[test]
fn rt_05_proc_is_a_link_with_parents() {
    link_is_refused("proc", "/proc/../bad");
}

#[test]
fn rt_05_sys_is_a_link() {
    link_is_refused("sys", "/bad");
}

/// Seen red on runc 1.1.5.
#[test]
fn rt_05_proc_is_exchanged_for_a_link() {
    let fixture = security::fixture(test_name!());
    let script = "for f in /bad/self /bad/proc; do [ -e $f ] && echo redirected; done; true";
    let bundle = fixture.bundle().script(script).written();
    let rootfs = bundle.rootfs();
    fs::create_dir(rootfs.join("bad")).unwrap();
    symlink("/bad", rootfs.join("link")).unwrap();
    let swap = Swap::start(&rootfs.join("proc"), &rootfs.join("link")).unwrap();
    for number in race::tries() {
        let output = fixture.container(&bundle).run();
        assert_safe!(
            !output.stdout.contains("redirected"),
            "try {number}: {output}"
        );
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// Everything that can be mounted: type, source, options.
fn sources(fixture: &Fixture) -> Vec<(&'static str, String, Vec<String>)> {
    let folder = fixture.file("source");
    for name in ["", "upper", "work"] {
        fs::create_dir_all(folder.join(name)).expect("make a folder");
    }
    let path = folder.display().to_string();
    let overlay = [
        "lowerdir=/proc".into(),
        format!("upperdir={path}/upper"),
        format!("workdir={path}/work"),
    ];
    vec![
        ("tmpfs", "tmpfs".to_owned(), vec![]),
        ("bind", path, vec!["rbind".to_owned()]),
        ("sysfs", "sysfs".to_owned(), vec![]),
        ("overlay", "/proc".to_owned(), overlay.to_vec()),
    ]
}

/// Runs with one mount, which has to be refused.
fn refusal(fixture: &Fixture, bundle: Bundle, what: &str) -> Option<String> {
    let container = fixture.container(&bundle.written());
    let created = container.create();
    let refused = !created.status.success();
    container.delete_force();
    (!refused).then(|| what.to_owned())
}

/// CVE-2015-3631 and the bypass of 2023. 40 mounts: four kinds at ten places. Seen red on runc
/// 1.1.5 and crun 1.8.1.
#[test]
fn rt_16_mounts_on_and_below_proc_are_refused() {
    let fixture = security::fixture(test_name!());
    let mut allowed = Vec::new();
    for destination in [
        "/proc",
        "/proc/",
        "//proc//self",
        "/proc/self/attr",
        "/proc/1",
        "/proc/sys",
        "/proc/sys/kernel",
        "/x/../proc/sys",
        "/tolink/sys",
        "/proc/tty",
    ] {
        for (kind, source, options) in sources(&fixture) {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let bundle = mount(fixture.bundle(), kind, &source, destination, &options);
            fs::create_dir(bundle.rootfs().join("x")).unwrap();
            symlink("/proc", bundle.rootfs().join("tolink")).unwrap();
            allowed.extend(refusal(
                &fixture,
                bundle,
                &format!("{kind} at {destination}"),
            ));
        }
    }
    assert_safe!(allowed.is_empty(), "mounted: {allowed:#?}");
    fixture.assert_clean();
}

/// Files of the host's on files that decide what the runtime or the kernel does. Seen red on crun
/// 1.8.1.
#[test]
fn rt_16_files_on_files_of_proc_are_refused() {
    let fixture = security::fixture(test_name!());
    let file = fixture.canary().path().join("secret");
    let mut allowed = Vec::new();
    for destination in [
        "/proc/self/attr/exec",
        "/proc/self/setgroups",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/cpuinfo/../version",
        "/proc/1/oom_score_adj",
        "/proc/mounts",
    ] {
        let bundle = bind(fixture.bundle(), &file, destination);
        allowed.extend(refusal(&fixture, bundle, destination));
    }
    assert_safe!(allowed.is_empty(), "mounted: {allowed:#?}");
    fixture.assert_clean();
}

/// Mounts that care about links themselves, on `/proc` and through links to it.
#[test]
fn rt_16_links_lead_no_mount_to_proc() {
    let fixture = security::fixture(test_name!());
    let host = fixture.file("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("file"), "of the host\n").unwrap();
    symlink("/etc", host.join("link")).unwrap();
    let mut allowed = Vec::new();
    for destination in [
        "/proc/version",
        "/proc/made",
        "/tolink/version",
        "/tolink/made",
        "/tolink/self",
    ] {
        for (source, option) in [
            ("file", "dest-nofollow"),
            ("link", "src-nofollow"),
            ("link", "copy-symlink"),
        ] {
            let options = ["bind", option];
            let source = host.join(source);
            let bundle = mount(
                fixture.bundle(),
                "bind",
                source.to_str().unwrap(),
                destination,
                &options,
            );
            symlink("/proc", bundle.rootfs().join("tolink")).unwrap();
            allowed.extend(refusal(
                &fixture,
                bundle,
                &format!("{option} at {destination}"),
            ));
        }
    }
    assert_safe!(allowed.is_empty(), "mounted: {allowed:#?}");
    fixture.assert_clean();
}

/// The other order: what is mounted first, on `/proc` itself, is no procfs. Seen red on crun 1.8.1.
#[test]
fn rt_16_something_else_in_place_of_proc_is_refused() {
    let fixture = security::fixture(test_name!());
    let mut allowed = Vec::new();
    for (kind, source, options) in sources(&fixture) {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let bundle = without_mounts(fixture.bundle(), &["/proc"]);
        let bundle = mount(bundle, kind, &source, "/proc", &options)
            .set("/linux/maskedPaths", json!([]))
            .set("/linux/readonlyPaths", json!([]));
        allowed.extend(refusal(&fixture, bundle, kind));
    }
    // A part of procfs, in the place of the whole.
    let bundle = without_mounts(fixture.bundle(), &["/proc"]);
    let bundle = bind(bundle, Path::new("/proc/tty"), "/proc")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    allowed.extend(refusal(&fixture, bundle, "bind of /proc/tty"));
    assert_safe!(allowed.is_empty(), "mounted in place of /proc: {allowed:?}");
    fixture.assert_clean();
}

/// What an earlier mount made in the root, bound where it may not be mounted itself.
#[test]
fn rt_16_an_earlier_mount_in_place_of_proc_is_refused() {
    let fixture = security::fixture(test_name!());
    let (plain, mapped): (Change, Change) = (
        |bundle| bundle,
        |bundle| user_namespace(bundle, 100_000, 65536),
    );
    for (what, change) in [("root", plain), ("a user namespace", mapped)] {
        let bundle = without_mounts(fixture.bundle(), &["/proc"]);
        let made = bundle.rootfs().join("mnt");
        let bundle = mount(bundle, "tmpfs", "tmpfs", "/mnt", &[]);
        let bundle = bind(bundle, &made, "/proc")
            .set("/linux/maskedPaths", json!([]))
            .set("/linux/readonlyPaths", json!([]));
        let container = fixture.container(&change(bundle).written());
        let output = container.run();
        assert_safe!(!output.status.success(), "a tmpfs is /proc, in {what}");
        output.fails_naming(&["/mnt", "is no procfs, and nothing else may cover /proc"]);
    }
    fixture.assert_clean();
}

type Change = fn(Bundle) -> Bundle;

/// A whole procfs that an earlier mount made is one.
#[test]
fn rt_16_an_earlier_procfs_may_be_bound() {
    let fixture = security::fixture(test_name!());
    let bundle = without_mounts(fixture.bundle(), &["/proc"]);
    let made = bundle.rootfs().join("mnt");
    let bundle = mount(bundle, "proc", "proc", "/mnt", &[]);
    let bundle = bind(bundle, &made, "/proc").args(&["cat", "/proc/sys/kernel/ostype"]);
    let output = fixture.container(&bundle.written()).run().ok();
    assert_eq!(output.stdout, "Linux\n");
    fixture.assert_clean();
}

/// What LXCFS gives to containers.
#[test]
fn rt_16_the_files_of_lxcfs_are_allowed() {
    let fixture = security::fixture(test_name!());
    let file = fixture.file("lxcfs");
    fs::write(&file, "from lxcfs\n").unwrap();
    let names = [
        "cpuinfo",
        "diskstats",
        "loadavg",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "slabinfo",
    ];
    let mut bundle = fixture.bundle();
    let mut program = vec!["cat".to_owned()];
    for name in names {
        let path = format!("/proc/{name}");
        bundle = bind(bundle, &file, &path);
        program.push(path);
    }
    let program: Vec<&str> = program.iter().map(String::as_str).collect();
    let bundle = bundle.args(&program).written();
    let output = fixture.container(&bundle).run().ok();
    assert_eq!(output.stdout, "from lxcfs\n".repeat(names.len()));
    fixture.assert_clean();
}

/// Containers in the host's PID namespace are given the host's `/proc` so.
#[test]
fn rt_16_the_whole_procfs_may_be_bound() {
    let fixture = security::fixture(test_name!());
    let bundle = without_mounts(fixture.bundle(), &["/proc"]);
    let bundle = bind(bundle, Path::new("/proc"), "/proc")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .args(&["cat", "/proc/sys/kernel/ostype"])
        .written();
    let output = fixture.container(&bundle).run();
    if output.status.success() {
        assert_eq!(output.stdout, "Linux\n");
    } else {
        exposed_unless_named(&output.stderr);
    }
    fixture.assert_clean();
}

#[track_caller]
fn exposed_unless_named(stderr: &str) {
    if !stderr.contains("/proc") {
        exposed!("neither mounted nor a refusal that names /proc: {stderr}");
    }
}

/// CVE-2025-52881 through mounts: a link or an exchange brings a mount below `/proc`, so that a
/// later write there goes to another file. Seen red on crun 1.8.1.
#[test]
fn rt_06_mounts_brought_below_proc_by_a_link() {
    let fixture = security::fixture(test_name!());
    let decoy = decoy(&fixture);
    let bundle = redirecting(&fixture, &decoy);
    symlink("/proc/sys/kernel", fixture.file("volume/d")).unwrap();
    let container = fixture.container(&bundle);
    let created = container.create();
    assert_safe!(
        !created.status.success(),
        "mounted below /proc through a link"
    );
    container.delete_force();
    assert_safe!(
        fs::read_to_string(&decoy).unwrap() == "decoy\n",
        "the sysctl was written to a file of the image's choice"
    );
    fixture.assert_clean();
}

/// Seen red on runc 1.1.5 and crun 1.8.1.
#[test]
fn rt_06_mounts_brought_below_proc_by_an_exchange() {
    let fixture = security::fixture(test_name!());
    let decoy = decoy(&fixture);
    let bundle = redirecting(&fixture, &decoy)
        .args(&["grep", "/proc/sys/kernel", "/proc/self/mountinfo"])
        .written();
    let volume = fixture.file("volume");
    fs::create_dir(volume.join("d")).unwrap();
    fs::write(volume.join("d/domainname"), "").unwrap();
    symlink("/proc/sys/kernel", volume.join("l")).unwrap();
    let swap = Swap::start(&volume.join("d"), &volume.join("l")).unwrap();
    for number in race::tries() {
        let output = fixture.container(&bundle).run();
        assert_safe!(
            output.stdout.is_empty(),
            "try {number}: mounted below /proc: {output}"
        );
        assert_safe!(
            fs::read_to_string(&decoy).unwrap() == "decoy\n",
            "try {number}: the sysctl was written elsewhere"
        );
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

fn decoy(fixture: &Fixture) -> PathBuf {
    let file = fixture.file("decoy");
    fs::write(&file, "decoy\n").expect("write the decoy");
    file
}

/// Binds the decoy at `/vol/d/domainname` and sets that sysctl.
fn redirecting(fixture: &Fixture, decoy: &Path) -> Bundle {
    let volume = fixture.file("volume");
    fs::create_dir(&volume).expect("make the volume");
    let bundle = bind(fixture.bundle(), &volume, "/vol");
    fs::create_dir(bundle.rootfs().join("vol")).expect("make a mount point");
    bind(bundle, decoy, "/vol/d/domainname")
        .set(
            "/linux/sysctl",
            json!({ "kernel.domainname": "REDIRECTED" }),
        )
        .set("/linux/readonlyPaths", json!([]))
        .written()
}
