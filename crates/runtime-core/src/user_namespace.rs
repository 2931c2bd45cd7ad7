//! The host's settings about user namespaces, and what they refuse.

/// The kernel's settings, where it has them.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// `user.max_user_namespaces`; without it the kernel has no user namespaces.
    pub(crate) max: Option<String>,
    /// `kernel.unprivileged_userns_clone`, a patch of Debian and its kin.
    pub(crate) unprivileged: Option<String>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, a patch of Ubuntu.
    pub(crate) apparmor: Option<String>,
}

impl Settings {
    pub(crate) fn now() -> Self {
        Self {
            max: line_of("/proc/sys/user/max_user_namespaces"),
            unprivileged: line_of("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor: line_of("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        }
    }

    /// Why a new user namespace was refused with this error number, and what to do.
    pub(crate) fn refusal(&self, errno: i32) -> Option<&'static str> {
        let is = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
        match errno {
            libc::EINVAL if self.max.is_none() => {
                Some("this kernel has no user namespaces: it needs CONFIG_USER_NS")
            }
            libc::ENOSPC if is(&self.max, "0") => {
                Some("user namespaces are switched off here: sysctl user.max_user_namespaces=15000")
            }
            libc::ENOSPC => Some(
                "this user has all the user namespaces that the sysctl user.max_user_namespaces \
                 allows, or they are nested 32 deep",
            ),
            libc::EPERM if is(&self.unprivileged, "0") => Some(
                "only root may make user namespaces here: \
                 sysctl kernel.unprivileged_userns_clone=1",
            ),
            _ => self.without_privilege(errno),
        }
    }

    /// Why something in a new user namespace was refused with this error number that takes a
    /// capability of that namespace, where it is a setting.
    pub(crate) fn without_privilege(&self, errno: i32) -> Option<&'static str> {
        let denied = matches!(errno, libc::EPERM | libc::EACCES);
        (denied && self.apparmor.as_deref() == Some("1")).then_some(
            "AppArmor gives no privilege in user namespaces here: load a profile with `userns,` \
             for this program, or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        )
    }
}

fn line_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Settings;

    /// Settings of these texts; an empty one is not there.
    pub(crate) fn settings(max: &str, unprivileged: &str, apparmor: &str) -> Settings {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Settings {
            max: some(max),
            unprivileged: some(unprivileged),
            apparmor: some(apparmor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::settings;

    #[test]
    fn each_refusal_names_its_setting() {
        for (found, errno, text) in [
            (settings("", "", ""), libc::EINVAL, "CONFIG_USER_NS"),
            (
                settings("0", "", ""),
                libc::ENOSPC,
                "user.max_user_namespaces=15000",
            ),
            (settings("9", "", ""), libc::ENOSPC, "nested 32 deep"),
            (
                settings("9", "0", ""),
                libc::EPERM,
                "unprivileged_userns_clone=1",
            ),
            (
                settings("9", "1", "1"),
                libc::EACCES,
                "apparmor_restrict_unprivileged_userns=0",
            ),
        ] {
            let hint = found.refusal(errno).unwrap_or_default();
            assert!(hint.contains(text), "{hint}");
        }
    }

    #[test]
    fn other_refusals_are_not_explained_by_settings() {
        assert_eq!(settings("9", "1", "0").refusal(libc::EPERM), None);
        assert_eq!(settings("9", "", "").refusal(libc::EINVAL), None);
        assert_eq!(settings("9", "", "1").without_privilege(libc::EINVAL), None);
    }
}
