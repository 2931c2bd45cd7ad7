//! Terminals: the container's own is made and bound by descriptor, the caller's is not given away.

use orlop_tests::attacker::Swap;
use orlop_tests::canary::Canary;
use orlop_tests::console::ConsoleSocket;
use orlop_tests::security::config::{bind, mount, with_image_dev, without_mounts};
use orlop_tests::security::{self, container_by, program, race, started_by};
use orlop_tests::{Bundle, Fixture, assert_safe, locate, skip, test_name};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs the bundle with a terminal; what the container wrote, or the refusal.
#[track_caller]
fn with_terminal(fixture: &Fixture, bundle: &Bundle) -> Result<String, String> {
    let socket = fixture.file("console");
    let listener = ConsoleSocket::listen(&socket).expect("listen for the terminal");
    let path = socket.to_str().expect("an ASCII path");
    let container = fixture.container(bundle);
    let created = container
        .call_with("create", &["--console-socket", path])
        .run();
    if !created.status.success() {
        return Err(created.stderr);
    }
    let mut console = listener.receive().expect("receive the terminal");
    container.start();
    let text = read_all(&mut console.master).expect("read the terminal");
    container.wait_for("stopped");
    container.delete_force().ok();
    Ok(text.replace('\r', ""))
}

/// Reads until the other side is closed (`EIO`). While the kernel hangs it up, a read that would
/// wait may end with `EAGAIN`.
fn read_all(master: &mut impl Read) -> io::Result<String> {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        match master.read(&mut part) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error)
                if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::IO) =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

fn terminal_bundle(bundle: Bundle) -> Bundle {
    bundle.set("/process/terminal", json!(true))
}

fn with_devpts(bundle: Bundle, destination: &str) -> Bundle {
    let options = ["newinstance", "ptmxmode=0666", "mode=0620"];
    mount(bundle, "devpts", "devpts", destination, &options)
}

/// What the terminal is for works: it is `/dev/console`, standard input, output and error.
#[test]
fn rt_08_the_terminal_is_the_console() {
    let fixture = security::fixture(test_name!());
    let script = "stat -c '%F %t' /dev/console; tty; \
         [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; echo hello >/dev/console";
    let bundle = terminal_bundle(fixture.bundle().script(script)).written();
    let text = with_terminal(&fixture, &bundle).unwrap();
    assert_eq!(text, "character special file 88\n/dev/pts/0\nall\nhello\n");
    fixture.assert_clean();
}

/// CVE-2025-52565, CVE-2026-88264: the file for the console is made through a link of the image's.
/// Seen red on crun 1.8.1.
#[test]
fn rt_08_console_is_a_link_to_the_host() {
    let fixture = security::fixture(test_name!());
    let folder = fixture.file("outside");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "the host's\n").unwrap();
    let canary = Canary::of(&folder).unwrap();
    for target in ["new", "file"] {
        for up in ["", "../../.."] {
            let target = folder.join(target);
            let bundle = with_devpts(with_image_dev(fixture.bundle()), "/dev/pts");
            let bundle = terminal_bundle(bundle)
                .args(&["stat", "-L", "-c", "%t", "/dev/console"])
                .written();
            let dev = bundle.rootfs().join("dev");
            fs::create_dir(dev.join("pts")).unwrap();
            let target = match up {
                "" => target,
                // From `rootfs/dev` up to the test's folder.
                up => PathBuf::from(up).join(target.strip_prefix(fixture.path()).unwrap()),
            };
            symlink(target, dev.join("console")).unwrap();
            let result = with_terminal(&fixture, &bundle);
            let touched = canary.differences().unwrap();
            assert_safe!(touched.is_empty(), "touched: {touched:#?}");
            if let Ok(text) = result {
                assert_safe!(text == "88\n", "the console is no terminal: {text}");
            }
        }
    }
    fixture.assert_clean();
}

/// `/dev` with a `pts` whose numbers lead to a file of `/proc`, and a `ptmx` of a real devpts.
fn attackers_dev(fixture: &Fixture) -> (Bundle, PathBuf) {
    let dev = fixture.file("dev");
    fs::create_dir_all(dev.join("pts")).expect("make folders");
    for (name, minor) in [("null", 3), ("zero", 5), ("urandom", 9)] {
        let node = makedev(1, minor);
        mknodat(
            CWD,
            dev.join(name),
            FileType::CharacterDevice,
            Mode::from(0o666),
            node,
        )
        .expect("make a device node");
    }
    for number in 0..10 {
        let link = dev.join("pts").join(number.to_string());
        symlink("/proc/version", link).expect("make a link");
    }
    symlink("/real/ptmx", dev.join("ptmx")).expect("make a link");
    fs::write(dev.join("console"), "").expect("make a mount point");
    let bundle = bind(with_image_dev(fixture.bundle()), &dev, "/dev");
    let bundle = with_devpts(bundle, "/real")
        .args(&["grep", "/dev/console", "/proc/self/mountinfo"])
        .written();
    fs::create_dir(bundle.rootfs().join("real")).expect("make a mount point");
    (terminal_bundle(bundle).written(), dev)
}

