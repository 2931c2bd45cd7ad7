//! Labels of Linux security modules: AppArmor profiles and SELinux contexts.

use orlop_init::Op;
use orlop_init::wire::Slot;

use super::Compiler;
use crate::error::Result;
use crate::host::Host;
use crate::plan::PlanBuilder;
use crate::spec::Process;

/// File systems whose labels are the kernel's own.
const SELF_LABELLED: [&str; 5] = ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"];

fn is_set(label: Option<&String>) -> bool {
    label.is_some_and(|text| !text.is_empty())
}

/// Whether something has to be written below `/proc/self/attr`.
pub(super) fn needs_proc(process: &Process) -> bool {
    is_set(process.apparmor_profile.as_ref()) || is_set(process.selinux_label.as_ref())
}

/// Labels that the program gets when it is executed.
pub(super) fn push(
    build: &mut PlanBuilder,
    process: &Process,
    host: &Host,
    proc: Slot,
) -> Result<()> {
    let profile = process.apparmor_profile.as_deref().unwrap_or_default();
    if !profile.is_empty() {
        build.at("process.apparmorProfile");
        if !host.apparmor {
            return Err(build.error(format!(
                "{profile:?} can't be applied: AppArmor is not enabled on this host (enable it, or remove the field)"
            )));
        }
        push_write(
            build,
            proc,
            "self/attr/apparmor/exec",
            &format!("exec {profile}"),
        )?;
    }
    let label = process.selinux_label.as_deref().unwrap_or_default();
    if !label.is_empty() {
        build.at("process.selinuxLabel");
        must_have_selinux(build, host, label)?;
        push_write(build, proc, "self/attr/exec", label)?;
    }
    build.at_none();
    Ok(())
}

/// The session keyring is the process's; the kernel forgets this at the next exec.
pub(super) fn push_keyring(
    build: &mut PlanBuilder,
    process: &Process,
    host: &Host,
    proc: Slot,
) -> Result<()> {
    let label = process.selinux_label.as_deref().unwrap_or_default();
    if !label.is_empty() {
        build.at("process.selinuxLabel");
        must_have_selinux(build, host, label)?;
        push_write(build, proc, "self/attr/keycreate", label)?;
        build.at_none();
    }
    Ok(())
}

fn push_write(build: &mut PlanBuilder, proc: Slot, path: &str, data: &str) -> Result<()> {
    let (path, data) = (build.str(path)?, build.str(data)?);
    build.push(Op::WriteProc { proc, path, data });
    Ok(())
}

fn must_have_selinux(build: &PlanBuilder, host: &Host, label: &str) -> Result<()> {
    if host.selinux {
        return Ok(());
    }
    let message = format!(
        "{label:?} can't be applied: SELinux is not enabled on this host (enable it, or remove the field)"
    );
    Err(build.error(message))
}

impl Compiler<'_> {
    /// Early, and not only where a file system happens to be mounted.
    pub(super) fn check_mount_label(&mut self) -> Result<()> {
        let label = self.linux.mount_label.as_deref().unwrap_or_default();
        if label.is_empty() {
            return Ok(());
        }
        self.build.at("linux.mountLabel");
        if label.contains('"') {
            return Err(self
                .build
                .error(format!("{label:?} has a quotation mark in it")));
        }
        must_have_selinux(&self.build, self.host, label)?;
        self.build.at_none();
        Ok(())
    }

    /// A new file system's options with the container's label.
    pub(super) fn labelled(&self, kind: &str, data: String) -> String {
        let label = self.linux.mount_label.as_deref().unwrap_or_default();
        if label.is_empty() || SELF_LABELLED.contains(&kind) {
            return data;
        }
        // Quoted: a context may have commas in it, which would end the option.
        match data.as_str() {
            "" => format!("context=\"{label}\""),
            data => format!("{data},context=\"{label}\""),
        }
    }

    /// mqueue takes no label when it is mounted.
    pub(super) fn label_mounted(&mut self, kind: &str, target: &str) -> Result<()> {
        let label = self.linux.mount_label.as_deref().unwrap_or_default();
        if kind != "mqueue" || label.is_empty() {
            return Ok(());
        }
        let op = Op::SecurityLabel {
            root: self.root,
            path: self.build.str(target)?,
            label: self.build.str(label)?,
        };
        self.build.push(op);
        Ok(())
    }
}
