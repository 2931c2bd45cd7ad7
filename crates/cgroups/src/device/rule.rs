//! One rule of a device access list.

use std::fmt;

/// The kinds of devices that a rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// Block and character devices (`a`).
    All,
    /// Block devices (`b`).
    Block,
    /// Character devices (`c`).
    Char,
}

/// A set of ways to access a device.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(u8);

impl Access {
    /// No access.
    pub const NONE: Self = Self(0);
    /// Making a device node (`m`).
    pub const MKNOD: Self = Self(1);
    /// Reading (`r`).
    pub const READ: Self = Self(2);
    /// Writing (`w`).
    pub const WRITE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// A set written with the letters `r`, `w`, `m`; `None` if it has others or none.
    #[must_use]
    pub fn parse(letters: &str) -> Option<Self> {
        let set = letters
            .chars()
            .try_fold(Self::NONE, |set, letter| match letter {
                'r' => Some(set.union(Self::READ)),
                'w' => Some(set.union(Self::WRITE)),
                'm' => Some(set.union(Self::MKNOD)),
                _ => None,
            })?;
        (set != Self::NONE).then_some(set)
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the two sets share anything.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits as the kernel's device programs count them (`BPF_DEVCG_ACC_*`).
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.intersects(set) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({self})")
    }
}

/// Allows or denies access to devices. A number that is `None` means every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceRule {
    /// Whether the access is allowed.
    pub allow: bool,
    /// Which kind of device.
    pub kind: DeviceKind,
    /// The driver's number.
    pub major: Option<u32>,
    /// The device's number.
    pub minor: Option<u32>,
    /// Which ways of access.
    pub access: Access,
}

impl DeviceRule {
    /// Allows access to devices of a kind.
    #[must_use]
    pub fn allow(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: Access) -> Self {
        Self {
            allow: true,
            kind,
            major,
            minor,
            access,
        }
    }

    /// Denies access to devices of a kind.
    #[must_use]
    pub fn deny(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: Access) -> Self {
        Self {
            allow: false,
            ..Self::allow(kind, major, minor, access)
        }
    }

    /// Whether it covers every device and every access, so that no rule before it matters.
    pub(crate) fn is_total(&self) -> bool {
        self.kind == DeviceKind::All
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == Access::ALL
    }
}

/// The rules that matter: those after the last one that covers everything, and
/// whether that one allows.
pub(crate) fn effective(rules: &[DeviceRule]) -> (bool, &[DeviceRule]) {
    match rules.iter().rposition(DeviceRule::is_total) {
        Some(last) => (rules[last].allow, &rules[last + 1..]),
        None => (false, rules),
    }
}

impl fmt::Display for DeviceRule {
    /// The form of v1's `devices.allow` and `devices.deny`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Char => 'c',
        };
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        write!(
            f,
            "{kind} {}:{} {}",
            number(self.major),
            number(self.minor),
            self.access
        )
    }
}
