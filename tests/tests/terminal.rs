//! Terminals: `--console-socket`, and what a container sees of its own.

use orlop_tests::console::ConsoleSocket;
use orlop_tests::{Fixture, security, test_name};
use serde_json::json;
use std::io::Write;

#[test]
fn the_console_socket_receives_the_terminal() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .script("tty; test -t 0 && test -t 1 && test -t 2 && echo a terminal; stty size; readlink /proc/self/fd/0")
        .set("/process/terminal", json!(true))
        .set("/process/consoleSize", json!({ "height": 33, "width": 77 }))
        .written();
    let container = fixture.container(&bundle);
    let mut console = ConsoleSocket::created(&container, &fixture.file("console.sock"));
    container.start().ok();
    let output = console.read_to_end().unwrap();
    assert!(output.contains("a terminal\r\n"), "{output}");
    assert!(output.contains("33 77\r\n"), "{output}");
    assert!(output.contains("/dev/"), "{output}");
    container.wait_for("stopped");
    container.delete().ok();
    fixture.assert_clean();
}

#[test]
fn a_terminal_without_devpts_is_told() {
    let fixture = Fixture::new(test_name!());
    let bundle = security::config::without_mounts(fixture.bundle(), &["/dev/pts"])
        .set("/process/terminal", json!(true))
        .written();
    let run = fixture.container(&bundle).run();
    run.fails_naming(&["open the console", "devpts at /dev/pts"]);
    fixture.assert_clean();
}

#[test]
fn what_is_typed_reaches_the_program() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .script("read line; echo got $line")
        .set("/process/terminal", json!(true))
        .written();
    let container = fixture.container(&bundle);
    let mut console = ConsoleSocket::created(&container, &fixture.file("console.sock"));
    container.start().ok();
    console.master.write_all(b"fish\n").unwrap();
    let output = console.read_to_end().unwrap();
    assert!(output.contains("got fish\r\n"), "{output}");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn exec_gets_a_terminal_of_its_own() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&fixture.bundle().args(&["sleep", "60"]).written());
    container.create().ok();
    container.start().ok();
    let path = fixture.file("console.sock");
    let socket = ConsoleSocket::listen(&path).unwrap();
    let options = [
        "--tty",
        "--detach",
        "--console-socket",
        path.to_str().unwrap(),
    ];
    container
        .call_with("exec", &options)
        .args(["sh", "-c", "test -t 0 && echo a terminal"])
        .run()
        .ok();
    let output = socket.receive().unwrap().read_to_end().unwrap();
    assert!(output.contains("a terminal\r\n"), "{output}");
    container.delete_force().ok();
    fixture.assert_clean();
}
