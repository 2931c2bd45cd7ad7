//! Fields that the specification has and that are not honoured yet: refused by name, never dropped
//! in silence.

use crate::error::{Error, Result};
use crate::spec::{Linux, Spec};

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

fn in_linux(linux: &Linux) -> Result<()> {
    refuse_if(linux.intel_rdt.is_some(), "linux.intelRdt")
}
