//! v1: the rules as writes to `devices.allow` and `devices.deny`.
//!
//! The kernel keeps one default and a list of exceptions from it, each with its
//! own set of accesses, and matches an access against one exception at a time.
//! It ignores a request to take a part out of a wildcard exception; such rules
//! are refused here, so that nobody is left with a deny rule that does nothing.

use std::collections::BTreeMap;

use super::rule::{Access, DeviceKind, DeviceRule, effective};
use crate::error::{Error, Result};

/// One write to a device list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListWrite {
    pub(crate) file: &'static str,
    pub(crate) value: String,
}

type Key = (DeviceKind, Option<u32>, Option<u32>);

/// The state of a device cgroup: what holds for every device, and the exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceList {
    default_allow: bool,
    exceptions: BTreeMap<Key, Access>,
}

impl DeviceList {
    /// The state that the rules describe.
    pub(crate) fn from_rules(rules: &[DeviceRule]) -> Result<Self> {
        let (default_allow, rules) = effective(rules);
        Ok(Self {
            default_allow,
            exceptions: exceptions(default_allow, rules)?,
        })
    }

    /// The state that `devices.list` shows. Where everything is allowed the kernel
    /// does not show the exceptions.
    pub(crate) fn parse(text: &str) -> Self {
        let mut list = Self {
            default_allow: false,
            exceptions: BTreeMap::new(),
        };
        for rule in text.lines().filter_map(parse_line) {
            if rule.kind == DeviceKind::All {
                list.default_allow = true;
            } else {
                list.exceptions
                    .insert((rule.kind, rule.major, rule.minor), rule.access);
            }
        }
        list
    }

    /// The rules that describe this state.
    pub(crate) fn to_rules(&self) -> Vec<DeviceRule> {
        let first = DeviceRule {
            allow: self.default_allow,
            ..DeviceRule::deny(DeviceKind::All, None, None, Access::ALL)
        };
        let rest = self
            .exceptions
            .iter()
            .map(|(&key, &access)| self.exception(key, access));
        std::iter::once(first).chain(rest).collect()
    }

    fn exception(&self, (kind, major, minor): Key, access: Access) -> DeviceRule {
        DeviceRule {
            allow: !self.default_allow,
            kind,
            major,
            minor,
            access,
        }
    }

    /// The writes that bring any device cgroup into this state.
    pub(crate) fn reset(&self) -> Vec<ListWrite> {
        let (reset, except) = if self.default_allow {
            (ALLOW, DENY)
        } else {
            (DENY, ALLOW)
        };
        let first = ListWrite {
            file: reset,
            value: "a".into(),
        };
        let rest = self.exceptions.iter().map(|(&key, &access)| ListWrite {
            file: except,
            value: self.exception(key, access).to_string(),
        });
        std::iter::once(first).chain(rest).collect()
    }

    /// The writes that bring a device cgroup from this state into another. What
    /// is allowed in both stays allowed throughout, so that a running container
    /// notices nothing.
    pub(crate) fn transition(&self, target: &Self) -> Vec<ListWrite> {
        if self.default_allow || target.default_allow {
            return target.reset();
        }
        let difference = |file, from: &Self, to: &Self| -> Vec<_> {
            to.exceptions
                .iter()
                .map(|(key, access)| {
                    let there = from.exceptions.get(key).copied().unwrap_or(Access::NONE);
                    (*key, access.without(there))
                })
                .filter(|(_, access)| *access != Access::NONE)
                .map(|(key, access)| ListWrite {
                    file,
                    value: to.exception(key, access).to_string(),
                })
                .collect()
        };
        let mut writes = difference(ALLOW, self, target);
        writes.extend(difference(DENY, target, self));
        writes
    }
}

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

