//! Containers of a user who is not root: with and without further ids, with and without a cgroup of
//! their own, and what is said where something is missing.

use orlop_tests::callers::{USER, User, World};
use orlop_tests::view::cgroup_roots;
use orlop_tests::{Fixture, cgroup, seccomp_agent, skip, test_name};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn one_id_needs_no_helper() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    for helper in ["newuidmap", "newgidmap"] {
        user.root(&format!("mount --bind /dev/null $(command -v {helper})"));
    }
    let output = user.run("id -u; cat /proc/self/uid_map /proc/self/setgroups; touch /x");
    let text = output
        .ok()
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(text, format!("0 0 {} 1 deny", USER.1));
    let made = fs::metadata(user.bundle.rootfs().join("x")).expect("the file it made");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), USER.1);
    drop(user);
    fixture.assert_clean();
}

#[test]
fn the_whole_life() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    user.set("/process/args", json!(["sleep", "60"]));
    user.bundle.write().expect("write the configuration");
    let id = format!("{}-c", fixture.tag());
    let call = |command: &str| user.call("", &command.replace("ID", &id));
    call("create ID").ok();
    call("start ID").ok();
    assert!(call("list").ok().stdout.contains("running"));
    assert_eq!(call("exec ID id -u").ok().stdout, "0\n");
    call("exec ID fish").says("executable file not found in $PATH");
    assert_eq!(
        call("exec -e A=b --cwd /tmp ID sh -c 'echo $A; pwd'")
            .ok()
            .stdout,
        "b\n/tmp\n"
    );
    call("kill ID KILL").ok();
    call("delete --force ID").ok();
    assert_eq!(call("list -q").ok().stdout, "");
    drop(user);
    fixture.assert_clean();
}

#[test]
fn many_ids_come_from_the_helpers() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    if !World::has("newuidmap") {
        skip!("newuidmap is not installed");
    }
    user.map_many();
    let chown = json!(["CAP_CHOWN"]);
    let sets = json!({ "bounding": chown, "effective": chown, "permitted": chown });
    user.set("/process/capabilities", sets);
    let script = "cat /proc/self/setgroups; mkdir /t; chown 1000:50 /t; stat -c %u:%g /t";
    assert_eq!(user.run(script).ok().stdout, "allow\n1000:50\n");
    user.set(
        "/process/user",
        json!({ "uid": 1000, "gid": 50, "additionalGids": [7] }),
    );
    let output = user.run("id -u; id -G");
    assert_eq!(output.ok().stdout, "1000\n50 7\n");
    drop(user);
    fixture.assert_clean();
}

#[test]
fn what_the_helpers_lack_is_named() {
    let fixture = Fixture::new(test_name!());
    if !World::has("newuidmap") {
        skip!("newuidmap is not installed");
    }
    let mut user = User::new(&fixture);
    user.map_many();
    user.root(": >/etc/subuid").ok();
    user.run("true").fails_naming(&[
        "/usr/bin/newuidmap",
        "/etc/subuid",
        "usermod --add-subuids 700000-765534",
    ]);
    let plain = fixture.file("newuidmap");
    fs::copy("/usr/bin/newuidmap", &plain).expect("copy");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).expect("set a mode");
    let line = format!(
        "echo orlop-user:{} >>/etc/subuid; mount --bind {} /usr/bin/newuidmap",
        World::SUB_IDS,
        plain.display()
    );
    user.root(&line).ok();
    user.run("true").fails_naming(&["newuidmap", "setuid root"]);
    user.root("mount --bind /dev/null /usr/bin/newuidmap").ok();
    user.run("true")
        .fails_naming(&["newuidmap", "package uidmap"]);
    drop(user);
    fixture.assert_clean();
}

