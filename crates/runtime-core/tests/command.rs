//! Each option of the builder, as the program inside sees it.

mod common;

use std::fs;
use std::os::fd::OwnedFd;

use common::{Rootfs, no_cgroup_stays, say, text};
use orlop::cgroups::{Bytes, CgroupPath, Limits};
use orlop::{
    Capabilities, Capability, Command, Isolation, Mount, Namespace, Resource, Root, TerminalSize,
    spec,
};

#[test]
fn by_default_everything_but_the_user_namespace_is_its_own() {
    need_root!();
    let rootfs = Rootfs::new();
    for name in ["pid", "uts", "mnt", "ipc", "net", "user", "cgroup"] {
        let inside = say(&rootfs
            .command("/bin/readlink")
            .arg(format!("/proc/self/ns/{name}")));
        let outside = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_eq!(
            inside == outside.to_string_lossy(),
            name == "user",
            "{name}"
        );
    }
    assert_eq!(say(&rootfs.script("echo $$; ps -o comm | wc -l")), "1\n4");
    assert_eq!(say(&rootfs.script("ls /sys/class/net")), "lo");
}

#[test]
fn by_default_the_program_has_no_privilege() {
    need_root!();
    let rootfs = Rootfs::new();
    let status = say(&rootfs.command("/bin/cat").arg("/proc/self/status"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(
            status.contains(&format!("{set}:\t0000000000000000")),
            "{status}"
        );
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(status.contains("\nGroups:\t0 \n"), "{status}");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(say(&rootfs.command("env")), format!("{path}\nHOME=/root"));
    let descriptors = "ls /proc/self/fd | wc -l";
    // Three streams, and the one by which they are listed.
    assert_eq!(say(&rootfs.script(descriptors)), "4");
}

#[test]
fn by_default_the_host_is_hidden() {
    need_root!();
    let rootfs = Rootfs::new();
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        assert_eq!(
            say(&rootfs.script(&format!("! test -e {path} || cat {path} | wc -c")))
                .trim_end_matches('0'),
            ""
        );
    }
    let script = "echo 1 2>/dev/null >/proc/sys/vm/swappiness && echo written || echo refused";
    assert_eq!(say(&rootfs.script(script)), "refused");
    let seen = say(&rootfs
        .script("cat /proc/sys/vm/swappiness")
        .hidden_paths(false));
    assert_eq!(
        seen,
        fs::read_to_string("/proc/sys/vm/swappiness")
            .unwrap()
            .trim_end()
    );
    let mounts = |command: Command| {
        say(&command.args(["-c", "cat /proc/self/mountinfo | wc -l"]))
            .parse::<u32>()
            .unwrap()
    };
    let hidden = mounts(rootfs.command("/bin/sh"));
    let open = mounts(rootfs.command("/bin/sh").hidden_paths(false));
    assert!(
        hidden > open,
        "{hidden} mounts with hidden paths, {open} without"
    );
}

#[test]
fn the_default_mounts_are_there() {
    need_root!();
    let rootfs = Rootfs::new();
    let mounts = say(&rootfs.command("/bin/cat").arg("/proc/self/mounts"));
    for expected in [
        "proc /proc proc ",
        "tmpfs /dev tmpfs ",
        "devpts /dev/pts devpts ",
        "shm /dev/shm tmpfs ",
        "mqueue /dev/mqueue mqueue ",
        "sysfs /sys sysfs ro,",
    ] {
        assert!(mounts.contains(expected), "{expected}: {mounts}");
    }
    assert!(!mounts.contains("/sys/fs/cgroup"), "{mounts}");
    let devices =
        say(&rootfs.script("cd /dev; ls -d null zero full random urandom tty ptmx fd stdin"));
    assert_eq!(devices.lines().count(), 9, "{devices}");
    assert_eq!(
        say(&rootfs.script("head -c 4 /dev/zero | wc -c; echo x >/dev/null")),
        "4"
    );
}

#[test]
fn without_mounts_nothing_is_made_in_the_root() {
    need_root!();
    let rootfs = Rootfs::new();
    let before: Vec<_> = fs::read_dir(rootfs.path().join("dev")).unwrap().collect();
    assert!(before.is_empty());
    assert_eq!(say(&rootfs.bare("/bin/ls").arg("/dev")), "");
    assert_eq!(fs::read_dir(rootfs.path().join("dev")).unwrap().count(), 0);
}

#[test]
fn arguments_environment_and_directory_arrive() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .script("echo \"$0|$1|$A|$B|$(pwd)\"")
        .args(["zero", "o n e"])
        .envs([("A", "first"), ("B", "b c")])
        .env("A", "last")
        .current_dir("/made/here");
    assert_eq!(say(&command), "zero|o n e|last|b c|/made/here");
    let empty = rootfs.command("/bin/env").env_clear();
    assert_eq!(say(&empty), "HOME=/root");
    assert_eq!(say(&rootfs.command("hostname").hostname("box")), "box");
}

