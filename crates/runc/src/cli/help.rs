//! Help, made from the table.

use std::fmt::Write as _;

use super::{Command, Flag, GLOBAL_FLAGS, HELP, PROGRAM};

/// Where the second column starts when the first is short.
const COLUMN: usize = 32;

/// The longest line of a paragraph.
const WIDTH: usize = 80;

/// The help of the whole.
pub(crate) fn general_help(commands: &[&Command]) -> String {
    let mut text = format!(
        "NAME:\n  {PROGRAM} - Open Container Initiative runtime\n\n\
         USAGE:\n  {PROGRAM} [global options] COMMAND [options] [arguments]\n\nCOMMANDS:\n"
    );
    for command in commands {
        line(&mut text, command.name, command.summary);
    }
    text.push_str("\nGLOBAL OPTIONS:\n");
    for flag in shown(GLOBAL_FLAGS) {
        line(&mut text, &spelled(flag), flag.help);
    }
    let _ = write!(
        text,
        "\n`{PROGRAM} COMMAND --help` shows a command's options.\n"
    );
    text
}

/// The help of a command.
pub(crate) fn help(command: &Command) -> String {
    let mut text = format!(
        "NAME:\n  {PROGRAM} {} - {}\n\nUSAGE:\n  {PROGRAM} {}",
        command.name, command.summary, command.name
    );
    if shown(command.flags).next().is_some() {
        text.push_str(" [options]");
    }
    if !command.arguments.is_empty() {
        let _ = write!(text, " {}", command.arguments);
    }
    text.push_str("\n\n");
    for paragraph in command.description.split("\n\n") {
        let _ = writeln!(text, "{}\n", wrapped(paragraph));
    }
    text.push_str("OPTIONS:\n");
    for flag in shown(command.flags).chain([&HELP]) {
        line(&mut text, &spelled(flag), flag.help);
    }
    text
}

/// Broken into lines where they would get longer than a terminal is wide.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::with_capacity(paragraph.len());
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text
}

/// The options that help shows.
pub(super) fn shown(flags: &'static [Flag]) -> impl Iterator<Item = &'static Flag> {
    flags.iter().filter(|flag| !flag.hidden)
}

fn spelled(flag: &Flag) -> String {
    let mut text = match flag.short {
        Some(short) => format!("-{short}, --{}", flag.name),
        None => format!("    --{}", flag.name),
    };
    if let Some(placeholder) = flag.value.placeholder() {
        let _ = write!(text, " {placeholder}");
    }
    text
}

fn line(text: &mut String, left: &str, right: &str) {
    if left.len() + 4 > COLUMN {
        let _ = writeln!(text, "  {left}\n{:COLUMN$}{right}", "");
    } else {
        let _ = writeln!(text, "  {left:width$}{right}", width = COLUMN - 2);
    }
}
