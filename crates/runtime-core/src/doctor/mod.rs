//! What the host offers to containers, what it lacks, and what to do about it.
//!
//! ```
//! use orlop::doctor::{Level, examine};
//!
//! let report = examine();
//! for finding in &report.findings {
//!     if finding.level != Level::Ok {
//!         println!("{}: {}", finding.check, finding.message);
//!     }
//! }
//! ```

mod cgroups;
mod kernel;
mod security;
mod users;

use std::fmt;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is missing.
    Ok,
    /// Some containers, or some of their limits, can't be had.
    Warn,
    /// No container can be had, not even by root.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// What one look at the host found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was looked at, such as `kernel.calls`; stays the same from release to release.
    pub check: &'static str,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            check,
            message: message.into(),
            advice: None,
        }
    }

    fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            advice: Some(advice.into()),
            ..Self::ok(check, message)
        }
    }

    fn fail(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            ..Self::warn(check, message, advice)
        }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// Whether root can have containers here.
    pub root_containers: bool,
    /// The findings, in the order in which things build on each other.
    pub findings: Vec<Finding>,
}

/// Looks at the host. It changes nothing, needs no privilege, and what it can't see is a finding.
#[must_use]
pub fn examine() -> Report {
    let mut findings = kernel::findings();
    findings.extend(cgroups::findings());
    findings.extend(users::findings());
    findings.extend(security::findings());
    Report {
        root_containers: findings.iter().all(|one| one.level != Level::Fail),
        findings,
    }
}

/// The first line of a file; `None` without one.
fn line_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_well_comes_with_advice() {
        let report = examine();
        for finding in &report.findings {
            assert_eq!(
                finding.level == Level::Ok,
                finding.advice.is_none(),
                "{finding:?}"
            );
            assert!(
                !finding.message.is_empty() && !finding.message.contains('\n'),
                "{finding:?}"
            );
        }
        let failed = report.findings.iter().any(|one| one.level == Level::Fail);
        assert_eq!(report.root_containers, !failed);
    }

    #[test]
    fn checks_have_names_of_their_own() {
        let report = examine();
        let mut names: Vec<_> = report.findings.iter().map(|one| one.check).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
