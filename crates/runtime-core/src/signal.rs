//! Signals by name and number.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The highest number (`SIGRTMAX`).
const MAX: i32 = 64;
/// The first real-time signal that the C library leaves to programs (`SIGRTMIN`).
const RT_MIN: i32 = 34;

/// Names without `SIG`, as `signal(7)` has them. The first of a number is the one that is printed.
const NAMES: [(&str, i32); 35] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGPOLL),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("UNUSED", libc::SIGSYS),
];

/// How a process that a signal ended came to its end, with the C library's word for the signal where
/// that says more than its number.
pub(crate) fn describe_end(number: i32) -> String {
    let word = match number {
        libc::SIGSYS => " (bad system call)",
        libc::SIGSEGV => " (segmentation fault)",
        libc::SIGBUS => " (bus error)",
        libc::SIGABRT => " (aborted)",
        libc::SIGILL => " (illegal instruction)",
        _ => "",
    };
    format!("killed by signal {number}{word}")
}

/// A signal that can be sent: 1 to 64 (`signal(7)`).
///
/// ```
/// use orlop::Signal;
///
/// assert_eq!("SIGTERM".parse::<Signal>()?, "15".parse()?);
/// assert_eq!("rtmin+1".parse::<Signal>()?.number(), 35);
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

impl Signal {
    /// Ends a process at once.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// Asks a process to end.
    pub const TERM: Self = Self(libc::SIGTERM);

    /// A signal by number; `None` unless it is one of 1 to 64.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=MAX).contains(&number).then_some(Self(number))
    }

    /// The signal's number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(Self(*number));
        }
        let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(above), _) => RT_MIN + offset(above, '+')?,
            (_, Some(below)) => MAX - offset(below, '-')?,
            _ => return None,
        };
        (RT_MIN..=MAX).contains(&number).then_some(Self(number))
    }
}

/// Reads `+3`, or nothing at all, which is 0.
fn offset(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        Some(0)
    } else {
        digits(text.strip_prefix(sign)?)
    }
}

/// Digits alone: `parse` would take a sign as well.
fn digits(text: &str) -> Option<i32> {
    let few = (1..=3).contains(&text.len());
    (few && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

impl FromStr for Signal {
    type Err = Error;

    /// Takes a number or a name, in any case, with or without `SIG`; `RTMIN+n`, `RTMAX-n` too.
    fn from_str(text: &str) -> Result<Self, Error> {
        digits(text)
            .and_then(Self::from_number)
            .or_else(|| Self::from_name(text))
            .ok_or_else(|| {
                let message = format!(
                    "unknown signal {text:?} (a name such as TERM or SIGTERM, or a number from 1 to 64: `kill -l` lists them)"
                );
                Error::invalid("signal", message)
            })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    fn number(text: &str) -> Option<i32> {
        text.parse::<Signal>().ok().map(Signal::number)
    }

    #[test]
    fn numbers_and_names_of_any_case_are_read() {
        let good = [
            ("1", 1),
            ("9", 9),
            ("64", 64),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigkill", 9),
            ("Term", 15),
            ("SigCld", 17),
            ("POLL", 29),
            ("RTMIN", 34),
            ("SIGRTMIN+1", 35),
            ("rtmin+30", 64),
            ("RTMAX", 64),
            ("SIGRTMAX-0", 64),
            ("RTMAX-30", 34),
            ("032", 32),
        ];
        for (text, expected) in good {
            assert_eq!(number(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        let bad = [
            "",
            "0",
            "65",
            "-9",
            "+9",
            " 9",
            "9 ",
            "9.0",
            "99999999999",
            "SIG",
            "SIGSIGKILL",
            "KILLER",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+",
            "RTMIN++1",
            "RTMIN+-1",
            "RTMIN+99999999999",
            "ſigkill",
            "KILL\0",
            "NULL",
        ];
        for text in bad {
            assert_eq!(number(text), None, "{text:?}");
        }
        let error = "x".parse::<Signal>().unwrap_err().to_string();
        assert!(error.contains(r#"unknown signal "x""#), "{error}");
    }

    #[test]
    fn every_number_prints_and_is_read_back() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            let text = signal.to_string();
            let text = text.strip_prefix("signal ").unwrap_or(&text);
            assert_eq!(text.parse::<Signal>().unwrap(), signal, "{text}");
        }
        assert_eq!(Signal::from_number(0), None);
        assert_eq!(Signal::from_number(65), None);
    }
}
