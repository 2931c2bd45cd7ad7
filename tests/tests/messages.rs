//! What people run into, and what they read then. The page `docs/errors.md` is what this prints:
//! `ORLOP_BLESS=1` writes it.

use orlop_tests::{Bundle, Fixture, test_name};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// One thing that goes wrong.
struct Trouble {
    /// What somebody did.
    what: &'static str,
    /// Does it, and returns what was printed.
    provoke: fn(&Fixture) -> String,
    /// What is to be done.
    remedy: &'static str,
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        what: "The program is not in the image, or PATH does not lead to it.",
        provoke: |fixture| run(fixture, |bundle| bundle.args(&["nginx"])),
        remedy: "Name the program by its path, or put its directory into PATH in `process.env`.",
    },
    Trouble {
        what: "The program is named by a path that the image does not have.",
        provoke: |fixture| run(fixture, |bundle| bundle.args(&["/opt/app/run"])),
        remedy: "Look at the path in the root file system, not on the host.",
    },
    Trouble {
        what: "The program's file is not executable.",
        provoke: |fixture| run(fixture, |bundle| with_program(bundle, "#!/bin/sh\n", 0o644)),
        remedy: "`chmod +x` when the image is built.",
    },
    Trouble {
        what: "The program is for another processor, or a script without `#!`.",
        provoke: |fixture| {
            run(fixture, |bundle| {
                with_program(bundle, "echo hello\n", 0o755)
            })
        },
        remedy: "Build the image for this architecture; begin scripts with `#!/bin/sh`.",
    },
    Trouble {
        what: "The script's interpreter is not in the image, or its first line ends in CR LF.",
        provoke: |fixture| {
            run(fixture, |bundle| {
                with_program(bundle, "#!/bin/sh\r\n", 0o755)
            })
        },
        remedy: "Install the interpreter, or save the script with LF line ends. A dynamically linked program whose loader is missing says the same.",
    },
    Trouble {
        what: "The id is in use.",
        provoke: |fixture| {
            let container = fixture.container(&sleeper(fixture));
            container.create().ok();
            fails(container.create())
        },
        remedy: "Choose another id, or `delete` the container that has it.",
    },
    Trouble {
        what: "There is no such container.",
        provoke: |fixture| fails(fixture.container(&sleeper(fixture)).start()),
        remedy: "`list` shows those of this `--root`; callers such as containerd have roots of their own.",
    },
    Trouble {
        what: "The bundle has no configuration.",
        provoke: |fixture| {
            let bundle = sleeper(fixture);
            fs::remove_file(bundle.config_path()).expect("remove config.json");
            fails(fixture.container(&bundle).create())
        },
        remedy: "`--bundle` names the directory that holds `config.json`; `spec` writes one.",
    },
    Trouble {
        what: "The configuration is not JSON.",
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
        remedy: "The line and column are where the parser stopped.",
    },
    Trouble {
        what: "The root file system is missing.",
        provoke: |fixture| run(fixture, |bundle| bundle.set("/root/path", json!("nowhere"))),
        remedy: "`root.path` is relative to the bundle.",
    },
    Trouble {
        what: "What is to be mounted does not exist.",
        provoke: |fixture| run(fixture, |bundle| with_bind(bundle, "/srv/nowhere", "/data")),
        remedy: "Make it first: no directory is made on the host.",
    },
    Trouble {
        what: "A directory is mounted onto a file.",
        provoke: |fixture| run(fixture, |bundle| with_bind(bundle, "/etc", "/bin/true")),
        remedy: "Often the source is a directory because it was missing once and somebody made it.",
    },
    Trouble {
        what: "The memory limit is too small even for what comes before the program.",
        provoke: |fixture| {
            run(fixture, |bundle| {
                bundle.set("/linux/resources/memory", json!({ "limit": 4096 }))
            })
        },
        remedy: "Raise `linux.resources.memory.limit`; 1 MiB is enough for a small program.",
    },
    Trouble {
        what: "A terminal is wanted, and nobody holds its other side.",
        provoke: |fixture| {
            let bundle = fixture.bundle().set("/process/terminal", json!(true));
            fails(fixture.container(&bundle.written()).create())
        },
        remedy: "`run` without `--detach`, give a `--console-socket`, or set `process.terminal` to false.",
    },
    Trouble {
        what: "The container runs already.",
        provoke: |fixture| {
            let container = fixture.container(&sleeper(fixture));
            container.create().ok();
            container.start().ok();
            fails(container.start())
        },
        remedy: "A container is started once; `exec` runs another process in it.",
    },
    Trouble {
        what: "A process is to run in a container that has stopped.",
        provoke: |fixture| fails(stopped(fixture).exec(&["true"])),
        remedy: "`delete` it and `create` it again.",
    },
    Trouble {
        what: "A container that runs is to be deleted.",
        provoke: |fixture| {
            let container = fixture.container(&sleeper(fixture));
            container.create().ok();
            container.start().ok();
            fails(container.delete())
        },
        remedy: "`kill` it first, or `delete --force`.",
    },
    Trouble {
        what: "A kernel parameter of the whole host is to be set.",
        provoke: |fixture| {
            run(fixture, |bundle| {
                bundle.set("/linux/sysctl", json!({ "kernel.panic": "1" }))
            })
        },
        remedy: "Only parameters of the container's own IPC, network and UTS namespaces can be set.",
    },
    Trouble {
        what: "A hook fails.",
        provoke: |fixture| {
            let hook = json!({
                "path": "/bin/sh",
                "args": ["sh", "-c", "echo no such interface >&2; exit 3"],
            });
            run(fixture, |bundle| {
                bundle.set("/hooks/createRuntime", json!([hook]))
            })
        },
        remedy: "What the hook wrote to its standard error follows its exit status.",
    },
    Trouble {
        what: "A signal is misspelt.",
        provoke: |fixture| {
            let container = fixture.container(&sleeper(fixture));
            container.create().ok();
            fails(container.kill("TREM"))
        },
        remedy: "Names go with or without `SIG`, numbers as they are.",
    },
    Trouble {
        what: "A filter names an action that there is not.",
        provoke: |fixture| {
            let filter = json!({ "defaultAction": "SCMP_ACT_DENY" });
            run(fixture, |bundle| bundle.set("/linux/seccomp", filter))
        },
        remedy: "The actions are those of the OCI runtime specification; `features` lists them.",
    },
    Trouble {
        what: "Id mappings without a user namespace.",
        provoke: |fixture| {
            let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
            run(fixture, |bundle| bundle.set("/linux/uidMappings", map))
        },
        remedy: "Add `{\"type\": \"user\"}` to `linux.namespaces`.",
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
    let ids = fixture.runtime().command("list").arg("--quiet").run().ok();
    for id in ids.stdout.lines() {
        let delete = fixture.runtime().command("delete");
        delete.args(["--force", id]).run().ok();
    }
}

/// The message without what differs from run to run.
fn general(message: &str, fixture: &Fixture) -> String {
    let folder = fixture.path().to_string_lossy().into_owned();
    let message = message
        .replace(&folder, "/srv")
        .replace(fixture.tag(), "web");
    message
        .replace("web-c0", "web")
        .replace("/bundle0", "/bundle")
}

#[test]
fn what_people_run_into_is_explained() {
    let mut page = String::from(
        "# What went wrong\n\nThe failures that people run into most, what is printed then, and what to do. \
         Written by `tests/tests/messages.rs`, which provokes each of them; `orlop-runc doctor` tells what \
         a host lacks.\n",
    );
    for trouble in TROUBLES {
        let fixture = Fixture::new(test_name!());
        let message = general(&(trouble.provoke)(&fixture), &fixture);
        assert_eq!(message.lines().count(), 1, "{}: {message}", trouble.what);
        clear(&fixture);
        fixture.assert_clean();
        page.push_str(&format!(
            "\n## {}\n\n    {message}\n\n{}\n",
            trouble.what, trouble.remedy
        ));
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
