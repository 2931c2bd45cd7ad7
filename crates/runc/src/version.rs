//! The version, in the lines that callers of runc read.

use std::fmt::Write as _;

/// What `--version` prints. The first line has to start with `runc version `: go-runc and Docker
/// look for it.
pub(crate) fn text() -> String {
    let mut text = format!(
        "runc version {version}\ncommit: orlop-{version}\nspec: {}\n",
        orlop::spec::OCI_VERSION,
        version = env!("CARGO_PKG_VERSION"),
    );
    if let Some(version) = orlop::seccomp::library_version() {
        let _ = writeln!(text, "libseccomp: {version}");
    }
    text
}
