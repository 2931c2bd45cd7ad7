//! System call filters and Linux security modules.

use std::path::Path;

use super::{Finding, line_of};
use crate::seccomp;

pub(super) fn findings() -> Vec<Finding> {
    let actions = line_of("/proc/sys/kernel/seccomp/actions_avail");
    let modules = line_of("/sys/kernel/security/lsm");
    let enforcing = line_of("/sys/fs/selinux/enforce").as_deref() == Some("1");
    let apparmor = Path::new("/sys/module/apparmor/parameters/enabled");
    let apparmor = std::fs::read(apparmor).is_ok_and(|enabled| enabled.starts_with(b"Y"));
    vec![
        filters(
            actions.as_deref(),
            seccomp::ENABLED.then(seccomp::library_version),
        ),
        security_modules(modules.as_deref(), apparmor, enforcing),
    ]
}

/// `library` is none where this build has no filters, and none within where its version is unknown.
fn filters(actions: Option<&str>, library: Option<Option<String>>) -> Finding {
    let check = "security.seccomp";
    let Some(library) = library else {
        return Finding::warn(
            check,
            "this build has no filters of system calls: containers with linux.seccomp are refused",
            "build it with the feature `seccomp`",
        );
    };
    match actions {
        None => Finding::warn(
            check,
            "the kernel has no filters of system calls",
            "boot a kernel with CONFIG_SECCOMP_FILTER",
        ),
        Some(actions) => {
            let library =
                library.map_or_else(String::new, |version| format!(", libseccomp {version}"));
            Finding::ok(check, format!("the kernel knows {actions}{library}"))
        }
    }
}

fn security_modules(modules: Option<&str>, apparmor: bool, selinux_enforces: bool) -> Finding {
    let check = "security.modules";
    let apparmor = if apparmor {
        "AppArmor profiles apply"
    } else {
        "AppArmor is off"
    };
    let selinux = if selinux_enforces {
        "SELinux enforces labels"
    } else {
        "SELinux enforces nothing"
    };
    let modules = modules.filter(|modules| !modules.is_empty());
    let modules = modules.unwrap_or("the list of modules can't be read");
    Finding::ok(check, format!("{modules}; {apparmor}; {selinux}"))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn filters_need_a_build_and_a_kernel() {
        assert_eq!(filters(Some("allow"), None).level, Level::Warn);
        assert_eq!(filters(None, Some(None)).level, Level::Warn);
        let finding = filters(Some("kill allow"), Some(Some("2.5.4".to_owned())));
        assert_eq!(finding.level, Level::Ok);
        assert_eq!(
            finding.message,
            "the kernel knows kill allow, libseccomp 2.5.4"
        );
    }

    #[test]
    fn what_enforces_is_said() {
        let finding = security_modules(Some("selinux"), false, true);
        assert_eq!(finding.level, Level::Ok);
        assert_eq!(
            finding.message,
            "selinux; AppArmor is off; SELinux enforces labels"
        );
        let finding = security_modules(None, true, false);
        assert_eq!(
            finding.message,
            "the list of modules can't be read; AppArmor profiles apply; SELinux enforces nothing"
        );
    }
}
