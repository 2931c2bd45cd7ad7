//! Which run of a unit it is: names of units are used again.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::names::UnitName;
use super::{MANAGER, OBJECT, PROPERTIES, SERVICE, Systemd};
use crate::error::{Error, Result};

const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// What systemd calls one run of a unit: no other run, of whatever unit, ever has the
/// same (systemd.exec(5), `$INVOCATION_ID`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvocationId([u8; 16]);

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for InvocationId {
    type Err = Error;

    /// Reads 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = (text.len() == 32 && digits(text))
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten();
        let id = number.map(|number| Self(number.to_be_bytes()));
        id.ok_or_else(|| Error::Systemd {
            what: format!("invocation id {text:?}"),
            source: io::Error::new(io::ErrorKind::InvalidInput, "it has to be 32 hex digits"),
            hint: "",
        })
    }
}

impl Systemd {
    /// Which run of a unit there is; `None` if no unit of this name runs, or has failed
    /// and is remembered.
    ///
    /// # Errors
    ///
    /// [`Error::Systemd`] if the manager refuses.
    pub fn invocation(&mut self, name: &UnitName) -> Result<Option<InvocationId>> {
        let object = format!("{OBJECT}/unit/{}", label(name.as_str()));
        let body = |body: &mut super::wire::Writer| {
            body.string(UNIT);
            body.string("InvocationID");
        };
        let reply = self
            .bus
            .call(SERVICE, &object, PROPERTIES, "Get", "ss", body)
            .map_err(|error| error.about(name))?;
        // What is not there has one without bytes.
        let id = reply.bytes_in_variant()?.try_into().ok().map(InvocationId);
        Ok(id.filter(|id| id.0 != [0; 16]))
    }

    /// Stops this run of a unit, waits until it is gone, and says whether there was one:
    /// another run of a unit of that name is left alone, whenever it may have begun.
    ///
    /// # Errors
    ///
    /// As [`Systemd::stop`].
    pub fn stop_invocation(&mut self, name: &UnitName, id: InvocationId) -> Result<bool> {
        let ask = |body: &mut super::wire::Writer| body.bytes(&id.0);
        let found = self
            .bus
            .call(SERVICE, OBJECT, MANAGER, "GetUnitByInvocationID", "ay", ask);
        // The path that it answers holds for this run only.
        let object = match found {
            Ok(reply) => reply.object_path()?,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error.about(name)),
        };
        let body = |body: &mut super::wire::Writer| body.string("replace");
        match self.bus.call(SERVICE, &object, UNIT, "Stop", "s", body) {
            Ok(reply) => {
                let job = reply.object_path()?;
                self.wait_for(&job, name, "stop")?;
            }
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error.about(name)),
        }
        match self
            .bus
            .call(SERVICE, &object, UNIT, "ResetFailed", "", |_| {})
        {
            Ok(_) => Ok(true),
            Err(error) if is_gone(&error) => Ok(true),
            Err(error) => Err(error.about(name)),
        }
    }
}

fn is_gone(error: &super::bus::CallError) -> bool {
    ["NoUnitForInvocationID", "NoSuchUnit", "UnknownObject"]
        .iter()
        .any(|name| error.is_named(name))
}

/// A name as the last part of an object path, as sd_bus_path_encode(3) has it.
fn label(name: &str) -> String {
    let mut label = String::with_capacity(name.len() + 8);
    for (at, byte) in name.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit());
        if is_plain {
            label.push(char::from(byte));
        } else {
            label.push_str(&format!("_{byte:02x}"));
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::{InvocationId, label};

    #[test]
    fn text() {
        let text = "00112233445566778899aabbccddeeff";
        let id: InvocationId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        for text in ["", "0", "+0112233445566778899aabbccddeeff", &"0".repeat(33)] {
            text.parse::<InvocationId>().unwrap_err();
        }
    }

    #[test]
    fn labels() {
        for (name, expected) in [
            ("a-b.scope", "a_2db_2escope"),
            ("0a1.scope", "_30a1_2escope"),
            ("a_b\\x.slice", "a_5fb_5cx_2eslice"),
        ] {
            assert_eq!(label(name), expected, "{name}");
        }
    }
}
