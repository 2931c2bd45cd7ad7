use super::*;

#[test]
fn the_keys_are_in_runc_s_order() {
    let mut state = state("x");
    state.created = "2026-11-21T09:00:00.123456789Z".to_owned();
    state.annotations.insert("k".to_owned(), "v".to_owned());
    let printed = String::from_utf8(OciState::new(&state, Status::Stopped).to_json()).unwrap();
    let expected = concat!(
        r#"{"ociVersion":"1.3.0","id":"x","pid":0,"status":"stopped","bundle":"/bundle","#,
        r#""rootfs":"/bundle/rootfs","created":"2026-11-21T09:00:00.123456789Z","#,
        r#""annotations":{"k":"v"},"owner":""}"#,
    );
    assert_eq!(printed, expected);
}

#[test]
fn hooks_get_what_the_specification_has() {
    let sleeper = Sleeper::new();
    let mut state = state("x");
    state.process = Some(sleeper.id);
    let read = |status| String::from_utf8(OciState::for_hooks(&state, status).to_json()).unwrap();
    let expected = format!(
        r#"{{"ociVersion":"1.3.0","id":"x","pid":{},"status":"creating","bundle":"/bundle"}}"#,
        sleeper.id.pid()
    );
    assert_eq!(read(Status::Creating), expected);
    assert!(read(Status::Stopped).contains(r#""pid":0,"#));
}
