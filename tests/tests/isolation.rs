//! What a container sees, and what it must not.

use orlop_tests::{Bundle, Fixture, test_name};
use serde_json::json;
use std::fs;

/// Runs a script in a container and returns what it printed.
#[track_caller]
fn printed(fixture: &Fixture, bundle: Bundle, script: &str) -> String {
    let container = fixture.container(&bundle.script(script).written());
    let output = container.run().ok().stdout;
    fixture.assert_clean();
    output
}

#[test]
fn every_namespace_of_the_configuration_is_new() {
    let fixture = Fixture::new(test_name!());
    let script = "for n in pid net ipc uts mnt user cgroup; do readlink /proc/self/ns/$n; done";
    let inside = printed(&fixture, fixture.bundle(), script);
    let (new, shared): (Vec<&str>, Vec<&str>) = inside.lines().partition(|name| {
        let kind = name.split(':').next().unwrap_or_default();
        fs::read_link(format!("/proc/self/ns/{kind}"))
            .unwrap()
            .to_string_lossy()
            != **name
    });
    assert_eq!(new.len(), 5, "{inside}");
    assert_eq!(
        shared.len(),
        2,
        "user and cgroup are not asked for: {inside}"
    );
}

#[test]
fn it_is_pid_one_and_alone() {
    let fixture = Fixture::new(test_name!());
    let script = "echo $$; ls -d /proc/[0-9]* | wc -l; readlink /proc/1/exe";
    let inside = printed(&fixture, fixture.bundle(), script);
    // The shell and the end of its pipe.
    let lines: Vec<&str> = inside.lines().collect();
    assert_eq!(lines[0], "1");
    assert!(lines[1].parse::<u32>().unwrap() <= 3, "{inside}");
    assert_eq!(lines[2], "/bin/busybox");
}

#[test]
fn only_the_loopback_is_there_and_up() {
    let fixture = Fixture::new(test_name!());
    let inside = printed(
        &fixture,
        fixture.bundle(),
        "ls /sys/class/net; ip addr show lo",
    );
    assert!(inside.starts_with("lo\n"), "{inside}");
    assert!(inside.contains("inet 127.0.0.1/8"), "{inside}");
}

#[test]
fn the_host_name_is_its_own() {
    let fixture = Fixture::new(test_name!());
    let before = rustix::system::uname().nodename().to_owned();
    assert_eq!(
        printed(&fixture, fixture.bundle(), "hostname"),
        "contained\n"
    );
    assert_eq!(rustix::system::uname().nodename(), &*before);
}

#[test]
fn the_root_is_read_only_where_asked() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle();
    let script = "touch /fish 2>/dev/null && echo written || echo refused";
    assert_eq!(printed(&fixture, bundle, script), "refused\n");
    let bundle = fixture.bundle().set("/root/readonly", json!(false));
    let file = bundle.rootfs().join("fish");
    assert_eq!(printed(&fixture, bundle, script), "written\n");
    assert!(file.exists());
}

#[test]
fn nothing_of_the_host_is_mounted() {
    let fixture = Fixture::new(test_name!());
    let inside = printed(&fixture, fixture.bundle(), "cat /proc/self/mountinfo");
    for line in inside.lines() {
        let point = line.split(' ').nth(4).unwrap_or_default();
        assert!(
            ["/", "/proc", "/dev", "/sys"].iter().any(|top| {
                point == *top || point.starts_with(&format!("{top}/")) && *top != "/"
            }),
            "unexpected mount: {line}"
        );
    }
    let points: Vec<&str> = inside
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .collect();
    for wanted in [
        "/",
        "/proc",
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
        "/sys",
    ] {
        assert!(points.contains(&wanted), "no {wanted} in:\n{inside}");
    }
}

#[test]
fn mount_options_are_honoured() {
    let fixture = Fixture::new(test_name!());
    let inside = printed(&fixture, fixture.bundle(), "cat /proc/self/mountinfo");
    let options = |wanted: &str| -> String {
        let line = inside
            .lines()
            .find(|line| line.split(' ').nth(4) == Some(wanted));
        line.unwrap_or_default().to_owned()
    };
    for option in ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] {
        let found = options("/dev/shm");
        assert!(
            found.contains(option) || option == "mode=1777",
            "{option}: {found}"
        );
    }
    for option in ["ro,", "nosuid", "nodev", "noexec"] {
        assert!(
            options("/sys").contains(option),
            "{option}: {}",
            options("/sys")
        );
    }
    assert!(
        options("/dev/pts").contains("ptmxmode=666"),
        "{}",
        options("/dev/pts")
    );
    assert!(options("/").contains(" ro,"), "{}", options("/"));
}

#[test]
fn default_devices_and_links_are_there() {
    let fixture = Fixture::new(test_name!());
    let script = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done;
        for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done;
        head -c 4 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c; echo x >/dev/null; echo x >/dev/full";
    let container = fixture.container(&fixture.bundle().script(script).written());
    let output = container.run();
    let expected = "/dev/null character special file 1:3 666
/dev/zero character special file 1:5 666
/dev/full character special file 1:7 666
/dev/random character special file 1:8 666
/dev/urandom character special file 1:9 666
/dev/tty character special file 5:0 666
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx
 00 00 00 00
4
";
    assert_eq!(output.stdout, expected, "{output}");
    assert!(output.stderr.contains("No space left"), "{output}");
    fixture.assert_clean();
}

