//! Pins the Plans of some forty bundles, on made-up hosts: no privilege is needed, and nothing of
//! this machine shows.
//!
//! `ORLOP_BLESS=1 cargo test -p orlop --test golden` writes the files anew; read the diff.

use std::fmt::Write as _;
use std::path::PathBuf;

use orlop::spec::{
    Capabilities, ConsoleSize, Cpu, Device, DeviceRule, Hook, Hooks, IdMapping, Linux, Memory,
    Mount, Namespace, NamespaceKind, NetDevice, Personality, Pids, Process, Resources, Rlimit,
    Seccomp, Spec, default_spec, rootless_spec,
};
use orlop::{Host, Options, Plan};
use orlop_cgroups::Layout;

const V1_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
";
const V1_CGROUPS: &str = "5:name=systemd:/\n4:pids:/\n3:devices:/\n2:memory:/\n1:cpu,cpuacct:/\n";
const V2_MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
const V2_CGROUPS: &str = "0::/\n";

fn v1() -> Host {
    Host::root_with(Layout::parse(V1_MOUNTS, V1_CGROUPS))
}

fn v2() -> Host {
    Host::root_with(Layout::parse(V2_MOUNTS, V2_CGROUPS))
}

fn user() -> Host {
    v2().as_user(1000, 1000)
}

struct Case {
    name: &'static str,
    host: fn() -> Host,
    options: fn(Options) -> Options,
    spec: fn() -> Spec,
}

const fn case(name: &'static str, host: fn() -> Host, spec: fn() -> Spec) -> Case {
    Case {
        name,
        host,
        options: |options| options,
        spec,
    }
}

/// The smallest container: one new namespace, one program.
fn bare() -> Spec {
    let mut spec = default_spec();
    spec.mounts.clear();
    spec.hostname = None;
    spec.linux = Some(Linux {
        namespaces: vec![new(NamespaceKind::Mount)],
        ..Linux::default()
    });
    spec.root.as_mut().expect("root").readonly = false;
    process(&mut spec).rlimits.clear();
    process(&mut spec).terminal = false;
    spec
}

fn with(change: impl FnOnce(&mut Spec)) -> Spec {
    let mut spec = bare();
    change(&mut spec);
    spec
}

fn process(spec: &mut Spec) -> &mut Process {
    spec.process.as_mut().expect("process")
}

fn linux(spec: &mut Spec) -> &mut Linux {
    spec.linux.as_mut().expect("linux")
}

fn new(kind: NamespaceKind) -> Namespace {
    Namespace { kind, path: None }
}

fn joined(kind: NamespaceKind, path: &str) -> Namespace {
    Namespace {
        kind,
        path: Some(path.to_owned()),
    }
}

fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..Mount::default()
    }
}

fn mounted(mounts: Vec<Mount>) -> Spec {
    with(|spec| spec.mounts = mounts)
}

fn hook(path: &str) -> Hook {
    Hook {
        path: path.to_owned(),
        args: vec!["hook".to_owned(), "argument".to_owned()],
        env: vec!["KEY=value".to_owned()],
        timeout: Some(5),
    }
}

fn map(container_id: u32, host_id: u32, size: u32) -> IdMapping {
    IdMapping {
        container_id,
        host_id,
        size,
    }
}

fn in_user_namespace() -> Spec {
    let mut spec = default_spec();
    let linux = linux(&mut spec);
    linux.namespaces.push(new(NamespaceKind::User));
    linux.uid_mappings = vec![map(0, 100_000, 65_536)];
    linux.gid_mappings = vec![map(0, 100_000, 65_536)];
    spec
}

fn filtered(no_new_privileges: bool) -> Spec {
    with(|spec| {
        process(spec).no_new_privileges = no_new_privileges;
        linux(spec).seccomp = Some(Seccomp {
            default_action: "SCMP_ACT_ALLOW".to_owned(),
            ..Seccomp::default()
        });
    })
}

fn limited(resources: Resources) -> Spec {
    with(|spec| {
        linux(spec).resources = Some(resources);
        linux(spec).cgroups_path = Some("/golden/limited".to_owned());
    })
}

/// A tree of the root, as the host names it, with what an earlier mount put there.
fn bind_of_a_mount() -> Spec {
    mounted(vec![
        mount("tmpfs", "tmpfs", "/made", &[]),
        mount("bind", "rootfs/made", "/again", &["rbind", "ro", "nosuid"]),
    ])
}

