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
    /// What this process was given; variables that are meant for another are none of it.
    pub(super) fn from_env() -> Self {
        let own = |name| env::var(name).unwrap_or_default();
        let meant_for = own("LISTEN_PID");
        if meant_for.is_empty() || meant_for != std::process::id().to_string() {
            return Self::default();
        }
        Self::parse(&own("LISTEN_FDS"), &own("LISTEN_FDNAMES"))
    }

    fn parse(count: &str, names: &str) -> Self {
        let Ok(count @ 1..=MAX) = count.parse::<u32>() else {
            return Self::default();
        };
        // Whose pid in the container is 1.
        let mut env = vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()];
        if !names.is_empty() {
            env.push(format!("LISTEN_FDNAMES={names}"));
        }
        Self { count, env }
    }
}

/// Checks that what is to be passed on is there, before this program opens anything itself: what it
/// opened in a gap would reach the container.
pub(super) fn check_preserved(count: u32) -> Result<(), Failure> {
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
        let plain = ListenFds::parse("2", "");
        assert_eq!(plain.env, ["LISTEN_FDS=2", "LISTEN_PID=1"]);
        let named = ListenFds::parse("2", "web:api");
        assert_eq!(named.env[2..], ["LISTEN_FDNAMES=web:api"]);
        for nothing in ["", "0", "-1", "x", "4294967296", "100000"] {
            assert_eq!(
                ListenFds::parse(nothing, "web"),
                ListenFds::default(),
                "{nothing:?}"
            );
        }
    }
}
