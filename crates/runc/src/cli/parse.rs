//! Takes a command line apart.
//!
//! Callers were written for runc, so its conventions hold: long options with one dash or two, values
//! after `=` or as the next argument (whatever that looks like), options after arguments too. A command
//! that passes on another program's command line stops at its first argument. Beyond runc, one-letter
//! options may be joined (`-td`).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::{Arity, Command, Flag, GLOBAL_FLAGS, HELP, PROGRAM, Value};

/// A command line, taken apart.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Run this command.
    Run {
        /// The options before the command.
        globals: Matches,
        /// The command.
        command: &'static Command,
        /// Its options and arguments.
        matches: Matches,
    },
    /// Show the help of a command, or of the whole.
    Help(Option<&'static Command>),
    /// Show the version.
    Version,
}

/// A command line that makes no sense.
#[derive(Debug)]
pub(crate) struct UsageError {
    /// What is wrong.
    pub(crate) message: String,
    /// Whose help to show.
    pub(crate) help: Help,
    /// The options before the command, which say where the error goes.
    pub(crate) globals: Matches,
}

/// What to show of the help when a command line makes no sense.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Help {
    /// Nothing: the command does not exist.
    None,
    /// The general help.
    General,
    /// A command's.
    Of(&'static Command),
}

/// Options and arguments.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    options: Vec<(&'static str, OsString)>,
    arguments: Vec<OsString>,
}

impl Matches {
    /// Whether a switch is on.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.last(name).is_some_and(|value| value == "true")
    }

    /// What a switch was set to, if it was.
    pub(crate) fn given(&self, name: &str) -> Option<bool> {
        self.last(name).map(|value| value == "true")
    }

    /// A path; empty is as good as absent.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.last(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// Text; empty is as good as absent. What is not UTF-8 is shown with replacement characters.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.last(name).filter(|value| !value.is_empty())?;
        Some(value.to_string_lossy().into_owned())
    }

    /// A number, or 0.
    pub(crate) fn number(&self, name: &str) -> u32 {
        self.last(name).and_then(number).unwrap_or_default()
    }

    /// All values of an option that may be repeated.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.options.iter().filter(|(known, _)| *known == name);
        named
            .map(|(_, value)| value.to_string_lossy().into_owned())
            .collect()
    }

    /// The arguments.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// An argument as text, if there are as many.
    pub(crate) fn argument(&self, index: usize) -> Option<String> {
        self.arguments
            .get(index)
            .map(|argument| argument.to_string_lossy().into_owned())
    }

    fn last(&self, name: &str) -> Option<&OsStr> {
        let mut named = self
            .options
            .iter()
            .rev()
            .filter(|(known, _)| *known == name);
        named.next().map(|(_, value)| value.as_os_str())
    }
}

/// Takes a command line apart, the program's name already taken off.
pub(crate) fn parse(
    commands: &'static [&'static Command],
    arguments: impl Iterator<Item = OsString>,
) -> Result<Parsed, UsageError> {
    let mut arguments: Vec<OsString> = arguments.collect();
    arguments.reverse();
    let globals = match take(GLOBAL_FLAGS, &mut arguments, true) {
        Ok(globals) => globals,
        Err(message) => {
            return Err(UsageError {
                message,
                help: Help::General,
                globals: Matches::default(),
            });
        }
    };
    if globals.is_set("version") {
        return Ok(Parsed::Version);
    }
    let mut rest = globals.arguments.iter();
    let Some(name) = rest.next().filter(|_| !globals.is_set("help")) else {
        return Ok(Parsed::Help(None));
    };
    if name == "help" || name == "h" {
        return match rest.next() {
            None => Ok(Parsed::Help(None)),
            Some(name) => {
                find(commands, name, globals.clone_options()).map(|found| Parsed::Help(Some(found)))
            }
        };
    }
    let command = find(commands, name, globals.clone_options())?;
    let mut rest: Vec<OsString> = rest.rev().cloned().collect();
    let parsed = take(command.flags, &mut rest, command.passes_on).and_then(|matches| {
        if !matches.is_set("help") {
            check_arity(command, matches.arguments.len())?;
        }
        Ok(matches)
    });
    match parsed {
        Ok(matches) if matches.is_set("help") => Ok(Parsed::Help(Some(command))),
        Ok(matches) => Ok(Parsed::Run {
            globals,
            command,
            matches,
        }),
        Err(message) => Err(UsageError {
            message,
            help: Help::Of(command),
            globals,
        }),
    }
}

impl Matches {
    fn clone_options(&self) -> Self {
        Self {
            options: self.options.clone(),
            arguments: Vec::new(),
        }
    }
}

fn find(
    commands: &'static [&'static Command],
    name: &OsStr,
    globals: Matches,
) -> Result<&'static Command, UsageError> {
    commands
        .iter()
        .find(|command| name == command.name)
        .copied()
        .ok_or_else(|| UsageError {
            message: format!("No help topic for '{}'", name.to_string_lossy()),
            help: Help::None,
            globals,
        })
}