/// The terminal's other side is found by a descriptor, never by its number: the image's
/// `/dev/pts/0` leads elsewhere.
#[test]
fn rt_08_terminal_by_its_number() {
    let fixture = security::fixture(test_name!());
    let (bundle, _) = attackers_dev(&fixture);
    if let Ok(text) = with_terminal(&fixture, &bundle) {
        assert_safe!(
            !text.contains("/version"),
            "a file of /proc is bound at the console: {text}"
        );
    }
    fixture.assert_clean();
}

/// The number leads to the terminal now, and elsewhere the next moment. Seen red on runc 1.1.5 and
/// crun 1.8.1.
#[test]
fn rt_08_terminal_while_pts_is_exchanged() {
    let fixture = security::fixture(test_name!());
    let (bundle, dev) = attackers_dev(&fixture);
    fs::create_dir(dev.join("other")).unwrap();
    for number in 0..10 {
        let link = dev.join("other").join(number.to_string());
        symlink(format!("/real/{number}"), link).unwrap();
    }
    let swap = Swap::start(&dev.join("pts"), &dev.join("other")).unwrap();
    for number in race::tries() {
        if let Ok(text) = with_terminal(&fixture, &bundle) {
            assert_safe!(!text.contains("/version"), "try {number}: {text}");
        }
    }
    swap.stop().unwrap();
    fixture.assert_clean();
}

/// A pseudo terminal for `script(1)` to be the caller's own; the runtime gets it as standard
/// input, output and error, and as its controlling terminal.
fn on_callers_terminal(fixture: &Fixture, bundle: &Bundle, name: &str) -> Option<String> {
    let script = locate::in_path("script")?;
    let typescript = fixture.file("typescript");
    let list = fixture.file("command");
    let wrapper = format!(
        "printf '\"%s\" ' \"$@\" >{list}; \
         SHELL=/bin/sh {script} -qec '. {list}; echo; sleep 0.2; echo queue:; \
         timeout 0.3 cat' {typescript} >/dev/null",
        list = list.display(),
        script = script.display(),
        typescript = typescript.display(),
    );
    let runtime = started_by(fixture, &wrapper);
    container_by(fixture, &runtime, bundle, name)
        .call("run")
        .run();
    let text = fs::read_to_string(&typescript).expect("read what was on the terminal");
    Some(text.replace('\r', ""))
}

/// CVE-2017-5226: the container types into its caller's terminal.
#[test]
fn rt_31_nothing_is_typed_into_the_callers_terminal() {
    let fixture = security::fixture(test_name!());
    let bundle = without_mounts(fixture.bundle(), &[])
        .args(&[program::ATTACK, "terminal"])
        .written();
    program::install(&bundle);
    let Some(text) = on_callers_terminal(&fixture, &bundle, "typing") else {
        skip!("no script(1) to make a terminal")
    };
    let queue = text.split("queue:").nth(1).unwrap_or_default();
    assert_safe!(
        !queue.contains("typed"),
        "typed into the caller's terminal: {text}"
    );
    assert!(text.contains("0 TIOCSTI "), "the attack ran: {text}");
    for line in text.lines().filter(|line| line.contains(" TIOCSTI ")) {
        assert_safe!(
            !line.contains(" TIOCSTI 0 ") && !line.contains("TIOCLINUX 0 "),
            "the terminal took it: {text}"
        );
    }
    assert_safe!(
        text.contains("\ncontrolling 0\n"),
        "the caller's terminal is the container's controlling one: {text}"
    );
    fixture.assert_clean();
}

/// The same for a process that `exec` starts.
#[test]
fn rt_31_nothing_is_typed_by_exec() {
    let fixture = security::fixture(test_name!());
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    program::install(&bundle);
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    let Some(text) = exec_on_terminal(&fixture, container.id()) else {
        skip!("no script(1) to make a terminal")
    };
    container.delete_force().ok();
    assert!(text.contains("0 TIOCSTI "), "the attack ran: {text}");
    assert_safe!(
        text.contains("\ncontrolling 0\n"),
        "the caller's terminal is the process's controlling one: {text}"
    );
    assert_safe!(
        !text.contains(" TIOCSTI 0 "),
        "typed into the caller's terminal: {text}"
    );
    fixture.assert_clean();
}

fn exec_on_terminal(fixture: &Fixture, id: &str) -> Option<String> {
    let script = locate::in_path("script")?;
    let typescript = fixture.file("typescript");
    let list = fixture.file("command");
    let wrapper = format!(
        "printf '\"%s\" ' \"$@\" >{list}; SHELL=/bin/sh {script} -qec '. {list}' {out} >/dev/null",
        list = list.display(),
        script = script.display(),
        out = typescript.display(),
    );
    let call = started_by(fixture, &wrapper).command("exec");
    call.args([id, program::ATTACK, "terminal"]).run();
    let text = fs::read_to_string(Path::new(&typescript)).expect("read the terminal");
    Some(text.replace('\r', ""))
}
