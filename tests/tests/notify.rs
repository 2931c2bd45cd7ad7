//! What a service manager gives a service, for a container: `NOTIFY_SOCKET` (`sd_notify(3)`) and
//! sockets (`sd_listen_fds(3)`).

use orlop_tests::patience::patient;
use orlop_tests::security::config::user_namespace;
use orlop_tests::security::{container_by, started_by};
use orlop_tests::{Bundle, Container, Fixture, test_name};
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(5);

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(fixture: &Fixture) -> Self {
        let path = fixture.file("manager");
        let socket = UnixDatagram::bind(&path).expect("bind the manager's socket");
        socket
            .set_read_timeout(Some(patient(LIMIT)))
            .expect("limit the manager's patience");
        Self { socket, path }
    }

    /// Creates the container as a service of this manager's.
    #[track_caller]
    fn create(&self, fixture: &Fixture, container: &Container) {
        let create = container.call("create");
        create.env("NOTIFY_SOCKET", &self.path).run().ok();
        fixture.track(container);
    }

    /// The next message. A descriptor that came with it is closed: that is the barrier's answer.
    #[track_caller]
    fn hears(&self) -> String {
        let mut message = [0; 256];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    #[track_caller]
    fn hears_that_it_is_ready(&self, pid: u32) {
        assert_eq!(self.hears(), format!("READY=1\nMAINPID={pid}\n"));
        assert_eq!(self.hears(), "BARRIER=1");
    }

    #[track_caller]
    fn hears_nothing_more(&self) {
        self.socket.set_nonblocking(true).expect("look once");
        let error = self.socket.recv(&mut [0; 256]).expect_err("no message");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

fn sleeper(fixture: &Fixture) -> Bundle {
    fixture.bundle().args(&["sleep", "60"])
}

/// The socket as the container's program sees it.
#[track_caller]
fn socket_of(pid: u32) -> PathBuf {
    let path = PathBuf::from(format!("/proc/{pid}/root/run/notify/notify.sock"));
    let end = Instant::now() + patient(LIMIT);
    while !path.exists() {
        assert!(Instant::now() < end, "no {}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
    path
}

/// What a program in the container says.
#[track_caller]
fn say(socket: &Path, message: &str) {
    let program = UnixDatagram::unbound().expect("make a socket");
    program
        .send_to(message.as_bytes(), socket)
        .expect("send a notification");
}

fn environment(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/environ")).expect("read the environment")
}

/// Waits until `run` has started the program.
#[track_caller]
fn pid_of(container: &Container) -> u32 {
    let end = Instant::now() + patient(LIMIT);
    while !container.call("state").run().status.success() {
        assert!(Instant::now() < end, "no container");
        std::thread::sleep(Duration::from_millis(5));
    }
    container.wait_for("running");
    container.pid()
}

#[test]
fn start_waits_until_the_program_is_ready_and_says_which_it_is() {
    let fixture = Fixture::new(test_name!());
    let manager = Manager::new(&fixture);
    let container = fixture.container(&sleeper(&fixture).written());
    manager.create(&fixture, &container);
    let start = container
        .call("start")
        .env("NOTIFY_SOCKET", &manager.path)
        .start();
    let pid = container.pid();
    let socket = socket_of(pid);
    container.wait_for("running");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o777, "any user may say it");
    assert!(environment(pid).contains("NOTIFY_SOCKET=/run/notify/notify.sock\0"));
    say(&socket, "STATUS=nearly there");
    say(&socket, "MAINPID=1\nREADY=1\nSTATUS=there");
    manager.hears_that_it_is_ready(pid);
    start.finish().ok();
    manager.hears_nothing_more();
    // The mount can't be used to reach the host.
    let written = container.exec(&["touch", "/run/notify/x"]);
    assert_ne!(written.code(), 0, "{written}");
    container.delete_force().ok();
    drop(manager);
    fixture.assert_clean();
}

#[test]
fn a_program_in_a_user_namespace_is_heard_too() {
    let fixture = Fixture::new(test_name!());
    let manager = Manager::new(&fixture);
    let bundle = sleeper(&fixture);
    // The root's owner has no user in the container who could make it.
    fs::create_dir_all(bundle.rootfs().join("run/notify")).unwrap();
    let bundle = user_namespace(bundle, 100_000, 65536);
    let container = fixture.container(&bundle.written());
    let run = container
        .call_with("run", &["--detach"])
        .env("NOTIFY_SOCKET", &manager.path)
        .start();
    let pid = pid_of(&container);
    fixture.track(&container);
    say(&socket_of(pid), "READY=1");
    manager.hears_that_it_is_ready(pid);
    run.finish().ok();
    container.delete_force().ok();
    drop(manager);
    fixture.assert_clean();
}

#[test]
fn run_in_the_foreground_passes_on_and_waits_for_the_end() {
    let fixture = Fixture::new(test_name!());
    let manager = Manager::new(&fixture);
    let container = fixture.container(&sleeper(&fixture).written());
    let call = container.call("run");
    let run = call.env("NOTIFY_SOCKET", &manager.path).start();
    let pid = pid_of(&container);
    say(&socket_of(pid), "READY=1");
    manager.hears_that_it_is_ready(pid);
    container.kill("KILL").ok();
    assert_eq!(run.finish().code(), 137);
    drop(manager);
    fixture.assert_clean();
}

#[test]
fn a_program_that_ends_without_a_word_keeps_nobody_waiting() {
    let fixture = Fixture::new(test_name!());
    let manager = Manager::new(&fixture);
    let bundle = fixture.bundle().args(&["sh", "-c", "exit 7"]);
    let container = fixture.container(&bundle.written());
    let run = container.call("run").env("NOTIFY_SOCKET", &manager.path);
    assert_eq!(run.run().code(), 7);
    manager.create(&fixture, &container);
    let start = container.call("start");
    start.env("NOTIFY_SOCKET", &manager.path).run().ok();
    container.wait_for("stopped");
    manager.hears_nothing_more();
    container.delete().ok();
    drop(manager);
    fixture.assert_clean();
}

#[test]
fn a_container_runs_where_nobody_listens_to_it() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().script("echo $NOTIFY_SOCKET").written();
    let nobody = fixture.file("nobody").display().to_string();
    let container = fixture.container(&bundle);
    let output = container.call("run").env("NOTIFY_SOCKET", &nobody).run();
    let output = output.ok();
    assert_eq!(output.stdout, "/run/notify/notify.sock\n");
    for words in [nobody.as_str(), "No such file", "nobody is told"] {
        assert!(output.stderr.contains(words), "{words}: {output}");
    }
    // Made without, started with: as without.
    container.create().ok();
    let start = container.call("start").env("NOTIFY_SOCKET", &nobody);
    start.run().ok();
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn sockets_reach_the_program_if_they_are_meant_for_this_process() {
    let fixture = Fixture::new(test_name!());
    let file = fixture.file("socket");
    fs::write(&file, "given\n").unwrap();
    let script = "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3";
    let bundle = fixture.bundle().script(script).written();
    for (pid, printed) in [("$$", "1 1 web\ngiven\n"), ("1", "\n")] {
        let given = format!(
            "exec 3<{}; export LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID={pid}; exec \"$@\"",
            file.display()
        );
        let runtime = started_by(&fixture, &given);
        let container = container_by(&fixture, &runtime, &bundle, "listens");
        let output = container.run();
        assert_eq!(output.stdout, printed, "{output}");
    }
    fixture.assert_clean();
}

#[test]
fn what_is_left_beside_the_socket_is_deleted() {
    let fixture = Fixture::new(test_name!());
    let manager = Manager::new(&fixture);
    let script = "mount -o remount,bind,rw /run/notify && cd /run/notify && rm -f notify.sock
        mkdir -p notify.sock/a && touch notify.sock/a/b && ln -s / c && touch /left; sleep 60";
    let mut bundle = fixture
        .bundle()
        .script(script)
        .set("/root/readonly", json!(false));
    for set in ["bounding", "effective", "permitted"] {
        bundle = bundle.set(
            &format!("/process/capabilities/{set}"),
            json!(["CAP_SYS_ADMIN"]),
        );
    }
    let bundle = bundle.written();
    let container = fixture.container(&bundle);
    manager.create(&fixture, &container);
    container.start().ok();
    let left = PathBuf::from(format!("/proc/{}/root/left", container.pid()));
    let end = Instant::now() + patient(LIMIT);
    while !left.exists() {
        assert!(Instant::now() < end, "it could not write there");
        std::thread::sleep(Duration::from_millis(5));
    }
    container.delete_force().ok();
    drop(manager);
    fixture.assert_clean();
}

#[test]
fn of_two_starts_the_one_that_loses_leaves_the_others_socket_alone() {
    let fixture = Fixture::new(test_name!());
    let manager = Manager::new(&fixture);
    let container = fixture.container(&sleeper(&fixture).written());
    manager.create(&fixture, &container);
    let pid = container.pid();
    let runtime = orlop::Runtime::open(fixture.runtime().root()).unwrap();
    let load = || runtime.load(&container.id().parse().unwrap()).unwrap();
    let (mut winner, mut loser) = (load(), load());
    let heard = winner.notifications(&manager.path).unwrap().unwrap();
    let path = manager.path.clone();
    let late = std::thread::spawn(move || loser.notifications(path).map(drop));
    std::thread::sleep(patient(Duration::from_millis(200)));
    winner.start().unwrap();
    let refused = late.join().unwrap().unwrap_err().to_string();
    assert!(refused.contains("already running"), "{refused}");
    say(&socket_of(pid), "READY=1");
    let passed_on = std::thread::spawn(move || heard.pass_on());
    manager.hears_that_it_is_ready(pid);
    passed_on.join().unwrap().unwrap();
    drop(winner);
    container.delete_force().ok();
    drop(manager);
    fixture.assert_clean();
}
