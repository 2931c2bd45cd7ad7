//! A Plan for less than was planned.

use std::path::{Path, PathBuf};

use orlop_init::Op;
use orlop_init::wire::Slot;

use super::{Plan, Step};

impl Plan {
    /// The same Plan for a container that is not in these cgroups of v1. Its operations keep their
    /// places.
    pub(crate) fn without_cgroups(&self, missing: &[PathBuf]) -> Self {
        let mut reduced = self.clone();
        let is_missing = |path: &Path| missing.iter().any(|one| one == path);
        for (step, original) in reduced.steps.iter_mut().zip(&self.steps) {
            let gone = match &original.op {
                Op::JoinCgroup { path, .. } => {
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
        reduced.number_tasks();
        reduced
    }

    /// The `tasks` files come in the order in which they are used.
    fn number_tasks(&mut self) {
        let joins = |step: &Step| matches!(step.op, Op::JoinCgroup { .. });
        let joined = self.steps.iter().filter(|step| joins(step)).count();
        let mut next = Slot(0);
        for step in &mut self.steps {
            match &mut step.op {
                Op::AwaitCgroup { to, count } => (next, *count) = (*to, joined as u32),
                Op::JoinCgroup { tasks, .. } => {
                    *tasks = next;
                    next.0 += 1;
                }
                _ => {}
            }
        }
    }
}
