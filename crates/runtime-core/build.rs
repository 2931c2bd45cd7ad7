//! Says which package is missing before the linker says it in its own words.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBSECCOMP_LIB_PATH");
    println!("cargo::rerun-if-env-changed=LIBSECCOMP_LINK_TYPE");
    if env::var_os("CARGO_FEATURE_SECCOMP").is_some() && !libseccomp_is_installed() {
        println!(
            "cargo::error=libseccomp is missing: apt-get install libseccomp-dev, or set LIBSECCOMP_LIB_PATH \
             to its folder, or build without the cargo feature `seccomp`"
        );
    }
}

/// Looks where linkers look by default. A host with another layout says so in
/// `LIBSECCOMP_LIB_PATH`, which the bindings read as well.
fn libseccomp_is_installed() -> bool {
    let linked_statically =
        env::var("LIBSECCOMP_LINK_TYPE").is_ok_and(|kind| kind.starts_with("static"));
    let file = if linked_statically {
        "libseccomp.a"
    } else {
        "libseccomp.so"
    };
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let mut directories = vec![
        PathBuf::from(format!("/usr/lib/{arch}-linux-gnu")),
        PathBuf::from(format!("/lib/{arch}-linux-gnu")),
    ];
    directories.extend(
        [
            "/usr/local/lib",
            "/usr/local/lib64",
            "/usr/lib64",
            "/lib64",
            "/usr/lib",
            "/lib",
        ]
        .map(PathBuf::from),
    );
    directories.extend(env::var_os("LIBSECCOMP_LIB_PATH").map(PathBuf::from));
    directories
        .iter()
        .any(|directory| directory.join(file).exists())
}