const CASES: &[Case] = &[
    case("default-v1", v1, default_spec),
    case("default-v2", v2, default_spec),
    case("default-v2-cgroup-namespace", v2, || {
        let mut spec = default_spec();
        linux(&mut spec).namespaces.push(new(NamespaceKind::Cgroup));
        spec
    }),
    case("default-v1-cgroup-namespace", v1, || {
        let mut spec = default_spec();
        linux(&mut spec).namespaces.push(new(NamespaceKind::Cgroup));
        spec
    }),
    case("rootless", user, || rootless_spec(1000, 1000)),
    case("user-namespace", v2, in_user_namespace),
    case("user-namespace-v1", v1, in_user_namespace),
    case("user-namespace-joined", v2, || {
        let mut spec = in_user_namespace();
        linux(&mut spec)
            .namespaces
            .retain(|one| one.kind != NamespaceKind::User);
        linux(&mut spec)
            .namespaces
            .push(joined(NamespaceKind::User, "/proc/1/ns/user"));
        spec
    }),
    case("bare", v2, bare),
    case("no-namespaces", v2, || {
        with(|spec| linux(spec).namespaces.clear())
    }),
    case("pid-joined", v2, || {
        with(|spec| {
            linux(spec)
                .namespaces
                .push(joined(NamespaceKind::Pid, "/run/ns/pid"))
        })
    }),
    case("pod-namespaces-joined", v2, || {
        with(|spec| {
            linux(spec).namespaces.extend([
                new(NamespaceKind::Pid),
                joined(NamespaceKind::Network, "/run/ns/net"),
                joined(NamespaceKind::Ipc, "/run/ns/ipc"),
                joined(NamespaceKind::Uts, "/run/ns/uts"),
            ]);
        })
    }),
    case("mount-namespace-joined", v2, || {
        with(|spec| linux(spec).namespaces = vec![joined(NamespaceKind::Mount, "/run/ns/mnt")])
    }),
    Case {
        name: "no-pivot",
        host: v2,
        options: |options| options.no_pivot(true),
        spec: bare,
    },
    Case {
        name: "no-pivot-from-host-with-procfs",
        host: || v2().with_kernel_mounts(["/sys", "/proc", "/srv/with blank/proc"]),
        options: |options| options.no_pivot(true),
        spec: bare,
    },
    Case {
        name: "no-new-keyring",
        host: v2,
        options: |options| options.no_new_keyring(true),
        spec: bare,
    },
    Case {
        name: "no-gate",
        host: v2,
        options: |options| options.gate(false),
        spec: bare,
    },
    case("root-readonly", v2, || {
        with(|spec| spec.root.as_mut().expect("root").readonly = true)
    }),
    case("root-propagation-shared", v2, || {
        with(|spec| linux(spec).rootfs_propagation = Some("rshared".to_owned()))
    }),
    case("bind-mounts", v2, || {
        mounted(vec![
            mount("bind", "/srv/data", "/data", &["rbind", "rprivate", "rw"]),
            mount(
                "bind",
                "/etc/hosts",
                "/etc/hosts",
                &["bind", "ro", "nosuid", "noexec"],
            ),
            mount("none", "relative", "/relative", &["rbind", "rro", "rslave"]),
            mount(
                "bind",
                "/srv/shared",
                "/shared",
                &["bind", "shared", "noatime"],
            ),
        ])
    }),
    case("bind-mounts-unprivileged", user, || {
        let mut spec = rootless_spec(1000, 1000);
        spec.mounts.push(mount(
            "bind",
            "/srv/data",
            "/data",
            &["rbind", "ro", "nodev"],
        ));
        spec
    }),
    case("mounts-of-file-systems", v2, || {
        mounted(vec![
            mount("proc", "proc", "/proc", &[]),
            mount("tmpfs", "tmpfs", "/tmp", &["nosuid", "nodev", "size=64m"]),
            mount(
                "tmpfs",
                "tmpfs",
                "/run",
                &["mode=700", "noexec", "strictatime"],
            ),
            mount("overlay", "overlay", "/merged", &["lowerdir=/a:/b", "ro"]),
            mount("tmpfs", "tmpfs", "/slave", &["slave"]),
        ])
    }),
    case("mount-lxcfs", v2, || {
        mounted(vec![
            mount("proc", "proc", "/proc", &[]),
            mount(
                "bind",
                "/var/lib/lxcfs/proc/meminfo",
                "/proc/meminfo",
                &["bind"],
            ),
        ])
    }),
    case("mount-host-proc", v2, || {
        mounted(vec![mount("bind", "/proc", "/proc", &["rbind"])])
    }),
    case("mount-destinations-cleaned", v2, || {
        mounted(vec![
            mount("tmpfs", "tmpfs", "/a/../b//c/", &[]),
            mount("tmpfs", "tmpfs", "relative", &[]),
        ])
    }),
    case("dev-from-host", v2, || {
        mounted(vec![mount("bind", "/dev", "/dev", &["rbind"])])
    }),
    case("devices", v2, || {
        with(|spec| {
            let device = |path: &str, kind: &str, major, minor, mode| Device {
                path: path.to_owned(),
                kind: kind.to_owned(),
                major,
                minor,
                file_mode: mode,
                uid: Some(1000),
                gid: Some(5),
            };
            linux(spec).devices = vec![
                device("/dev/fuse", "c", 10, 229, Some(0o660)),
                device("/dev/sda", "b", 8, 0, None),
                device("/dev/null", "c", 1, 3, Some(0o600)),
                device("/dev/pipe", "p", 0, 0, None),
            ];
        })
    }),
    case("masked-and-readonly-paths", v2, || {
        with(|spec| {
            linux(spec).masked_paths = vec!["/proc/keys".to_owned(), "/sys/firmware".to_owned()];
            linux(spec).readonly_paths = vec!["/proc/sys".to_owned()];
        })
    }),
    case("names", v2, || {
        with(|spec| {
            linux(spec).namespaces.push(new(NamespaceKind::Uts));
            spec.hostname = Some("golden".to_owned());
            spec.domainname = Some("example.org".to_owned());
        })
    }),
    case("sysctl", v2, || {
        with(|spec| {
            linux(spec).namespaces.extend([
                new(NamespaceKind::Network),
                new(NamespaceKind::Ipc),
                new(NamespaceKind::Uts),
            ]);
            let sysctl = &mut linux(spec).sysctl;
            sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
            sysctl.insert("kernel.shmmax".to_owned(), "65536".to_owned());
            sysctl.insert("kernel.domainname".to_owned(), "example".to_owned());
        })
    }),
    case("terminal", v2, || {
        with(|spec| {
            process(spec).terminal = true;
            process(spec).console_size = Some(ConsoleSize {
                height: 24,
                width: 80,
            });
        })
    }),
    case("bind-of-a-mount", v2, bind_of_a_mount),
    case("bind-of-a-mount-v1", v1, bind_of_a_mount),
    case("bind-of-a-mount-unprivileged", user, || {
        let mut spec = rootless_spec(1000, 1000);
        spec.mounts.extend(bind_of_a_mount().mounts);
        spec
    }),
    case("bind-of-a-procfs-of-the-root", v2, || {
        mounted(vec![
            mount("proc", "proc", "/made", &[]),
            mount("bind", "rootfs/made", "/proc", &["rbind"]),
        ])
    }),
    case("net-devices-v1", v1, || {
        with(|spec| {
            linux(spec).namespaces.push(new(NamespaceKind::Network));
            let devices = &mut linux(spec).net_devices;
            devices.insert("eth1".to_owned(), NetDevice::default());
        })
    }),
    case("hooks", v2, || {
        with(|spec| {
            spec.hooks = Some(Hooks {
                prestart: vec![hook("/usr/bin/prestart")],
                create_runtime: vec![hook("/usr/bin/create-runtime")],
                create_container: vec![hook("/usr/bin/create-container")],
                start_container: vec![hook("/bin/start-container")],
                poststart: vec![hook("/usr/bin/poststart")],
                poststop: vec![hook("/usr/bin/poststop")],
            });
        })
    }),
    case("user-and-groups", v2, || {
        with(|spec| {
            let user = &mut process(spec).user;
            (user.uid, user.gid, user.umask) = (1000, 1001, Some(0o27));
            user.additional_gids = vec![5, 1001, 6];
        })
    }),
    case("capabilities", v2, || {
        with(|spec| {
            let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            process(spec).capabilities = Some(Capabilities {
                bounding: names(&["CAP_CHOWN", "CAP_KILL", "CAP_FUTURE"]),
                effective: names(&["CAP_CHOWN"]),
                inheritable: names(&["CAP_CHOWN"]),
                permitted: names(&["CAP_CHOWN", "CAP_KILL"]),
                ambient: names(&["CAP_CHOWN", "CAP_KILL"]),
            });
        })
    }),
    case("capabilities-absent", v2, || {
        with(|spec| process(spec).capabilities = None)
    }),
    case("rlimits", v2, || {
        with(|spec| {
            let limit = |kind: &str, soft, hard| Rlimit {
                kind: kind.to_owned(),
                soft,
                hard,
            };
            process(spec).rlimits = vec![
                limit("RLIMIT_NOFILE", 8, 8),
                limit("RLIMIT_CORE", 0, u64::MAX),
            ];
        })
    }),
    case("rlimits-in-user-namespace", v2, || {
        let mut spec = in_user_namespace();
        process(&mut spec).rlimits = vec![Rlimit {
            kind: "RLIMIT_NOFILE".to_owned(),
            soft: 1 << 20,
            hard: 1 << 20,
        }];
        spec
    }),
    case("oom-score", v2, || {
        with(|spec| process(spec).oom_score_adj = Some(500))
    }),
    case("oom-score-in-user-namespace", v2, || {
        let mut spec = in_user_namespace();
        process(&mut spec).oom_score_adj = Some(500);
        spec
    }),
    case("seccomp", v2, || filtered(false)),
    case("seccomp-no-new-privileges", v2, || filtered(true)),
    case("personality", v2, || {
        with(|spec| {
            let domain = "LINUX32".to_owned();
            linux(spec).personality = Some(Personality {
                domain,
                flags: Vec::new(),
            });
        })
    }),
    case("program-search", v2, || {
        with(|spec| {
            process(spec).args = vec!["tool".to_owned(), "--flag".to_owned()];
            process(spec).env = vec!["PATH=/opt/bin:/bin:".to_owned(), "HOME=/home/me".to_owned()];
            process(spec).cwd = "/srv/dir".to_owned();
        })
    }),
    case("resources", v2, || {
        limited(Resources {
            memory: Some(Memory {
                limit: Some(64 << 20),
                swap: Some(-1),
                ..Memory::default()
            }),
            cpu: Some(Cpu {
                shares: Some(512),
                quota: Some(50_000),
                ..Cpu::default()
            }),
            pids: Some(Pids { limit: Some(32) }),
            ..Resources::default()
        })
    }),
    case("resources-v1", v1, || {
        limited(Resources {
            pids: Some(Pids { limit: Some(32) }),
            devices: vec![DeviceRule {
                allow: false,
                ..DeviceRule::default()
            }],
            ..Resources::default()
        })
    }),
];