#[test]
fn what_the_host_forbids_is_named() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    user.set("/process/user", json!({ "uid": 5, "gid": 0 }));
    user.run("true")
        .fails_naming(&["user 5", "no such id is mapped"]);
    user.set("/process/user", json!({ "uid": 0, "gid": 0 }));
    user.set("/process/oomScoreAdj", json!(-500));
    user.run("true")
        .fails_naming(&["oom_score_adj", "CAP_SYS_RESOURCE"]);
    user.set("/process/oomScoreAdj", json!(500));
    // The setting is that of the user namespace it is written in, not the machine's.
    user.map_root();
    let none = "unshare --user --map-root-user sh -c \
                'echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"' sh";
    user.run_through(none, "true")
        .fails_naming(&["sysctl user.max_user_namespaces"]);
    for field in ["uidMappings", "gidMappings"] {
        user.set(&format!("/linux/{field}"), json!([]));
    }
    let namespaces = json!([{ "type": "pid" }, { "type": "mount" }, { "type": "uts" }]);
    user.set("/linux/namespaces", namespaces);
    user.run("true")
        .fails_naming(&["namespaces", "take CAP_SYS_ADMIN"]);
    drop(user);
    fixture.assert_clean();
}

#[test]
fn without_a_runtime_directory_it_is_named() {
    let fixture = Fixture::new(test_name!());
    let user = User::new(&fixture);
    user.root("mkdir -m 700 /run/orlop").ok();
    let line = format!("{} list", fixture.file("orlop-runc").display());
    let output = user.world.script(&line, true).run();
    output.fails_naming(&["/run/orlop", "XDG_RUNTIME_DIR"]);
    drop(user);
    fixture.assert_clean();
}

#[test]
fn limits_need_a_delegated_cgroup() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    let path = format!("/{}/below", fixture.tag());
    user.set("/linux/cgroupsPath", json!(path));
    // The words that callers of runc look for.
    user.run("true").fails_naming(&[
        "linux.cgroupsPath: unable to apply cgroup configuration: permission denied",
        "systemd-run --user",
    ]);
    user.set(
        "/linux/resources",
        json!({ "memory": { "limit": 33_554_432 } }),
    );
    let no_cgroup = "cannot set memory limit: container could not join or create cgroup";
    user.run("true")
        .fails_naming(&[no_cgroup, "not delegated to this user"]);
    if !orlop_tests::view::has_v1() {
        drop(user);
        fixture.assert_clean();
        skip!("no cgroup v1 here: delegation on v2 is systemd's");
    }
    delegate(fixture.tag(), |_| true);
    // Whether it is in the part of the unified hierarchy that is delegated, too, or elsewhere.
    for inside in [None, Some(fixture.tag().to_owned())] {
        user.inside = inside;
        let output = user.run("grep :memory: /proc/self/cgroup").ok();
        assert!(output.stdout.contains(&path), "{output}");
    }
    drop(user);
    cgroup::remove_named(fixture.tag());
    fixture.assert_clean();
}

/// Gives the user a cgroup in each of these hierarchies, as an administrator does.
fn delegate(name: &str, hierarchy: impl Fn(&Path) -> bool) {
    let roots = cgroup_roots().expect("find the hierarchies");
    for root in roots.iter().filter(|root| hierarchy(root)) {
        let folder = root.join(name);
        fs::create_dir(&folder).expect("make a cgroup");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(all) = fs::read(root.join(file)) {
                fs::write(folder.join(file), all).expect("hand on");
            }
        }
        chown(&folder, Some(USER.1), Some(USER.1)).expect("hand over");
        for entry in fs::read_dir(&folder).expect("list").flatten() {
            chown(entry.path(), Some(USER.1), Some(USER.1)).expect("hand over");
        }
    }
}

/// More processes than a limit of 20 allows, what would lift that, and more memory than 32 MiB.
const FORKS: &str = "exec ID sh -c 'for i in $(seq 20); do sleep 5 & done'";
const LIFT: &str = "exec ID sh -c 'for file in $(find /sys/fs/cgroup -name pids.max); do echo $file; echo max >$file; done 2>/dev/null; :'";
const HOG: &str = "exec ID sh -c 'head -c 100000000 /dev/zero | tail -n 1 >/dev/null'";

/// The pid of a container's first process.
#[track_caller]
fn pid_of(user: &User<'_>, id: &str) -> u32 {
    let state = user.call("", &format!("state {id}")).ok().json();
    let pid = state["pid"].as_u64();
    pid.and_then(|pid| u32::try_from(pid).ok()).expect("a pid")
}

