//! What `checkpoint` and `restore` ask of criu, told by a criu that does nothing else: each option's field,
//! by the names of criu's `rpc.proto`. What a real one makes of it is in `checkpoint.rs`.

use orlop_tests::call::Call;
use orlop_tests::{Container, Fixture, test_name};
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A criu that records, and where.
struct Fake {
    directory: PathBuf,
    record: PathBuf,
    images: PathBuf,
}

/// Requests with their options, in order.
type Lines = Vec<String>;

impl Fake {
    fn new(fixture: &Fixture) -> Self {
        let directory = fixture.file("bin");
        fs::create_dir(&directory).expect("make a directory");
        symlink(env!("CARGO_BIN_EXE_fake-criu"), directory.join("criu")).expect("link criu");
        let images = fixture.file("images");
        fs::create_dir_all(images.join("parent")).expect("make a directory");
        fs::write(images.join("descriptors.json"), "[]").expect("write what streams there were");
        Self {
            directory,
            record: fixture.file("record"),
            images,
        }
    }

    fn call(&self, container: &Container, verb: &str, options: &[&str]) -> Call {
        let detach: &[&str] = if verb == "restore" {
            &["--detach"]
        } else {
            &[]
        };
        let call = container.call_with(verb, detach).args(options);
        let call = if options.contains(&"--image-path") {
            call
        } else {
            call.arg("--image-path").arg(&self.images)
        };
        call.env("PATH", &self.directory)
            .env("FAKE_CRIU_RECORD", &self.record)
    }

    /// What has been asked since the last time, without the question for the version.
    fn asked(&self) -> Lines {
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        let _ = fs::remove_file(&self.record);
        let lines = text.lines().filter(|line| *line != "request=VERSION");
        lines.map(str::to_owned).collect()
    }

    /// Compares what is asked with options to what is asked without, line by line.
    #[track_caller]
    fn compare(&self, ask: &dyn Fn(&[&str]), rows: &[Row<'_>]) {
        for (options, more, less) in COMMON.iter().chain(rows) {
            ask(&[]);
            let usual = self.asked();
            ask(options);
            let special = self.asked();
            assert_eq!(beyond(&special, &usual), *more, "{options:?}");
            assert_eq!(beyond(&usual, &special), *less, "{options:?}");
        }
    }
}

/// What is among the first lines only.
fn beyond<'a>(these: &'a [String], those: &[String]) -> Vec<&'a str> {
    let beyond = these.iter().filter(|line| !those.contains(line));
    beyond.map(String::as_str).collect()
}

#[track_caller]
fn assert_among(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(lines.iter().any(|one| one == line), "{line}: {lines:#?}");
    }
}

/// Options, what is asked only with them, and what only without.
type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str]);

/// Those of both commands.
const COMMON: [Row<'static>; 13] = [
    (&["--tcp-established"], &["tcp_established=1"], &[]),
    (&["--ext-unix-sk"], &["ext_unix_sk=1"], &[]),
    (&["--shell-job"], &["shell_job=1"], &[]),
    (&["--file-locks"], &["file_locks=1"], &[]),
    (&["--auto-dedup"], &["auto_dedup=1"], &[]),
    // As it is without.
    (&["--empty-ns", "network"], &[], &[]),
    (
        &["--manage-cgroups-mode", "ignore"],
        &["manage_cgroups_mode=0"],
        USUAL_MODE,
    ),
    (
        &["--manage-cgroups-mode", "soft"],
        &["manage_cgroups_mode=3"],
        USUAL_MODE,
    ),
    (
        &["--manage-cgroups-mode", "full"],
        &["manage_cgroups_mode=4"],
        USUAL_MODE,
    ),
    (
        &["--manage-cgroups-mode", "strict"],
        &["manage_cgroups_mode=5"],
        USUAL_MODE,
    ),
    (&["--network-lock", "iptables"], &["network_lock=1"], &[]),
    (&["--network-lock", "nftables"], &["network_lock=2"], &[]),
    (&["--network-lock", "skip"], &["network_lock=3"], &[]),
];

const USUAL_MODE: &[&str] = &["manage_cgroups_mode=6"];

fn running(fixture: &Fixture) -> Container {
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    container.create().ok();
    container.start().ok();
    fixture.track(&container);
    container
}

