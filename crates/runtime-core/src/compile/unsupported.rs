//! Fields that the specification has and that are not honoured yet: refused by name, never dropped
//! in silence.

use crate::error::{Error, Result};
use crate::spec::{Linux, Process, Spec};

pub(super) fn refuse(spec: &Spec) -> Result<()> {
    // Within a major version fields are only added (the specification follows semver.org).
    let major = spec.oci_version.split('.').next();
    if major.is_some_and(|major| major.parse::<u32>().is_ok_and(|major| major > 1)) {
        let message = format!(
            "{:?} is newer than what this release understands, version 1",
            spec.oci_version
        );
        return Err(Error::invalid("ociVersion", message));
    }
    if let Some(process) = &spec.process {
        in_process(process)?;
    }
    spec.linux.as_ref().map_or(Ok(()), in_linux)
}

fn refuse_if(present: bool, field: impl Into<String>) -> Result<()> {
    if present {
        Err(Error::Unsupported {
            field: field.into(),
        })
    } else {
        Ok(())
    }
}

fn is_set(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn in_process(process: &Process) -> Result<()> {
    refuse_if(
        is_set(process.selinux_label.as_ref()),
        "process.selinuxLabel",
    )
}

fn in_linux(linux: &Linux) -> Result<()> {
    refuse_if(!linux.net_devices.is_empty(), "linux.netDevices")?;
    refuse_if(is_set(linux.mount_label.as_ref()), "linux.mountLabel")?;
    refuse_if(linux.intel_rdt.is_some(), "linux.intelRdt")
}
