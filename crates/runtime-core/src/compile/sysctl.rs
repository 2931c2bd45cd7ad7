//! Kernel parameters: only those that belong to a namespace of the container's own.

use orlop_init::Op;
use orlop_init::wire::Slot;

use super::Compiler;
use crate::error::Result;

const IPC: u32 = libc::CLONE_NEWIPC as u32;
const UTS: u32 = libc::CLONE_NEWUTS as u32;
const NETWORK: u32 = libc::CLONE_NEWNET as u32;

/// Parameters of the IPC namespace (`ipc_namespaces(7)`).
const IPC_KEYS: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// The file below `/proc/sys`: dots separate, unless the first separator is a slash (`sysctl.d(5)`).
fn path_of(key: &str) -> Option<String> {
    let path: String = match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'.' => key
            .chars()
            .map(|character| match character {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@".contains(&byte);
    let parts_are_names = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (path.bytes().all(plain) && parts_are_names).then_some(path)
}

impl Compiler<'_> {
    pub(super) fn sysctls(&mut self, proc: Slot) -> Result<()> {
        for (key, value) in &self.linux.sysctl {
            self.build.at(format!("linux.sysctl[{key:?}]"));
            let Some(path) = path_of(key) else {
                return Err(self.build.error("is no name of a kernel parameter"));
            };
            self.check_namespace(&path)?;
            let path = self.build.str(&format!("sys/{path}"))?;
            let data = self.build.str(value)?;
            self.build.push(Op::WriteProc { proc, path, data });
        }
        self.build.at_none();
        Ok(())
    }

    fn check_namespace(&self, path: &str) -> Result<()> {
        let (flag, name) = match path {
            "kernel/hostname" => {
                return Err(self.build.error("use the field hostname in its place"));
            }
            "kernel/domainname" => (UTS, "UTS"),
            _ if IPC_KEYS.contains(&path) || path.starts_with("fs/mqueue/") => (IPC, "IPC"),
            _ if path.starts_with("net/") => (NETWORK, "network"),
            _ => {
                let message = "belongs to the whole host, not to a namespace; it can't be set here (set it on the host, and remove the field)";
                return Err(self.build.error(message));
            }
        };
        if self.namespaces.is_private(flag) {
            return Ok(());
        }
        let message = format!("needs a {name} namespace of its own in linux.namespaces");
        Err(self.build.error(message))
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn only_names_below_proc_sys() {
        assert_eq!(
            path_of("net.ipv4.ip_forward").as_deref(),
            Some("net/ipv4/ip_forward")
        );
        assert_eq!(
            path_of("net/ipv4/conf/eth0.1/x").as_deref(),
            Some("net/ipv4/conf/eth0.1/x")
        );
        assert_eq!(
            path_of("net.ipv4.conf.eth0/1.x").as_deref(),
            Some("net/ipv4/conf/eth0.1/x")
        );
        for bad in [
            "kernel/../core_pattern",
            "net..x",
            "",
            "/net/x",
            "net.x=1+kernel.y",
            "net. x",
        ] {
            assert_eq!(path_of(bad), None, "{bad}");
        }
    }
}