/// Names below the name, in whatever hierarchy.
fn left_below(name: &str) -> Vec<PathBuf> {
    let roots = cgroup_roots().expect("find the hierarchies");
    let below = roots.iter().map(|root| root.join(name).join("below"));
    below.filter(|folder| folder.exists()).collect()
}

#[test]
fn what_is_delegated_of_v1_is_used_without_the_rest() {
    if !orlop_tests::view::has_v1() {
        skip!("no cgroup v1 here");
    }
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    let tag = fixture.tag();
    let here = ["memory", "pids", "cpu", "freezer"];
    delegate(tag, |root| here.iter().any(|name| root.ends_with(name)));
    user.set("/linux/cgroupsPath", json!(format!("/{tag}/below")));
    user.set(
        "/linux/resources",
        json!({ "memory": { "limit": 33_554_432 }, "pids": { "limit": 20 } }),
    );
    user.set("/process/args", json!(["sleep", "600"]));
    user.bundle.write().expect("write the configuration");
    let id = format!("{tag}-c");
    let call = |command: &str| user.call("", &command.replace("ID", &id));
    call("create ID </dev/null >/dev/null").ok();
    let pid = pid_of(&user, &id);
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("a table");
    let inside = format!("/{tag}/below");
    for line in table.lines() {
        let is_delegated = here.iter().any(|name| line.contains(&format!(":{name}:")));
        assert_eq!(line.ends_with(&inside), is_delegated, "{line}");
    }
    let file = |controller: &str, file: &str| cgroup::read(pid, controller, file);
    assert_eq!(file("memory", "memory.limit_in_bytes"), "33554432");
    call("start ID").ok();
    // The cgroup is its user's, who is the container's root: it is seen, and not written.
    let seen = call(LIFT).ok().stdout;
    assert!(seen.contains("pids.max"), "{seen}");
    assert_eq!(file("pids", "pids.max"), "20");
    assert_eq!(call(HOG).code(), 137);
    call(FORKS).says("fork");
    call("update --pids-limit 30 --cpu-quota 50000 ID").ok();
    assert_eq!(file("pids", "pids.max"), "30");
    assert_eq!(file("cpu", "cpu.cfs_quota_us"), "50000");
    call("update --cpuset-cpus 0 ID").fails_naming(&["cpuset", "delegated to the user"]);
    call("pause ID").ok();
    assert_eq!(file("freezer", "freezer.state"), "FROZEN");
    assert!(call("list").ok().stdout.contains("paused"));
    call("resume ID").ok();
    assert!(call("ps ID").ok().stdout.contains("sleep 600"));
    call("kill ID KILL").ok();
    call("delete --force ID").ok();
    assert_eq!(left_below(tag), Vec::<PathBuf>::new());
    // Where a limit needs another hierarchy, nothing is made.
    user.set("/linux/resources", json!({ "cpu": { "cpus": "0" } }));
    user.run("true")
        .fails_naming(&["/cpuset/", "not delegated to this user"]);
    assert_eq!(left_below(tag), Vec::<PathBuf>::new());
    drop(user);
    cgroup::remove_named(tag);
    fixture.assert_clean();
}

/// Shows the user nothing but v2, and hands over a subtree as systemd does it for `user@.service`:
/// with all controllers, the directory, and the files that the kernel names. In it is a cgroup for
/// the user's own processes, `caller`. Returns where v2 is mounted, and the controllers.
fn delegate_v2(user: &User<'_>, tag: &str) -> (PathBuf, String) {
    let mut unified = PathBuf::from("/sys/fs/cgroup");
    if orlop_tests::view::has_v1() {
        unified.push("unified");
        let line = format!("mount --bind {} /sys/fs/cgroup", unified.display());
        user.root(&line).ok();
    }
    let script = format!(
        "cd /sys/fs/cgroup && for one in $(cat cgroup.controllers); do echo +$one >cgroup.subtree_control || :; done;
         mkdir {tag} {tag}/caller && cd {tag} &&
         for one in $(cat cgroup.controllers); do echo +$one >cgroup.subtree_control || :; done;
         chown {0}:{0} . caller &&
         for file in $(cat /sys/kernel/cgroup/delegate); do
             for folder in . caller; do [ ! -e $folder/$file ] || chown {0}:{0} $folder/$file; done;
         done; cat cgroup.controllers",
        USER.1
    );
    (unified, user.root(&script).ok().stdout)
}

