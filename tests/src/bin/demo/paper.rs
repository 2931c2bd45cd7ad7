//! Standard output, with colour only on a terminal.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Where the demonstration is printed.
#[derive(Debug)]
pub(crate) struct Paper {
    colour: bool,
}

impl Paper {
    /// Standard output; see <https://no-color.org> for `NO_COLOR`.
    pub(crate) fn new() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: io::stdout().is_terminal() && !refused,
        }
    }

    /// Prints a line. Who closed the output does not want to read on.
    pub(crate) fn line(&self, text: &str) {
        let _ = writeln!(io::stdout(), "{text}");
    }

    pub(crate) fn bold(&self, text: impl Display) -> String {
        self.styled("1", text)
    }

    pub(crate) fn dim(&self, text: impl Display) -> String {
        self.styled("2", text)
    }

    pub(crate) fn good(&self, text: impl Display) -> String {
        self.styled("32", text)
    }

    pub(crate) fn bad(&self, text: impl Display) -> String {
        self.styled("1;31", text)
    }

    fn styled(&self, code: &str, text: impl Display) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