fn check_arity(command: &Command, count: usize) -> Result<(), String> {
    let wanted = match command.arity {
        Arity::Exactly(wanted) if count != wanted => format!("exactly {wanted}"),
        Arity::AtLeast(least) | Arity::Between(least, _) if count < least => {
            format!("a minimum of {least}")
        }
        Arity::Between(_, most) if count > most => format!("a maximum of {most}"),
        _ => return Ok(()),
    };
    Err(format!(
        "{PROGRAM}: {:?} requires {wanted} argument(s)",
        command.name
    ))
}

/// Takes options and arguments off a reversed command line.
fn take(
    flags: &'static [Flag],
    rest: &mut Vec<OsString>,
    stop_at_argument: bool,
) -> Result<Matches, String> {
    let mut matches = Matches::default();
    while let Some(token) = rest.pop() {
        if token == "--" {
            break;
        }
        let option = split_option(&token);
        let after_argument = !matches.arguments.is_empty();
        match option {
            Some((name, value)) => match lookup(flags, name) {
                Some(known) => match_one(&mut matches, known, value, rest)?,
                // What looks like an option after an argument may be one, such as a signal `-1`.
                None if after_argument => matches.arguments.push(token),
                None => {
                    let Some(letters) = joined(flags, name) else {
                        return Err(format!(
                            "flag provided but not defined: -{}",
                            String::from_utf8_lossy(name)
                        ));
                    };
                    match_joined(&mut matches, &letters, value, rest)?;
                }
            },
            None => {
                matches.arguments.push(token);
                if stop_at_argument {
                    break;
                }
            }
        }
    }
    matches.arguments.extend(rest.drain(..).rev());
    Ok(matches)
}

/// Splits `--name`, `-name` and either with `=value`; anything else is an argument.
fn split_option(token: &OsStr) -> Option<(&[u8], Option<OsString>)> {
    let bytes = token.as_bytes();
    let name = bytes
        .strip_prefix(b"--")
        .or_else(|| bytes.strip_prefix(b"-"))?;
    if name.is_empty() {
        return None;
    }
    match name.iter().position(|&byte| byte == b'=') {
        Some(at) => Some((
            &name[..at],
            Some(OsString::from_vec(name[at + 1..].to_vec())),
        )),
        None => Some((name, None)),
    }
}

fn lookup(flags: &'static [Flag], name: &[u8]) -> Option<&'static Flag> {
    let named = |flag: &&Flag| {
        flag.name.as_bytes() == name || flag.short.is_some_and(|short| name == [short as u8])
    };
    flags
        .iter()
        .find(named)
        .or_else(|| Some(&HELP).filter(named))
}

/// Joined one-letter options: all of them known, and none but the last with a value.
fn joined(flags: &'static [Flag], letters: &[u8]) -> Option<Vec<&'static Flag>> {
    let known: Vec<_> = letters
        .iter()
        .map(|&letter| lookup(flags, &[letter]))
        .collect::<Option<_>>()?;
    let (_, before) = known.split_last()?;
    before
        .iter()
        .all(|flag| flag.value == Value::Switch)
        .then_some(known)
}

fn match_joined(
    matches: &mut Matches,
    flags: &[&'static Flag],
    value: Option<OsString>,
    rest: &mut Vec<OsString>,
) -> Result<(), String> {
    let Some((last, before)) = flags.split_last() else {
        return Ok(());
    };
    matches.options.extend(
        before
            .iter()
            .map(|flag| (flag.name, OsString::from("true"))),
    );
    match_one(matches, last, value, rest)
}

fn match_one(
    matches: &mut Matches,
    flag: &'static Flag,
    value: Option<OsString>,
    rest: &mut Vec<OsString>,
) -> Result<(), String> {
    let value = match (flag.value, value) {
        (Value::Switch, None) => OsString::from("true"),
        (Value::Switch, Some(value)) => {
            let on = boolean(&value).ok_or_else(|| {
                let value = value.to_string_lossy().into_owned();
                format!(
                    "invalid boolean value {value:?} for -{}: parse error",
                    flag.name
                )
            })?;
            OsString::from(if on { "true" } else { "false" })
        }
        (_, Some(value)) => value,
        (_, None) => rest
            .pop()
            .ok_or_else(|| format!("flag needs an argument: -{}", flag.name))?,
    };
    if matches!(flag.value, Value::Number(_)) && number(&value).is_none() {
        let value = value.to_string_lossy().into_owned();
        return Err(format!(
            "invalid value {value:?} for flag -{}: parse error",
            flag.name
        ));
    }
    matches.options.push((flag.name, value));
    Ok(())
}

/// The spellings of Go's `strconv.ParseBool`.
fn boolean(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn number(value: &OsStr) -> Option<u32> {
    let digits = value.to_str()?;
    // `u32::from_str` takes a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
