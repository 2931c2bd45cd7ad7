use super::*;

const TARGET: Target<'_> = Target {
    destination: "a.b",
    object: "/o",
    interface: "i.f",
    method: "M",
};

/// Turns a call into the reply or signal of the same body, as the other side would.
fn with_kind(mut message: Vec<u8>, kind: u8) -> Vec<u8> {
    message[1] = kind;
    message
}

#[test]
fn a_call_has_the_form_of_the_specification() {
    let mut body = Writer::default();
    body.string("x");
    let message = call(7, TARGET, "s", &body);
    // By hand from the specification. The fields' length, 71, is up to the end of the
    // last one; the padding after it is not counted.
    let expected: Vec<u8> = [
        &b"l\x01\x00\x01\x06\x00\x00\x00\x07\x00\x00\x00"[..],
        b"\x47\x00\x00\x00",
        b"\x01\x01o\x00\x02\x00\x00\x00/o\x00\x00\x00\x00\x00\x00",
        b"\x02\x01s\x00\x03\x00\x00\x00i.f\x00\x00\x00\x00\x00",
        b"\x03\x01s\x00\x01\x00\x00\x00M\x00\x00\x00\x00\x00\x00\x00",
        b"\x06\x01s\x00\x03\x00\x00\x00a.b\x00\x00\x00\x00\x00",
        b"\x08\x01g\x00\x01s\x00\x00",
        b"\x01\x00\x00\x00x\x00",
    ]
    .concat();
    assert_eq!(message, expected);
}

#[test]
fn what_is_written_can_be_read() {
    let mut body = Writer::default();
    body.u32(9);
    body.string("/job/1");
    body.string("unit");
    body.string("done");
    let message = with_kind(call(1, TARGET, "uoss", &body), 4);
    let fixed = message[..FIXED_HEADER].try_into().unwrap();
    assert_eq!(message_length(&fixed), Some(message.len()));
    let parsed = Message::parse(&message).unwrap();
    assert_eq!(parsed.kind, Kind::Signal);
    assert_eq!(
        (parsed.member.as_str(), parsed.signature.as_str()),
        ("M", "uoss")
    );
    let mut body = parsed.body();
    assert_eq!(body.u32(), Some(9));
    assert_eq!(body.string(), Some("/job/1"));
    assert_eq!(
        (body.string(), body.string(), body.string()),
        (Some("unit"), Some("done"), None)
    );
}

#[test]
fn arrays_do_not_count_the_padding_before_them() {
    let mut writer = Writer::default();
    writer.string("abc");
    writer.properties(&[("P", Value::U64(5))]);
    // "abc" takes 8 bytes; the length of the array 4, padding 4; then the structure.
    let structure = [
        &b"\x01\x00\x00\x00P\x00"[..],
        b"\x01t\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x05\x00\x00\x00\x00\x00\x00\x00",
    ]
    .concat();
    assert_eq!(
        writer.bytes[8..12],
        u32::try_from(structure.len()).unwrap().to_le_bytes()
    );
    assert_eq!(writer.bytes[16..], structure);
}

#[test]
fn torn_and_hostile_messages_are_refused() {
    let mut body = Writer::default();
    body.properties(&[("A", Value::Pairs(vec![("x".into(), "y".into())]))]);
    let message = call(1, TARGET, "a(sv)", &body);
    for length in 0..message.len() {
        assert!(Message::parse(&message[..length]).is_none(), "{length}");
    }
    // Any byte may be anything: no panic, whatever comes out.
    for at in 0..message.len() {
        for value in [0, 1, 2, 8, 0x7f, 0xff] {
            let mut broken = message.clone();
            broken[at] = value;
            if let Some(parsed) = Message::parse(&broken) {
                let mut body = parsed.body();
                while body.string().is_some() {}
            }
        }
    }
    let mut huge: [u8; FIXED_HEADER] = message[..FIXED_HEADER].try_into().unwrap();
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(message_length(&huge), None);
    huge[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(message_length(&huge), None);
}
