//! `man`: the manual page.

use crate::cli::{self, Argument, Arity, Command, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "man",
    summary: "print the manual page",
    arguments: "",
    first_argument: Argument::Free,
    description: "Prints the manual page, for example for `orlop-runc man | man -l -`.",
    flags: &[],
    arity: Arity::Exactly(0),
    passes_on: false,
    run,
};

fn run(_: &Context, _: &Matches) -> Result<u8, Failure> {
    super::print(cli::page(super::ALL))
}