#[test]
fn each_option_of_a_checkpoint_reaches_criu() {
    let fixture = Fixture::new(test_name!());
    let fake = Fake::new(&fixture);
    let container = running(&fixture);
    let ask = |options: &[&str]| {
        let call = fake.call(&container, "checkpoint", options);
        // It would be removed: criu has made no end of it, but said so.
        let goes_on = call.arg("--leave-running");
        goes_on.run().ok();
    };
    ask(&[]);
    let usual = fake.asked();
    let pid = format!("pid={}", container.pid());
    let always = [
        "request=DUMP",
        &pid,
        "leave_running=1",
        "log_file=dump.log",
        "log_level=4",
        "notify_scripts=1",
        "manage_cgroups=1",
        "orphan_pts_master=1",
        // CLONE_NEWNET.
        "empty_ns=1073741824",
        "config_file=/etc/criu/runc.conf",
        &format!("images_dir_fd={}", fake.images.display()),
    ];
    assert_among(&usual, &always);

    let (work, other) = (fixture.file("work"), fixture.file("other"));
    let (work, other) = (work.to_str().unwrap(), other.to_str().unwrap());
    let images = format!("images_dir_fd={}", fake.images.display());
    let (in_work, in_other) = (
        format!("work_dir_fd={work}"),
        format!("images_dir_fd={other}"),
    );
    let own: [Row<'_>; 8] = [
        (&["--image-path", other], &[&in_other], &[&images]),
        (&["--work-path", work], &[&in_work], &[]),
        (
            &["--parent-path", "parent"],
            &["parent_img=parent", "track_mem=1"],
            &[],
        ),
        (&["--tcp-skip-in-flight"], &["tcp_skip_in_flight=1"], &[]),
        (&["--link-remap"], &["link_remap=1"], &[]),
        (
            &["--lazy-pages"],
            &[
                "request=FEATURE_CHECK",
                "feature=lazy_pages",
                "lazy_pages=1",
            ],
            &[],
        ),
        (&["--page-server", "10.0.0.1:80"], &["ps=10.0.0.1 80"], &[]),
        (&["--page-server", "[::1]:81"], &["ps=::1 81"], &[]),
    ];
    fake.compare(&ask, &own);
    container.delete_force().ok();
    fixture.assert_clean();
}

