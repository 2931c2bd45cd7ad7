//! A key of the caller's that the container must not see.

use crate::sys;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `with NAME PROGRAM …` executes a program in a new session keyring with that key; `find NAME`
/// prints `found` or the errno of the search.
pub(crate) fn run(arguments: &[OsString]) -> io::Result<()> {
    let [verb, name, command @ ..] = arguments else {
        return Err(io::Error::other("key with|find NAME"));
    };
    let name = CString::new(name.as_bytes())?;
    if verb == "find" {
        let result = sys::find_key(&name);
        match result {
            Ok(()) => println!("found"),
            Err(error) => println!("{}", error.raw_os_error().unwrap_or(0)),
        }
        return Ok(());
    }
    let (program, rest) = command
        .split_first()
        .ok_or_else(|| io::Error::other("no program"))?;
    sys::new_session_keyring()?;
    sys::add_key(&name)?;
    Err(Command::new(program).args(rest).exec())
}
