//! Which versions of the specification are understood.

use crate::error::{Error, Result};
use crate::spec::Spec;

/// Within a major version fields are only added (the specification follows semver.org).
pub(super) fn refuse_newer(spec: &Spec) -> Result<()> {
    let major = spec.oci_version.split('.').next();
    if major.is_some_and(|major| major.parse::<u32>().is_ok_and(|major| major > 1)) {
        let message = format!(
            "{:?} is newer than what this release understands, version 1",
            spec.oci_version
        );
        return Err(Error::invalid("ociVersion", message));
    }
    Ok(())
}
