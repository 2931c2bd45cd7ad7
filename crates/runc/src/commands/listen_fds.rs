//! Socket activation (`sd_listen_fds(3)`): sockets that the caller got are the container's.

use std::env;

use crate::failure::Failure;

/// The most descriptors that are passed on; more is a mistake of whoever set the variable.
const MAX: u32 = 1024;

/// Descriptors from 3 on that go to the container's program, and what tells it so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListenFds {
    pub(super) count: u32,
    pub(super) env: Vec<String>,
}

impl ListenFds {
    /// What this process was given. Its pid is the container's matter: there it is 1.
    pub(super) fn from_env() -> Self {
        env::var("LISTEN_FDS")
            .map(|count| Self::parse(&count))
            .unwrap_or_default()
    }

    fn parse(count: &str) -> Self {
        match count.parse::<u32>() {
            Ok(count @ 1..=MAX) => Self {
                count,
                env: vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()],
            },
            _ => Self::default(),
        }
    }
}

/// Checks that what is to be passed on is there, before this program opens anything itself: what it
/// opened in a gap would reach the container.
pub(crate) fn check_preserved(count: u32) -> Result<(), Failure> {
    let count = count.saturating_add(ListenFds::from_env().count);
    if count > MAX {
        return Err(Failure::new(format!(
            "--preserve-fds: {count} is more than {MAX}"
        )));
    }
    for number in 3..3 + count as i32 {
        let path = format!("/proc/self/fd/{number}");
        if std::fs::symlink_metadata(&path).is_err() {
            return Err(Failure::new(format!(
                "--preserve-fds: file descriptor {number} is not open"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ListenFds;

    #[test]
    fn only_a_sensible_number_counts() {
        assert_eq!(ListenFds::parse("2").env, ["LISTEN_FDS=2", "LISTEN_PID=1"]);
        for nothing in ["", "0", "-1", "x", "4294967296", "100000"] {
            assert_eq!(
                ListenFds::parse(nothing),
                ListenFds::default(),
                "{nothing:?}"
            );
        }
    }
}
