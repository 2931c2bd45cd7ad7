//! `orlop-runc`: the command line of runc over the `orlop` library.
//!
//! Whatever starts containers through runc (containerd, Docker, Podman, CRI-O, BuildKit) can start
//! them through this program: same commands, options, exit statuses, output and log. All that it does
//! itself is arguments and output; containers are the library's.

#![cfg_attr(not(test), no_main)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod advice;
mod arena;
mod cli;
mod commands;
mod context;
#[cfg(not(test))]
mod entry;
mod failure;
mod foreground;
#[cfg(test)]
mod golden;
mod log;
mod version;

use std::ffi::OsString;
use std::io::{self, Write as _};

use cli::{Help, Parsed, UsageError};
use context::{Context, open_log};
use failure::Failure;
use log::Log;

/// The exit status where the command does not exist.
const NO_SUCH_COMMAND: u8 = 3;

/// The exit status of any other usage error.
const USAGE: u8 = 1;

#[global_allocator]
static ALLOCATOR: arena::Arena = arena::Arena;

#[cfg(test)]
fn main() -> std::process::ExitCode {
    run(std::env::args_os().skip(1)).into()
}

/// The whole program, from its arguments to its exit status.
fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let parsed = cli::parse(commands::ALL, arguments);
    match parsed {
        Ok(Parsed::Run {
            globals,
            command,
            matches,
        }) => {
            let preserved = commands::check_preserved(command, &matches);
            match Context::new(&globals) {
                Ok(context) => {
                    context
                        .log
                        .debug(|| format!("{} {:?}", command.name, matches.arguments()));
                    let result = preserved.and_then(|()| (command.run)(&context, &matches));
                    report(result, &context.log)
                }
                Err((failure, log)) => report(Err(failure), &log),
            }
        }
        Ok(Parsed::Help(Some(command))) => print(&cli::help(command)),
        Ok(Parsed::Help(None)) => print(&cli::general_help(commands::ALL)),
        Ok(Parsed::Version) => print(&version::text()),
        Err(error) => usage(&error),
    }
}

/// The exit status of a command that is over, told to the log where it failed.
fn report(result: Result<u8, Failure>, log: &Log) -> u8 {
    result.unwrap_or_else(|failure| {
        log.error(&failure.message);
        failure.code
    })
}

/// As callers expect: what is wrong in the log, and the help on standard output.
fn usage(error: &UsageError) -> u8 {
    let log = open_log(&error.globals).unwrap_or_else(|_| Log::standard_error());
    let (help, code) = match error.help {
        Help::None => (String::new(), NO_SUCH_COMMAND),
        Help::General => (cli::general_help(commands::ALL), USAGE),
        Help::Of(command) => (cli::help(command), USAGE),
    };
    if !help.is_empty() {
        print(&format!("Incorrect Usage. {error}\n\n{help}"));
    }
    log.error(&error.message);
    code
}

fn print(text: &str) -> u8 {
    // `print!` would panic where standard output is closed.
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}
