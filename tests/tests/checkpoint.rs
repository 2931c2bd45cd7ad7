//! `checkpoint` and `restore`, with criu.

use orlop_tests::call::Call;
use orlop_tests::console::ConsoleSocket;
use orlop_tests::patience::patient;
use orlop_tests::security::config::user_namespace;
use orlop_tests::{Bundle, Container, Fixture, cgroup, criu, skip, test_name};
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Counts in a file of a tmpfs, ten times a second.
const COUNT: &str = "i=0; while true; do i=$((i+1)); echo $i > /tmp/count; sleep 0.1; done";

struct Criu {
    path: OsString,
    images: PathBuf,
}

impl Criu {
    fn new(fixture: &Fixture) -> Result<Self, String> {
        Ok(Self {
            path: criu::search_path()?,
            images: fixture.file("images"),
        })
    }

    fn call(&self, container: &Container, verb: &str, options: &[&str]) -> Call {
        let mut all = vec!["--image-path", self.images.to_str().expect("UTF-8")];
        all.extend(options);
        container
            .call_with(verb, &all)
            .env("PATH", &self.path)
            .limit(Duration::from_secs(60))
    }
}

/// criu for this fixture; without one the test says why, and is over.
macro_rules! criu_or_skip {
    ($fixture:expr) => {
        match Criu::new($fixture) {
            Ok(criu) => criu,
            Err(reason) => skip!("{reason}"),
        }
    };
}

fn counter(fixture: &Fixture) -> Bundle {
    fixture
        .bundle()
        .script(COUNT)
        .set("/mounts/-", tmpfs())
        .set("/linux/cgroupsPath", json!(null))
}

fn tmpfs() -> serde_json::Value {
    json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] })
}

fn count(container: &Container) -> u32 {
    for _ in 0..20 {
        let text = container.exec(&["cat", "/tmp/count"]).stdout;
        // The script empties the file before it writes.
        if let Ok(number) = text.trim().parse() {
            return number;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} does not count", container.id());
}

fn started(container: &Container) {
    container.create().ok();
    container.start().ok();
}

/// Waits for a container that another process makes.
fn wait_until_it_runs(container: &Container) {
    for _ in 0..2000 {
        if container.call("state").run().stdout.contains("\"running\"") {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} does not run", container.id());
}

#[test]
fn a_container_goes_on_where_it_was() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let bundle = counter(&fixture)
        .set("/linux/resources/pids", json!({ "limit": 50 }))
        .written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    started(&one);
    fixture.track(&one);
    std::thread::sleep(Duration::from_secs(1));
    let before = count(&one);
    criu.call(&one, "checkpoint", &[]).run().ok();
    assert_eq!(one.call("state").run().code(), 1);
    let mode = fs::metadata(&criu.images).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);

    let pid_file = fixture.file("pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().unwrap()];
    criu.call(&two, "restore", &options).run().ok();
    assert_eq!(two.status(), "running");
    fixture.track(&two);
    let pid = fs::read_to_string(pid_file).unwrap();
    assert_eq!(pid, two.pid().to_string());
    assert!(count(&two) >= before);
    assert_eq!(cgroup::read(two.pid(), "pids", "pids.max"), "50");
    let later = count(&two);
    std::thread::sleep(Duration::from_millis(500));
    assert!(count(&two) > later);
    // Every process that enters it has the same clocks.
    let uptime = |container: &Container| container.exec(&["readlink", "/proc/1/ns/time"]).stdout;
    let own = two.exec(&["readlink", "/proc/self/ns/time"]).ok().stdout;
    assert_eq!(uptime(&two), own);
    two.call("pause").run().ok();
    assert_eq!(two.status(), "paused");
    two.call("resume").run().ok();
    two.kill("KILL").ok();
    two.wait_for("stopped");
    two.delete().ok();
    fixture.assert_clean();
}

#[test]
fn a_checkpoint_may_leave_it_running() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let container = fixture.container(&counter(&fixture).written());
    started(&container);
    let work = fixture.file("work");
    let options = ["--leave-running", "--work-path", work.to_str().unwrap()];
    criu.call(&container, "checkpoint", &options).run().ok();
    assert_eq!(container.status(), "running");
    assert!(work.join("dump.log").exists() && criu.images.join("inventory.img").exists());
    container.call("pause").run().ok();
    // One that is paused is written as well, and stays so.
    let again = fixture.file("again");
    let options = ["--leave-running", "--image-path", again.to_str().unwrap()];
    criu.call(&container, "checkpoint", &options).run().ok();
    assert_eq!(container.status(), "paused");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_foreground_restore_ends_as_the_container_does() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let shared = fixture.file("shared");
    fs::create_dir(&shared).unwrap();
    let bind = json!({
        "destination": "/mnt/shared", "type": "bind", "source": shared.to_str().unwrap(),
        "options": ["rbind", "rw"]
    });
    let bundle = fixture
        .bundle()
        .script("while ! test -e /mnt/shared/go; do sleep 0.1; done; echo gone on; echo said >&2; exit 7")
        .set("/root/readonly", json!(false))
        .set("/mounts/-", bind)
        .written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    // Files, as a log is one. Of those in memory criu makes copies.
    let log = || {
        let mut options = fs::OpenOptions::new();
        let opened = options.append(true).create(true).open(fixture.file("log"));
        opened.unwrap()
    };
    let mut command = Command::new(fixture.runtime().program());
    command.arg("--root").arg(fixture.runtime().root());
    command
        .args(["run", "--detach", "--bundle"])
        .arg(bundle.path());
    let command = command.arg(one.id()).stdin(Stdio::null());
    let command = command.stdout(log()).stderr(log());
    assert!(command.status().unwrap().success());
    criu.call(&one, "checkpoint", &[]).run().ok();
    // A root file system that was copied lacks mount points.
    fs::remove_dir(bundle.rootfs().join("mnt/shared")).unwrap();
    let mut command = Command::new(fixture.runtime().program());
    command.arg("--root").arg(fixture.runtime().root());
    command.args(["restore", "--bundle"]).arg(bundle.path());
    command.arg("--image-path").arg(&criu.images).arg(two.id());
    // What was /dev/null remains so, whatever the caller has.
    let command = command.env("PATH", &criu.path).stdin(Stdio::piped());
    let mut running = command.stdout(log()).spawn().unwrap();
    wait_until_it_runs(&two);
    fs::write(shared.join("go"), "").unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(7));
    let said = fs::read_to_string(fixture.file("log")).unwrap();
    assert_eq!(said, "gone on\nsaid\n");
    fixture.assert_clean();
}

