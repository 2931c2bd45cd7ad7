use super::*;

fn error(json: &str) -> String {
    Spec::from_slice(json.as_bytes())
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn default_survives_a_round_trip() {
    for spec in [default_spec(), rootless_spec(1000, 1001)] {
        let json = serde_json::to_vec(&spec).unwrap();
        assert_eq!(Spec::from_slice(&json).unwrap(), spec);
    }
}

#[test]
fn every_property_survives_a_round_trip() {
    let json = include_str!("testdata/full.json");
    let spec = Spec::from_slice(json.as_bytes()).unwrap();
    let again: serde_json::Value = serde_json::to_value(&spec).unwrap();
    let wanted: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(again, wanted);
}

#[test]
fn unknown_properties_and_values_are_kept_or_skipped() {
    let spec = Spec::from_slice(
        br#"{"ociVersion":"1.9.0","future":{"a":[1]},"process":{"cwd":"/","capabilities":{"bounding":["CAP_BOGUS"]}},
            "linux":{"futureField":true,"namespaces":[{"type":"dream"},{"type":"pid","path":""}]}}"#,
    )
    .unwrap();
    let linux = spec.linux.unwrap();
    assert_eq!(
        linux.namespaces[0].kind,
        NamespaceKind::Unknown("dream".to_owned())
    );
    assert_eq!(linux.namespaces[1], Namespace::new(NamespaceKind::Pid));
    assert_eq!(
        spec.process.unwrap().capabilities.unwrap().bounding,
        ["CAP_BOGUS"]
    );
}

