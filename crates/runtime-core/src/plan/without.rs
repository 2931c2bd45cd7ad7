//! A Plan for less than was planned.

use std::path::{Path, PathBuf};

use orlop_init::Op;

use super::Plan;

impl Plan {
    /// The same Plan for a container that is not in these cgroups of v1. Its operations keep their
    /// places.
    pub(crate) fn without_cgroups(&self, missing: &[PathBuf]) -> Self {
        let mut reduced = self.clone();
        let is_missing = |path: &Path| missing.iter().any(|one| one == path);
        for (step, original) in reduced.steps.iter_mut().zip(&self.steps) {
            let gone = match &original.op {
                Op::JoinCgroup { path } => {
                    Path::new(self.str(*path)).parent().is_some_and(is_missing)
                }
                Op::BindAt { path, .. } => is_missing(Path::new(self.str(*path))),
                _ => false,
            };
            if gone {
                // Changes nothing: it is every Plan's first operation.
                step.op = Op::ResetSignals {};
            }
        }
        reduced
    }
}
