//! What people run into, and what they read then. The page `docs/errors.md` is what this prints:
//! `ORLOP_BLESS=1` writes it.

use orlop_tests::callers::User;
use orlop_tests::view::cgroup_roots;
use orlop_tests::{Bundle, Fixture, test_name};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// One thing that goes wrong.
struct Trouble {
    /// What somebody did.
    what: &'static str,
    /// Trackers, and numbers in them, where people asked about it.
    asked: Option<&'static str>,
    /// Does it, and returns what was printed.
    provoke: fn(&Fixture) -> String,
    /// The object that the line has to name.
    object: &'static str,
    /// What the line has to say about what is to be done.
    advice: &'static str,
}

/// Words by which callers know a failure: none may be in what only explains another one.
const CALLERS_WORDS: &[&str] = &[
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "operation not permitted",
    "exec format error",
    "not a directory",
    "does not exist",
    "already exists",
    "not running",
    "no such process",
    "already finished",
];

const TROUBLES: &[Trouble] = &[
    Trouble {
        what: "The program is not in the image, or PATH does not lead to it",
        asked: Some("runc 4713, moby 36145"),
        provoke: |fixture| run(fixture, |bundle| bundle.args(&["nginx"])),
        object: "\"nginx\"",
        advice: "name it by its path, or install it in the image",
    },
    Trouble {
        what: "The program is named by a path that the image does not have",
        asked: Some("moby 36145"),
        provoke: |fixture| run(fixture, |bundle| bundle.args(&["/opt/app/run"])),
        object: "/opt/app/run",
        advice: "put process.args right",
    },
    Trouble {
        what: "The program's file is not executable",
        asked: Some("docker-ocserv 52, x11docker 319, Fedora-Dockerfiles 249"),
        provoke: |fixture| run(fixture, |bundle| with_program(bundle, "#!/bin/sh\n", 0o644)),
        object: "/app",
        advice: "chmod +x",
    },
    Trouble {
        what: "The program is for another processor, or a script without `#!`",
        asked: Some("docker-library/mysql 228, godns 54"),
        provoke: |fixture| {
            run(fixture, |bundle| {
                with_program(bundle, "echo hello\n", 0o755)
            })
        },
        object: "/app",
        advice: "use an image for this machine, or begin the script with #!/bin/sh",
    },
    Trouble {
        what: "The script's interpreter is not in the image, or its first line ends in CR LF",
        asked: Some("docker-kong 157, boulder 3812"),
        provoke: |fixture| {
            run(fixture, |bundle| {
                with_program(bundle, "#!/bin/sh\r\n", 0o755)
            })
        },
        object: "/app",
        advice: "install it in the image, or save a script",
    },
    Trouble {
        what: "The id is in use",
        asked: Some("moby 36145, containerd 4133"),
        provoke: |fixture| {
            let container = fixture.container(&sleeper(fixture));
            container.create().ok();
            fails(container.create())
        },
        object: "web",
        advice: "choose another id, or delete that one first",
    },
    Trouble {
        what: "There is no such container",
        asked: Some("containerd 357"),
        provoke: |fixture| fails(fixture.container(&sleeper(fixture)).start()),
        object: "web",
        advice: "--root names the directory of its state",
    },
    Trouble {
        what: "The bundle has no configuration",
        asked: Some("runc 530, 1480"),
        provoke: |fixture| {
            let bundle = sleeper(fixture);
            fs::remove_file(bundle.config_path()).expect("remove config.json");
            fails(fixture.container(&bundle).create())
        },
        object: "/srv/bundle/config.json",
        advice: "`orlop-runc spec` writes one",
    },
    Trouble {
        what: "The configuration is not what the specification says",
        asked: Some("runc 1471"),
        provoke: |fixture| {
            let bundle = sleeper(fixture);
            let config = fs::read_to_string(bundle.config_path()).expect("read config.json");
            fs::write(
                bundle.config_path(),
                config.replacen("\"args\":", "\"args\"", 1),
            )
            .expect("write config.json");
            fails(fixture.container(&bundle).create())
        },
        object: "/srv/bundle/config.json: process",
        advice: "put it right there",
    },
    Trouble {
        what: "The root file system is missing",
        asked: Some("runc 2150"),
        provoke: |fixture| run(fixture, |bundle| bundle.set("/root/path", json!("nowhere"))),
        object: "root.path: invalid rootfs: /srv/bundle/nowhere",
        advice: "unpack the image there, or put the path right",
    },
    Trouble {
        what: "What is to be mounted is missing on the host",
        asked: Some("moby 36428, docker/cli 2573"),
        provoke: |fixture| run(fixture, |bundle| with_bind(bundle, "/srv/nowhere", "/data")),
        object: "\"/srv/nowhere\"",
        advice: "make it on the host first",
    },
    Trouble {
        what: "A directory is mounted onto a file",
        asked: Some("moby 36428, runc 3318"),
        provoke: |fixture| run(fixture, |bundle| with_bind(bundle, "/etc", "/bin/true")),
        object: "\"/etc\" to rootfs at \"/bin/true\"",
        advice: "check the source on the host and the destination in the image",
    },
    Trouble {
        what: "proc is mounted where the kernel does not let it: rootless, or in a container",
        asked: Some("runc 1658, moby 41457, nerdctl 297, buildkit 4073"),
        provoke: |fixture| {
            let mut user = User::new(fixture);
            let kept = ["mount", "user", "uts", "ipc"].map(|kind| json!({ "type": kind }));
            user.set("/linux/namespaces", json!(kept));
            fails(user.run("true"))
        },
        object: "\"proc\" to rootfs at \"/proc\"",
        advice: "add the namespace to linux.namespaces, or bind the host's",
    },
    Trouble {
        what: "A resource limit is above the caller's own",
        asked: Some("podman 6668, 17358, tubearchivist 393"),
        provoke: |fixture| {
            let mut user = User::new(fixture);
            let limit = json!([{ "type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096 }]);
            user.set("/process/rlimits", limit);
            fails(user.run_through("sh -c 'ulimit -n 512 && exec \"$@\"' sh", "true"))
        },
        object: "RLIMIT_NOFILE to 4096",
        advice: "lower it in process.rlimits",
    },
    Trouble {
        what: "The memory limit is too small even for what comes before the program",
        asked: Some("amazon-ecs-agent 3021, crun 630"),
        provoke: |fixture| {
            run(fixture, |bundle| {
                bundle.set("/linux/resources/memory", json!({ "limit": 4096 }))
            })
        },
        object: "4096 bytes",
        advice: "raise linux.resources.memory.limit",
    },
    Trouble {
        what: "Limits are wanted where the caller may make no cgroup",
        asked: Some("runc 2639"),
        provoke: |fixture| {
            let mut user = User::new(fixture);
            user.set("/linux/cgroupsPath", json!(format!("/{}", fixture.tag())));
            let memory = json!({ "memory": { "limit": 33_554_432 } });
            user.set("/linux/resources", memory);
            fails(user.run("true"))
        },
        object: "/sys/fs/cgroup/",
        advice: "use a cgroup below a delegated one",
    },
    Trouble {
        what: "Something else runs in the container's cgroup",
        asked: Some("runc 3132, 3782"),
        provoke: |fixture| {
            let path = json!(format!("/{}", fixture.tag()));
            let bundle = || fixture.bundle().set("/linux/cgroupsPath", path.clone());
            let first = fixture.container(&bundle().args(&["sleep", "60"]).written());
            first.create().ok();
            fails(fixture.container(&bundle().written()).create())
        },
        object: "/sys/fs/cgroup/",
        advice: "end them, or choose another linux.cgroupsPath",
    },
    Trouble {
        what: "systemd is to make the cgroup, and does not run",
        asked: Some("runc 3462, rancher/runc-cve 14"),
        provoke: |fixture| {
            let user = User::new(fixture);
            // A world has a /run of its own.
            let program = fixture.file("orlop-runc");
            let (program, bundle) = (program.display(), user.bundle.path().display());
            let line = format!("{program} --systemd-cgroup run --bundle {bundle} web");
            fails(user.root(&line))
        },
        object: "systemd",
        advice: "leave --systemd-cgroup away",
    },
    Trouble {
        what: "A user's container maps more ids, and the helper is missing",
        asked: Some("podman 12637, 19334, rootlesskit 470"),
        provoke: |fixture| {
            let mut user = User::new(fixture);
            user.map_many();
            let hide = "for path in /usr/local/bin /usr/bin /bin; do [ ! -e $path/newuidmap ] || \
                        mount --bind /dev/null $path/newuidmap; done";
            user.root(hide).ok();
            fails(user.run("true"))
        },
        object: "newuidmap",
        advice: "install it: Debian has it in the package uidmap",
    },
    Trouble {
        what: "A terminal is wanted, and nobody holds its other side",
        asked: Some("runnc 45"),
        provoke: |fixture| {
            let bundle = fixture.bundle().set("/process/terminal", json!(true));
            fails(fixture.container(&bundle.written()).create())
        },
        object: "process.terminal",
        advice: "give --console-socket, set it to false",
    },
    Trouble {
        what: "A container that has stopped is started",
        asked: Some("runc 5151"),
        provoke: |fixture| fails(stopped(fixture).start()),
        object: "web",
        advice: "delete it and create it again",
    },
    Trouble {
        what: "A process is to run in a container that has stopped",
        asked: Some("moby 29794, 34516, 37009"),
        provoke: |fixture| fails(stopped(fixture).exec(&["true"])),
        object: "web",
        advice: "delete it and create it again",
    },
    Trouble {
        what: "A container that runs is to be deleted",
        asked: Some("runc 927"),
        provoke: |fixture| fails(running(fixture).delete()),
        object: "web",
        advice: "kill it first, or delete it by --force",
    },
    Trouble {
        what: "A kernel parameter of the whole host is to be set",
        asked: Some("runc 303, crun 856"),
        provoke: |fixture| {
            run(fixture, |bundle| {
                bundle.set("/linux/sysctl", json!({ "kernel.panic": "1" }))
            })
        },
        object: "linux.sysctl[\"kernel.panic\"]",
        advice: "set it on the host, and remove the field",
    },
    Trouble {
        what: "A hook fails",
        asked: Some("nvidia-docker 1252, runc 2102, podman 16094"),
        provoke: |fixture| {
            let hook = json!({
                "path": "/bin/sh",
                "args": ["sh", "-c", "echo no such interface >&2; exit 3"],
            });
            run(fixture, |bundle| {
                bundle.set("/hooks/createRuntime", json!([hook]))
            })
        },
        object: "createRuntime hook #0: /bin/sh",
        advice: "run it by hand, or take hooks.createRuntime[0] out",
    },
    Trouble {
        what: "The container runs already",
        asked: None,
        provoke: |fixture| fails(running(fixture).start()),
        object: "web",
        advice: "`exec` runs a further process in it",
    },
    Trouble {
        what: "A container that has stopped gets a signal",
        asked: None,
        provoke: |fixture| fails(stopped(fixture).kill("TERM")),
        object: "web",
        advice: "delete it and create it again",
    },
    Trouble {
        what: "A user's state directory is somebody else's",
        asked: None,
        provoke: |fixture| {
            let user = User::new(fixture);
            user.root("mkdir -m 700 /run/orlop").ok();
            let line = format!("{} list", fixture.file("orlop-runc").display());
            fails(user.world.script(&line, true).run())
        },
        object: "/run/orlop",
        advice: "name your own by --root, or set XDG_RUNTIME_DIR",
    },
    Trouble {
        what: "A user's systemd is to make the cgroup, and the user has none",
        asked: None,
        provoke: |fixture| {
            let mut user = User::new(fixture);
            let memory = json!({ "memory": { "limit": 33_554_432 } });
            user.set("/linux/resources", memory);
            user.bundle.write().expect("write the configuration");
            fails(user.call("", "--systemd-cgroup run web"))
        },
        object: "/run/user/",
        advice: "loginctl enable-linger",
    },
    Trouble {
        what: "A signal is misspelt",
        asked: None,
        provoke: |fixture| {
            let container = fixture.container(&sleeper(fixture));
            container.create().ok();
            fails(container.kill("TREM"))
        },
        object: "\"TREM\"",
        advice: "`kill -l` lists them",
    },
    Trouble {
        what: "A filter names an action that there is not",
        asked: None,
        provoke: |fixture| {
            let filter = json!({ "defaultAction": "SCMP_ACT_DENY" });
            run(fixture, |bundle| bundle.set("/linux/seccomp", filter))
        },
        object: "linux.seccomp.defaultAction",
        advice: "`orlop-runc features` lists those that there are",
    },
    Trouble {
        what: "Id mappings without a user namespace",
        asked: None,
        provoke: |fixture| {
            let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
            run(fixture, |bundle| bundle.set("/linux/uidMappings", map))
        },
        object: "linux.uidMappings",
        advice: "add {\"type\": \"user\"} there, or remove them",
    },
];

fn run(fixture: &Fixture, change: impl FnOnce(Bundle) -> Bundle) -> String {
    fails(fixture.container(&change(fixture.bundle()).written()).run())
}

#[track_caller]
fn fails(output: orlop_tests::Output) -> String {
    assert_ne!(output.code(), 0, "{output}");
    output.stderr.trim().to_owned()
}

fn sleeper(fixture: &Fixture) -> Bundle {
    fixture.bundle().args(&["sleep", "60"]).written()
}

fn running(fixture: &Fixture) -> orlop_tests::Container {
    let container = fixture.container(&sleeper(fixture));
    container.create().ok();
    container.start().ok();
    container
}

fn stopped(fixture: &Fixture) -> orlop_tests::Container {
    let container = fixture.container(&fixture.bundle().args(&["true"]).written());
    container.create().ok();
    container.start().ok();
    container.wait_for("stopped");
    container
}

fn with_program(bundle: Bundle, content: &str, mode: u32) -> Bundle {
    let program = bundle.rootfs().join("app");
    fs::write(&program, content).expect("write the program");
    fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("set its mode");
    bundle.args(&["/app"])
}

fn with_bind(bundle: Bundle, source: &str, destination: &str) -> Bundle {
    let mount: Value = json!({
        "destination": destination, "type": "bind", "source": source, "options": ["bind"],
    });
    bundle.set("/mounts/-", mount)
}

/// Removes what the attempt has left running.
fn clear(fixture: &Fixture) {
    // A user's containers are elsewhere, and have not come into being.
    if !fixture.runtime().root().exists() {
        return;
    }
    let ids = fixture.runtime().command("list").arg("--quiet").run().ok();
    for id in ids.stdout.lines() {
        let delete = fixture.runtime().command("delete");
        delete.args(["--force", id]).run().ok();
    }
}

/// The message without what differs from run to run and from host to host.
fn general(message: &str, fixture: &Fixture) -> String {
    let folder = fixture.path().to_string_lossy().into_owned();
    let mut message = message
        .replace(&folder, "/srv")
        .replace(fixture.tag(), "web");
    for root in cgroup_roots().expect("find the hierarchies") {
        message = message.replace(&format!("{}/web", root.display()), "/sys/fs/cgroup/web");
    }
    message
        .replace("web-c0", "web")
        .replace("/bundle0", "/bundle")
}

/// Whether the line says it all: what failed, on which object, why, and what to do.
#[track_caller]
fn check(trouble: &Trouble, message: &str) {
    let Trouble {
        what,
        object,
        advice,
        ..
    } = trouble;
    assert_eq!(message.lines().count(), 1, "{what}: {message}");
    let failed = message.find(advice).map(|place| &message[..place]);
    let Some(failed) = failed else {
        panic!("{what}: the line does not say `{advice}`: {message}")
    };
    assert!(
        failed.contains(object),
        "{what}: the line does not name `{object}`: {message}"
    );
    let hint = message.split_once(" (").map_or("", |(_, hint)| hint);
    let hint = hint.to_lowercase();
    for words in CALLERS_WORDS {
        assert!(
            !hint.contains(words),
            "{what}: a caller would take it for `{words}`: {message}"
        );
    }
}

#[test]
fn what_people_run_into_is_explained() {
    let mut page = String::from(
        "# What went wrong\n\nThe failures that people run into most, and the line that is printed then: what \
         failed, on which object, why, and what to do. Written by `tests/tests/messages.rs`, which provokes each \
         of them; `orlop-runc doctor` tells what a host lacks. *Asked in* names threads of public trackers, \
         which are why it is listed; those without are further lines of the kind.\n",
    );
    for trouble in TROUBLES {
        let fixture = Fixture::new(test_name!());
        let message = general(&(trouble.provoke)(&fixture), &fixture);
        check(trouble, &message);
        clear(&fixture);
        fixture.assert_clean();
        page.push_str(&format!("\n## {}\n\n    {message}\n", trouble.what));
        if let Some(asked) = trouble.asked {
            page.push_str(&format!("\nAsked in: {asked}.\n"));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("ORLOP_BLESS").is_some() {
        fs::write(&path, &page).expect("write the page");
    }
    let written = fs::read_to_string(&path).expect("read docs/errors.md");
    assert!(
        written == page,
        "docs/errors.md is not what is printed:\n{page}"
    );
}
