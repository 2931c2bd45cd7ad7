//! What to do about the library's errors, in terms of this program's commands and options.

use orlop::cgroups::Error as CgroupError;
use orlop::seccomp::SeccompError;
use orlop::{Error, Hint};

/// An error as this program's users read it.
pub(crate) fn line(error: &Error) -> String {
    match error {
        Error::Invalid { field, .. } => by_option(field, error),
        Error::System { operation, .. } => by_option(operation, error),
        Error::Step(failed) => {
            let mut failed = failed.clone();
            failed.hint = failed.hint.map(in_options);
            failed.to_string()
        }
        _ => match advice(error) {
            Some(advice) => format!("{error} ({advice})"),
            None => error.to_string(),
        },
    }
}

/// An error whose text begins with what it is about: a field, maybe with its value.
fn by_option(about: &str, error: &Error) -> String {
    let text = error.to_string();
    let end = about.find(' ').unwrap_or(about.len());
    match option(&about[..end]) {
        Some(option) => format!("--{option}{}", &text[end..]),
        None => text,
    }
}

/// The option that sets what the library calls by another name.
fn option(field: &str) -> Option<&'static str> {
    Some(match field {
        "console_socket" => "console-socket",
        "lsm_mount_context" => "lsm-mount-context",
        "lsm_profile" => "lsm-profile",
        "no_pivot" => "no-pivot",
        "parent_path" => "parent-path",
        "pid_file" => "pid-file",
        "pidfd_socket" => "pidfd-socket",
        _ => return None,
    })
}

fn in_options(hint: Hint) -> Hint {
    match hint {
        Hint::UserNamespace => Hint::Words(
            "new namespaces take CAP_SYS_ADMIN: run it as root, or give the container a user namespace (`orlop-runc spec --rootless`)",
        ),
        Hint::NoPivot => Hint::Words(
            "the host's root may be a ramfs, which can't be pivoted from; use --no-pivot",
        ),
        other => other,
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Config { .. } => "put it right there: `orlop-runc spec` writes one to compare with",
        Error::NoConfiguration { .. } => {
            "--bundle names the directory that holds it: `orlop-runc spec` writes one"
        }
        Error::NotFound(_) => {
            "--root names the directory of its state: each caller, such as containerd, has its own"
        }
        Error::ForeignRoot { .. } => {
            "it is another user's: name your own by --root, or set XDG_RUNTIME_DIR"
        }
        Error::NotStopped { .. } => "kill it first, or delete it by --force",
        // The whole line is runc's, and its callers know it.
        Error::Paused => "use --ignore-paused to override",
        Error::NoSystemd => "leave --systemd-cgroup away, or start it where systemd runs",
        Error::Cgroup(CgroupError::NoSystemd { of_user: false, .. }) => {
            "leave --systemd-cgroup away, or start D-Bus"
        }
        Error::Cgroup(CgroupError::NoSystemd { of_user: true, .. }) => {
            "this user has no systemd there: log in, or run loginctl enable-linger, and set XDG_RUNTIME_DIR; or leave --systemd-cgroup away"
        }
        Error::Seccomp(SeccompError::UnknownAction { .. }) => {
            "`orlop-runc features` lists those that there are"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    fn step(hint: Hint) -> Error {
        Error::Step(orlop::StepError {
            index: 0,
            field: None,
            operation: "enter".to_owned(),
            reason: "Invalid argument".to_owned(),
            errno: 22,
            hint: Some(hint),
        })
    }

    #[test]
    fn lines_name_this_programs_options() {
        let no_bus = |of_user| {
            Error::Cgroup(CgroupError::NoSystemd {
                what: "connect".to_owned(),
                source: io::Error::from_raw_os_error(2),
                of_user,
            })
        };
        let path = PathBuf::from("/b");
        for (error, expected) in [
            // What callers know, byte for byte.
            (
                Error::Paused,
                "cannot exec in a paused container (use --ignore-paused to override)",
            ),
            (
                Error::NoSystemd,
                "systemd not running on this host, cannot use systemd cgroups manager (leave --systemd-cgroup away, or start it where systemd runs)",
            ),
            (
                no_bus(false),
                "systemd: connect: No such file or directory (os error 2) (leave --systemd-cgroup away, or start D-Bus)",
            ),
            (
                no_bus(true),
                "systemd: connect: No such file or directory (os error 2) (this user has no systemd there: log in, or run loginctl enable-linger, and set XDG_RUNTIME_DIR; or leave --systemd-cgroup away)",
            ),
            (
                Error::NoConfiguration { path },
                "open bundle configuration /b: No such file or directory (--bundle names the directory that holds it: `orlop-runc spec` writes one)",
            ),
            (
                step(Hint::NoPivot),
                "enter: Invalid argument (the host's root may be a ramfs, which can't be pivoted from; use --no-pivot)",
            ),
            (
                step(Hint::UserNamespace),
                "enter: Invalid argument (new namespaces take CAP_SYS_ADMIN: run it as root, or give the container a user namespace (`orlop-runc spec --rootless`))",
            ),
            (
                step(Hint::Words("as it is")),
                "enter: Invalid argument (as it is)",
            ),
        ] {
            assert_eq!(line(&error), expected);
        }
    }

    #[test]
    fn lines_about_states_name_this_programs_options() {
        for (error, expected) in [
            (
                Error::NotFound("x".parse().unwrap()),
                "container does not exist: x (--root names the directory of its state: each caller, such as containerd, has its own)",
            ),
            (
                Error::NotStopped {
                    id: "x".parse().unwrap(),
                    status: orlop::Status::Running,
                },
                "cannot delete container x that is not stopped: running (kill it first, or delete it by --force)",
            ),
            (
                Error::ForeignRoot {
                    path: PathBuf::from("/run/x"),
                },
                "open the state directory /run/x: Permission denied (it is another user's: name your own by --root, or set XDG_RUNTIME_DIR)",
            ),
        ] {
            assert_eq!(line(&error), expected);
        }
    }

    #[test]
    fn fields_become_options() {
        for (field, expected) in [
            ("pid_file", "--pid-file: bad"),
            ("console_socket /path", "--console-socket /path: bad"),
            ("process.cwd", "process.cwd: bad"),
        ] {
            let (field, message) = (field.to_owned(), "bad".to_owned());
            assert_eq!(line(&Error::Invalid { field, message }), expected);
        }
        let error = Error::System {
            operation: "pidfd_socket /path: send the descriptor".to_owned(),
            error: io::Error::from_raw_os_error(32),
            hint: None,
        };
        let expected = "--pidfd-socket /path: send the descriptor: Broken pipe";
        assert_eq!(line(&error), expected);
    }
}
