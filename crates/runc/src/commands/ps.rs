//! `ps`: the processes of a container.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command as Program, Stdio};

use super::container;
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "ps",
    summary: "list the processes of a container",
    arguments: "ID [PS-OPTIONS]",
    first_argument: Argument::Container,
    description: "Lists the container's processes, as the host sees them: with --format table by the host's \
                  ps, which gets PS-OPTIONS (default: -ef), with --format json their pids.",
    flags: &[Flag::choice(
        "format",
        &["table", "json"],
        "how to list them (default: table)",
    )
    .short('f')],
    arity: Arity::AtLeast(1),
    passes_on: true,
    run,
};

/// Where the host's `ps` is. The search path is the caller's, and so not to be trusted by a program
/// that may have more rights than the caller.
const PLACES: [&str; 3] = ["/usr/bin/ps", "/bin/ps", "/usr/local/bin/ps"];

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let pids = container::load(context, matches)?.processes()?;
    match matches.text("format").as_deref() {
        Some("json") => super::print(json(&pids)?),
        None | Some("table") => {
            let table = host_table(matches.arguments().get(1..).unwrap_or_default())?;
            super::print(of_container(&table, &pids)?)
        }
        Some(_) => Err(Failure::new("invalid format option")),
    }
}

fn json(pids: &[u32]) -> Result<String, Failure> {
    let json = serde_json::to_string(pids);
    json.map(|json| json + "\n")
        .map_err(|error| Failure::new(format!("render the list: {error}")))
}

fn host_table(options: &[OsString]) -> Result<String, Failure> {
    let Some(program) = PLACES.into_iter().find(|place| Path::new(place).exists()) else {
        return Err(Failure::new(
            "ps is missing: apt-get install procps, or use --format json",
        ));
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the host's ps, in a directory of the system's"
    )]
    let mut command = Program::new(program);
    command.env_clear().stdin(Stdio::null());
    if options.is_empty() {
        command.arg("-ef");
    }
    let output = command
        .args(options)
        .output()
        .map_err(|error| Failure::io(format_args!("run {program}"), error))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => {
            let errors = text(&output.stderr);
            Err(Failure::new(format!(
                "{program}: {}: {}",
                output.status,
                errors.trim_end()
            )))
        }
    }
}

/// The heading, and those lines whose pid is one of these.
fn of_container(table: &str, pids: &[u32]) -> Result<String, Failure> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading
        .split_whitespace()
        .position(|title| title == "PID")
        .ok_or_else(|| Failure::new("couldn't find PID field in ps output"))?;
    let ours = |line: &&str| {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|field| field.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Ok([heading]
        .into_iter()
        .chain(lines.filter(ours))
        .flat_map(|line| [line, "\n"])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_container_s_lines_stay() {
        let table = "UID   PID  PPID CMD\nroot    1     0 init\nroot   42     1 sleep 1\nroot  421     1 x\nbad\n";
        assert_eq!(
            of_container(table, &[42]).unwrap(),
            "UID   PID  PPID CMD\nroot   42     1 sleep 1\n"
        );
        assert_eq!(of_container(table, &[]).unwrap(), "UID   PID  PPID CMD\n");
        assert!(of_container("USER CMD\n", &[42]).is_err());
        assert!(of_container("", &[42]).is_err());
    }

    #[test]
    fn json_is_one_line() {
        assert_eq!(json(&[1, 23]).unwrap(), "[1,23]\n");
        assert_eq!(json(&[]).unwrap(), "[]\n");
    }
}
