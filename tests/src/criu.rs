//! A criu that works on this kernel: the host's, or the one that `tests/peers` fetches.

use crate::locate::peers_dir;
use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// What `PATH` has to be for it.
///
/// # Errors
/// Why there is none, as criu itself says.
pub fn search_path() -> Result<OsString, String> {
    let own = env::var_os("PATH").unwrap_or_default();
    let Err(reason) = check(&own) else {
        return Ok(own);
    };
    let Some(peers) = peers_dir("forky") else {
        return Err(reason);
    };
    let mut paths = vec![peers.join("bin")];
    paths.extend(env::split_paths(&own));
    let path = env::join_paths(paths).map_err(|error| error.to_string())?;
    check(&path).map(|()| path).map_err(|_| reason)
}

fn check(path: &OsString) -> Result<(), String> {
    let mut command = Command::new("criu");
    let command = command.arg("check").env("PATH", path);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("criu: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().find(|line| line.contains("Error"));
    Err(error.unwrap_or("criu check failed").trim().to_owned())
}
