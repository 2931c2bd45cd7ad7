//! `update`: what it changes, what it leaves alone, and what it refuses.

use orlop_tests::view::has_v1;
use orlop_tests::{Bundle, Container, Fixture, cgroup, skip, test_name};
use serde_json::{Value, json};
use std::path::Path;

fn sleeper(fixture: &Fixture) -> Bundle {
    fixture.bundle().args(&["sleep", "60"])
}

fn started(fixture: &Fixture, bundle: Bundle) -> Container {
    let container = fixture.container(&bundle.written());
    container.create().ok();
    container.start().ok();
    container
}

/// Whether the runtime under test is this project's: others lack some options.
fn is_ours(fixture: &Fixture) -> bool {
    fixture.runtime().program().ends_with("orlop-runc")
}

#[track_caller]
fn expect(container: &Container, files: &[(&str, &str, &str)]) {
    let pid = container.pid();
    for (controller, file, value) in files {
        assert_eq!(cgroup::read(pid, controller, file), *value, "{file}");
    }
}

const EVERY_OPTION: [(&str, &str, &str, &str, &str); 13] = [
    (
        "--memory",
        "64m",
        "memory",
        "memory.limit_in_bytes",
        "67108864",
    ),
    (
        "--memory-swap",
        "128m",
        "memory",
        "memory.memsw.limit_in_bytes",
        "134217728",
    ),
    (
        "--memory-reservation",
        "32M",
        "memory",
        "memory.soft_limit_in_bytes",
        "33554432",
    ),
    ("--cpu-share", "100", "cpu", "cpu.shares", "100"),
    ("--cpu-period", "50000", "cpu", "cpu.cfs_period_us", "50000"),
    ("--cpu-quota", "25000", "cpu", "cpu.cfs_quota_us", "25000"),
    ("--cpu-burst", "1000", "cpu", "cpu.cfs_burst_us", "1000"),
    (
        "--cpu-rt-period",
        "900000",
        "cpu",
        "cpu.rt_period_us",
        "900000",
    ),
    ("--cpu-rt-runtime", "0", "cpu", "cpu.rt_runtime_us", "0"),
    ("--cpuset-cpus", "0", "cpuset", "cpuset.cpus", "0"),
    ("--cpuset-mems", "0", "cpuset", "cpuset.mems", "0"),
    ("--pids-limit", "10", "pids", "pids.max", "10"),
    ("--cpu-idle", "1", "cpu", "cpu.idle", "1"),
];

#[test]
fn every_option_changes_its_limit_and_no_other_on_v1() {
    if !has_v1() {
        skip!("no cgroup v1 hierarchy on this host");
    }
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture, sleeper(&fixture));
    let mut so_far = Vec::new();
    for (option, value, controller, file, expected) in EVERY_OPTION {
        if !is_ours(&fixture) && ["--cpu-burst", "--cpu-idle"].contains(&option) {
            continue;
        }
        let folder = cgroup::folder(container.pid(), controller).unwrap();
        if !folder.join(file).exists() {
            orlop_tests::skip::record(test_name!(), &format!("this kernel has no {file}"));
            continue;
        }
        container.call_with("update", &[option, value]).run().ok();
        so_far.push((controller, file, expected));
        if option == "--cpu-idle" {
            // It takes the weight with it.
            so_far.retain(|(_, file, _)| *file != "cpu.shares");
        }
        expect(&container, &so_far);
    }
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn limits_that_hang_together_follow_the_stored_ones() {
    if !has_v1() {
        skip!("no cgroup v1 hierarchy on this host");
    }
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture)
        .set(
            "/linux/resources/memory",
            json!({ "limit": 32 << 20, "swap": 64 << 20 }),
        )
        .set(
            "/linux/resources/cpu",
            json!({ "quota": 50_000, "period": 100_000 }),
        );
    let container = started(&fixture, bundle);
    // Above the bound of memory and swap together: that has to go up first.
    let both = ["--memory", "96m", "--memory-swap", "128m"];
    container.call_with("update", &both).run().ok();
    let memory = |limit, swap| {
        expect(
            &container,
            &[
                ("memory", "memory.limit_in_bytes", limit),
                ("memory", "memory.memsw.limit_in_bytes", swap),
            ],
        );
    };
    memory("100663296", "134217728");
    let down = ["--memory", "16m", "--memory-swap", "20m"];
    container.call_with("update", &down).run().ok();
    memory("16777216", "20971520");
    container
        .call_with("update", &["--cpu-period", "200000"])
        .run()
        .ok();
    expect(
        &container,
        &[
            ("cpu", "cpu.cfs_period_us", "200000"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
        ],
    );
    container
        .call_with("update", &["--cpu-quota", "-1"])
        .run()
        .ok();
    expect(&container, &[("cpu", "cpu.cfs_quota_us", "-1")]);
    container
        .call_with("update", &["--memory", "-1"])
        .run()
        .ok();
    memory("9223372036854771712", "9223372036854771712");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn resources_come_from_a_file_or_standard_input() {
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture, sleeper(&fixture));
    let limits = |pids: u32| {
        let devices = json!([{ "allow": true, "access": "rwm" }]);
        json!({ "pids": { "limit": pids }, "memory": null, "devices": devices }).to_string()
    };
    let before = devices(&container);
    let file = fixture.file("limits.json");
    std::fs::write(&file, limits(11)).unwrap();
    container
        .call_with(
            "update",
            &["-r", file.to_str().unwrap(), "--pids-limit", "99"],
        )
        .run()
        .ok();
    expect(&container, &[("pids", "pids.max", "11")]);
    let stdin = container
        .call_with("update", &["--resources=-"])
        .stdin(limits(12));
    stdin.run().ok();
    expect(&container, &[("pids", "pids.max", "12")]);
    assert_eq!(
        devices(&container),
        before,
        "an update never changes devices"
    );
    container.delete_force().ok();
    fixture.assert_clean();
}