#[test]
fn a_subtree_of_v2_is_used() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    let tag = fixture.tag();
    let (unified, offered) = delegate_v2(&user, tag);
    let offers = |name: &str| offered.split_whitespace().any(|one| one == name);
    user.set("/linux/cgroupsPath", json!(format!("/{tag}/below")));
    let all = ["memory", "pids", "cpu"].into_iter().all(offers);
    let limits = match all {
        true => json!({ "memory": { "limit": 33_554_432 }, "pids": { "limit": 20 } }),
        false => json!({ "unified": { "cgroup.max.depth": "3" } }),
    };
    user.set("/linux/resources", limits.clone());
    user.run("true")
        .fails_naming(&["cgroup", "the caller itself has to be"]);
    user.set("/linux/resources", json!({}));
    user.run("true")
        .fails_naming(&["linux.cgroupsPath", "permission denied"]);
    user.inside = Some(format!("{tag}/caller"));
    user.set("/linux/resources", limits);
    user.set("/process/args", json!(["sleep", "600"]));
    user.bundle.write().expect("write the configuration");
    let id = format!("{tag}-c");
    let call = |command: &str| user.call("", &command.replace("ID", &id));
    call("create ID </dev/null >/dev/null").ok();
    let folder = unified.join(tag).join("below");
    let file = |name: &str| fs::read_to_string(folder.join(name)).expect("a file");
    let procs = file("cgroup.procs");
    assert_eq!(procs.trim(), pid_of(&user, &id).to_string());
    call("start ID").ok();
    if all {
        assert_eq!(file("memory.max"), "33554432\n");
        call(LIFT).ok();
        assert_eq!(file("pids.max"), "20\n");
        assert_eq!(call(HOG).code(), 137);
        call(FORKS).says("fork");
        call("update --pids-limit 30 --cpu-quota 50000 ID").ok();
        assert_eq!(file("pids.max"), "30\n");
        assert_eq!(file("cpu.max"), "50000 100000\n");
    } else {
        assert_eq!(file("cgroup.max.depth"), "3\n");
    }
    call("pause ID").ok();
    assert!(file("cgroup.events").contains("frozen 1"));
    call("exec ID true").says("paused");
    call("resume ID").ok();
    call("exec --detach --pid-file second ID sleep 600 </dev/null >/dev/null").ok();
    let second = fs::read_to_string(user.bundle.path().join("second")).expect("a pid");
    assert!(file("cgroup.procs").lines().any(|line| line == second));
    assert!(call("ps ID").ok().stdout.contains("sleep 600"));
    call("kill ID KILL").ok();
    call("delete --force ID").ok();
    assert_eq!(left_below(tag), Vec::<PathBuf>::new());
    drop(user);
    cgroup::remove_named(tag);
    fixture.assert_clean();
    if !all {
        skip!("the limits of memory, processes and CPU on v2: its controllers are v1's here");
    }
}

/// What a user's container may lack is an error to root's.
#[test]
fn roots_container_gets_all_hierarchies() {
    let fixture = Fixture::new(test_name!());
    let user = User::new(&fixture);
    let bundle = fixture.bundle().script("true").written();
    let run = format!(
        "{} --root {} run --bundle {} {}-r",
        fixture.file("orlop-runc").display(),
        fixture.file("state").display(),
        bundle.path().display(),
        fixture.tag(),
    );
    user.root(&run).ok();
    let close = "for one in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
        [ ! -e $one/cgroup.procs ] || mount --bind $one $one && mount -o remount,bind,ro $one && break; done";
    user.root(close).ok();
    user.root(&run)
        .fails_naming(&["make /sys/fs/cgroup", "Read-only"]);
    drop(user);
    fixture.assert_clean();
}

#[test]
fn root_of_a_namespace_that_shares_the_hosts_mounts() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    user.map_root();
    for through in [
        "unshare --user --map-root-user",
        "unshare --user --map-root-user --mount",
        "unshare --user --map-root-user --mount --pid --fork --mount-proc",
    ] {
        assert_eq!(
            user.run_through(through, "id -u").ok().stdout,
            "0\n",
            "{through}"
        );
    }
    drop(user);
    fixture.assert_clean();
}

