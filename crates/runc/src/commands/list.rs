//! `list`: all containers.

use std::fs;

use orlop::OciState;

use super::container;
use crate::advice;
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "list",
    summary: "list all containers",
    arguments: "",
    first_argument: Argument::Free,
    description: "Lists the containers whose state is in the directory that --root names. One whose state \
                  cannot be read is listed on standard error.",
    flags: &[
        Flag::choice(
            "format",
            &["table", "json"],
            "how to list them (default: table)",
        )
        .short('f'),
        Flag::switch("quiet", "print ids only").short('q'),
    ],
    arity: Arity::Exactly(0),
    passes_on: false,
    run,
};

/// The columns.
const HEADING: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    if context.root_is_given && !context.root.exists() {
        // A place that was misspelled must not look like one without containers.
        return Err(Failure::new(format!(
            "{}: no such directory",
            context.root.display()
        )));
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut states = Vec::new();
    for state in container::runtime(context)?.list()? {
        match state {
            Ok(mut state) => {
                state.owner = Some(owner(&users, state.owner_uid));
                states.push(state);
            }
            // The others are there all the same.
            Err(error) => context.log.warn(&advice::line(&error)),
        }
    }
    if matches.is_set("quiet") {
        return super::print(
            states
                .iter()
                .map(|state| format!("{}\n", state.id))
                .collect::<String>(),
        );
    }
    match matches.text("format").as_deref() {
        None | Some("table") => super::print(table(&states)),
        Some("json") => super::print(json(&states)?),
        Some(_) => Err(Failure::new("invalid format option")),
    }
}

/// A user's name, or `#` and the id of one who has none.
fn owner(users: &str, uid: u32) -> String {
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{uid}"))
}

/// One line, `null` where there is none: what a list in Go looks like.
fn json(states: &[OciState]) -> Result<String, Failure> {
    if states.is_empty() {
        return Ok("null\n".to_owned());
    }
    let json = serde_json::to_string(states);
    json.map(|json| json + "\n")
        .map_err(|error| Failure::new(format!("render the list: {error}")))
}

fn table(states: &[OciState]) -> String {
    let rows = states.iter().map(|state| {
        [
            state.id.clone(),
            state.pid.to_string(),
            state.status.to_string(),
            state.bundle.display().to_string(),
            state.created.clone().unwrap_or_default(),
            state.owner.clone().unwrap_or_default(),
        ]
    });
    align(
        &[HEADING.map(str::to_owned)]
            .into_iter()
            .chain(rows)
            .collect::<Vec<_>>(),
    )
}

/// Columns at least twelve wide and three apart; the last is as long as it is.
fn align(rows: &[[String; 6]]) -> String {
    const NARROWEST: usize = 12;
    const APART: usize = 3;
    let width = |column: usize| {
        let widest = rows
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default();
        (widest + APART).max(NARROWEST)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        padded
            .chain([row[5].clone(), "\n".to_owned()])
            .collect::<String>()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_list_is_as_callers_expect() {
        assert_eq!(
            table(&[]),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
        assert_eq!(json(&[]).unwrap(), "null\n");
    }

    #[test]
    fn columns_are_aligned() {
        let row = [
            "web",
            "42",
            "running",
            "/srv/a/long/bundle",
            "2026-01-02T03:04:05.000000006Z",
            "root",
        ];
        assert_eq!(
            align(&[HEADING, row].map(|row| row.map(str::to_owned))),
            "ID          PID         STATUS      BUNDLE               CREATED                          OWNER\n\
             web         42          running     /srv/a/long/bundle   2026-01-02T03:04:05.000000006Z   root\n"
        );
    }

    #[test]
    fn owners_have_names_or_numbers() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbad\n:x\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(owner(users, 1000), "me");
        assert_eq!(owner(users, 0), "root");
        assert_eq!(owner(users, 7), "#7");
    }
}
