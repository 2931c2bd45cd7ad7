//! The process that `exec` runs, from the container's own and the command line.

use orlop::spec::Process;

use crate::failure::Failure;

/// What the command line says.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The program and its arguments.
    pub(super) args: Vec<String>,
    /// The working directory.
    pub(super) cwd: Option<String>,
    /// More environment.
    pub(super) env: Vec<String>,
    /// Whether there is a terminal.
    pub(super) terminal: bool,
    /// `UID[:GID]`.
    pub(super) user: Option<String>,
    /// More supplementary groups.
    pub(super) additional_gids: Vec<String>,
    /// The SELinux context.
    pub(super) selinux_label: Option<String>,
    /// The AppArmor profile.
    pub(super) apparmor_profile: Option<String>,
    /// Whether privileges can never be gained.
    pub(super) no_new_privileges: Option<bool>,
    /// More capabilities.
    pub(super) capabilities: Vec<String>,
}

/// Changes a container's own process into the one to run.
pub(super) fn build(base: Process, changes: Changes) -> Result<Process, Failure> {
    let mut process = base;
    process.args = changes.args;
    process.command_line = None;
    process.terminal = changes.terminal;
    process.console_size = None;
    process.env.extend(changes.env);
    replace(&mut process.selinux_label, changes.selinux_label);
    replace(&mut process.apparmor_profile, changes.apparmor_profile);
    if let Some(cwd) = changes.cwd {
        process.cwd = cwd;
    }
    if let Some(no_new_privileges) = changes.no_new_privileges {
        process.no_new_privileges = no_new_privileges;
    }
    if let Some(user) = changes.user {
        (process.user.uid, process.user.gid) = user_and_group(&user, process.user.gid)?;
    }
    for group in &changes.additional_gids {
        let group = id(group).ok_or_else(|| not_an_id("--additional-gids", group))?;
        process.user.additional_gids.push(group);
    }
    add_capabilities(&mut process, changes.capabilities);
    Ok(process)
}

fn replace(field: &mut Option<String>, value: Option<String>) {
    if value.is_some() {
        *field = value;
    }
}

fn add_capabilities(process: &mut Process, names: Vec<String>) {
    if names.is_empty() {
        return;
    }
    let sets = process.capabilities.get_or_insert_default();
    // Who has inheritable capabilities is not stripped of a new one by an exec, either (runc).
    let passes_on = !sets.inheritable.is_empty();
    for name in names {
        if passes_on && !sets.ambient.contains(&name) && sets.inheritable.contains(&name) {
            sets.ambient.push(name.clone());
        }
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            if !set.contains(&name) {
                set.push(name.clone());
            }
        }
    }
}

/// `UID` or `UID:GID`, in plain decimal numbers.
fn user_and_group(text: &str, gid: u32) -> Result<(u32, u32), Failure> {
    let bad = || not_an_id("--user", text);
    match text.split_once(':') {
        None => Ok((id(text).ok_or_else(bad)?, gid)),
        Some((user, group)) => Ok((id(user).ok_or_else(bad)?, id(group).ok_or_else(bad)?)),
    }
}

/// An id: digits only, and not the number that means "none" to the kernel. Whatever is not exactly
/// that must fail: read as 0, it would be root.
fn id(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    let number = text.parse().ok().filter(|_| plain && !leading_zero)?;
    (number != u32::MAX).then_some(number)
}

fn not_an_id(option: &str, text: &str) -> Failure {
    Failure::new(format!(
        "{option} {text:?}: ids are decimal numbers from 0 to 4294967294"
    ))
}

#[cfg(test)]
mod tests {
    use orlop::spec::default_spec;

    use super::*;

    fn base() -> Process {
        default_spec().process.unwrap()
    }

    #[test]
    fn without_options_only_the_program_changes() {
        let process = build(
            base(),
            Changes {
                args: vec!["id".to_owned()],
                ..Changes::default()
            },
        );
        let wanted = Process {
            args: vec!["id".to_owned()],
            terminal: false,
            ..base()
        };
        assert_eq!(process, Ok(wanted));
    }

    #[test]
    fn options_change_what_they_name() {
        let changes = Changes {
            cwd: Some("/tmp".to_owned()),
            env: vec!["A=1".to_owned()],
            terminal: true,
            user: Some("5:6".to_owned()),
            additional_gids: vec!["7".to_owned()],
            no_new_privileges: Some(false),
            capabilities: vec!["CAP_CHOWN".to_owned(), "CAP_KILL".to_owned()],
            apparmor_profile: Some("p".to_owned()),
            ..Changes::default()
        };
        let process = build(base(), changes).unwrap();
        assert_eq!((process.cwd.as_str(), process.terminal), ("/tmp", true));
        assert_eq!(process.env.last().map(String::as_str), Some("A=1"));
        assert_eq!(
            (
                process.user.uid,
                process.user.gid,
                process.user.additional_gids
            ),
            (5, 6, vec![7])
        );
        assert!(!process.no_new_privileges);
        let sets = process.capabilities.unwrap();
        for set in [sets.bounding, sets.effective, sets.permitted] {
            assert_eq!(
                set,
                [
                    "CAP_AUDIT_WRITE",
                    "CAP_KILL",
                    "CAP_NET_BIND_SERVICE",
                    "CAP_CHOWN"
                ]
            );
        }
        assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
    }

    #[test]
    fn users_are_numbers_and_nothing_else() {
        for (text, wanted) in [
            ("0", (0, 9)),
            ("1", (1, 9)),
            ("1:2", (1, 2)),
            ("2147483648", (2_147_483_648, 9)),
            ("4294967294", (4_294_967_294, 9)),
        ] {
            assert_eq!(user_and_group(text, 9), Ok(wanted));
        }
        let long = "1".repeat(41);
        for bad in [
            "",
            "1:",
            ":1",
            ":",
            "+1",
            "-1",
            "01",
            "00",
            "1e3",
            "0x1",
            "4294967295",
            "4294967296",
            " 1",
            "1\n",
            "1 ",
            "root",
            "1:root",
            "1:2:3",
            "1.5",
            &long,
        ] {
            assert!(user_and_group(bad, 9).is_err(), "{bad:?}");
        }
    }
}
