//! `view host|v1|v2 [--linker FOLDER] -- PROGRAM ARGUMENTS`: executes a program in a private mount
//! namespace in which only one cgroup version is to be seen. See `orlop_tests::view`.

use orlop_tests::view::View;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match execute() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("view: {error}");
            ExitCode::from(125)
        }
    }
}

fn execute() -> io::Result<std::convert::Infallible> {
    let mut arguments = std::env::args_os().skip(1);
    let mut next = |what: &str| {
        arguments
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("missing {what}")))
    };
    let mut view = View {
        cgroups: text(next("cgroup view")?)?.parse()?,
        linker: None,
    };
    loop {
        match text(next("--")?)?.as_str() {
            "--linker" => view.linker = Some(next("folder of --linker")?.into()),
            "--" => break,
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("unknown option {other}"),
                ));
            }
        }
    }
    let program = next("program")?;
    view.enter()?;
    Err(Command::new(program).args(arguments).exec())
}

fn text(argument: OsString) -> io::Result<String> {
    argument.into_string().map_err(|argument| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not UTF-8", argument.to_string_lossy()),
        )
    })
}