#[test]
fn the_root_is_read_only_where_asked() {
    need_root!();
    let rootfs = Rootfs::new();
    let script = "touch /new 2>/dev/null && echo written || echo refused";
    let command = |root| Command::new("/bin/sh").args(["-c", script]).root(root);
    assert_eq!(
        say(&command(Root::pivot(rootfs.path()).read_only())),
        "refused"
    );
    assert!(!rootfs.path().join("new").exists());
    assert_eq!(say(&command(Root::pivot(rootfs.path()))), "written");
    assert_eq!(
        say(&command(Root::chroot(rootfs.path()).read_only())),
        "refused"
    );
}

#[test]
fn chroot_works_without_a_mount_namespace() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = Command::new("/bin/ls")
        .arg("/")
        .root(Root::chroot(rootfs.path()))
        .namespace(Namespace::Mount, Isolation::Host);
    assert_eq!(say(&command), "bin\ndev\netc\nproc\nsys\ntmp");
}

#[test]
fn a_pivoted_root_leaves_nothing_of_the_host() {
    need_root!();
    let rootfs = Rootfs::new();
    let mounts = say(&rootfs
        .bare("/bin/cat")
        .arg("/proc/self/mountinfo")
        .mount(Mount::proc("/proc"))
        .hidden_paths(false));
    assert_eq!(mounts.lines().count(), 2, "{mounts}");
}

#[test]
fn devices_in_the_root_have_no_effect() {
    need_root!();
    let rootfs = Rootfs::new();
    let made = std::process::Command::new("mknod")
        .arg(rootfs.path().join("zero"))
        .args(["c", "1", "5"])
        .status();
    assert!(made.unwrap().success());
    let script = "head -c 1 /zero 2>/dev/null && echo opened || echo refused";
    assert_eq!(say(&rootfs.script(script)), "refused");
}

#[test]
fn host_namespaces_are_shared() {
    need_root!();
    let rootfs = Rootfs::new();
    for (namespace, file) in [
        (Namespace::Uts, "uts"),
        (Namespace::Ipc, "ipc"),
        (Namespace::Network, "net"),
        (Namespace::Cgroup, "cgroup"),
        (Namespace::Pid, "pid"),
    ] {
        let command = rootfs
            .command("/bin/readlink")
            .arg(format!("/proc/self/ns/{file}"))
            .namespace(namespace, Isolation::Host);
        let outside = fs::read_link(format!("/proc/self/ns/{file}")).unwrap();
        assert_eq!(say(&command), outside.to_string_lossy(), "{file}");
    }
    no_cgroup_stays();
}

