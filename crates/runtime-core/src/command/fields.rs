//! Errors in the builder's own words: its methods in place of the specification's fields.

use crate::error::Error;

/// Field of the specification, method of the builder. Longer names come before their beginnings.
const METHODS: [(&str, &str); 19] = [
    ("process.args", "program"),
    ("process.env", "env"),
    ("process.cwd", "current_dir"),
    ("process.user.additionalGids", "groups"),
    ("process.user.umask", "umask"),
    ("process.user", "user"),
    ("process.capabilities", "capabilities"),
    ("process.rlimits", "rlimit"),
    ("process.noNewPrivileges", "no_new_privs"),
    ("process.oomScoreAdj", "oom_score_adj"),
    ("process.terminal", "pty"),
    ("root.path", "root"),
    ("root.readonly", "root"),
    ("linux.uidMappings", "uid_map"),
    ("linux.gidMappings", "gid_map"),
    ("linux.namespaces", "namespace"),
    ("linux.cgroupsPath", "cgroup"),
    ("linux.resources", "limits"),
    ("linux.seccomp", "seccomp"),
];

/// Renames what an error is about. The builder's own mounts come after `first_mount` others.
pub(super) fn rename(error: Error, first_mount: usize) -> Error {
    let method = |field: &str| method(field, first_mount);
    match error {
        Error::Invalid { field, message } => Error::Invalid {
            field: method(&field),
            message,
        },
        Error::System {
            operation,
            error,
            hint,
        } => Error::System {
            operation: method(&operation),
            error,
            hint,
        },
        Error::Step(mut step) => {
            step.field = step.field.as_deref().map(method);
            Error::Step(step)
        }
        Error::Mount(mut failed) => {
            failed.field = method(&failed.field);
            Error::Mount(failed)
        }
        other => other,
    }
}

/// The text with a field at its beginning renamed; what is below the field stays.
fn method(text: &str, first_mount: usize) -> String {
    if let Some(renamed) = text
        .strip_prefix("mounts[")
        .and_then(|rest| mount(rest, first_mount))
    {
        return renamed;
    }
    for (field, method) in METHODS {
        let Some(rest) = text.strip_prefix(field) else {
            continue;
        };
        if rest.is_empty() || rest.starts_with(['[', '.', ':']) {
            return format!("{method}{rest}");
        }
    }
    text.to_owned()
}

/// The mount's place among those that the builder was given.
fn mount(rest: &str, first_mount: usize) -> Option<String> {
    let (index, rest) = rest.split_once(']')?;
    Some(
        match index.parse::<usize>().ok()?.checked_sub(first_mount) {
            Some(index) => format!("mount[{index}]{rest}"),
            None => format!("default_mounts{rest}"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::method;

    #[test]
    fn fields_become_methods_and_keep_what_is_below() {
        for (field, expected) in [
            ("process.args", "program"),
            ("process.user.umask", "umask"),
            ("process.user", "user"),
            ("mounts[2]", "mount[0]"),
            ("mounts[13]: bind mount /x", "mount[11]: bind mount /x"),
            ("mounts[1].type", "default_mounts.type"),
            ("linux.uidMappings[0].size", "uid_map[0].size"),
            ("root.readonly", "root"),
            (
                "linux.resources.memory.swappiness",
                "limits.memory.swappiness",
            ),
            ("rootless", "rootless"),
        ] {
            assert_eq!(method(field, 2), expected);
        }
    }
}