fn strings(lines: &[&str]) -> Lines {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn memory_alone_is_another_request() {
    let fixture = Fixture::new(test_name!());
    let fake = Fake::new(&fixture);
    let container = running(&fixture);
    fake.call(&container, "checkpoint", &["--pre-dump"])
        .run()
        .ok();
    assert_eq!(container.status(), "running");
    let asked = fake.asked();
    assert_eq!(
        asked[..3],
        strings(&[
            "request=FEATURE_CHECK",
            "feature=mem_track",
            "request=PRE_DUMP"
        ])
    );
    assert!(asked.contains(&"track_mem=1".to_owned()), "{asked:#?}");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn a_checkpoint_ends_the_container_unless_it_is_to_go_on() {
    let fixture = Fixture::new(test_name!());
    let fake = Fake::new(&fixture);
    let container = running(&fixture);
    let call = fake.call(&container, "checkpoint", &["--leave-running"]);
    call.run().ok();
    assert_eq!(container.status(), "running");
    assert!(fake.asked().contains(&"leave_running=1".to_owned()));
    fake.call(&container, "checkpoint", &[]).run().ok();
    let asked = fake.asked();
    assert!(
        !asked.iter().any(|line| line.starts_with("leave_running")),
        "{asked:#?}"
    );
    container
        .call("state")
        .run()
        .fails_naming(&["does not exist"]);
    fixture.assert_clean();
}

#[test]
fn the_status_descriptor_is_told_when_criu_is_ready() {
    let fixture = Fixture::new(test_name!());
    let fake = Fake::new(&fixture);
    let container = running(&fixture);
    let (mut reader, writer) = std::io::pipe().expect("make a pipe");
    let writer = OwnedFd::from(writer);
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).expect("let it be inherited");
    let number = writer.as_raw_fd().to_string();
    let options = ["--leave-running", "--status-fd", &number];
    fake.call(&container, "checkpoint", &options).run().ok();
    drop(writer);
    let mut told = Vec::new();
    reader.read_to_end(&mut told).expect("read the pipe");
    assert_eq!(told, [0]);
    // It is this program that tells, not criu.
    let asked = fake.asked();
    assert!(
        !asked.iter().any(|line| line.starts_with("status_fd")),
        "{asked:#?}"
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn each_option_of_a_restore_reaches_criu() {
    let fixture = Fixture::new(test_name!());
    let fake = Fake::new(&fixture);
    let bundle = fixture.bundle().args(&["sleep", "60"]).written();
    let container = fixture.container(&bundle);
    let ask = |options: &[&str]| {
        let output = fake.call(&container, "restore", options).run();
        output.fails_naming(&[
            "criu could not restore the container",
            "nothing is restored here",
        ]);
    };
    ask(&[]);
    let usual = fake.asked();
    let images = format!("images_dir_fd={}", fake.images.display());
    let always = [
        "request=RESTORE",
        "log_file=restore.log",
        "evasive_devices=1",
        "rst_sibling=1",
        "manage_cgroups=1",
        "orphan_pts_master=1",
        "empty_ns=1073741824",
        &images,
    ];
    assert_among(&usual, &always);

    let (work, other) = (fixture.file("work"), fixture.file("other"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("descriptors.json"), "[]").unwrap();
    let (work, other) = (work.to_str().unwrap(), other.to_str().unwrap());
    let (in_work, in_other) = (
        format!("work_dir_fd={work}"),
        format!("images_dir_fd={other}"),
    );
    let own: [Row<'_>; 6] = [
        (&["--image-path", other], &[&in_other], &[&images]),
        (&["--work-path", work], &[&in_work], &[]),
        (&["--lazy-pages"], &["lazy_pages=1"], &[]),
        (&["--tcp-close"], &["tcp_close=1"], &[]),
        (
            &["--lsm-profile", "apparmor:p"],
            &["lsm_profile=apparmor:p"],
            &[],
        ),
        (
            &["--lsm-mount-context", "u:r:t:s0"],
            &["lsm_mount_context=u:r:t:s0"],
            &[],
        ),
    ];
    fake.compare(&ask, &own);
    fixture.assert_clean();
}

#[test]
fn what_criu_can_not_do_is_said_before_it_is_asked() {
    let fixture = Fixture::new(test_name!());
    let fake = Fake::new(&fixture);
    let container = running(&fixture);
    let checkpoint = |options: &[&str]| fake.call(&container, "checkpoint", options);
    let old = checkpoint(&[]).env("FAKE_CRIU_VERSION", "3.14").run();
    old.fails_naming(&["criu 3.14 is too old: 3.15 or newer"]);
    for (feature, option, words) in [
        ("mem_track", "--pre-dump", "memory tracking"),
        ("lazy_pages", "--lazy-pages", "lazy pages"),
    ] {
        let call = checkpoint(&[option]).env("FAKE_CRIU_LACKS", feature);
        call.run().fails_naming(&["criu can't do", words]);
    }
    assert_eq!(
        fake.asked(),
        strings(&[
            "request=FEATURE_CHECK",
            "feature=mem_track",
            "request=FEATURE_CHECK",
            "feature=lazy_pages",
        ])
    );
    assert_eq!(container.status(), "running");
    let other = fixture.container(&fixture.bundle().written());
    for (option, value) in [
        ("--lsm-profile", "apparmor:p"),
        ("--lsm-mount-context", "c"),
    ] {
        let call = fake.call(&other, "restore", &[option, value]);
        let output = call.env("FAKE_CRIU_VERSION", "3.15").run();
        output.fails_naming(&[option, "takes criu 3.16 or newer"]);
    }
    for verb in ["checkpoint", "restore"] {
        for (option, value, words) in [
            (
                "--network-lock",
                "no",
                "invalid value \"no\" for --network-lock",
            ),
            (
                "--manage-cgroups-mode",
                "no",
                "Invalid manage-cgroups-mode value",
            ),
            ("--empty-ns", "pid", "namespace \"pid\" is not supported"),
        ] {
            let one = if verb == "restore" {
                &other
            } else {
                &container
            };
            let output = fake.call(one, verb, &[option, value]).run();
            output.fails_naming(&[words]);
        }
    }
    assert_eq!(fake.asked(), Lines::new());
    container.delete_force().ok();
    fixture.assert_clean();
}
