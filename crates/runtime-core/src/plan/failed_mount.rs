//! Mounts that failed, in the words that people look for and other programs know.

use orlop_init::Op;
use orlop_init::wire::{Slot, Value};

use super::{Plan, Source, hints, os_error};
use crate::error::{Error, MountError};

impl Plan {
    /// The field of the specification that asked for what a slot holds.
    pub(crate) fn field_of(&self, slot: Slot) -> Option<&str> {
        let step = self.steps.iter().find(|step| {
            let mut uses = false;
            step.op
                .fields(|_, value| uses |= value == Value::Slot(slot));
            uses && step.field.is_some()
        });
        step.and_then(|step| step.field.as_deref())
    }

    /// The error for a source that the caller could not open, or not give its attributes.
    pub(crate) fn source_error(&self, slot: Slot, error: Error) -> Error {
        let Error::System {
            operation,
            error,
            hint,
        } = error
        else {
            return error;
        };
        let Some(field) = self.field_of(slot) else {
            return Error::System {
                operation,
                error,
                hint,
            };
        };
        let Some(errno) = error.raw_os_error() else {
            return Error::system(format!("{field}: {operation}"), error).hinted(hint);
        };
        let hint = hint.or_else(|| hints::of_source(field, errno));
        match self.mount_error(field, Some(&operation), &os_error(errno), errno, hint) {
            Some(failed) => failed.into(),
            None => {
                let operation = match self.source(slot) {
                    Some(Source::Tree(tree)) => {
                        format!("bind mount {}: {operation}", tree.path.display())
                    }
                    _ => operation,
                };
                Error::system(format!("{field}: {operation}"), error).hinted(hint)
            }
        }
    }

    /// The error for a mount of the specification: `None` if the field is none.
    pub(super) fn mount_error(
        &self,
        field: &str,
        operation: Option<&str>,
        why: &str,
        errno: i32,
        hint: Option<&'static str>,
    ) -> Option<MountError> {
        if !field.starts_with("mounts[") {
            return None;
        }
        let mut of_field = self
            .steps
            .iter()
            .filter(|step| step.field.as_deref() == Some(field));
        let (source, target) = of_field.find_map(|step| match step.op {
            Op::MountFs { source, target, .. } => {
                Some((self.str(source).to_owned(), self.str(target)))
            }
            Op::Attach { mount, target, .. } | Op::AttachLink { mount, target, .. } => {
                Some((self.describe_slot(mount), self.str(target)))
            }
            _ => None,
        })?;
        let why = why.to_lowercase();
        Some(MountError {
            field: field.to_owned(),
            source,
            target: target.to_owned(),
            reason: match operation {
                Some(operation) => format!("{operation}: {why}"),
                None => why,
            },
            errno,
            hint,
        })
    }
}