fn devices(container: &Container) -> Option<String> {
    let folder = cgroup::folder(container.pid(), "devices")?;
    std::fs::read_to_string(folder.join("devices.list")).ok()
}

#[test]
fn what_is_refused_changes_nothing() {
    let fixture = Fixture::new(test_name!());
    let bundle = sleeper(&fixture)
        .set("/linux/resources/memory", json!({ "limit": 32 << 20 }))
        .set("/linux/resources/pids", json!({ "limit": 20 }));
    let container = started(&fixture, bundle);
    let root = fixture.runtime().root().join(container.id());
    let stored = || std::fs::read_to_string(root.join("config.json")).ok();
    let before = stored();
    for (options, text) in [
        (
            &["--memory", "x"][..],
            "invalid value for memory: invalid size: 'x'",
        ),
        (
            &["--memory", "-2"],
            "invalid value for memory: invalid size: '-2'",
        ),
        (&["--cpu-quota", "abc"], "invalid value for cpu-quota: "),
        (&["--cpu-share", "-1"], "invalid value for cpu-share: "),
        (&["--pids-limit", "9", "--cpu-period", "1"], "/cpu"),
        (
            &["--pids-limit", "9", "--cpuset-cpus", "999"],
            "cpuset.cpus",
        ),
        (&["--memory-swap", "1m"], "memory"),
        (
            &["--l3-cache-schema", "x"],
            "Intel RDT/CAT: l3 cache schema is not enabled",
        ),
        (
            &["--mem-bw-schema", "x"],
            "Intel RDT/MBA: memory bandwidth schema is not enabled",
        ),
        (&["-r", "/nonexistent"], "/nonexistent: "),
    ] {
        if Path::new("/sys/fs/resctrl/info").exists() && options[0].ends_with("schema") {
            continue;
        }
        let output = container.call_with("update", options).run();
        assert_eq!(output.code(), 1, "{output}");
        if is_ours(&fixture) || text.len() > 20 {
            output.says(text);
        }
    }
    for json in [
        r#"{"pids": {"limit": 9}"#,
        r#"{"pids": {"limit": "x"}}"#,
        "[]",
        "",
    ] {
        let call = container.call_with("update", &["-r", "-"]).stdin(json);
        assert_eq!(call.run().code(), 1, "{json}");
    }
    expect(&container, &[("pids", "pids.max", "20")]);
    assert_eq!(stored(), before);
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn too_little_memory_is_refused_when_that_is_asked_for() {
    let fixture = Fixture::new(test_name!());
    let container = started(&fixture, sleeper(&fixture));
    let ask = |check: bool, limit: u64| {
        let memory = json!({ "limit": limit, "checkBeforeUpdate": check });
        let json = json!({ "memory": memory }).to_string();
        container
            .call_with("update", &["-r", "-"])
            .stdin(json)
            .run()
    };
    assert_eq!(ask(true, 4096).code(), 1);
    ask(true, 64 << 20).ok();
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn the_new_limits_are_the_container_s_from_then_on() {
    let fixture = Fixture::new(test_name!());
    if !is_ours(&fixture) {
        skip!("looks into the state of this runtime");
    }
    let container = started(
        &fixture,
        sleeper(&fixture).set("/future", json!({ "kept": 1 })),
    );
    container
        .call_with("update", &["--pids-limit", "33"])
        .run()
        .ok();
    let config = fixture
        .runtime()
        .root()
        .join(container.id())
        .join("config.json");
    let config: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    assert_eq!(config["linux"]["resources"]["pids"]["limit"], 33);
    assert_eq!(config["future"]["kept"], 1);
    assert_eq!(container.exec(&["echo", "hi"]).ok().stdout, "hi\n");
    container.delete_force().ok();
    fixture.assert_clean();
}

#[test]
fn created_and_paused_containers_are_updated_and_stopped_ones_are_not() {
    let fixture = Fixture::new(test_name!());
    let container = fixture.container(&sleeper(&fixture).written());
    container.create().ok();
    container
        .call_with("update", &["--pids-limit", "21"])
        .run()
        .ok();
    expect(&container, &[("pids", "pids.max", "21")]);
    container.start().ok();
    container.call("pause").run().ok();
    container
        .call_with("update", &["--pids-limit", "22"])
        .run()
        .ok();
    assert_eq!(container.status(), "paused");
    container.call("resume").run().ok();
    expect(&container, &[("pids", "pids.max", "22")]);
    container.kill("KILL").ok();
    container.wait_for("stopped");
    let output = container.call_with("update", &["--pids-limit", "23"]).run();
    assert_eq!(output.code(), 1);
    output.says("container not running");
    container.delete().ok();
    fixture.assert_clean();
}
