use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Hook, MAX_OUTPUT, Place};
use crate::error::Result;
use crate::state::testing::Scratch;

fn shell(script: &str) -> Hook {
    let args = ["sh", "-c", script].map(str::to_owned).to_vec();
    Hook {
        path: "/bin/sh".to_owned(),
        args,
        ..Hook::default()
    }
}

fn place(bundle: &Path) -> Place<'_> {
    Place {
        bundle,
        stdout: None,
        stderr: None,
    }
}

fn run(hook: &Hook, state: &[u8], bundle: &Path) -> Result<()> {
    super::run(("test", 0), hook, state, place(bundle))
}

fn run_all(hooks: &[Hook], state: &[u8], bundle: &Path) -> Result<()> {
    super::run_all("test", hooks, state, place(bundle))
}

#[test]
fn what_hooks_say_is_added_to_files() {
    let scratch = Scratch::new();
    let (stdout, stderr) = (scratch.path().join("out"), scratch.path().join("err"));
    let place = Place {
        stdout: Some(&stdout),
        stderr: Some(&stderr),
        ..place(scratch.path())
    };
    for _ in 0..2 {
        super::run(("test", 0), &shell("echo one; echo two >&2"), b"", place).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&stdout).unwrap(), "one\none\n");
    assert_eq!(std::fs::read_to_string(&stderr).unwrap(), "two\ntwo\n");
    let nowhere = Place {
        stdout: Some(Path::new("/nowhere/at/all")),
        ..place
    };
    let error = super::run(("test", 0), &shell("true"), b"", nowhere).unwrap_err();
    assert!(
        error.to_string().contains("open /nowhere/at/all"),
        "{error}"
    );
}

/// What failed; that it also says what to do is true of all.
fn message(result: Result<()>) -> String {
    let text = result.unwrap_err().to_string();
    let (failed, _) = text
        .rsplit_once(" (run it by hand, or take hooks.test[")
        .expect("advice");
    failed.to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_state_arrives_in_the_bundle() {
    let scratch = Scratch::new();
    run(
        &shell("cat > state; pwd > where"),
        b"{\"id\":\"x\"}",
        scratch.path(),
    )
    .unwrap();
    assert_eq!(read(&scratch.path().join("state")), "{\"id\":\"x\"}");
    assert_eq!(
        Path::new(read(&scratch.path().join("where")).trim()),
        scratch.path()
    );
}

#[test]
fn the_environment_is_the_configured_one_alone() {
    let scratch = Scratch::new();
    let mut hook = shell("tr '\\0' '\\n' < /proc/$$/environ > env");
    hook.path = "/bin/sh".to_owned();
    hook.env = ["PATH=/usr/bin:/bin", "EMPTY=", "TWO=a=b"]
        .map(str::to_owned)
        .to_vec();
    run(&hook, b"", scratch.path()).unwrap();
    let env = read(&scratch.path().join("env"));
    let mut lines: Vec<_> = env.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["EMPTY=", "PATH=/usr/bin:/bin", "TWO=a=b"]);
}

#[test]
fn the_first_argument_is_the_name() {
    let scratch = Scratch::new();
    let mut hook = shell("tr '\\0' ' ' < /proc/$$/cmdline > $0; exit 0");
    hook.args = ["me", "-c", &hook.args[2], "out"]
        .map(str::to_owned)
        .to_vec();
    run(&hook, b"", scratch.path()).unwrap();
    assert!(read(&scratch.path().join("out")).starts_with("me -c "));
}

#[test]
fn no_arguments_mean_the_path_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("hook");
    std::fs::write(&path, "#!/bin/sh\necho $# > count\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let hook = Hook {
        path: path.to_str().unwrap().to_owned(),
        ..Hook::default()
    };
    run(&hook, b"", scratch.path()).unwrap();
    assert_eq!(read(&scratch.path().join("count")), "0\n");
}

#[test]
fn a_state_larger_than_a_pipe_arrives_and_need_not_be_read() {
    let scratch = Scratch::new();
    let state = vec![b'x'; 300_000];
    run(&shell("exit 0"), &state, scratch.path()).unwrap();
    run(&shell("wc -c > count"), &state, scratch.path()).unwrap();
    assert_eq!(read(&scratch.path().join("count")).trim(), "300000");
}

#[test]
fn failure_says_how_and_repeats_the_last_words() {
    let here = Path::new("/");
    let text = message(run(
        &shell("echo one >&2; printf 't\\033wo\\n\\n' >&2; exit 3"),
        b"",
        here,
    ));
    assert_eq!(
        text,
        "error running test hook #0: /bin/sh: exited with status 3: one; t wo"
    );
    let text = message(run(&shell("kill -9 $$"), b"", here));
    assert_eq!(
        text,
        "error running test hook #0: /bin/sh: was killed by signal 9"
    );
    let text = message(run(&shell("echo out; exit 1"), b"", here));
    assert_eq!(
        text,
        "error running test hook #0: /bin/sh: exited with status 1"
    );
}

