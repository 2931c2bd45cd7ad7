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
