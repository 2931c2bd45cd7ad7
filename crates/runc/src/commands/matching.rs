//! Commands for all containers whose ids match a regular expression, as crun has them.

use orlop::{ContainerId, Runtime};
use regex_lite::Regex;

use super::container;
use crate::cli::{Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const REGEX: Flag = Flag::switch(
    "regex",
    "ID is a regular expression: do it to every container with an id in which that is found",
)
.short('r');

/// Does something to every container that the first argument matches.
///
/// What fails for one keeps none of the others from it: it is logged, and makes the whole fail.
pub(super) fn each(
    context: &Context,
    matches: &Matches,
    act: impl Fn(&Runtime, &ContainerId) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let pattern = matches.argument(0).unwrap_or_default();
    let invalid = |error| Failure::new(format!("invalid regular expression {pattern:?}: {error}"));
    let pattern = Regex::new(&pattern).map_err(invalid)?;
    let runtime = container::runtime(context)?;
    let mut failed = Vec::new();
    for id in runtime.ids()? {
        if !pattern.is_match(id.as_str()) {
            continue;
        }
        if let Err(failure) = act(&runtime, &id) {
            context.log.warn(&format!("{id}: {}", failure.message));
            failed.push(id.to_string());
        }
    }
    match failed.is_empty() {
        true => Ok(0),
        false => Err(Failure::new(format!("failed for {}", failed.join(", ")))),
    }
}
