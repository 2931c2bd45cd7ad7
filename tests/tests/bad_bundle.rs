//! Bad bundles: one line that names what is wrong, the right exit code, and nothing left behind.

use orlop_tests::{Bundle, Fixture, test_name};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// `create` of the changed bundle fails with these words and leaves nothing.
#[track_caller]
fn refuses(test: &str, change: impl FnOnce(Bundle, &Fixture) -> Bundle, words: &[&str]) {
    let fixture = Fixture::new(test);
    let bundle = change(fixture.bundle(), &fixture);
    fixture.container(&bundle).create().fails_naming(words);
    fixture.assert_clean();
}

/// One test for each way to spoil a configuration.
macro_rules! spoiled {
    ($($name:ident: $pointer:literal = $value:tt => $words:expr;)*) => {$(
        #[test]
        fn $name() {
            refuses(
                test_name!(),
                |bundle, _| bundle.set($pointer, json!($value)).written(),
                &$words,
            );
        }
    )*};
}

spoiled! {
    args_of_the_wrong_type: "/process/args" = "true" => ["config.json", "process.args"];
    args_empty: "/process/args" = [] => ["process.args"];
    cwd_relative: "/process/cwd" = "tmp" => ["process.cwd", "tmp"];
    uid_negative: "/process/user/uid" = (-1) => ["config.json", "process.user.uid"];
    capability_list_of_the_wrong_type:
        "/process/capabilities/bounding" = "CAP_KILL" => ["process.capabilities.bounding"];
    rlimit_unknown:
        "/process/rlimits/0/type" = "RLIMIT_FISH" => ["rlimit", "RLIMIT_FISH"];
    rlimit_soft_above_hard: "/process/rlimits/0/soft" = 2048 => ["process.rlimits[0]"];
    root_of_the_wrong_type: "/root" = 5 => ["config.json", "root"];
    root_missing: "/root/path" = "nowhere" => ["nowhere", "No such file or directory"];
    version_missing: "/ociVersion" = null => ["config.json", "ociVersion"];
    version_from_the_future: "/ociVersion" = "2.0.0" => ["ociVersion", "2.0.0"];
    namespace_unknown:
        "/linux/namespaces/0/type" = "fish" => ["namespaces", "fish"];
    namespace_twice: "/linux/namespaces/-" = { "type": "pid" } => ["linux.namespaces[5]", "twice"];
    namespace_path_missing:
        "/linux/namespaces/1/path" = "/nowhere/net" => ["/nowhere/net", "No such file or directory", "put the path right"];
    namespace_path_of_another_kind:
        "/linux/namespaces/1/path" = "/proc/self/ns/uts" => ["/proc/self/ns/uts", "network"];
    mount_source_missing:
        "/mounts/-" = {
            "destination": "/mnt", "type": "bind", "source": "/nowhere/source", "options": ["bind"]
        } => ["/nowhere/source", "no such file or directory"];
    mount_type_unknown:
        "/mounts/-" = { "destination": "/mnt", "type": "fishfs", "source": "fish" }
        => ["fishfs", "/mnt", "no such device"];
    mount_onto_dot_dot:
        "/mounts/-" = {
            "destination": "/../../proc/1/fish", "type": "bind", "source": "/etc", "options": ["bind"]
        } => ["/proc/1/fish"];
    sysctl_of_the_host: "/linux/sysctl" = { "kernel.panic": "1" } => ["sysctl", "kernel.panic"];
    cgroups_path_with_dot_dot:
        "/linux/cgroupsPath" = "/../../orlop-t-escape" => ["cgroupsPath"];
    seccomp_action_unknown:
        "/linux/seccomp" = { "defaultAction": "SCMP_ACT_FISH" } => ["seccomp", "SCMP_ACT_FISH"];
    seccomp_architecture_unknown:
        "/linux/seccomp" = { "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_FISH"] }
        => ["seccomp", "SCMP_ARCH_FISH"];
    uid_mappings_without_user_namespace:
        "/linux/uidMappings" = [{ "containerID": 0, "hostID": 100_000, "size": 65536 }]
        => ["uidMappings"];
    device_type_unknown:
        "/linux/devices" = [{ "path": "/dev/fish", "type": "x", "major": 1, "minor": 3 }]
        => ["devices"];
    device_path_relative:
        "/linux/devices" = [{ "path": "dev/fish", "type": "c", "major": 1, "minor": 3 }]
        => ["devices", "dev/fish"];
    hook_missing:
        "/hooks" = { "createRuntime": [{ "path": "/nowhere/hook" }] }
        => ["createRuntime", "/nowhere/hook", "No such file or directory"];
    hook_path_relative:
        "/hooks" = { "createRuntime": [{ "path": "hook" }] } => ["createRuntime", "hook"];
    hook_fails:
        "/hooks" = { "createRuntime": [{ "path": "/bin/false" }] } => ["createRuntime", "/bin/false"];
    hook_fails_in_the_container:
        "/hooks" = { "createContainer": [{ "path": "/bin/false" }] }
        => ["createContainer", "/bin/false"];
    hook_times_out:
        "/hooks" = {
            "createRuntime": [{ "path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1 }]
        } => ["createRuntime", "/bin/sleep", "1"];
}

#[test]
fn hostname_without_uts_namespace() {
    refuses(
        test_name!(),
        |bundle, _| {
            let only = json!([{ "type": "mount" }, { "type": "pid" }]);
            bundle.set("/linux/namespaces", only).written()
        },
        &["hostname", "UTS"],
    );
}

#[test]
fn bundle_missing() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle();
    fs::remove_dir_all(bundle.path()).unwrap();
    let path = bundle.path().to_string_lossy().into_owned();
    fixture
        .container(&bundle)
        .create()
        .fails_naming(&[&path, "No such file or directory"]);
    fixture.assert_clean();
}

