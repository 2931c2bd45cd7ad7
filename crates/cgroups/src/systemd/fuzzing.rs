//! The parsers of what comes from a `config.json` and from a bus.
#![allow(clippy::expect_used)]

use super::names::{UnitName, UnitPath};
use super::property::Property;
use super::wire::{self, FIXED_HEADER, Message, Value, Writer};
use crate::fuzzing::is_plain;

/// `slice:prefix:name`: what is accepted is a unit in its slice, and leads down. As
/// the value of a property: what is accepted can be sent.
pub fn unit(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(property) = Property::parse("TimeoutStopSec", text) {
        assert!(matches!(property.value, Value::U64(_)));
    }
    if let Ok(property) = Property::parse("CollectMode", text) {
        let mut body = Writer::default();
        body.properties(&[("CollectMode", property.value)]);
    }
    for user in [false, true] {
        let Ok(path) = UnitPath::parse(text, user) else {
            continue;
        };
        let name = path.name().as_str();
        assert!(UnitName::new(name).is_ok() && UnitName::new(path.slice()).is_ok());
        let directory = path.directory();
        assert!(
            is_plain(&directory) && directory.ends_with(name),
            "{text:?}"
        );
    }
}

/// A message of a bus: read within its bounds, or refused.
pub fn message(data: &[u8]) {
    let Some((fixed, _)) = data.split_first_chunk::<FIXED_HEADER>() else {
        return;
    };
    let Some(length) = wire::message_length(fixed) else {
        return;
    };
    assert!((FIXED_HEADER..=wire::MAX_MESSAGE).contains(&length));
    let Some(message) = data.get(..length).and_then(Message::parse) else {
        return;
    };
    let mut body = message.body();
    while body.string().is_some()
        || body.bytes().is_some()
        || body.u32().is_some()
        || body.signature().is_some()
    {}
}
