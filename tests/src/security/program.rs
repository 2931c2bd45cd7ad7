//! Puts the program `attack` into a root file system.

use crate::bundle::Bundle;
use crate::locate;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the program is in the container.
pub const ATTACK: &str = "/bin/attack";

/// Copies `attack` and the shared libraries that it needs into the bundle's root file system.
///
/// # Panics
/// When it isn't built or can't be copied.
#[track_caller]
pub fn install(bundle: &Bundle) {
    try_install(&bundle.rootfs()).expect("copy the program `attack` into the root file system");
}

/// The program on the host.
///
/// # Panics
/// When it isn't built.
#[must_use]
#[track_caller]
pub fn on_host() -> PathBuf {
    locate::sibling("attack").expect("the program `attack` is built with the tests")
}

fn try_install(rootfs: &Path) -> io::Result<()> {
    let program = locate::sibling("attack")?;
    fs::copy(&program, rootfs.join(&ATTACK[1..]))?;
    for library in libraries(&program)? {
        let target = rootfs.join(library.strip_prefix("/").unwrap_or(&library));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&library, target)?;
    }
    Ok(())
}

/// The absolute paths in the output of `ldd(1)`.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}