#[test]
fn pipes_are_the_callers_of_the_restore() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let bundle = fixture
        .bundle()
        .script("read line; echo got $line")
        .written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    let spawn = |verb: &str, container: &Container| {
        let mut command = Command::new(fixture.runtime().program());
        command
            .arg("--root")
            .arg(fixture.runtime().root())
            .arg(verb);
        command.arg("--bundle").arg(bundle.path());
        if verb == "restore" {
            command.arg("--image-path").arg(&criu.images);
        }
        let command = command.arg(container.id()).env("PATH", &criu.path);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().expect("start the runtime")
    };
    let mut first = spawn("run", &one);
    wait_until_it_runs(&one);
    criu.call(&one, "checkpoint", &[]).run().ok();
    drop(first.stdin.take());
    // Its process was killed, and whoever waits for it is told so.
    assert_eq!(first.wait().unwrap().code(), Some(137));
    let mut second = spawn("restore", &two);
    second.stdin.take().unwrap().write_all(b"fish\n").unwrap();
    let output = second.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got fish\n");
    assert!(output.status.success());
    fixture.assert_clean();
}

#[test]
fn a_terminal_comes_back() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let bundle = fixture
        .bundle()
        .script("read line; echo got $line")
        .set("/process/terminal", json!(true))
        .written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    let path = fixture.file("console.sock");
    let socket = ConsoleSocket::listen(&path).unwrap();
    let to_socket = ["--console-socket", path.to_str().unwrap()];
    one.call_with("create", &to_socket).run().ok();
    let console = socket.receive().unwrap();
    one.start().ok();
    criu.call(&one, "checkpoint", &[]).run().ok();
    drop(console);
    let output = criu.call(&two, "restore", &["--detach"]).run();
    assert_eq!(output.code(), 1);
    output.says("without setting console socket");
    let options = [&["--detach"], &to_socket[..]].concat();
    criu.call(&two, "restore", &options).run().ok();
    let mut console = socket.receive().unwrap();
    console.master.write_all(b"fish\n").unwrap();
    let output = console.read_to_end().unwrap();
    assert!(output.contains("got fish\r\n"), "{output}");
    two.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn what_was_joined_is_joined_again() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let mut pause = Command::new("unshare")
        .args(["--net", "--", "sleep", "60"])
        .spawn()
        .expect("run unshare");
    let path = format!("/proc/{}/ns/net", pause.id());
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    while fs::read_link(&path).is_ok_and(|link| link == own) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let bundle = counter(&fixture)
        .set(
            "/linux/namespaces",
            json!([
                { "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" },
                { "type": "network", "path": path }
            ]),
        )
        .set(
            "/hooks/createRuntime",
            json!([{ "path": "/bin/sh", "args": ["sh", "-c", "cat >> seen; echo >> seen"] }]),
        )
        .written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    started(&one);
    criu.call(&one, "checkpoint", &[]).run().ok();
    criu.call(&two, "restore", &["--detach"]).run().ok();
    let joined = fs::read_link(format!("/proc/{}/ns/net", two.pid())).unwrap();
    assert_eq!(joined, fs::read_link(&path).unwrap());
    let seen = fs::read_to_string(bundle.path().join("seen")).unwrap();
    let told: serde_json::Value = serde_json::from_str(seen.lines().nth(1).unwrap()).unwrap();
    assert_eq!(told["id"], json!(two.id()));
    assert_eq!(told["pid"], json!(two.pid()));
    assert_eq!(told["status"], json!("creating"));
    two.delete_force().ok();
    pause.kill().unwrap();
    pause.wait().unwrap();
    fixture.assert_clean();
}