fn plan_of(case: &Case) -> Plan {
    let id = "golden".parse().expect("an id");
    let options = (case.options)(Options::new("/bundle").id(id));
    Plan::compile(&(case.spec)(), &options, &(case.host)())
        .unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// Those that are pinned as `orlop-runc plan --format json` prints them, too: with maps, sources and
/// cells the one, with a warning the other.
const IN_JSON: [&str; 2] = ["user-namespace-v1", "capabilities"];

fn golden(file: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    directory.join(file)
}

/// Whether the file holds that. With `ORLOP_BLESS` it does afterwards.
fn as_written(file: &str, content: &str) -> bool {
    let path = golden(file);
    if std::env::var_os("ORLOP_BLESS").is_some() {
        std::fs::write(&path, content).expect("write a golden file");
    }
    std::fs::read_to_string(&path).is_ok_and(|written| written == content)
}

#[test]
fn plans_are_as_written() {
    let mut different = Vec::new();
    for case in CASES {
        let plan = plan_of(case);
        let mut text = plan.text().to_string();
        for warning in plan.warnings() {
            writeln!(text, "warning: {warning}").expect("a string takes all");
        }
        if !as_written(&format!("{}.txt", case.name), &text) {
            different.push(case.name);
        }
    }
    assert!(different.is_empty(), "these plans changed: {different:?}");
}

#[test]
fn plans_in_json_are_as_written() {
    for name in IN_JSON {
        let case = CASES.iter().find(|case| case.name == name).expect(name);
        let json = format!("{:#}\n", plan_of(case).json());
        assert!(
            as_written(&format!("{name}.json"), &json),
            "the plan {name} changed in JSON"
        );
    }
}

#[test]
fn every_golden_file_has_a_case() {
    for entry in std::fs::read_dir(golden("")).expect("the golden files") {
        let file = entry.expect("an entry").file_name();
        let file = file.to_string_lossy();
        let known = match file.strip_suffix(".json") {
            Some(name) => IN_JSON.contains(&name),
            None => CASES
                .iter()
                .any(|case| file.strip_suffix(".txt") == Some(case.name)),
        };
        assert!(known, "{file} has no case");
    }
}

#[test]
fn plans_are_the_same_every_time() {
    for case in CASES {
        let (first, second) = (plan_of(case), plan_of(case));
        assert_eq!(
            first.text().to_string(),
            second.text().to_string(),
            "{}",
            case.name
        );
        assert_eq!(first.json(), second.json(), "{}", case.name);
    }
}