#[test]
fn capabilities_are_those_of_the_configuration() {
    let fixture = Fixture::new(test_name!());
    let script = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status";
    // AUDIT_WRITE is 29, KILL 5, NET_BIND_SERVICE 10.
    let few = "0000000020000420";
    let none = "0000000000000000";
    let expected = format!(
        "CapInh:\t{none}\nCapPrm:\t{few}\nCapEff:\t{few}\nCapBnd:\t{few}\nCapAmb:\t{none}\nNoNewPrivs:\t1\n"
    );
    assert_eq!(printed(&fixture, fixture.bundle(), script), expected);
}

#[test]
fn an_unprivileged_user_has_no_capabilities() {
    let fixture = Fixture::new(test_name!());
    let user = json!({ "uid": 1000, "gid": 1001, "additionalGids": [7, 9], "umask": 0o27 });
    let bundle = fixture.bundle().set("/process/user", user);
    let script = "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm)' /proc/self/status; umask";
    let inside = printed(&fixture, bundle, script);
    // With or without the primary group: it is the same to the kernel.
    let inside = inside.replace("Groups:\t7 9 1001 \n", "Groups:\t7 9 \n");
    let none = "0000000000000000";
    assert_eq!(
        inside,
        format!(
            "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t7 9 \n\
             CapPrm:\t{none}\nCapEff:\t{none}\n0027\n"
        )
    );
}

#[test]
fn ambient_capabilities_reach_an_unprivileged_user() {
    let fixture = Fixture::new(test_name!());
    let caps = json!(["CAP_NET_BIND_SERVICE"]);
    let bundle = fixture
        .bundle()
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .set("/process/capabilities/inheritable", caps.clone())
        .set("/process/capabilities/ambient", caps);
    let inside = printed(
        &fixture,
        bundle,
        "grep -E '^Cap(Eff|Amb)' /proc/self/status",
    );
    assert_eq!(
        inside,
        "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n"
    );
}

#[test]
fn rlimits_are_those_of_the_configuration() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().set(
        "/process/rlimits/-",
        json!({ "type": "RLIMIT_CORE", "hard": 4096, "soft": 0 }),
    );
    let inside = printed(
        &fixture,
        bundle,
        "grep -E '^Max (open|core)' /proc/self/limits",
    );
    let words: Vec<Vec<&str>> = inside
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert!(
        words
            .iter()
            .any(|w| w[1..3] == ["core", "file"] && w[4..6] == ["0", "4096"]),
        "{inside}"
    );
    assert!(
        words
            .iter()
            .any(|w| w[1..3] == ["open", "files"] && w[3..5] == ["1024", "1024"]),
        "{inside}"
    );
}

#[test]
fn masked_and_read_only_paths_hold() {
    let fixture = Fixture::new(test_name!());
    let script = "
        head -c 1 /proc/kcore 2>/dev/null | wc -c
        ls /sys/firmware | wc -l
        echo x > /proc/sysrq-trigger || echo refused
        echo 1 > /proc/sys/kernel/panic || echo refused
        cat /proc/keys | wc -c";
    let container = fixture.container(&fixture.bundle().script(script).written());
    let output = container.run();
    assert_eq!(output.stdout, "0\n0\nrefused\nrefused\n0\n", "{output}");
    fixture.assert_clean();
}

#[test]
fn environment_and_directory_are_those_of_the_configuration() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .args(&["env"])
        .set(
            "/process/env",
            json!(["PATH=/bin", "A=1", "EMPTY=", "B=x=y"]),
        )
        .set("/process/cwd", json!("/tmp"))
        .written();
    let container = fixture.container(&bundle);
    let output = container
        .call("run")
        .env("LEAK", "from the caller")
        .run()
        .ok()
        .stdout;
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    // `HOME` is filled in from the container's passwd; a shell might add PWD, env doesn't.
    assert_eq!(lines, ["A=1", "B=x=y", "EMPTY=", "HOME=/root", "PATH=/bin"]);
    fixture.assert_clean();
    let bundle = fixture.bundle().set("/process/cwd", json!("/tmp"));
    assert_eq!(printed(&fixture, bundle, "pwd"), "/tmp\n");
}

#[test]
fn no_descriptor_of_the_host_is_open() {
    let fixture = Fixture::new(test_name!());
    let inside = printed(&fixture, fixture.bundle(), "ls /proc/1/fd; true");
    let mut numbers: Vec<&str> = inside.lines().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["0", "1", "2"]);
}

#[test]
fn a_created_init_holds_only_what_it_needs() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    let folder = format!("/proc/{}/fd", container.pid());
    let secrets: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| target.contains("config.json") || target.contains("state.json"))
        .collect();
    assert!(secrets.is_empty(), "{secrets:?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn the_host_binary_is_not_reachable() {
    // CVE-2019-5736: what runs as the container's init is not a file of the host.
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    let exe = fs::read_link(format!("/proc/{}/exe", container.pid())).unwrap();
    let runtime = fs::canonicalize(fixture.runtime().program()).unwrap();
    assert_ne!(exe, runtime);
    container.delete_force().ok();
    fixture.assert_clean();
}
