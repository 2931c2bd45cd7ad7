//! The kernel: its calls and namespaces, and what the caller may do with them.

use std::path::Path;

use super::{Finding, line_of};
use crate::names::NAMESPACES;
use crate::sys;

/// What every container needs, by name and number.
const CALLS: [(&str, libc::c_long); 13] = [
    ("clone3", libc::SYS_clone3),
    ("close_range", libc::SYS_close_range),
    ("execveat", libc::SYS_execveat),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("memfd_create", libc::SYS_memfd_create),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("open_tree", libc::SYS_open_tree),
    ("openat2", libc::SYS_openat2),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
];

/// Namespaces without which the default container can't be made.
const USUAL: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];

pub(super) fn findings() -> Vec<Finding> {
    let release = line_of("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    let missing = CALLS.iter().filter(|(_, number)| !sys::has_call(*number));
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    let files = NAMESPACES.iter().map(|(.., file)| *file);
    let absent: Vec<_> = files
        .filter(|file| !Path::new("/proc/self/ns").join(file).exists())
        .collect();
    vec![
        calls(&release, &missing),
        namespaces(&absent),
        privilege(sys::permitted_capabilities().ok()),
    ]
}

fn calls(release: &str, missing: &[&str]) -> Finding {
    let check = "kernel.calls";
    if missing.is_empty() {
        return Finding::ok(
            check,
            format!(
                "Linux {release} has all {} calls that are needed",
                CALLS.len()
            ),
        );
    }
    Finding::fail(
        check,
        format!("Linux {release} has no {}", missing.join(", ")),
        "boot Linux 5.12 or newer; in a container or sandbox, allow these calls",
    )
}

fn namespaces(absent: &[&str]) -> Finding {
    let check = "kernel.namespaces";
    let advice = "boot a kernel with CONFIG_NAMESPACES and all kinds below it";
    let list = absent.join(", ");
    if absent.is_empty() {
        Finding::ok(check, "all kinds of namespaces")
    } else if absent.iter().any(|one| USUAL.contains(one)) {
        Finding::fail(check, format!("no {list} namespaces"), advice)
    } else {
        let message = format!("no {list} namespaces: containers that ask for them can't be had");
        Finding::warn(check, message, advice)
    }
}

fn privilege(capabilities: Option<u64>) -> Finding {
    let check = "caller.privilege";
    let has = |capability: u32| capabilities.is_some_and(|all| all & 1 << capability != 0);
    if has(crate::names::CAP_SYS_ADMIN) {
        return Finding::ok(check, "this caller may make containers of every kind");
    }
    Finding::warn(
        check,
        "this caller has no CAP_SYS_ADMIN: its containers need a user namespace",
        "run as root, or give containers a user namespace",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn missing_calls_are_fatal_and_named() {
        assert_eq!(calls("6.1", &[]).level, Level::Ok);
        let finding = calls("4.19", &["clone3", "openat2"]);
        assert_eq!(finding.level, Level::Fail);
        assert_eq!(finding.message, "Linux 4.19 has no clone3, openat2");
    }

    #[test]
    fn some_namespaces_can_be_spared() {
        assert_eq!(namespaces(&[]).level, Level::Ok);
        assert_eq!(namespaces(&["time", "user"]).level, Level::Warn);
        assert_eq!(namespaces(&["time", "pid"]).level, Level::Fail);
    }

    #[test]
    fn privilege_is_a_capability() {
        assert_eq!(privilege(Some(u64::MAX)).level, Level::Ok);
        assert_eq!(privilege(Some(0)).level, Level::Warn);
        assert_eq!(privilege(None).level, Level::Warn);
    }

    #[test]
    fn this_kernel_has_what_the_tests_of_this_crate_use() {
        assert!(CALLS.iter().all(|(_, number)| sys::has_call(*number)));
        assert!(!sys::has_call(4095));
    }
}
