use super::*;

fn parsed(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

fn json(resources: &Resources) -> Value {
    serde_json::to_value(resources).unwrap()
}

const BEFORE: &str = r#"{
    "devices": [{"allow": false, "access": "rwm"}],
    "memory": {"limit": 1000, "swap": 3000, "reservation": 500},
    "cpu": {"shares": 2, "quota": 10, "period": 20, "cpus": "0"},
    "pids": {"limit": 7},
    "blockIO": {"weight": 10, "throttleReadBpsDevice": [
        {"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 1, "rate": 2}]},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
    "unified": {"a": "1", "b": "2"}
}"#;

#[test]
fn what_an_update_does_not_say_stays() {
    let before = parsed(BEFORE);
    for nothing in [
        "{}",
        r#"{"memory": {}, "cpu": {"cpus": ""}, "pids": {}, "blockIO": {}}"#,
    ] {
        let update = parsed(nothing);
        let after = merged(&before, &update);
        assert_eq!(json(&after), json(&before));
        let written = to_write(&before, &update, &after);
        let converted = convert_limits(&written, orlop_cgroups::Mode::V1).unwrap();
        assert_eq!(converted.limits, Limits::default());
    }
}

#[test]
fn what_it_says_replaces_what_there_was() {
    let update = parsed(
        r#"{"memory": {"limit": 2000}, "cpu": {"quota": -1, "cpus": "0-1"}, "pids": {"limit": 0},
            "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 5}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 10}, {"pageSize": "1GB", "limit": 0}],
            "unified": {"b": "3"}, "devices": [{"allow": true, "access": "rwm"}]}"#,
    );
    let after = json(&merged(&parsed(BEFORE), &update));
    assert_eq!(after["devices"], json(&parsed(BEFORE))["devices"]);
    assert_eq!(
        after["memory"].to_string(),
        r#"{"limit":2000,"reservation":500,"swap":3000}"#
    );
    assert_eq!(
        after["cpu"].to_string(),
        r#"{"cpus":"0-1","period":20,"quota":-1,"shares":2}"#
    );
    assert_eq!(after["pids"]["limit"], 0);
    assert_eq!(
        after["blockIO"]["throttleReadBpsDevice"].to_string(),
        r#"[{"major":8,"minor":0,"rate":1},{"major":8,"minor":1,"rate":5}]"#
    );
    assert_eq!(after["hugepageLimits"].as_array().unwrap().len(), 2);
    assert_eq!(after["unified"].to_string(), r#"{"a":"1","b":"3"}"#);
}

#[test]
fn fields_that_hang_together_are_written_together() {
    let before = parsed(BEFORE);
    let written = |json: &str| {
        let update = parsed(json);
        to_write(&before, &update, &merged(&before, &update))
    };
    let memory = written(r#"{"memory": {"swap": 4000}}"#).memory.unwrap();
    assert_eq!(
        (memory.limit, memory.swap, memory.reservation),
        (Some(1000), Some(4000), None)
    );
    let memory = written(r#"{"memory": {"limit": -1}}"#).memory.unwrap();
    assert_eq!((memory.limit, memory.swap), (Some(-1), Some(-1)));
    let memory = written(r#"{"memory": {"reservation": 1}}"#).memory.unwrap();
    assert_eq!(
        (memory.limit, memory.swap, memory.reservation),
        (None, None, Some(1))
    );
    let cpu = written(r#"{"cpu": {"period": 30}}"#).cpu.unwrap();
    assert_eq!(
        (cpu.quota, cpu.period, cpu.shares),
        (Some(10), Some(30), None)
    );
    let cpu = written(r#"{"cpu": {"shares": 30}}"#).cpu.unwrap();
    assert_eq!((cpu.quota, cpu.period, cpu.shares), (None, None, Some(30)));
}

#[test]
fn devices_and_repeated_limits_are_not_written() {
    let before = parsed(BEFORE);
    let update = parsed(
        r#"{"devices": [{"allow": true, "access": "rwm"}],
            "hugepageLimits": [{"pageSize": "2MB", "limit": 9}, {"pageSize": "1GB", "limit": 1}]}"#,
    );
    let written = to_write(&before, &update, &merged(&before, &update));
    assert!(written.devices.is_empty());
    assert_eq!(written.hugepage_limits.len(), 1);
}

fn rewritten(config: &[u8], resources: &Resources, rdt: &IntelRdt) -> Value {
    serde_json::from_slice(&with_resources(config, resources, rdt).unwrap()).unwrap()
}

#[test]
fn lines_for_resctrl_are_the_configuration_s_from_then_on() {
    let config = br#"{"linux": {"intelRdt": {"closID": "c", "memBwSchema": "MB:0=50"}}}"#;
    let rdt = IntelRdt {
        l3_cache_schema: Some("L3:0=f".to_owned()),
        ..IntelRdt::default()
    };
    let nothing = Resources::default();
    let changed = rewritten(config, &nothing, &rdt);
    assert_eq!(
        changed["linux"]["intelRdt"].to_string(),
        r#"{"closID":"c","l3CacheSchema":"L3:0=f","memBwSchema":"MB:0=50"}"#
    );
    let unchanged = rewritten(b"{}", &nothing, &IntelRdt::default());
    assert_eq!(unchanged["linux"].get("intelRdt"), None);
}

#[test]
fn the_rest_of_a_configuration_stays() {
    let config = br#"{"ociVersion": "1.0.0", "future": [1], "linux": {"x": 1, "resources": {"y": 2, "pids": {"limit": 1}}}}"#;
    let update = parsed(r#"{"pids": {"limit": 9}}"#);
    let changed = rewritten(config, &update, &IntelRdt::default());
    assert_eq!(changed["future"][0], 1);
    assert_eq!(changed["linux"]["x"], 1);
    assert_eq!(
        changed["linux"]["resources"].to_string(),
        r#"{"pids":{"limit":9},"y":2}"#
    );
    let changed = rewritten(b"{}", &update, &IntelRdt::default());
    assert_eq!(changed["linux"]["resources"]["pids"]["limit"], 9);
}
