//! Container ids.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The longest id, in bytes.
const MAX_LEN: usize = 255;

/// A container's id: letters, digits and `_+-.`, at most 255 of them, and neither `.` nor `..`.
///
/// It becomes a directory's name, so nothing else can be made into one.
///
/// ```
/// use orlop::ContainerId;
///
/// let id: ContainerId = "web-1".parse()?;
/// assert_eq!(id.as_str(), "web-1");
/// assert!("../web".parse::<ContainerId>().is_err());
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        let reason = match text {
            "" => "it is empty",
            "." | ".." => "it names a directory",
            _ if text.len() > MAX_LEN => "it is longer than 255 characters",
            _ if !text.bytes().all(allowed) => "only letters, digits and _+-. may be in it",
            _ => return Ok(Self(text.to_owned())),
        };
        Err(Error::invalid(
            "container id",
            format!("invalid id {text:?}: {reason}"),
        ))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ContainerId;

    #[test]
    fn only_plain_names_are_ids() {
        let long = "a".repeat(256);
        for bad in [
            "", ".", "..", "a/b", "../x", "a\n", "a b", "ü", "a\0", &long,
        ] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad:?}");
        }
        for good in ["a", "-a", "a.b", "A_b+c-1", "...", &long[1..]] {
            assert!(good.parse::<ContainerId>().is_ok(), "{good:?}");
        }
    }
}
