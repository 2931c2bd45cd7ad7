//! User namespaces, and the ids that a user may map into them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::Finding;
use crate::user_namespace::Settings;

pub(super) fn findings() -> Vec<Finding> {
    let caller = Caller::now();
    vec![
        user_namespaces(&Settings::now()),
        id_mappers(),
        sub_ids(&caller, |path| std::fs::read_to_string(path).ok()),
    ]
}

fn user_namespaces(settings: &Settings) -> Finding {
    let check = "users.namespaces";
    let is = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
    if settings.max.is_none() {
        return Finding::warn(
            check,
            "no user namespaces",
            "boot a kernel with CONFIG_USER_NS",
        );
    }
    if is(&settings.max, "0") {
        return Finding::warn(
            check,
            "user namespaces are switched off (user.max_user_namespaces = 0)",
            "sysctl user.max_user_namespaces=15000",
        );
    }
    if is(&settings.unprivileged, "0") {
        return Finding::warn(
            check,
            "only root may make user namespaces (kernel.unprivileged_userns_clone = 0)",
            "sysctl kernel.unprivileged_userns_clone=1",
        );
    }
    if is(&settings.apparmor, "1") {
        return Finding::warn(
            check,
            "AppArmor lets only named programs make user namespaces with privileges \
             (kernel.apparmor_restrict_unprivileged_userns = 1)",
            "load an AppArmor profile with `userns,` for the runtime's program",
        );
    }
    let max = settings.max.as_deref().unwrap_or_default();
    Finding::ok(check, format!("any user may make them, at most {max}"))
}

fn id_mappers() -> Finding {
    const PLACES: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];
    let check = "users.idmappers";
    let mut lacking = Vec::new();
    for program in ["newuidmap", "newgidmap"] {
        let path = PLACES
            .iter()
            .map(|place| Path::new(place).join(program))
            .find(|path| path.exists());
        match path {
            None => lacking.push(format!("{program} is missing")),
            Some(path) if !may_gain_privilege(&path) => {
                lacking.push(format!(
                    "{} is neither setuid root nor has capabilities",
                    path.display()
                ));
            }
            Some(_) => {}
        }
    }
    if lacking.is_empty() {
        return Finding::ok(check, "newuidmap and newgidmap are there");
    }
    let message = format!("{}: users can map their own id only", lacking.join(", "));
    Finding::warn(
        check,
        message,
        "apt-get install uidmap (elsewhere: shadow-utils)",
    )
}

fn may_gain_privilege(path: &Path) -> bool {
    const SETUID: u32 = 0o4000;
    let setuid = std::fs::metadata(path)
        .is_ok_and(|file| file.uid() == 0 && file.permissions().mode() & SETUID != 0);
    let mut capabilities = [0; 64];
    setuid || rustix::fs::getxattr(path, "security.capability", &mut capabilities).is_ok()
}

/// Who asks.
#[derive(Debug)]
struct Caller {
    uid: u32,
    name: Option<String>,
}

impl Caller {
    fn now() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self {
            uid,
            name: name_of(uid, &users),
        }
    }
}

fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn sub_ids(caller: &Caller, read: impl Fn(&str) -> Option<String>) -> Finding {
    let check = "users.subids";
    let mut lacking = Vec::new();
    let mut counts = Vec::new();
    for file in ["/etc/subuid", "/etc/subgid"] {
        match count(caller, &read(file).unwrap_or_default()) {
            0 => lacking.push(file),
            ids => counts.push(ids),
        }
    }
    let who = caller
        .name
        .clone()
        .unwrap_or_else(|| caller.uid.to_string());
    if lacking.is_empty() {
        let ids = counts.into_iter().min().unwrap_or_default();
        return Finding::ok(check, format!("{who} may map {ids} further ids"));
    }
    if caller.uid == 0 {
        // Root maps whatever it likes.
        return Finding::ok(
            check,
            "root needs no entries in /etc/subuid and /etc/subgid",
        );
    }
    let message = format!(
        "no ids for {who} in {}: users can map their own id only",
        lacking.join(", ")
    );
    let advice = format!("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {who}");
    Finding::warn(check, message, advice)
}

/// How many ids `name-or-uid:first:count` lines give.
fn count(caller: &Caller, text: &str) -> u64 {
    let counts = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (owner, count) = (fields.next()?, fields.nth(1)?);
        let is_callers = Some(owner) == caller.name.as_deref() || owner.parse() == Ok(caller.uid);
        count.trim().parse::<u64>().ok().filter(|_| is_callers)
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::user_namespace::testing::settings;

    #[test]
    fn each_switch_is_named() {
        for (found, text) in [
            (settings("", "", ""), "no user namespaces"),
            (settings("0", "", ""), "user.max_user_namespaces"),
            (settings("100", "0", ""), "kernel.unprivileged_userns_clone"),
            (
                settings("100", "1", "1"),
                "apparmor_restrict_unprivileged_userns",
            ),
        ] {
            let finding = user_namespaces(&found);
            assert_eq!(finding.level, Level::Warn);
            assert!(finding.message.contains(text), "{}", finding.message);
        }
        assert_eq!(user_namespaces(&settings("100", "1", "0")).level, Level::Ok);
        assert_eq!(user_namespaces(&settings("100", "", "")).level, Level::Ok);
    }

    #[test]
    fn ids_are_counted_by_name_and_number() {
        let caller = Caller {
            uid: 1000,
            name: Some("u".to_owned()),
        };
        let text = "u:100000:65536\n1000:1:4\nother:5:6\nbad\nu:x:y\n";
        assert_eq!(count(&caller, text), 65540);
        assert_eq!(sub_ids(&caller, |_| Some(text.to_owned())).level, Level::Ok);
        let half = |path: &str| path.ends_with("subuid").then(|| text.to_owned());
        let finding = sub_ids(&caller, half);
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.message.contains("/etc/subgid") && !finding.message.contains("subuid"));
        let root = Caller {
            uid: 0,
            name: Some("root".to_owned()),
        };
        assert_eq!(sub_ids(&root, |_| None).level, Level::Ok);
    }

    #[test]
    fn users_have_names() {
        let users = "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/:/bin/sh\nbroken\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("u"));
        assert_eq!(name_of(7, users), None);
    }
}
