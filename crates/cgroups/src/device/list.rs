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

/// The writes that bring any device cgroup into the state that the rules describe.
pub(crate) fn v1_writes(rules: &[DeviceRule]) -> Result<Vec<ListWrite>> {
    let (default_allow, rules) = effective(rules);
    let exceptions = exceptions(default_allow, rules)?;
    let (reset, except) = if default_allow {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    let mut writes = vec![ListWrite {
        file: reset,
        value: "a".into(),
    }];
    writes.extend(
        exceptions
            .into_iter()
            .map(|((kind, major, minor), access)| ListWrite {
                file: except,
                value: DeviceRule {
                    allow: !default_allow,
                    kind,
                    major,
                    minor,
                    access,
                }
                .to_string(),
            }),
    );
    Ok(writes)
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
        let writes = v1_writes(rules).unwrap();
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
        let error = v1_writes(&[wide, hole]).unwrap_err().to_string();
        assert!(
            error.contains("c 1:3 r") && error.contains("c 1:* rwm"),
            "{error}"
        );
        let elsewhere = DeviceRule::deny(DeviceKind::Char, Some(2), Some(3), Access::READ);
        assert_eq!(shown(&[wide, elsewhere]), ["deny a", "allow c 1:* rwm"]);
    }
}
