//! What makes no sense is refused by `build`, which names the builder's method; what fails later
//! leaves nothing behind.

mod common;

use std::os::fd::OwnedFd;

use common::{Rootfs, no_cgroup_stays};
use orlop::cgroups::{CgroupPath, Limits};
use orlop::{
    Command, Error, Isolation, Mount, Namespace, Process, Resource, Root, Stdio, TerminalSize, spec,
};

fn command() -> Command {
    Command::new("/bin/true").root(Root::pivot("/"))
}

#[track_caller]
fn refused(command: &Command, field: &str, words: &str) {
    let error = command.build().expect_err(words);
    let text = error.to_string();
    assert!(text.starts_with(&format!("{field}: ")), "{field}: {text}");
    assert!(text.contains(words), "{words}: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn what_is_missing_is_named() {
    refused(&Command::new("/bin/true"), "root", "missing");
    refused(&Command::new("").root(Root::pivot("/")), "program", "empty");
    refused(
        &command().namespace(Namespace::User, Isolation::New),
        "uid_map",
        "missing",
    );
    refused(&command().uid_map(0, 1000, 1), "gid_map", "missing");
}

#[test]
fn only_a_directory_becomes_the_root() {
    let at = |path: &str| Command::new("x").root(Root::pivot(path));
    refused(
        &at("/nowhere"),
        "root",
        "look at /nowhere: No such file or directory",
    );
    refused(
        &at("/etc/passwd"),
        "root",
        "/etc/passwd is a symbolic link or no directory",
    );
    refused(
        &at("/proc/self/root"),
        "root",
        "/proc/self/root is a symbolic link",
    );
}

#[test]
fn what_makes_no_sense_together_is_named() {
    let host = |namespace| command().namespace(namespace, Isolation::Host);
    refused(
        &host(Namespace::Mount),
        "root: pivot_root",
        "mount namespace",
    );
    let chroot = |root| {
        Command::new("x")
            .root(root)
            .namespace(Namespace::Mount, Isolation::Host)
    };
    refused(
        &chroot(Root::chroot("/").read_only()),
        "root: read_only",
        "mount namespace",
    );
    refused(
        &chroot(Root::chroot("/")).default_mounts(),
        "default_mounts",
        "mount namespace",
    );
    refused(
        &chroot(Root::chroot("/")).mount(Mount::proc("/proc")),
        "mount",
        "mount namespace",
    );
    refused(
        &host(Namespace::Uts).hostname("x"),
        "hostname",
        "UTS namespace",
    );
    refused(
        &host(Namespace::User).uid_map(0, 0, 1).gid_map(0, 0, 1),
        "uid_map",
        "user namespace",
    );
    refused(&command().pty(TerminalSize::default()), "pty", "devpts");
    let both = command()
        .default_mounts()
        .pty(TerminalSize::default())
        .stderr(Stdio::null());
    refused(&both, "pty, stderr", "leave out one");
}

#[test]
fn values_without_a_meaning_are_named() {
    refused(&command().user(u32::MAX, 0), "user", "4294967295");
    refused(&command().groups([u32::MAX]), "groups", "4294967295");
    refused(&command().umask(0o1000), "umask", "1000");
    refused(&command().current_dir("here"), "current_dir", "absolute");
    refused(&command().env("", "x"), "env", "\"\"");
    refused(&command().env("A=B", "x"), "env", "A=B");
    refused(&command().arg("a\0b"), "program", "NUL");
    refused(
        &command().rlimit(Resource::NoFile, 2, 1),
        "rlimit[0]",
        "hard limit",
    );
    refused(&command().oom_score_adj(1001), "oom_score_adj", "1001");
    refused(&command().hostname("x".repeat(65)), "hostname", "64");
    refused(
        &command().uid_map(0, 0, 0).gid_map(0, 0, 1),
        "uid_map[0].size",
        "greater than 0",
    );
    refused(
        &command().uid_map(1, 0, 1).gid_map(0, 0, 1),
        "user",
        "uid_map does not map it",
    );
    let mapped = command().uid_map(0, 0, 1).gid_map(0, 0, 1);
    refused(&mapped.clone().user(1, 0), "user", "1 is not there");
    refused(&mapped.groups([5]), "groups", "5 is not there");
}

#[test]
fn mounts_are_counted_as_they_were_given() {
    let with = |mount: Mount| {
        command()
            .default_mounts()
            .mount(Mount::proc("/p"))
            .mount(mount)
    };
    refused(&with(Mount::proc("relative")), "mount[1]", "absolute");
    refused(&with(Mount::proc("/")), "mount[1]", "root itself");
    refused(&with(Mount::tmpfs("/proc/x").into()), "mount[1]", "/proc/x");
    let option = Mount::file_system("tmpfs", "x", "/x").option("idmap");
    refused(&with(option.into()), "mount[1]", "idmap");
}

#[test]
fn namespaces_of_another_kind_are_refused() {
    let join = |from| command().namespace(Namespace::Network, from);
    refused(
        &join(Isolation::join("/proc/self/ns/uts")),
        "namespace(network)",
        "no network namespace",
    );
    refused(
        &join(Isolation::join("/dev/null")),
        "namespace(network)",
        "no network namespace",
    );
    refused(
        &join(Isolation::join("/nowhere")),
        "namespace(network)",
        "open /nowhere",
    );
    let file: OwnedFd = std::fs::File::open("/proc/self/ns/uts").unwrap().into();
    refused(
        &join(Isolation::from(file)),
        "namespace(network)",
        "no network namespace",
    );
}

#[test]
fn bad_filters_are_refused() {
    let seccomp = spec::Seccomp {
        default_action: "SCMP_ACT_X".to_owned(),
        ..Default::default()
    };
    let text = command().seccomp(seccomp).build().unwrap_err().to_string();
    assert!(
        text.contains("SCMP_ACT_X") && text.contains("defaultAction"),
        "{text}"
    );
}

#[test]
fn steps_say_which_method_asked_for_them() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .command("/bin/true")
        .mount(Mount::file_system("nofs", "x", "/x"));
    match command.spawn() {
        Err(Error::Mount(failed)) => assert_eq!(failed.field, "mount[0]"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn limits_that_no_kernel_takes_are_refused() {
    need_root!();
    let rootfs = Rootfs::new();
    let command = rootfs
        .command("/bin/true")
        .limits(Limits::new().cpus("no-cpu"));
    let text = command.spawn().unwrap_err().to_string();
    assert!(text.contains("cpu"), "{text}");
    no_cgroup_stays();
    assert!(CgroupPath::new("/../x").is_err());
}

#[test]
fn a_sandbox_that_has_ended_is_not_entered() {
    need_root!();
    let rootfs = Rootfs::new();
    let mut child = rootfs.command("/bin/true").spawn().unwrap();
    child.wait().unwrap();
    let text = child
        .exec(&Process::new("/bin/true"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("has ended"), "{text}");
}

#[test]
fn a_sandbox_without_a_mount_namespace_is_not_entered() {
    need_root!();
    let rootfs = Rootfs::new();
    let child = Command::new("/bin/sleep")
        .arg("100")
        .root(Root::chroot(rootfs.path()))
        .namespace(Namespace::Mount, Isolation::Host)
        .spawn()
        .unwrap();
    let text = child
        .exec(&Process::new("/bin/true"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("mount namespace"), "{text}");
}
