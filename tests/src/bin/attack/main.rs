//! `attack WHAT …`: what the security tests run inside of containers (and a few beside them).
//!
//! - `exe REPORT`: opens the program of every process and tries to write it, without end;
//! - `attach REPORT`: attaches to every new process and walks its descriptors, without end;
//! - `syscalls`: makes calls that a container should be refused, and prints each one's errno;
//! - `abis`: makes one call through every ABI of the processor;
//! - `devices NAME=TYPE:MAJOR:MINOR …`: makes and opens device nodes;
//! - `writable FOLDER …`: lists the files that can be opened for writing;
//! - `terminal`: puts a line into the input of the terminals it was given;
//! - `key with NAME PROGRAM …`, `key find NAME`: a key in the session keyring;
//! - `hook FILE`: writes down a hook's environment, folder and standard input.

mod attach;
mod calls;
mod devices;
mod exe;
mod keys;
mod processes;
mod sys;
mod terminal;
mod writable;

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match attack(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attack: {error}");
            ExitCode::from(125)
        }
    }
}

fn attack(arguments: &[OsString]) -> io::Result<()> {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "see the head of this program");
    let (what, rest) = arguments.split_first().ok_or_else(usage)?;
    let first = || rest.first().map(Path::new).ok_or_else(usage);
    match what.to_str() {
        Some("exe") => exe::overwrite_all(first()?),
        Some("attach") => attach::attach_to_all(first()?),
        Some("syscalls") => {
            calls::print_refusals();
            Ok(())
        }
        Some("abis") => {
            calls::print_abis();
            Ok(())
        }
        Some("devices") => devices::open_all(rest),
        Some("writable") => writable::list(rest),
        Some("terminal") => {
            terminal::type_into_all();
            Ok(())
        }
        Some("key") => keys::run(rest),
        Some("hook") => record_hook(first()?),
        _ => Err(usage()),
    }
}

/// One `env:` line for each variable, `cwd:`, and `stdin:` with the state in one line.
fn record_hook(file: &Path) -> io::Result<()> {
    let mut text = String::new();
    for (name, value) in std::env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        text += &format!("env:{name}={value}\n");
    }
    text += &format!("cwd:{}\n", std::env::current_dir()?.display());
    let mut state = String::new();
    io::stdin().read_to_string(&mut state)?;
    text += &format!("stdin:{}\n", state.replace('\n', " "));
    std::fs::write(file, text)
}
