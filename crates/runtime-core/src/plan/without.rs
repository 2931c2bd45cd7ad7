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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use orlop_init::Op;

    use crate::plan::{Plan, PlanBuilder};
    use orlop_init::wire::Slot;

    fn plan(names: &[&str]) -> Plan {
        let mut build = PlanBuilder::new();
        let (to, count) = (Slot(500), names.len() as u32);
        build.push(Op::AwaitCgroup { to, count });
        for (index, name) in names.iter().enumerate() {
            let tasks = Slot(to.0 + index as u32);
            let path = build.str(&format!("/cgroup/{name}/tasks")).unwrap();
            build.push(Op::JoinCgroup { tasks, path });
        }
        build.plan
    }

    fn joined(plan: &Plan) -> (u32, Vec<(u32, String)>) {
        let mut awaited = 0;
        let mut joined = Vec::new();
        for step in &plan.steps {
            match step.op {
                Op::AwaitCgroup { count, .. } => awaited = count,
                Op::JoinCgroup { tasks, path } => joined.push((tasks.0, plan.str(path).to_owned())),
                _ => {}
            }
        }
        (awaited, joined)
    }

    #[test]
    fn the_files_that_are_left_close_the_gap() {
        let whole = plan(&["a", "b", "c"]);
        let missing = |names: &[&str]| -> Vec<PathBuf> {
            names
                .iter()
                .map(|name| format!("/cgroup/{name}").into())
                .collect()
        };
        let (count, left) = joined(&whole.without_cgroups(&missing(&["b"])));
        assert_eq!(count, 2);
        assert_eq!(
            left,
            [
                (500, "/cgroup/a/tasks".to_owned()),
                (501, "/cgroup/c/tasks".to_owned())
            ]
        );
        let (count, left) = joined(&whole.without_cgroups(&missing(&["a", "b", "c"])));
        assert_eq!((count, left.len()), (0, 0));
    }
}