#[test]
fn config_missing() {
    refuses(
        test_name!(),
        |bundle, _| {
            fs::remove_file(bundle.config_path()).unwrap();
            bundle
        },
        &["config.json", "No such file or directory"],
    );
}

#[test]
fn config_is_a_folder() {
    refuses(
        test_name!(),
        |bundle, _| {
            fs::remove_file(bundle.config_path()).unwrap();
            fs::create_dir(bundle.config_path()).unwrap();
            bundle
        },
        &["config.json"],
    );
}

/// It would be waited for, and by `run` in such a way that SIGTERM does not end it.
#[test]
fn config_is_a_pipe_that_nobody_writes_to() {
    refuses(
        test_name!(),
        |bundle, _| {
            fs::remove_file(bundle.config_path()).unwrap();
            let fifo = rustix::fs::FileType::Fifo;
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, bundle.config_path(), fifo, mode, 0).unwrap();
            bundle
        },
        &["config.json"],
    );
}

#[test]
fn config_broken_at_any_byte() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle();
    let whole = fs::read(bundle.config_path()).unwrap();
    for length in (0..whole.len() - 1).step_by(whole.len() / 16) {
        fs::write(bundle.config_path(), &whole[..length]).unwrap();
        fixture
            .container(&bundle)
            .create()
            .fails_naming(&["config.json"]);
    }
    fs::write(bundle.config_path(), b"\xff\xfe{}").unwrap();
    fixture
        .container(&bundle)
        .create()
        .fails_naming(&["config.json"]);
    fixture.assert_clean();
}

#[test]
fn config_nested_without_end() {
    refuses(
        test_name!(),
        |bundle, _| {
            fs::write(bundle.config_path(), "[".repeat(1 << 20)).unwrap();
            bundle
        },
        &["config.json"],
    );
}

#[test]
fn root_is_a_symlink() {
    refuses(
        test_name!(),
        |bundle, fixture| {
            let aside = fixture.file("aside");
            fs::rename(bundle.rootfs(), &aside).unwrap();
            symlink(&aside, bundle.rootfs()).unwrap();
            bundle
        },
        &["rootfs", "symlink"],
    );
}

#[test]
fn root_is_a_file() {
    refuses(
        test_name!(),
        |bundle, _| {
            fs::remove_dir_all(bundle.rootfs()).unwrap();
            fs::write(bundle.rootfs(), "").unwrap();
            bundle
        },
        &["rootfs", "directory"],
    );
}

#[test]
fn program_not_in_path() {
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["fish"]).written();
    fixture
        .container(&bundle)
        .create()
        .fails_naming(&["fish"])
        .says("executable file not found in $PATH");
    fixture.assert_clean();
}

#[test]
fn program_missing_by_path() {
    refuses(
        test_name!(),
        |bundle, _| bundle.args(&["/bin/fish"]).written(),
        &["/bin/fish", "no such file or directory"],
    );
}

#[test]
fn program_not_executable() {
    refuses(
        test_name!(),
        |bundle, _| {
            fs::write(bundle.rootfs().join("bin/plain"), "").unwrap();
            bundle.args(&["/bin/plain"]).written()
        },
        &["/bin/plain", "permission denied"],
    );
}

#[test]
fn program_is_a_folder() {
    refuses(
        test_name!(),
        |bundle, _| bundle.args(&["/bin"]).written(),
        &["/bin"],
    );
}

#[test]
fn program_of_no_known_format() {
    // Only the kernel can tell, when `start` has it executed.
    let fixture = Fixture::new(test_name!());
    let bundle = fixture.bundle().args(&["/bin/noise"]).written();
    let program = bundle.rootfs().join("bin/noise");
    fs::write(&program, [0x7f, b'E', b'L', b'F', 0, 0]).unwrap();
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let container = fixture.container(&bundle);
    container.create().ok();
    container
        .start()
        .fails_naming(&["/bin/noise", "exec format error"]);
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn working_folder_is_a_file() {
    refuses(
        test_name!(),
        |bundle, _| bundle.set("/process/cwd", json!("/etc/passwd")).written(),
        &["/etc/passwd", "Not a directory"],
    );
}