/// The bundle's root file system gets the runtime, and a bundle in it. Returns the outer
/// configuration, which runs that.
fn nest(fixture: &Fixture, user: &User<'_>, inner: &Value) -> Value {
    let rootfs = user.bundle.rootfs();
    fs::copy(fixture.runtime().program(), rootfs.join("bin/orlop-runc")).expect("copy");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&rootfs)
        .arg(fixture.file("inner"))
        .status();
    assert!(copied.is_ok_and(|status| status.success()));
    let made = fs::create_dir(rootfs.join("nest"))
        .and_then(|()| fs::rename(fixture.file("inner"), rootfs.join("nest/rootfs")))
        .and_then(|()| fs::write(rootfs.join("nest/config.json"), inner.to_string()));
    made.expect("make a bundle in the bundle");
    let line = format!("chown -hR {} {}", USER.1, rootfs.display());
    user.root(&line).ok();
    let mut outer = user.bundle.config.clone();
    let all = CAPABILITIES;
    outer["root"]["readonly"] = json!(false);
    outer["process"]["noNewPrivileges"] = json!(false);
    outer["process"]["capabilities"] =
        json!({ "bounding": all, "effective": all, "permitted": all });
    outer
}

/// What a runtime needs; not `CAP_SYS_RESOURCE`, which not every machine's root has.
const CAPABILITIES: [&str; 12] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
];

#[test]
fn in_a_container_without_privilege() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    user.set("/process/args", json!(["id", "-u"]));
    let mut inner = user.bundle.config.clone();
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    inner["linux"]["uidMappings"] = map.clone();
    inner["linux"]["gidMappings"] = map;
    let mut outer = nest(&fixture, &user, &inner);
    let script = "orlop-runc --root /tmp/state run --bundle /nest inner";
    user.bundle.config = outer.clone();
    // The kernel lets nobody mount a procfs that shows more than the one they see.
    user.run(script)
        .fails_naming(&["to rootfs at \"/proc\"", "masked paths"]);
    for field in ["maskedPaths", "readonlyPaths"] {
        outer["linux"][field] = json!([]);
    }
    user.bundle.config = outer;
    assert_eq!(user.run(script).ok().stdout, "0\n");
    drop(user);
    fixture.assert_clean();
}

#[test]
fn in_a_privileged_container() {
    let fixture = Fixture::new(test_name!());
    if !orlop_tests::view::has_v1() {
        skip!("no cgroup v1 here; on v2 a container with limits has no room for another's");
    }
    let user = User::new(&fixture);
    let mut inner = fixture.bundle().config.clone();
    inner["process"]["args"] = json!(["sh", "-c", "id -u; grep :pids: /proc/self/cgroup"]);
    inner["linux"]["resources"] = json!({ "pids": { "limit": 20 } });
    inner["linux"]["cgroupsPath"] = json!("/inner");
    let outer = nest(&fixture, &user, &inner);
    let mut bundle = fixture.bundle();
    let rootfs = user.bundle.rootfs();
    bundle.config["root"] = json!({ "path": rootfs, "readonly": false });
    bundle.config["process"] = outer["process"].clone();
    bundle.config["process"]["args"] = json!([
        "sh",
        "-c",
        "orlop-runc --root /tmp/state run --bundle /nest inner"
    ]);
    for field in ["maskedPaths", "readonlyPaths", "seccomp"] {
        bundle.config["linux"][field] = Value::Null;
    }
    bundle.config["linux"]["namespaces"] =
        json!([{ "type": "pid" }, { "type": "mount" }, { "type": "cgroup" }, { "type": "uts" }]);
    let mounts = bundle.config["mounts"].as_array_mut().expect("mounts");
    mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    mounts.push(json!({
        "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "nodev", "noexec"],
    }));
    bundle.write().expect("write the configuration");
    let output = fixture.container(&bundle).run().ok();
    assert!(
        output.stdout.starts_with("0\n") && output.stdout.contains("/inner"),
        "{output}"
    );
    drop(user);
    fixture.assert_clean();
}

