//! What usually causes a failure, and what to do about it.

use std::fmt;

/// What to do about a step that failed. What a program offers its users by an option of its own is
/// told apart, for it to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// One sentence, the same for every caller.
    Words(&'static str),
    /// The caller may make no namespaces but those of a user namespace.
    UserNamespace,
    /// `pivot_root(2)` can't leave the host's root: [`Options::no_pivot`](crate::Options::no_pivot).
    NoPivot,
}

impl Hint {
    /// What every caller reads alike.
    pub(crate) fn words(self) -> Option<&'static str> {
        match self {
            Self::Words(words) => Some(words),
            Self::UserNamespace | Self::NoPivot => None,
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Words(words) => words,
            Self::UserNamespace => {
                "new namespaces take CAP_SYS_ADMIN: run it as root, or give the container a user namespace"
            }
            Self::NoPivot => {
                "the host's root may be a ramfs, which can't be pivoted from; set no_pivot"
            }
        })
    }
}
