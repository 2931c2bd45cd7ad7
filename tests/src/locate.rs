//! Finds the programs that the tests drive.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The runtime under test: `$ORLOP_RUNC`, else the release build beside the running test, else its
/// debug build.
///
/// # Errors
/// `NotFound` with what to do.
pub fn runtime_under_test() -> io::Result<PathBuf> {
    if let Some(path) = env::var_os("ORLOP_RUNC") {
        let path = PathBuf::from(path);
        return if is_executable(&path) {
            Ok(path)
        } else {
            Err(not_found(&format!(
                "ORLOP_RUNC={} is not an executable file",
                path.display()
            )))
        };
    }
    let target = target_dir()?;
    ["release", "debug"]
        .iter()
        .map(|profile| target.join(profile).join("orlop-runc"))
        .find(|path| is_executable(path))
        .ok_or_else(|| {
            not_found(&format!(
                "no orlop-runc in {}: run `cargo build --release -p orlop-runc` or set ORLOP_RUNC",
                target.display()
            ))
        })
}

/// The runtime under test, built with the feature `failpoints`: `$ORLOP_RUNC_FAILPOINTS`, else from
/// `failpoints/` in the target folder, else the debug build, which has all features when the whole
/// workspace is tested with all features.
///
/// # Errors
/// `NotFound` with what to do.
pub fn runtime_with_failpoints() -> io::Result<PathBuf> {
    if let Some(path) = env::var_os("ORLOP_RUNC_FAILPOINTS") {
        return Ok(path.into());
    }
    let target = target_dir()?;
    ["failpoints/release", "failpoints/debug", "debug"]
        .iter()
        .map(|folder| target.join(folder).join("orlop-runc"))
        .find(|path| has_failpoints(path))
        .ok_or_else(|| {
            not_found(&format!(
                "no orlop-runc with failpoints in {0}: run `cargo build -p orlop-runc --features \
                 orlop/failpoints --target-dir {0}/failpoints` or set ORLOP_RUNC_FAILPOINTS",
                target.display()
            ))
        })
}

/// A program that can be told by the variable has its name in it.
fn has_failpoints(program: &Path) -> bool {
    const VARIABLE: &[u8] = b"ORLOP_FAILPOINT";
    std::fs::read(program).is_ok_and(|bytes| {
        bytes
            .windows(VARIABLE.len())
            .any(|window| window == VARIABLE)
    })
}

/// A program of this package, such as `view`, built beside the running one.
///
/// # Errors
/// `NotFound` with what to do.
pub fn sibling(name: &str) -> io::Result<PathBuf> {
    let me = env::current_exe()?;
    me.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
        .ok_or_else(|| not_found(&format!("no program {name} beside {}", me.display())))
}

/// The first executable file of that name in `PATH`.
#[must_use]
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Where `tests/peers` keeps the runtimes of a newer suite: `$XDG_CACHE_HOME/orlop/peers/<suite>`.
#[must_use]
pub fn peers_dir(suite: &str) -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    let folder = cache.join("orlop/peers").join(suite);
    folder.join("versions").exists().then_some(folder)
}

/// Cargo's target folder, two or three levels above the running program.
fn target_dir() -> io::Result<PathBuf> {
    let me = env::current_exe()?;
    me.ancestors()
        .find(|folder| {
            folder
                .file_name()
                .is_some_and(|name| name == OsStr::new("debug") || name == OsStr::new("release"))
        })
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .ok_or_else(|| not_found(&format!("{} is in no cargo target folder", me.display())))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn not_found(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, text)
}