#[test]
fn a_page_size_may_be_written_in_two_ways() {
    for name in ["pageSize", "pagesize"] {
        let json = format!(
            r#"{{"ociVersion":"1.0.0","linux":{{"resources":{{"hugepageLimits":[{{"{name}":"2MB","limit":1}}]}}}}}}"#
        );
        let (spec, unknown) = Spec::from_slice_noting(json.as_bytes()).unwrap();
        let limits = spec.linux.unwrap().resources.unwrap().hugepage_limits;
        assert_eq!((limits[0].page_size.as_str(), limits[0].limit), ("2MB", 1));
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

#[test]
fn null_is_an_absent_value() {
    let spec = Spec::from_slice(
        br#"{"ociVersion":"1.0.0","process":null,"mounts":null,"annotations":null,
            "linux":{"seccomp":null,"maskedPaths":null,"sysctl":null,"resources":{"devices":null,"memory":null}}}"#,
    )
    .unwrap();
    assert!(spec.process.is_none() && spec.mounts.is_empty());
}

#[test]
fn absent_differs_from_a_value() {
    let parse = |text: &str| {
        Seccomp::deserialize(&mut serde_json::Deserializer::from_str(text))
            .unwrap()
            .flags
    };
    assert_eq!(parse(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#), None);
    assert_eq!(
        parse(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":[]}"#),
        Some(vec![])
    );
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    let wrong = r#"{"ociVersion":"1.0.0","linux":{"namespaces":[{"type":"pid"},{"type":7}]}}"#;
    assert_eq!(
        error(wrong),
        "linux.namespaces[1].type: invalid type: integer `7`, expected a namespace type at line 1 column 69"
    );
    let wrong = r#"{"ociVersion":"1.0.0","process":{"cwd":"/","args":["a",{}]}}"#;
    assert!(
        error(wrong).starts_with("process.args[1]: invalid type: map, expected a string"),
        "{}",
        error(wrong)
    );
    let wrong = r#"{"ociVersion":"1.0.0","linux":{"resources":{"memory":{"limit":"1g"}}}}"#;
    assert!(
        error(wrong).starts_with("linux.resources.memory.limit: invalid type: string"),
        "{}",
        error(wrong)
    );
}

#[test]
fn ids_are_strict() {
    for bad in [
        "-1",
        "4294967295",
        "4294967296",
        "1.5",
        "1e3",
        "\"1\"",
        "\"root\"",
        "[0]",
    ] {
        for field in ["uid", "gid"] {
            let text = error(&format!(
                r#"{{"ociVersion":"1.0.0","process":{{"user":{{"{field}":{bad}}}}}}}"#
            ));
            assert!(
                text.starts_with(&format!("process.user.{field}: ")),
                "{bad}: {text}"
            );
        }
        let text = error(&format!(
            r#"{{"ociVersion":"1.0.0","process":{{"user":{{"additionalGids":[1,{bad}]}}}}}}"#
        ));
        assert!(
            text.starts_with("process.user.additionalGids[1]: "),
            "{bad}: {text}"
        );
    }
    let spec = Spec::from_slice(
        br#"{"ociVersion":"1.0.0","process":{"user":{"uid":4294967294,"gid":2147483648}}}"#,
    );
    let user = spec.unwrap().process.unwrap().user;
    assert_eq!((user.uid, user.gid), (4_294_967_294, 2_147_483_648));
}

#[test]
fn broken_documents_are_errors() {
    for broken in [
        "",
        "{",
        "[]",
        "null",
        "{\"ociVersion\":\"1.0.0\"} x",
        "{\"process\":{}}",
        "\u{0}",
    ] {
        assert!(Spec::from_slice(broken.as_bytes()).is_err(), "{broken:?}");
    }
    assert_eq!(
        error("{\"process\":{}}"),
        "missing field `ociVersion` at line 1 column 14"
    );
    let deep = "[".repeat(100_000);
    assert!(Spec::from_slice(format!("{{\"x\":{deep}").as_bytes()).is_err());
}

#[test]
fn the_case_of_letters_in_names_does_not_matter() {
    let json = r#"{"OCIVersion":"1.0.0","Process":{"cwd":"/","user":{"UID":1,"gid":2},"Args":["x"]},
        "Annotations":{"CPU":"kept","cpu":"too"},
        "linux":{"Namespaces":[{"type":"pid"},{"Type":"NETWORK"}],
                 "sysctl":{"kernel.MsgMax":"1"},
                 "resources":{"CPU":{"Shares":7},"HugepageLimits":[{"PAGESIZE":"2MB","limit":1,"Other":0}]}}}"#;
    let right = json
        .replace("OCIVersion", "ociVersion")
        .replace("Process", "process")
        .replace("UID", "uid")
        .replace("Args", "args")
        .replace("Annotations", "annotations")
        .replace("Namespaces", "namespaces")
        .replace("Type", "type")
        .replace("\"CPU\":{", "\"cpu\":{")
        .replace("Shares", "shares")
        .replace("HugepageLimits", "hugepageLimits")
        .replace("PAGESIZE", "pageSize");
    let read = Spec::read(json.as_bytes()).unwrap();
    assert_eq!(read.put_right.as_deref(), Some(right.as_str()));
    assert_eq!(read.value, Spec::from_slice(right.as_bytes()).unwrap());
    let resources = read.value.linux.unwrap().resources.unwrap();
    assert_eq!(resources.cpu.unwrap().shares, Some(7));
    assert_eq!(
        read.remarks,
        [
            "OCIVersion: read as ociVersion; write it so",
            "Process: read as process; write it so",
            "Process.user.UID: read as uid; write it so",
            "Process.Args: read as args; write it so",
            "Annotations: read as annotations; write it so",
            "linux.Namespaces: read as namespaces; write it so",
            "linux.Namespaces[1].Type: read as type; write it so",
            "linux.resources.CPU: read as cpu; write it so",
            "linux.resources.CPU.Shares: read as shares; write it so",
            "linux.resources.HugepageLimits: read as hugepageLimits; write it so",
            "linux.resources.HugepageLimits[0].PAGESIZE: read as pageSize; write it so",
            "linux.resources.HugepageLimits[0].Other: unknown property; ignored",
        ]
    );
    let (resources, remarks) = Resources::from_slice_noting(br#"{"Pids":{"LIMIT":3}}"#).unwrap();
    assert_eq!((resources.pids.unwrap().limit, remarks.len()), (Some(3), 2));
    let (process, _) = Process::from_slice_noting(br#"{"CWD":"/x","user":{}}"#).unwrap();
    assert_eq!(process.cwd, "/x");
}

/// As Go's JSON has it, and so runc.
#[test]
fn two_names_of_a_property_are_one() {
    let json = r#"{"cpu":{"shares":2,"quota":5},"pids":{"LIMIT":1,"Limit":3},
        "CPU":{"Quota":3,"CPUs":"1"},"Cpu":{"Other":1}}"#;
    let (resources, remarks) = Resources::from_slice_noting(json.as_bytes()).unwrap();
    let cpu = resources.cpu.unwrap();
    assert_eq!((cpu.shares, cpu.quota), (Some(2), Some(3)));
    assert_eq!(cpu.cpus.as_deref(), Some("1"));
    assert_eq!(resources.pids.unwrap().limit, Some(3));
    let again = "the same property stands before it in other letters; both are read, and of two values the later";
    let again = |place| format!("{place}: {again}");
    assert_eq!(
        remarks,
        [
            "pids.LIMIT: read as limit; write it so".to_owned(),
            "pids.Limit: read as limit; write it so".to_owned(),
            "CPU: read as cpu; write it so".to_owned(),
            "Cpu: read as cpu; write it so".to_owned(),
            again("pids.Limit"),
            again("CPU"),
            again("Cpu"),
            "cpu.Quota: read as quota; write it so".to_owned(),
            "cpu.CPUs: read as cpus; write it so".to_owned(),
            again("cpu.Quota"),
            "cpu.Other: unknown property; ignored".to_owned(),
        ]
    );
    // Whichever comes first.
    let (resources, _) =
        Resources::from_slice_noting(br#"{"CPU":{"shares":2},"cpu":{"shares":4}}"#).unwrap();
    assert_eq!(resources.cpu.unwrap().shares, Some(4));
    // The same name twice is a mistake, as ever.
    let error = Resources::from_slice_noting(br#"{"cpu":{},"cpu":{},"CPU":{}}"#).unwrap_err();
    assert!(
        error.to_string().starts_with("duplicate field `cpu`"),
        "{error}"
    );
}

/// There is nothing in the document that could be put right.
#[test]
fn names_with_escapes_have_to_be_right() {
    let json = br#"{"\u0043pu":{"shares":2},"pi\u0064s":{"limit":3}}"#;
    let (resources, remarks) = Resources::from_slice_noting(json).unwrap();
    assert_eq!(resources.cpu, None);
    assert_eq!(resources.pids.unwrap().limit, Some(3));
    assert_eq!(remarks, ["Cpu: unknown property; ignored"]);
}

/// A million of them below a name of a million letters would fill any memory.
#[test]
fn of_a_place_only_so_much_is_told() {
    let name = "\u{e4}".repeat(1_000);
    let json =
        format!(r#"{{"pids":{{"{name}":1}},"{name}":{{"CPU":2}},"cpu":{{"CPUS":"{name}"}}}}"#);
    let (_, remarks) = Resources::from_slice_noting(json.as_bytes()).unwrap();
    let told = |letters| format!("{}...: unknown property; ignored", &name[..letters]);
    assert_eq!(
        remarks,
        [
            "cpu.CPUS: read as cpus; write it so".to_owned(),
            format!("pids.{}", told(248)),
            told(252),
        ]
    );
    let json = format!(r#"{{"unified":{{"{name}":1}}}}"#);
    let error = Resources::from_slice_noting(json.as_bytes()).unwrap_err();
    assert_eq!(error.path, format!("unified.{}...", &name[..244]));
}

/// What types are derived from would take one for the values of an object, in the order of its names.
#[test]
fn a_list_is_no_object() {
    for (json, path) in [
        ("[]", "."),
        (r#"[{"shares":2}]"#, "."),
        (r#"{"cpu":[2]}"#, "cpu"),
        (r#"{"CPU":[2]}"#, "CPU"),
        (r#"{"devices":[["c"]]}"#, "devices[0]"),
    ] {
        let error = Resources::from_slice_noting(json.as_bytes()).unwrap_err();
        assert_eq!(error.path, path, "{json}");
        assert!(error.message.contains("expected an object"), "{error}");
    }
}

#[test]
fn errors_stay_where_they_are_when_names_are_put_right() {
    let json = "{\"CPU\": {\n \"Shares\": \"many\"}}";
    let error = Resources::from_slice_noting(json.as_bytes()).unwrap_err();
    let line = "CPU.Shares: invalid type: string \"many\", expected u64 at line 2 column 17";
    assert!(error.to_string().starts_with(line), "{error}");
    // What is unreadable is so with and without.
    for broken in ["{\"CPU\":", "{\"CPU\":{}} x", "[]", "{\"CPU\":{}, 1:2}"] {
        assert!(
            Resources::from_slice_noting(broken.as_bytes()).is_err(),
            "{broken}"
        );
    }
}