#[test]
fn namespaces_are_joined_by_path_and_by_descriptor() {
    need_root!();
    let rootfs = Rootfs::new();
    let mut first = rootfs
        .command("/bin/sleep")
        .arg("100")
        .hostname("first")
        .spawn()
        .unwrap();
    let file = |name: &str| format!("/proc/{}/ns/{name}", first.id());
    for (namespace, name) in [
        (Namespace::Uts, "uts"),
        (Namespace::Ipc, "ipc"),
        (Namespace::Network, "net"),
        (Namespace::Pid, "pid"),
    ] {
        let inode = fs::read_link(file(name)).unwrap();
        let descriptor: OwnedFd = fs::File::open(file(name)).unwrap().into();
        for from in [Isolation::join(file(name)), Isolation::from(descriptor)] {
            let command = rootfs
                .command("/bin/readlink")
                .arg(format!("/proc/self/ns/{name}"))
                .namespace(namespace, from);
            assert_eq!(say(&command), inode.to_string_lossy(), "{name}");
        }
    }
    let both = rootfs
        .command("hostname")
        .namespace(Namespace::Uts, Isolation::join(file("uts")));
    assert_eq!(say(&both), "first");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn the_namespaces_of_ids_and_mounts_are_joined() {
    need_root!();
    let rootfs = Rootfs::new();
    let first = rootfs
        .command("/bin/sleep")
        .arg("100")
        .uid_map(0, 100_000, 2000)
        .gid_map(0, 100_000, 2000)
        .spawn()
        .unwrap();
    let file = |name: &str| format!("/proc/{}/ns/{name}", first.id());
    let theirs = rootfs
        .script("id -u; cat /proc/self/uid_map; readlink /proc/self/ns/user")
        .user(1000, 1000)
        .namespace(Namespace::User, Isolation::join(file("user")));
    let inode = fs::read_link(file("user")).unwrap();
    let said = say(&theirs);
    let fields: Vec<_> = said.split_whitespace().collect();
    assert_eq!(
        fields,
        ["1000", "0", "100000", "2000", &inode.to_string_lossy()]
    );
    let both = Command::new("/bin/sh")
        .args(["-c", "ls /; readlink /proc/self/ns/mnt"])
        .root(Root::chroot(rootfs.path()))
        .mount(Mount::proc("/proc"))
        .namespace(Namespace::User, Isolation::join(file("user")))
        .namespace(Namespace::Mount, Isolation::join(file("mnt")));
    let inode = fs::read_link(file("mnt")).unwrap();
    let expected = format!("bin\ndev\netc\nproc\nsys\ntmp\n{}", inode.display());
    assert_eq!(say(&both), expected);
}

#[test]
fn a_user_namespace_maps_ids() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .script("id -u; id -g; cat /proc/self/uid_map")
        .uid_map(0, 100_000, 1000)
        .uid_map(1000, 200_000, 1)
        .gid_map(0, 100_000, 2000)
        .user(1000, 1000);
    let said = say(&command);
    let fields: Vec<_> = said.split_whitespace().collect();
    assert_eq!(
        fields,
        ["1000", "1000", "0", "100000", "1000", "1000", "200000", "1"]
    );
    let root = rootfs.script("id -u; id -G").map_self_to_root();
    assert_eq!(say(&root), "0\n0");
}

#[test]
fn mounts_are_made_in_their_order() {
    need_root!();
    let rootfs = Rootfs::new();
    let data = Rootfs::new();
    fs::write(data.path().join("file"), "data").unwrap();
    let command = rootfs
        .script("cat /t/d/file; echo; touch /t/d/x 2>/dev/null || echo ro; touch /t/y; stat -c %a /t; cat /proc/self/mounts")
        .mount(Mount::tmpfs("/t").size(Bytes::kib(64)).mode(0o1777).no_exec())
        .mount(Mount::bind(data.path(), "/t/d").read_only())
        .mount(Mount::bind(data.path().join("file"), "/etc/one"))
        .mount(Mount::file_system("tmpfs", "other", "/o").option("size=4k").option("ro"));
    let said = say(&command);
    assert!(said.starts_with("data\nro\n1777\n"), "{said}");
    for expected in [
        " /t tmpfs rw,nosuid,nodev,noexec,relatime,size=64k",
        " /t/d ",
        " /etc/one ",
        "other /o tmpfs ro,nosuid,nodev,",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!data.path().join("x").exists());
}

#[test]
fn a_recursive_bind_is_read_only_to_its_depth() {
    need_root!();
    let rootfs = Rootfs::new();
    let script = "touch /h/sys/fs/cgroup/x 2>/dev/null || echo one; grep ' /h/' /proc/self/mounts | grep -v -e ' ro,' | wc -l";
    let command = rootfs
        .script(script)
        .mount(Mount::bind("/", "/h").recursive().read_only());
    assert_eq!(say(&command), "one\n0");
}

#[test]
fn user_groups_and_umask_are_set() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .script("id -u; id -g; id -G; umask; echo $HOME; cat /proc/self/status")
        .user(1000, 1001)
        .groups([7, 8])
        .umask(0o077);
    let said = say(&command);
    assert!(
        said.starts_with("1000\n1001\n1001 7 8\n0077\n/home/me\n"),
        "{said}"
    );
    assert!(said.contains("Uid:\t1000\t1000\t1000\t1000"), "{said}");
}

#[test]
fn capabilities_are_those_that_were_given() {
    need_root!();
    let rootfs = Rootfs::new();
    let sets = |command: Command| {
        let said = say(&command.args(["-c", "grep ^Cap /proc/self/status"]));
        let value =
            |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        said.lines().map(value).collect::<Vec<_>>()
    };
    let given = Capabilities::from([Capability::NetBindService, Capability::Kill]);
    let bits = 1 << 10 | 1 << 5;
    let root = rootfs.command("/bin/sh").capabilities(given);
    // Inheritable, permitted, effective, bounding, ambient.
    assert_eq!(sets(root), [0, bits, bits, bits, 0]);
    let user = rootfs
        .command("/bin/sh")
        .capabilities(given)
        .user(1000, 1000);
    assert_eq!(sets(user), [bits; 5]);
}

