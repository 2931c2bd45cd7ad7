//! `cgroupsPath` for systemd: `slice:prefix:name`, and names of units.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// The longest name of a unit.
const MAX_NAME: usize = 255;

/// The name of a unit, checked: it has a suffix, and no characters that could
/// mean another unit or a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnitName(String);

/// Where a container's unit is: its slice and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnitPath {
    slice: UnitName,
    name: UnitName,
}

impl UnitName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPath`] for anything but letters, digits and `:-_.\@` with
    /// the suffix `.scope` or `.slice`, and for more than 255 bytes.
    pub fn new(name: &str) -> Result<Self> {
        let invalid = |reason| Error::InvalidPath {
            path: name.chars().take(200).collect(),
            reason,
        };
        let stem = name
            .strip_suffix(".scope")
            .or_else(|| name.strip_suffix(".slice"));
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        match stem {
            None => Err(invalid("a unit's name has to end in .scope or .slice")),
            Some("") => Err(invalid("a unit's name has to be more than its suffix")),
            Some(_) if name.len() > MAX_NAME => Err(invalid("a unit's name has at most 255 bytes")),
            Some(_) if !name.chars().all(allowed) => Err(invalid(
                "a unit's name has letters, digits and :-_.\\@ only",
            )),
            Some(_) => Ok(Self(name.to_owned())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UnitPath {
    /// Reads `slice:prefix:name`, where the name alone, if it ends in `.slice`, or
    /// else `prefix-name.scope` is the unit. An empty slice is the default one:
    /// `system.slice`, or `user.slice` for a user's manager.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPath`] for another form, a name that no unit can have, or a
    /// slice that is none.
    pub fn parse(text: &str, user: bool) -> Result<Self> {
        let invalid = |reason| Error::InvalidPath {
            path: text.chars().take(200).collect(),
            reason,
        };
        let fields: Vec<_> = text.split(':').collect();
        let [slice, prefix, name] = fields[..] else {
            return Err(invalid("with systemd it has to be slice:prefix:name"));
        };
        let slice = match (slice, user) {
            ("", false) => "system.slice",
            ("", true) => "user.slice",
            (slice, _) => slice,
        };
        check_slice(slice).map_err(invalid)?;
        let name = match (prefix, name) {
            (_, "") => return Err(invalid("the name after the last colon is empty")),
            (_, "-.slice") => return Err(invalid("the root slice is systemd's own")),
            (_, slice) if slice.ends_with(".slice") => {
                check_slice(slice).map_err(invalid)?;
                slice.to_owned()
            }
            ("", name) => format!("{name}.scope"),
            (prefix, name) => format!("{prefix}-{name}.scope"),
        };
        Ok(Self {
            slice: UnitName::new(slice)?,
            name: UnitName::new(&name)?,
        })
    }

    /// The unit's name.
    #[must_use]
    pub fn name(&self) -> &UnitName {
        &self.name
    }

    /// The slice that it is in.
    #[must_use]
    pub fn slice(&self) -> &str {
        self.slice.as_str()
    }

    /// Whether the unit is a slice: a cgroup for others, without processes.
    #[must_use]
    pub fn is_slice(&self) -> bool {
        self.name.as_str().ends_with(".slice")
    }

    /// The unit's directory below the manager's own, relative: `a-b.slice` lies in
    /// `a.slice`.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        if self.is_slice() {
            // Where a slice lies is in its own name.
            return slice_directory(self.name.as_str());
        }
        let mut path = slice_directory(self.slice());
        path.push(self.name.as_str());
        path
    }
}

fn slice_directory(slice: &str) -> PathBuf {
    let mut path = PathBuf::new();
    let stem = slice.strip_suffix(".slice").unwrap_or_default();
    if stem != "-" {
        for (at, _) in stem.match_indices('-') {
            path.push(format!("{}.slice", &stem[..at]));
        }
        path.push(slice);
    }
    path
}

/// Every dash in a slice's name is one level: none may be empty.
fn check_slice(slice: &str) -> Result<(), &'static str> {
    match slice.strip_suffix(".slice") {
        None => Err("the slice has to end in .slice"),
        Some("-") => Ok(()),
        Some(stem) if stem.split('-').any(str::is_empty) => {
            Err("the slice has an empty part before, after or between dashes")
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_paths() {
        for (text, name, directory) in [
            (
                "system.slice:runc:abc",
                "runc-abc.scope",
                "system.slice/runc-abc.scope",
            ),
            (":cri:x", "cri-x.scope", "system.slice/cri-x.scope"),
            (
                "a-b-c.slice::x",
                "x.scope",
                "a.slice/a-b.slice/a-b-c.slice/x.scope",
            ),
            ("-.slice:p:n", "p-n.scope", "p-n.scope"),
            (
                "a.slice:p:deep-er.slice",
                "deep-er.slice",
                "deep.slice/deep-er.slice",
            ),
        ] {
            let path = UnitPath::parse(text, false).unwrap();
            assert_eq!(path.name().as_str(), name, "{text}");
            assert_eq!(path.directory(), PathBuf::from(directory), "{text}");
        }
        assert_eq!(UnitPath::parse(":p:n", true).unwrap().slice(), "user.slice");
    }

    #[test]
    fn bad_paths() {
        let long = format!("a.slice:p:{}", "n".repeat(250));
        for text in [
            "",
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a.slice:p:",
            "a.slice:p:-.slice",
            "a.slice:p:b--c.slice",
            "a:p:n",
            "a/b.slice:p:n",
            "../a.slice:p:n",
            "a--b.slice:p:n",
            "-a.slice:p:n",
            "a-.slice:p:n",
            ".slice:p:n",
            "a.slice:p:n/../m",
            "a.slice:p:n\n",
            "a.slice:p:n\0",
            "a.slice:p:é",
            &long,
        ] {
            assert!(
                matches!(UnitPath::parse(text, false), Err(Error::InvalidPath { .. })),
                "{text:?}"
            );
        }
    }
}