#[test]
fn a_device_at_the_place_of_the_terminals_link_gives_way() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    let ptmx = json!({ "path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2 });
    user.set("/linux/devices", json!([ptmx]));
    let output = user.run("readlink /dev/ptmx");
    assert_eq!(output.ok().stdout, "pts/ptmx\n");
    drop(user);
    fixture.assert_clean();
}

#[test]
fn a_failed_poststart_hook_is_told_of_when_the_container_has_ended() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/');
        until [ ! -e /proc/$pid ] || grep -q '^State:.*Z' /proc/$pid/status; do :; done; exit 1";
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 60 });
    user.set("/hooks", json!({ "poststart": [hook] }));
    user.run(":").says("error running poststart hook #0");
    drop(user);
    fixture.assert_clean();
}

/// Init hides itself, so that not even its caller could take the listener; and from the container's
/// own hook, which runs what the image has, it still does.
#[test]
fn an_agent_decides_about_calls_of_a_users_container() {
    let fixture = Fixture::new(test_name!());
    let mut user = User::new(&fixture);
    let call = json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" });
    let look = "ls /proc/1/fd >/report || echo denied >/report";
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", look], "env": ["PATH=/bin"] });
    for hooks in [json!({}), json!({ "startContainer": [hook] })] {
        let (path, agent) = seccomp_agent::listen(&fixture.file("agent"));
        user.root(&format!("chmod 666 {path}")).ok();
        let filter =
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "syscalls": [call] });
        user.set("/linux/seccomp", filter).set("/hooks", hooks);
        let output = user.run("mkdir /x; cat /report 2>/dev/null || :").ok();
        assert!(
            output.stderr.contains("Invalid cross-device link"),
            "{output}"
        );
        let (_, asked) = agent.join().expect("the agent's end");
        assert_eq!(asked.len(), 1);
        let has_hook = user.bundle.config["hooks"] != json!({});
        assert_eq!(output.stdout, if has_hook { "denied\n" } else { "" });
    }
    drop(user);
    fixture.assert_clean();
}

/// Init, root of its namespace, has no right to a directory whose group has no id there.
#[test]
fn a_working_directory_that_only_its_user_may_enter() {
    let fixture = Fixture::new(test_name!());
    if !World::has("newuidmap") {
        skip!("newuidmap is not installed");
    }
    let mut user = User::new(&fixture);
    user.map_many();
    let own = user.bundle.rootfs().join("own");
    let line = format!(
        "mkdir -m 700 {0} && chown 700999:0 {0}",
        own.display() // The user 1000 of the container.
    );
    user.root(&line).ok();
    user.set("/process/cwd", json!("/own"));
    user.set("/process/user", json!({ "uid": 1001, "gid": 0 }));
    user.run("pwd")
        .fails_naming(&["chdir to cwd \"/own\"", "Permission denied"]);
    user.set("/process/user", json!({ "uid": 1000, "gid": 0 }));
    assert_eq!(user.run("pwd").ok().stdout, "/own\n");
    user.set("/process/args", json!(["sleep", "60"]));
    user.bundle.write().expect("write the configuration");
    let id = format!("{}-c", fixture.tag());
    let call = |command: &str| user.call("", &command.replace("ID", &id));
    call("run -d ID </dev/null >/dev/null 2>&1").ok();
    assert_eq!(call("exec ID pwd").ok().stdout, "/own\n");
    call("exec --user 1001 ID pwd").says("Permission denied");
    call("delete --force ID").ok();
    drop(user);
    fixture.assert_clean();
}

/// Before its program runs, whoever could look into init could change what that becomes.
#[test]
fn a_container_that_is_not_started_is_not_entered() {
    let fixture = Fixture::new(test_name!());
    let user = User::new(&fixture);
    user.bundle.write().expect("write the configuration");
    let id = format!("{}-c", fixture.tag());
    let call = |command: &str| user.call("", &command.replace("ID", &id));
    call("create ID </dev/null >/dev/null").ok();
    call("exec ID true").says("once it is started");
    call("delete --force ID").ok();
    drop(user);
    fixture.assert_clean();
}