#[test]
fn memory_may_be_written_ahead() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let bundle = counter(&fixture).written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    started(&one);
    let ahead = fixture.file("ahead");
    let options = ["--pre-dump", "--image-path", ahead.to_str().unwrap()];
    let output = criu.call(&one, "checkpoint", &options).run();
    assert_eq!(one.status(), "running");
    if output.code() != 0 {
        output.says("criu can't do memory tracking");
        one.delete_force().ok();
        fixture.assert_clean();
        skip!("this kernel does not track memory (CONFIG_MEM_SOFT_DIRTY)");
    }
    let before = count(&one);
    let options = ["--parent-path", "../ahead"];
    criu.call(&one, "checkpoint", &options).run().ok();
    criu.call(&two, "restore", &["--detach"]).run().ok();
    assert!(count(&two) >= before);
    two.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn memory_goes_to_a_page_server() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let bundle = counter(&fixture).written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    started(&one);
    fixture.track(&one);
    std::thread::sleep(Duration::from_millis(500));
    let before = count(&one);
    fs::create_dir(&criu.images).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .unwrap()
        .port();
    let mut server = Command::new("env")
        .env("PATH", &criu.path)
        .args(["criu", "page-server", "--images-dir"])
        .arg(&criu.images)
        .args(["--port", &port.to_string()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // In the kernel's list, for a connection would be taken for the one that it waits for.
    let listens = format!(":{port:04X} 00000000:0000 0A");
    let end = Instant::now() + patient(Duration::from_secs(10));
    while !fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .contains(&listens)
    {
        assert!(Instant::now() < end, "criu's page server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let address = format!("127.0.0.1:{port}");
    let checkpoint = criu.call(&one, "checkpoint", &["--page-server", &address]);
    checkpoint.run().ok();
    assert!(server.wait().unwrap().success());
    criu.call(&two, "restore", &["--detach"]).run().ok();
    fixture.track(&two);
    assert!(count(&two) >= before);
    two.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_container_with_a_user_namespace_comes_back() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let bundle = user_namespace(counter(&fixture), 100_000, 65536).written();
    let (one, two) = (fixture.container(&bundle), fixture.container(&bundle));
    // The harness's own files in memory belong to nobody in there.
    let mut command = Command::new(fixture.runtime().program());
    command.arg("--root").arg(fixture.runtime().root());
    command
        .args(["run", "--detach", "--bundle"])
        .arg(bundle.path());
    let command = command.arg(one.id()).stdin(Stdio::null());
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    let before = count(&one);
    criu.call(&one, "checkpoint", &[]).run().ok();
    // criu reads them as the container's root, who is nobody here.
    let open_to_all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&criu.images, open_to_all.clone()).unwrap();
    fs::set_permissions(fixture.path(), open_to_all).unwrap();
    criu.call(&two, "restore", &["--detach"]).run().ok();
    assert!(count(&two) >= before);
    assert_eq!(
        fs::metadata(format!("/proc/{}", two.pid())).unwrap().uid(),
        100_000
    );
    two.delete_force().ok();
    fixture.assert_clean();
}

/// A link in the image that leads a mount to `x]:/etc` would make criu bind the host's `/etc`.
#[test]
fn rt_14_a_destination_can_not_choose_a_source() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let volume = fixture.file("volume");
    fs::create_dir(&volume).unwrap();
    let bind =
        json!({ "destination": "/data", "type": "bind", "source": volume, "options": ["bind"] });
    let bundle = counter(&fixture).set("/mounts/-", bind);
    let rootfs = bundle.rootfs();
    fs::create_dir_all(rootfs.join("x]:/etc")).unwrap();
    std::os::unix::fs::symlink("/x]:/etc", rootfs.join("data")).unwrap();
    let bundle = bundle.written();
    let container = fixture.container(&bundle);
    started(&container);
    fixture.track(&container);
    let refused = "mounts: a mount at \"/x]:/etc\" can't be in a checkpoint";
    let output = criu.call(&container, "checkpoint", &[]).run();
    output.fails_naming(&[refused]);
    assert_eq!(container.status(), "running");
    container.delete_force().ok();

    fs::create_dir_all(&criu.images).unwrap();
    fs::write(criu.images.join("descriptors.json"), "[]").unwrap();
    let other = fixture.container(&bundle);
    let output = criu.call(&other, "restore", &["--detach"]).run();
    output.fails_naming(&[refused]);
    fixture.assert_clean();
}

#[test]
fn what_fails_is_said_and_leaves_nothing() {
    let fixture = Fixture::new(test_name!());
    let criu = criu_or_skip!(&fixture);
    let container = fixture.container(&counter(&fixture).written());
    container.create().ok();
    let output = criu.call(&container, "checkpoint", &[]).run();
    output.fails_naming(&["Container cannot be checkpointed in created state"]);
    container.start().ok();
    for (options, words) in [
        (
            ["--manage-cgroups-mode", "none"],
            "Invalid manage-cgroups-mode value",
        ),
        (
            ["--page-server", "nowhere"],
            "Use --page-server ADDRESS:PORT",
        ),
        (["--empty-ns", "pid"], "namespace \"pid\" is not supported"),
        (
            ["--parent-path", "/abs"],
            "--parent-path: has to be relative",
        ),
        (["--parent-path", "no"], "--parent-path: "),
        (["--status-fd", "9"], "invalid --status-fd argument 9"),
    ] {
        let output = criu.call(&container, "checkpoint", &options).run();
        output.fails_naming(&[words]);
    }
    // criu can't write over a file that is a directory.
    fs::create_dir_all(criu.images.join("inventory.img")).unwrap();
    let output = criu.call(&container, "checkpoint", &[]).run();
    output.fails_naming(&["criu could not checkpoint the container", "dump.log"]);
    assert_eq!(container.status(), "running");
    let before = count(&container);
    std::thread::sleep(Duration::from_millis(300));
    assert!(count(&container) > before, "it stands still");
    container.delete_force().ok();
    fs::write(criu.images.join("descriptors.json"), "[]").unwrap();
    let other = fixture.container(&counter(&fixture).written());
    let output = criu.call(&other, "restore", &["--detach"]).run();
    output.fails_naming(&["criu could not restore the container", "restore.log"]);
    let nowhere = fixture.file("nowhere");
    let options = ["--detach", "--image-path", nowhere.to_str().unwrap()];
    let output = criu.call(&other, "restore", &options).run();
    output.fails_naming(&[nowhere.to_str().unwrap()]);
    fixture.assert_clean();
}

#[test]
fn without_criu_it_says_so() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&counter(&fixture).written());
    started(&container);
    let call = container.call("checkpoint").env("PATH", "/nowhere");
    let output = call.dir(fixture.path()).run();
    output.fails_naming(&["criu is not installed"]);
    assert_eq!(container.status(), "running");
    container.delete_force().ok();
    fixture.assert_clean();
}

/// What a relative search path leads to may be the image's.
#[test]
fn rt_35_criu_is_not_taken_from_the_working_directory() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&counter(&fixture).written());
    started(&container);
    let false_criu = fixture.file("criu");
    fs::write(&false_criu, "#!/bin/sh\n>called\n").unwrap();
    fs::set_permissions(&false_criu, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [".:/nowhere", ":/nowhere", "/nowhere:./", ""] {
        let call = container.call("checkpoint").env("PATH", path);
        let output = call.dir(fixture.path()).run();
        output.fails_naming(&["criu is not installed"]);
    }
    assert!(!fixture.file("called").exists());
    container.delete_force().ok();
    fixture.assert_clean();
}