/// A line of `devices.list`: `c 1:* rwm`.
fn parse_line(line: &str) -> Option<DeviceRule> {
    let mut fields = line.split([' ', ':']);
    let kind = match fields.next()? {
        "a" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" => DeviceKind::Char,
        _ => return None,
    };
    let mut number = || match fields.next()? {
        "*" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    let (major, minor) = (number()?, number()?);
    Some(DeviceRule::allow(
        kind,
        major,
        minor,
        Access::parse(fields.next()?)?,
    ))
}

fn exceptions(default_allow: bool, rules: &[DeviceRule]) -> Result<BTreeMap<Key, Access>> {
    let mut exceptions = BTreeMap::new();
    for rule in rules {
        // The kernel takes every rule of kind "a" for one that covers everything.
        let kinds: &[_] = match &rule.kind {
            DeviceKind::All => &[DeviceKind::Block, DeviceKind::Char],
            one => std::slice::from_ref(one),
        };
        for &kind in kinds {
            let rule = DeviceRule { kind, ..*rule };
            if rule.allow == default_allow {
                remove(&mut exceptions, &rule)?;
            } else {
                let access = exceptions
                    .entry((kind, rule.major, rule.minor))
                    .or_insert(Access::NONE);
                *access = access.union(rule.access);
            }
        }
    }
    Ok(exceptions)
}

fn remove(exceptions: &mut BTreeMap<Key, Access>, rule: &DeviceRule) -> Result<()> {
    let covers = |wide: Option<u32>, narrow: Option<u32>| wide.is_none() || wide == narrow;
    // What the rule covers entirely goes; what it covers in part cannot be told to v1.
    for (&(kind, major, minor), access) in exceptions.iter_mut() {
        if kind != rule.kind || !access.intersects(rule.access) {
            continue;
        }
        if covers(rule.major, major) && covers(rule.minor, minor) {
            *access = access.without(rule.access);
        } else if overlaps(major, rule.major) && overlaps(minor, rule.minor) {
            let wide = DeviceRule {
                allow: !rule.allow,
                kind,
                major,
                minor,
                access: *access,
            };
            return Err(Error::Unsupported {
                field: "devices",
                reason: format!(
                    "cgroup v1 cannot take \"{rule}\" out of the wider rule \"{wide}\" before it \
                     (list the devices one by one)"
                ),
            });
        }
    }
    exceptions.retain(|_, access| *access != Access::NONE);
    Ok(())
}

fn overlaps(a: Option<u32>, b: Option<u32>) -> bool {
    a.is_none() || b.is_none() || a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rules: &[DeviceRule]) -> Vec<String> {
        let writes = DeviceList::from_rules(rules).unwrap().reset();
        writes
            .iter()
            .map(|w| format!("{} {}", &w.file["devices.".len()..], w.value))
            .collect()
    }

    const NULL: (Option<u32>, Option<u32>) = (Some(1), Some(3));

    #[test]
    fn deny_all_then_allow_some() {
        let rules = [
            DeviceRule::deny(DeviceKind::All, None, None, Access::ALL),
            DeviceRule::allow(DeviceKind::Char, None, None, Access::MKNOD),
            DeviceRule::allow(DeviceKind::Char, NULL.0, NULL.1, Access::READ),
            DeviceRule::allow(DeviceKind::Char, NULL.0, NULL.1, Access::WRITE),
        ];
        assert_eq!(shown(&rules), ["deny a", "allow c *:* m", "allow c 1:3 rw"]);
        assert_eq!(shown(&[]), ["deny a"]);
    }

    #[test]
    fn later_rules_win() {
        let allow = DeviceRule::allow(DeviceKind::Char, NULL.0, NULL.1, Access::ALL);
        let deny = DeviceRule::deny(DeviceKind::Char, NULL.0, NULL.1, Access::WRITE);
        assert_eq!(shown(&[allow, deny]), ["deny a", "allow c 1:3 rm"]);
        assert_eq!(shown(&[deny, allow]), ["deny a", "allow c 1:3 rwm"]);
        let all = DeviceRule::allow(DeviceKind::All, None, None, Access::ALL);
        assert_eq!(shown(&[deny, all]), ["allow a"]);
        assert_eq!(shown(&[all, deny]), ["allow a", "deny c 1:3 w"]);
        let wide_deny = DeviceRule::deny(DeviceKind::Char, Some(1), None, Access::ALL);
        assert_eq!(shown(&[allow, wide_deny]), ["deny a"]);
    }

    #[test]
    fn partial_all_rules_are_told_by_kind() {
        let rule = DeviceRule::allow(DeviceKind::All, Some(7), None, Access::READ);
        assert_eq!(shown(&[rule]), ["deny a", "allow b 7:* r", "allow c 7:* r"]);
    }

    #[test]
    fn holes_in_wildcards_are_refused() {
        let wide = DeviceRule::allow(DeviceKind::Char, Some(1), None, Access::ALL);
        let hole = DeviceRule::deny(DeviceKind::Char, NULL.0, NULL.1, Access::READ);
        let error = DeviceList::from_rules(&[wide, hole])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("c 1:3 r") && error.contains("c 1:* rwm"),
            "{error}"
        );
        let elsewhere = DeviceRule::deny(DeviceKind::Char, Some(2), Some(3), Access::READ);
        assert_eq!(shown(&[wide, elsewhere]), ["deny a", "allow c 1:* rwm"]);
    }

    #[test]
    fn a_list_of_the_kernel_and_the_way_to_another() {
        let old = DeviceList::parse("c 1:3 rwm\nc 1:5 r\nb 8:* rw\nnonsense\n");
        let rules = [
            DeviceRule::allow(DeviceKind::Char, Some(1), Some(3), Access::ALL),
            DeviceRule::allow(DeviceKind::Char, Some(1), Some(5), Access::WRITE),
            DeviceRule::allow(DeviceKind::Char, Some(5), None, Access::READ),
        ];
        let new = DeviceList::from_rules(&rules).unwrap();
        let shown = |writes: Vec<ListWrite>| -> Vec<String> {
            writes
                .iter()
                .map(|w| format!("{} {}", &w.file["devices.".len()..], w.value))
                .collect()
        };
        assert_eq!(
            shown(old.transition(&new)),
            [
                "allow c 1:5 w",
                "allow c 5:* r",
                "deny b 8:* rw",
                "deny c 1:5 r"
            ]
        );
        assert!(old.transition(&old).is_empty());
        let open = DeviceList::parse("a *:* rwm\n");
        assert_eq!(shown(old.transition(&open)), ["allow a"]);
        assert_eq!(shown(open.transition(&new))[0], "deny a");
        assert_eq!(DeviceList::from_rules(&old.to_rules()).unwrap(), old);
    }
}
