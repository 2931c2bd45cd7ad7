//! The command line as data: one table from which the parser, the help, the shell completions and
//! the manual page are made.

mod complete;
mod help;
mod man;
mod parse;
#[cfg(test)]
mod tests;

pub(crate) use complete::{SHELLS, script};
pub(crate) use help::{general_help, help};
pub(crate) use man::page;
pub(crate) use parse::{Help, Matches, Parsed, UsageError, parse};

use crate::context::{CGROUP_MANAGERS, Context};
use crate::failure::Failure;
use crate::log::Level;

/// The program's name.
pub(crate) const PROGRAM: &str = "orlop-runc";

/// One option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// The long name, without dashes.
    pub(crate) name: &'static str,
    /// A one-letter alternative.
    pub(crate) short: Option<char>,
    /// What follows it.
    pub(crate) value: Value,
    /// One line of help.
    pub(crate) help: &'static str,
    /// Accepted for the sake of callers, but without meaning, and so not shown.
    pub(crate) hidden: bool,
}

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, or `=true` or `=false`.
    Switch,
    /// Text; what it stands for.
    Text(&'static str),
    /// A file's or directory's path; what it stands for.
    Path(&'static str),
    /// A whole number that is not negative; what it stands for.
    Number(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Value {
    /// What help shows after the name.
    pub(crate) fn placeholder(self) -> Option<String> {
        match self {
            Self::Switch => None,
            Self::Text(what) | Self::Path(what) | Self::Number(what) => Some(what.to_owned()),
            Self::Choice(words) => Some(words.join("|")),
        }
    }
}

impl Flag {
    /// An option without a value.
    pub(crate) const fn switch(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            value: Value::Switch,
            help,
            hidden: false,
        }
    }

    /// An option with a path.
    pub(crate) const fn path(name: &'static str, what: &'static str, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            value: Value::Path(what),
            help,
            hidden: false,
        }
    }

    /// An option with text.
    pub(crate) const fn text(name: &'static str, what: &'static str, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            value: Value::Text(what),
            help,
            hidden: false,
        }
    }

    /// An option with a number.
    pub(crate) const fn number(name: &'static str, what: &'static str, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            value: Value::Number(what),
            help,
            hidden: false,
        }
    }

    /// An option with one of some words.
    pub(crate) const fn choice(
        name: &'static str,
        words: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            short: None,
            value: Value::Choice(words),
            help,
            hidden: false,
        }
    }

    /// The same with a one-letter alternative.
    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// The same, not shown.
    pub(crate) const fn hide(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// Just as many.
    Exactly(usize),
    /// As many or more.
    AtLeast(usize),
    /// From the first to the second number.
    Between(usize, usize),
}

/// What a command's first argument is, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    /// Nothing that can be guessed.
    Free,
    /// The id of a container that exists.
    Container,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name.
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) summary: &'static str,
    /// Its arguments, as the usage line shows them.
    pub(crate) arguments: &'static str,
    /// What its first argument is.
    pub(crate) first_argument: Argument,
    /// What it does, in paragraphs.
    pub(crate) description: &'static str,
    /// Its options.
    pub(crate) flags: &'static [Flag],
    /// How many arguments it takes.
    pub(crate) arity: Arity,
    /// Whether what follows the first argument belongs to another program's command line.
    pub(crate) passes_on: bool,
    /// What runs it.
    pub(crate) run: fn(&Context, &Matches) -> Result<u8, Failure>,
}

/// The options before the command.
pub(crate) const GLOBAL_FLAGS: &[Flag] = &[
    Flag::switch("debug", "log what is done, not only what fails"),
    Flag::path(
        "log",
        "FILE",
        "append the log to this file (default: standard error)",
    ),
    Flag::text(
        "log-format",
        "FORMAT",
        "the log's format: text or json (default: text)",
    ),
    Flag::choice(
        "log-level",
        &Level::NAMES,
        "log this and what is worse (default: warning)",
    ),
    Flag::path(
        "root",
        "DIR",
        "keep the state of containers here, preferably in a tmpfs",
    ),
    Flag::switch(
        "systemd-cgroup",
        "let systemd make the cgroups; cgroupsPath is then slice:prefix:name",
    ),
    Flag::choice(
        "cgroup-manager",
        &CGROUP_MANAGERS,
        "who makes the cgroups; disabled: containers stay in their caller's (default: cgroupfs)",
    ),
    Flag::choice(
        "rootless",
        &["true", "false", "auto"],
        "true: go on without what can't be had of cgroups, and say so (default: auto)",
    ),
    HELP,
    Flag::switch("version", "show the version").short('v'),
];

/// The option that every command has.
pub(crate) const HELP: Flag = Flag::switch("help", "show help").short('h');
