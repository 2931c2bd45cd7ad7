//! Annotations that change how a container is made: those of crun, `run.oci.*`, as far as they make
//! sense here. Others of that name are passed over, and that is said.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What the names of all of them begin with.
pub(crate) const PREFIX: &str = "run.oci.";

/// `1`: the program keeps the caller's additional groups, which need no id in the container. So an
/// unprivileged user's container reaches files that the user reaches by a group.
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// A file to which hooks' standard output is appended.
pub(crate) const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";

/// A file to which hooks' standard error is appended.
pub(crate) const HOOKS_STDERR: &str = "run.oci.hooks.stderr";

/// A unix socket that gets a pidfd of the container's first process, as [`CreateOptions::pidfd_socket`](crate::CreateOptions::pidfd_socket).
pub(crate) const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";

/// `CLOCK SECONDS NANOSECONDS`, a line for each clock, in place of `linux.timeOffsets`.
pub(crate) const TIME_OFFSETS: &str = "run.oci.timens_offset";

/// Empty: the container is in its scope itself, not in a cgroup below it. Here it always is.
const SUBGROUP: &str = "run.oci.systemd.subgroup";

const KNOWN: [&str; 5] = [
    KEEP_GROUPS,
    HOOKS_STDOUT,
    HOOKS_STDERR,
    PIDFD_RECEIVER,
    TIME_OFFSETS,
];

/// The value of one, where it is there and not empty.
pub(crate) fn value<'a>(annotations: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let value = annotations.get(name).map(String::as_str);
    value.filter(|value| !value.is_empty())
}

/// Whether the program keeps the caller's additional groups.
pub(crate) fn keep_groups(annotations: &BTreeMap<String, String>) -> bool {
    value(annotations, KEEP_GROUPS) == Some("1")
}

/// What is to be said of annotations that look as if they did something, and don't.
pub(crate) fn warnings(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let from = (Bound::Included(PREFIX), Bound::Unbounded);
    let ours = annotations
        .range::<str, _>(from)
        .take_while(|(name, _)| name.starts_with(PREFIX));
    ours.filter_map(|(name, value)| match name.as_str() {
        known if KNOWN.contains(&known) => None,
        SUBGROUP if value.is_empty() => None,
        SUBGROUP => Some(format!(
            "annotations.{name} is passed over: the container is in its scope itself"
        )),
        _ => Some(format!("annotations.{name} is passed over: not supported")),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_said() {
        let annotations = [
            ("run.oc", ""),
            ("run.oci", ""),
            ("run.oci.hooks.stdout", "/x"),
            ("run.oci.systemd.subgroup", ""),
            ("run.oci.handler", "krun"),
            ("run.ocj", ""),
        ];
        let mut annotations: BTreeMap<String, String> = annotations
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let said = warnings(&annotations);
        let expected = "annotations.run.oci.handler is passed over: not supported";
        assert_eq!(said, [expected]);
        annotations.insert(SUBGROUP.to_owned(), "container".to_owned());
        assert_eq!(warnings(&annotations).len(), 2);
    }

    #[test]
    fn groups_are_kept_where_that_is_asked_for() {
        let with = |value: &str| BTreeMap::from([(KEEP_GROUPS.to_owned(), value.to_owned())]);
        assert!(keep_groups(&with("1")));
        assert!(!keep_groups(&with("0")) && !keep_groups(&BTreeMap::new()));
    }
}
