//! runc's options that have no test of their own elsewhere: who is told of a process, what `exec`
//! changes of it, and what `run` leaves.

use orlop_tests::console::ConsoleSocket;
use orlop_tests::patience::until;
use orlop_tests::view::cgroup_roots;
use orlop_tests::{Bundle, Container, Fixture, skip, test_name};
use serde_json::json;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

fn sleeper(fixture: &Fixture) -> Bundle {
    fixture.bundle().args(&["sleep", "60"])
}

/// A container that runs.
#[track_caller]
fn running(fixture: &Fixture, bundle: Bundle) -> Container {
    let container = fixture.container(&bundle.written());
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    container
}

/// The process of the pidfd that came by the socket: `proc_pid_fdinfo(5)`.
#[track_caller]
fn process_told(socket: &ConsoleSocket) -> u32 {
    let told = socket.receive().expect("receive the pidfd");
    let info = format!("/proc/self/fdinfo/{}", told.master.as_raw_fd());
    let info = fs::read_to_string(info).expect("read what the descriptor is");
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = pid.unwrap_or_else(|| panic!("no pidfd:\n{info}"));
    pid.trim().parse().expect("a process of ours")
}

#[test]
fn a_pidfd_of_the_process_goes_to_the_socket() {
    let fixture = Fixture::new(test_name!());
    let socket = ConsoleSocket::listen(&fixture.file("pidfd")).expect("listen");
    let option = ["--pidfd-socket", socket.path().to_str().unwrap()];
    let bundle = sleeper(&fixture).written();
    let created = fixture.container(&bundle);
    created.call_with("create", &option).run().ok();
    assert_eq!(process_told(&socket), created.pid());
    created.delete_force().ok();

    let run = fixture.container(&bundle);
    let call = run.call_with("run", &option).arg("--detach");
    call.run().ok();
    assert_eq!(process_told(&socket), run.pid());

    let pid_file = fixture.file("pid");
    let exec = fixture
        .runtime()
        .command("exec")
        .args(option)
        .args(["--detach", "--pid-file"])
        .arg(&pid_file)
        .args([run.id(), "sleep", "60"]);
    exec.run().ok();
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(process_told(&socket).to_string(), pid);
    run.delete_force().ok();
    drop(socket);
    fixture.assert_clean();
}

