//! The log, in the form that callers of runc read: the last record of level `error` tells them what
//! went wrong.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::cli::PROGRAM;
use orlop::rfc3339;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is recorded: this, and what is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Why the program fails.
    Error,
    /// What is not as it should be.
    Warning,
    /// What is being done.
    Debug,
}

impl Level {
    /// What `--log-level` may say, the least first.
    pub(crate) const NAMES: [&str; 3] = ["error", "warning", "debug"];

    /// The level of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "error" => Some(Self::Error),
            "warning" => Some(Self::Warning),
            "debug" => Some(Self::Debug),
            _ => None,
        }
    }
}

/// Where records go.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
    format: Format,
    level: Level,
}

#[derive(Serialize)]
struct Record<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

impl Log {
    /// A log on standard error, for what goes wrong before the options are understood.
    pub(crate) fn standard_error() -> Self {
        Self {
            file: None,
            format: Format::Text,
            level: Level::Warning,
        }
    }

    /// Opens the log.
    pub(crate) fn open(path: Option<&Path>, format: Format, level: Level) -> io::Result<Self> {
        let file = path.map(|path| {
            // Synchronous, so that the last words are there even when the machine goes down next.
            let mut options = OpenOptions::new();
            options
                .append(true)
                .create(true)
                .mode(0o644)
                .custom_flags(libc::O_SYNC | libc::O_NOFOLLOW);
            match options.open(path) {
                Err(error)
                    if error.raw_os_error() == Some(libc::ELOOP) && is_trusted_link(path) =>
                {
                    options.custom_flags(libc::O_SYNC).open(path)
                }
                opened => opened,
            }
        });
        Ok(Self {
            file: file.transpose()?,
            format,
            level,
        })
    }

    /// Records what is being done, where that is asked for.
    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        if self.level >= Level::Debug {
            self.record("debug", &message());
        }
    }

    /// Records something that is not as it should be, and yet no failure.
    pub(crate) fn warn(&self, message: &str) {
        if self.level >= Level::Warning {
            self.record("warning", message);
        }
    }

    /// Records why the program fails, and says it on standard error too if that is another place.
    pub(crate) fn error(&self, message: &str) {
        self.record("error", message);
        if self.file.is_some() {
            write_to_standard_error(&by_this_program(message));
        }
    }

    fn record(&self, level: &str, message: &str) {
        let line = self.line(level, message);
        match self.file.as_ref() {
            // A log that cannot be written is no reason to fail, and there is nobody left to tell.
            Some(mut file) => drop(file.write_all(line.as_bytes())),
            None => write_to_standard_error(&line),
        }
    }

    /// One record in one line, so that one write appends it whole.
    fn line(&self, level: &str, message: &str) -> String {
        let time = rfc3339(SystemTime::now());
        match (self.format, &self.file) {
            (Format::Json, _) => {
                let record = Record {
                    level,
                    msg: message,
                    time: &time,
                };
                // Text as a key or value always has a JSON form.
                serde_json::to_string(&record).unwrap_or_default() + "\n"
            }
            // What is asked for with --debug is looked through by its level, wherever it goes.
            (Format::Text, Some(_)) | (Format::Text, None)
                if level == "debug" || self.file.is_some() =>
            {
                format!("time=\"{time}\" level={level} msg={message:?}\n")
            }
            (Format::Text, _) if level == "error" => by_this_program(message),
            (Format::Text, _) => format!("{PROGRAM}: {level}: {message}\n"),
        }
    }
}

/// A line that begins with this program's name.
fn by_this_program(message: &str) -> String {
    match message.strip_prefix(PROGRAM) {
        Some(rest) if rest.starts_with([' ', ':']) => format!("{message}\n"),
        _ => format!("{PROGRAM}: {message}\n"),
    }
}

fn write_to_standard_error(line: &str) {
    // `eprintln!` would panic where standard error is closed.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether a link was made by root or this user: anybody else's could lead to any file.
fn is_trusted_link(path: &Path) -> bool {
    let owner = rustix::process::geteuid().as_raw();
    path.symlink_metadata()
        .is_ok_and(|link| link.uid() == 0 || link.uid() == owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_records_have_the_keys_that_callers_read() {
        let log = Log {
            file: None,
            format: Format::Json,
            level: Level::Warning,
        };
        let line = log.line("error", "a \"b\"\nc");
        let start = r#"{"level":"error","msg":"a \"b\"\nc","time":"2"#;
        assert!(
            line.starts_with(start) && line.ends_with("Z\"}\n"),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn text_records_are_one_line_each() {
        let log = Log::standard_error();
        assert_eq!(log.line("error", "it"), "orlop-runc: it\n");
        assert_eq!(
            log.line("error", "orlop-runc run failed: it"),
            "orlop-runc run failed: it\n"
        );
        // As a usage error begins, which other runtimes log so, too.
        assert_eq!(log.line("error", "orlop-runc: it"), "orlop-runc: it\n");
        assert_eq!(log.line("warning", "it"), "orlop-runc: warning: it\n");
    }
}
