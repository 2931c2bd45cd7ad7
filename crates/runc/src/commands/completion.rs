//! `completion`: shell completions.

use crate::cli::{self, Argument, Arity, Command, Matches, SHELLS};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "completion",
    summary: "print a shell's completion script",
    arguments: "bash|fish|zsh",
    first_argument: Argument::Choice(SHELLS),
    description: "Prints a script that makes the shell complete commands, options and container ids.\n\n\
                  For bash: orlop-runc completion bash > /usr/share/bash-completion/completions/orlop-runc",
    flags: &[],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(_: &Context, matches: &Matches) -> Result<u8, Failure> {
    let shell = matches.argument(0).unwrap_or_default();
    match cli::script(&shell, super::ALL) {
        Some(script) => super::print(script),
        None => Err(Failure::new(format!(
            "no completions for {shell:?}: {}",
            SHELLS.join(", ")
        ))),
    }
}
