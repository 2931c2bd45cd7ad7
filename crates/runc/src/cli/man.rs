//! The manual page, made from the table.

use std::fmt::Write as _;

use super::help::shown;
use super::{Command, Flag, GLOBAL_FLAGS, PROGRAM};

/// The manual page in `man(7)`'s language.
pub(crate) fn page(commands: &[&Command]) -> String {
    let mut text = format!(
        ".TH ORLOP-RUNC 8 \"\" \"orlop {}\" \"System administration\"\n\
         .SH NAME\norlop\\-runc \\- runs containers as the Open Container Initiative specifies\n\
         .SH SYNOPSIS\n.B orlop\\-runc\n[global options] \\fICOMMAND\\fR [options] [arguments]\n\
         .SH DESCRIPTION\nRuns a container from a bundle: a directory with a file config.json and a root file \
         system. Every command is over when its work is done; nothing stays resident beside the containers.\n\
         .SH GLOBAL OPTIONS\n",
        env!("CARGO_PKG_VERSION"),
    );
    for flag in shown(GLOBAL_FLAGS) {
        option(&mut text, flag);
    }
    text.push_str(".SH COMMANDS\n");
    for command in commands {
        let _ = writeln!(
            text,
            ".SS \"{} [options] {}\"",
            escaped(command.name),
            escaped(command.arguments)
        );
        for paragraph in command.description.split("\n\n") {
            let _ = writeln!(text, "{}\n.PP", escaped(paragraph));
        }
        for flag in shown(command.flags) {
            option(&mut text, flag);
        }
    }
    let _ = write!(
        text,
        ".SH EXIT STATUS\n0 on success, 1 on failure, 3 where the command does not exist. \
         .B run\nand\n.B exec\nin the foreground end with the status of the process, or 128 and the number of the \
         signal that ended it;\n.B exec\nends with 255 when the process could not be run.\n\
         .SH FILES\n/run/orlop: state of containers, unless\n.B \\-\\-root\nsays otherwise; \
         $XDG_RUNTIME_DIR/orlop for users other than root.\n\
         .SH SEE ALSO\n.BR {} (8)'s help: {PROGRAM} \\-\\-help; the OCI runtime specification.\n",
        escaped(PROGRAM),
    );
    text
}

fn option(text: &mut String, flag: &Flag) {
    let _ = write!(text, ".TP\n\\fB\\-\\-{}\\fR", escaped(flag.name));
    if let Some(placeholder) = flag.value.placeholder() {
        let _ = write!(text, " \\fI{}\\fR", escaped(&placeholder));
    }
    if let Some(short) = flag.short {
        let _ = write!(text, ", \\fB\\-{short}\\fR");
    }
    let _ = writeln!(text, "\n{}", escaped(flag.help));
}

/// Dashes are hyphens and backslashes escapes to `man(7)`, and a dot at a line's start is a request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines: Vec<_> = text
        .lines()
        .map(|line| {
            if line.starts_with(['.', '\'']) {
                format!("\\&{line}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    lines.join("\n")
}
