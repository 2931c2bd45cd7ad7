//! Cgroups that a container may manage itself.

use orlop_tests::view::{Cgroups, View, has_v1};
use orlop_tests::{Fixture, cgroup, security, skip, test_name};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn a_container_with_a_user_namespace_owns_its_cgroup_on_v2() {
    if has_v1() {
        skip!("cgroup v1 is not handed on");
    }
    let fixture = Fixture::new(test_name!());
    for (options, owner) in [(&["rw"][..], 100_000), (&["ro"], 0)] {
        let mut options = options.to_vec();
        options.extend(["nosuid", "noexec", "nodev"]);
        let mount = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                            "options": options });
        let bundle = security::config::without_mounts(fixture.bundle(), &["/sys/fs/cgroup"]);
        let bundle = security::config::user_namespace(bundle, 100_000, 65536)
            .set("/linux/namespaces/-", json!({ "type": "cgroup" }))
            .set("/mounts/-", mount)
            .script("mkdir /sys/fs/cgroup/own && echo 0 >/sys/fs/cgroup/own/cgroup.procs && echo managed; sleep 60");
        let container = fixture.container(&bundle.written());
        container.create().ok();
        let folder = cgroup::folder(container.pid(), "pids").expect("a cgroup");
        for path in [
            "",
            "cgroup.procs",
            "cgroup.subtree_control",
            "cgroup.threads",
        ] {
            let found = fs::metadata(folder.join(path)).expect("a file").uid();
            assert_eq!(found, owner, "{path:?} with {options:?}");
        }
        assert_eq!(
            fs::metadata(folder.join("pids.max")).expect("a file").uid(),
            0
        );
        container.start().ok();
        if owner != 0 {
            let table = || {
                fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("a cgroup")
            };
            for _ in 0..100 {
                if table().trim_end().ends_with("/own") {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            assert!(table().trim_end().ends_with("/own"), "{}", table());
        }
        container.delete_force().ok();
    }
    fixture.assert_clean();
}

/// With the host's `/sys`, as users without privilege have it, its cgroups come along; the kernel
/// mounts no file system onto itself.
#[test]
fn its_own_cgroup_covers_that_of_the_hosts_sys() {
    let view = View {
        cgroups: Cgroups::V2,
        linker: None,
    };
    let fixture = Fixture::new(test_name!()).viewed(&view);
    for options in [json!(["ro", "nosuid"]), json!(["rw", "noexec"])] {
        let sys = json!({ "destination": "/sys", "type": "bind", "source": "/sys",
                          "options": ["rbind", "rw"] });
        let mount = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                            "options": options });
        let bundle =
            security::config::without_mounts(fixture.bundle(), &["/sys/fs/cgroup", "/sys"])
                .set("/linux/namespaces/-", json!({ "type": "cgroup" }))
                .set("/mounts/-", sys)
                .set("/mounts/-", mount)
                .script("cat /sys/fs/cgroup/cgroup.procs | head -n 1; grep ' /sys/fs/cgroup ' /proc/mounts | tail -n 1");
        let output = fixture.container(&bundle.written()).run().ok();
        let (first, table) = output.stdout.split_once('\n').unwrap_or_default();
        // What it sees is its own: nothing but itself.
        assert_eq!(first, "1", "{output}");
        for option in options.as_array().expect("a list") {
            let option = option.as_str().unwrap_or_default();
            let found = table.split([' ', ',']).any(|one| one == option);
            assert!(found, "{option}: {output}");
        }
    }
    fixture.assert_clean();
}