#[test]
fn a_socket_for_the_pidfd_where_nobody_listens_is_named() {
    let fixture = Fixture::new(test_name!());
    let option = ["--pidfd-socket", "/nowhere/pidfd"];
    let words = ["--pidfd-socket /nowhere/pidfd", "No such file or directory"];
    let bundle = sleeper(&fixture).written();
    for verb in ["create", "run"] {
        let container = fixture.container(&bundle);
        container
            .call_with(verb, &option)
            .run()
            .fails_naming(&words);
    }
    let container = running(&fixture, sleeper(&fixture));
    let exec = container.call_with("exec", &option).arg("true");
    exec.run().fails_with(255, &words);
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn exec_takes_all_about_the_process_from_a_file() {
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture).set("/process/env/-", json!("OWN=1"));
    let container = running(&fixture, bundle);
    let file = fixture.file("process.json");
    let exec = |content: &str| {
        fs::write(&file, content).unwrap();
        let option = ["--process", file.to_str().unwrap()];
        container.call_with("exec", &option).run()
    };
    let script = "echo \"$OWN:$GIVEN\"; pwd; id -u; id -g; \
                  grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; exit 7";
    let process = json!({
        "args": ["sh", "-c", script],
        "cwd": "/tmp",
        "env": ["PATH=/bin", "GIVEN=2"],
        "user": { "uid": 1000, "gid": 1001 },
        "capabilities": { "bounding": ["CAP_KILL"] },
    });
    let output = exec(&process.to_string());
    assert_eq!(output.code(), 7, "{output}");
    // Nothing is the container's: not its environment, its capabilities or its flag.
    let wanted = ":2\n/tmp\n1000\n1001\nNoNewPrivs:\t0\nCapBnd:\t0000000000000020\n";
    assert_eq!(sorted(&output.stdout), sorted(wanted), "{output}");

    let name = file.to_str().unwrap();
    exec("{\"args\": [\"true\"], \"cwd\": 5}").fails_with(255, &[name, "cwd", "invalid type"]);
    exec("{\"args\": [\"tr").fails_with(255, &[name, "EOF while parsing"]);
    exec("{\"args\": [], \"cwd\": \"/\"}").fails_with(255, &["process.args"]);
    fs::remove_file(&file).unwrap();
    let gone = container.call_with("exec", &["--process", name]);
    gone.run()
        .fails_with(255, &[name, "No such file or directory"]);
    container.delete_force().ok();
    fixture.assert_clean();
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// A line of `/proc/self/status`, as a process sees it that `exec` runs with these options.
#[track_caller]
fn status_of_exec(
    fixture: &Fixture,
    container: &Container,
    options: &[&str],
    line: &str,
) -> String {
    let pattern = format!("^{line}:");
    let exec = fixture.runtime().command("exec").args(options);
    let output = exec.args([container.id(), "grep", &pattern, "/proc/self/status"]);
    let output = output.run().ok().stdout;
    let value = output.split_once(':').expect("a line").1;
    value.trim().to_owned()
}

#[test]
fn exec_adds_groups() {
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture).set("/process/user/additionalGids", json!([5]));
    let container = running(&fixture, bundle);
    let groups = |options: &[&str]| {
        let line = status_of_exec(&fixture, &container, options, "Groups");
        line.split(' ').map(|id| id.parse().unwrap()).collect()
    };
    let own: Vec<u32> = groups(&[]);
    assert!(own.contains(&5), "{own:?}");
    let more = groups(&["--additional-gids", "4000000", "-g", "7"]);
    assert_eq!(more, [&own[..], &[7, 4_000_000]].concat());
    let bad = |group: &str| {
        let option = format!("--additional-gids={group}");
        container.call_with("exec", &[&option]).arg("true").run()
    };
    bad("4294967295").fails_with(
        255,
        &["--additional-gids \"4294967295\"", "decimal numbers"],
    );
    let usage = bad("staff");
    assert_eq!(usage.code(), 1, "{usage}");
    usage.says("invalid value \"staff\" for flag -additional-gids");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn exec_can_take_the_way_to_privileges_or_give_it() {
    let fixture = Fixture::new(test_name!());
    for (configured, wanted) in [(false, ["0", "1", "0"]), (true, ["1", "1", "0"])] {
        let bundle = sleeper(&fixture).set("/process/noNewPrivileges", json!(configured));
        let container = running(&fixture, bundle);
        let options: [&[&str]; 3] = [&[], &["--no-new-privs"], &["--no-new-privs=false"]];
        let seen =
            options.map(|options| status_of_exec(&fixture, &container, options, "NoNewPrivs"));
        assert_eq!(seen, wanted, "configured as {configured}");
        container.delete_force().ok();
    }
    fixture.assert_clean();
}

#[test]
fn exec_with_a_label_that_no_module_holds_is_refused() {
    let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if apparmor.is_ok_and(|text| text.starts_with('Y'))
        || Path::new("/sys/fs/selinux/enforce").exists()
    {
        skip!("a security module of this host takes labels");
    }
    let fixture = Fixture::new(test_name!());
    let container = running(&fixture, sleeper(&fixture));
    let context = "system_u:system_r:container_t:s0";
    for (option, value, words) in [
        (
            "--apparmor",
            "strict",
            ["process.apparmorProfile", "AppArmor is not enabled"],
        ),
        (
            "--process-label",
            context,
            ["process.selinuxLabel", "SELinux is not enabled"],
        ),
    ] {
        let exec = container.call_with("exec", &[option, value]).arg("true");
        exec.run().fails_with(255, &words).says(value);
        assert_eq!(container.status(), "running");
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

/// Who is the parent of a process that the container's program has orphaned, and whether that is
/// the runtime, which waits for the program.
#[track_caller]
fn adopts_orphans(fixture: &Fixture, options: &[&str]) -> bool {
    let script = "(sleep 60 & echo $! >/new); mv /new /orphan; exec sleep 60";
    let mut bundle = fixture.bundle().script(script);
    bundle = bundle.set("/root/readonly", json!(false));
    // In a PID namespace of its own, the program would be the one that adopts.
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut();
    namespaces
        .expect("a list")
        .retain(|one| one["type"] != "pid");
    let bundle = bundle.written();
    let orphan = bundle.rootfs().join("orphan");
    let container = fixture.container(&bundle);
    let runtime = container.call_with("run", options).start();
    assert!(until(|| orphan.exists()), "no orphan");
    let pid = fs::read_to_string(&orphan).expect("read the orphan's pid");
    let stat = fs::read_to_string(format!("/proc/{}/status", pid.trim())).expect("look at it");
    let parent = stat.lines().find_map(|line| line.strip_prefix("PPid:"));
    let parent = parent.expect("a parent").trim().to_owned();
    let adopted = parent == runtime.pid().to_string();
    container.kill("KILL").ok();
    assert_eq!(runtime.finish().code(), 137);
    fixture.assert_clean();
    adopted
}

#[test]
fn run_adopts_orphans_unless_told_not_to() {
    let fixture = Fixture::new(test_name!());
    assert!(adopts_orphans(&fixture, &[]));
    assert!(!adopts_orphans(&fixture, &["--no-subreaper"]));
}

#[test]
fn run_keeps_the_container_and_its_cgroup_if_told_to() {
    let fixture = Fixture::new(test_name!());
    let name = format!("{}-kept", fixture.tag());
    let bundle = fixture
        .bundle()
        .args(&["true"])
        .set("/linux/cgroupsPath", json!(format!("/{name}")))
        .written();
    let cgroups = || -> Vec<PathBuf> {
        let roots = cgroup_roots().expect("find the cgroup file systems");
        let places = roots.iter().map(|root| root.join(&name));
        places.filter(|place| place.exists()).collect()
    };
    let kept = fixture.container(&bundle);
    kept.call_with("run", &["--keep"]).run().ok();
    assert_eq!(kept.status(), "stopped");
    assert!(!cgroups().is_empty());
    assert!(fixture.runtime().root().join(kept.id()).exists());
    kept.delete().ok();
    assert!(cgroups().is_empty());
    fixture.container(&bundle).run().ok();
    assert!(cgroups().is_empty());
    fixture.assert_clean();
}