#[test]
fn much_output_neither_blocks_nor_stays() {
    let flood = "head -c 20000000 /dev/zero | tr '\\0' a >&2; echo; echo the end >&2; exit 1";
    let text = message(run(&shell(flood), b"", Path::new("/")));
    assert!(text.ends_with("the end"), "{text}");
    assert!(text.len() < MAX_OUTPUT + 100, "{}", text.len());
}

#[test]
fn a_hook_has_its_time_and_no_more() {
    let scratch = Scratch::new();
    // A child in the background: the whole group has to go.
    let script = "echo slow >&2; sleep 30 & echo $! > child; wait";
    let hook = Hook {
        timeout: Some(1),
        ..shell(script)
    };
    let start = Instant::now();
    let text = message(run(&hook, b"", scratch.path()));
    let took = start.elapsed();
    assert_eq!(
        text,
        "error running test hook #0: /bin/sh: took longer than 1 s and was killed: slow"
    );
    assert!(
        took > Duration::from_millis(900) && took < Duration::from_secs(2),
        "{took:?}"
    );
    let child = read(&scratch.path().join("child"));
    let status = Path::new("/proc").join(child.trim()).join("stat");
    let gone = || std::fs::read_to_string(&status).map_or(true, |text| text.contains(") Z "));
    let deadline = Instant::now() + Duration::from_secs(5);
    while !gone() {
        assert!(Instant::now() < deadline, "{} lives", child.trim());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_daemon_that_keeps_the_pipes_open_is_not_waited_for() {
    let scratch = Scratch::new();
    let start = Instant::now();
    run(
        &shell("sleep 20 & echo $! > child"),
        b"state",
        scratch.path(),
    )
    .unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    let text = message(run(
        &shell("(while :; do echo x; done) >&2 & echo $! > loud; exit 4"),
        b"",
        scratch.path(),
    ));
    assert!(
        text.starts_with("error running test hook #0: /bin/sh: exited with status 4"),
        "{text}"
    );
    assert!(start.elapsed() < Duration::from_secs(10));
    for name in ["child", "loud"] {
        let pid = read(&scratch.path().join(name)).trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        // The loud one may have died of its closed pipe.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[test]
fn what_can_not_run_is_refused_by_name() {
    let here = Path::new("/");
    let hook = |path: &str| Hook {
        path: path.to_owned(),
        ..Hook::default()
    };
    let text = message(run(&hook("sh"), b"", here));
    assert_eq!(
        text,
        "error running test hook #0: sh: its path must be absolute"
    );
    let text = message(run(&hook("/absent"), b"", here));
    assert!(
        text.starts_with("error running test hook #0: /absent: run it in /: No such file"),
        "{text}"
    );
    let text = message(run(&hook("/etc/passwd"), b"", here));
    assert!(text.contains("Permission denied"), "{text}");
    assert!(run(&hook("/bin/sh\0x"), b"", here).is_err());
    for timeout in [0, -1, i64::MIN] {
        let text = message(run(
            &Hook {
                timeout: Some(timeout),
                ..shell("")
            },
            b"",
            here,
        ));
        assert_eq!(
            text,
            "error running test hook #0: /bin/sh: timeout must be greater than 0"
        );
    }
    let text = message(run(
        &Hook {
            env: vec!["A".to_owned()],
            ..shell("")
        },
        b"",
        here,
    ));
    assert_eq!(
        text,
        "error running test hook #0: /bin/sh: env: \"A\" is not NAME=VALUE"
    );
    run(
        &Hook {
            timeout: Some(i64::MAX),
            ..shell("")
        },
        b"",
        here,
    )
    .unwrap();
}

#[test]
fn the_first_failure_ends_the_list() {
    let scratch = Scratch::new();
    let hooks = [
        shell("echo 1 >> ran"),
        shell("exit 7"),
        shell("echo 3 >> ran"),
    ];
    assert!(message(run_all(&hooks, b"", scratch.path())).contains("status 7"));
    assert_eq!(read(&scratch.path().join("ran")), "1\n");
}

#[test]
fn a_hook_is_in_a_process_group_of_its_own() {
    let scratch = Scratch::new();
    run(
        &shell("echo $$ $(cut -d' ' -f5 /proc/$$/stat) > ids"),
        b"",
        scratch.path(),
    )
    .unwrap();
    let ids = read(&scratch.path().join("ids"));
    let (pid, group) = ids.trim().split_once(' ').unwrap();
    assert_eq!(pid, group);
}