#[test]
fn a_sandbox_that_could_make_devices_is_guarded() {
    need_root!();
    let rootfs = Rootfs::new();
    // A block device that exists is not needed: the cgroup answers before the driver.
    let script =
        "mknod /dev/mem2 c 1 1; head -c 1 /dev/mem2 2>/dev/null && echo opened || echo refused";
    let command = rootfs
        .script(script)
        .capabilities(Capabilities::all().without(Capability::SysAdmin));
    assert_eq!(say(&command), "refused");
}

#[test]
fn limits_hold_and_the_cgroup_is_its_own() {
    need_root!();
    let rootfs = Rootfs::new();
    let limits = Limits::new().memory_limit(Bytes::mib(32)).pids_limit(8u64);
    let script =
        "cat /proc/self/cgroup; (for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done) 2>&1; true";
    let said = say(&rootfs.script(script).limits(limits.clone()));
    assert!(said.contains("fork"), "{said}");
    // In its cgroup namespace the sandbox is at the root.
    assert!(
        said.lines()
            .any(|line| line.ends_with(":memory:/") || line.ends_with("::/")),
        "{said}"
    );
    let hungry = "dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null";
    let output = rootfs.script(hungry).limits(limits).output().unwrap();
    assert!(!output.status.success(), "{}", output.status);
    let memory = output.stats.unwrap().memory;
    assert!(memory.oom_kills > 0, "{memory:?}");
    no_cgroup_stays();
}

#[test]
fn a_cgroup_can_be_named() {
    need_root!();
    let rootfs = Rootfs::new();
    let name = format!("/orlop-named-{}", std::process::id());
    let command = rootfs
        .command("/bin/sleep")
        .arg("100")
        .cgroup(CgroupPath::new(&name).unwrap());
    let prepared = command.build().unwrap();
    let child = prepared.spawn().unwrap();
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    assert!(cgroup.lines().all(|line| line.ends_with(&name)), "{cgroup}");
    let error = prepared.spawn().unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
    drop(child);
    prepared.spawn().unwrap();
}

#[test]
fn resource_limits_are_set() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .command("/bin/cat")
        .arg("/proc/self/limits")
        .rlimit(Resource::NoFile, 32, 33)
        .rlimit(Resource::Core, 0, 0)
        .rlimit(Resource::Core, 0, u64::MAX);
    let said: Vec<String> = say(&command)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(
        said.contains(&"Max open files 32 33 files".to_owned()),
        "{said:?}"
    );
    assert!(
        said.contains(&"Max core file size 0 unlimited bytes".to_owned()),
        "{said:?}"
    );
}

#[test]
fn scores_and_privileges_are_set() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .script("cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status")
        .oom_score_adj(321)
        .no_new_privs(false);
    assert_eq!(say(&command), "321\nNoNewPrivs:\t0");
}

#[test]
fn a_filter_forbids_calls() {
    need_root!();
    let rootfs = Rootfs::new();
    let seccomp = spec::Seccomp {
        default_action: "SCMP_ACT_ALLOW".to_owned(),
        syscalls: vec![spec::SyscallRule {
            names: vec!["mkdir".to_owned(), "mkdirat".to_owned()],
            action: "SCMP_ACT_ERRNO".to_owned(),
            errno_ret: Some(13),
            args: Vec::new(),
        }],
        ..spec::Seccomp::default()
    };
    let script = "mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status";
    let command = rootfs.script(script).seccomp(seccomp.clone());
    assert_eq!(
        say(&command),
        "mkdir: can't create directory '/tmp/x': Permission denied\nSeccomp:\t2"
    );
    assert_eq!(
        say(&command.no_new_privs(false)).lines().last(),
        Some("Seccomp:\t2")
    );
}

#[test]
fn a_terminal_takes_the_streams_place() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .script("tty; stty size; echo error >&2; cat /proc/self/stat")
        .pty(TerminalSize {
            rows: 33,
            columns: 111,
        });
    let said = text(&command.output().unwrap().stdout);
    assert!(said.starts_with("/dev/pts/0\n33 111\nerror\n"), "{said}");
}

#[test]
fn the_plan_can_be_looked_at() {
    let prepared = Command::new("/bin/true")
        .root(Root::pivot("/"))
        .hostname("seen")
        .build()
        .unwrap();
    assert!(prepared.plan().text().to_string().contains("seen"));
    assert!(prepared.warnings().is_empty());
}
