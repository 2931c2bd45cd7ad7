//! Puts a Plan together: operations in order, strings in the arena, the field that each is from.

use orlop_init::Op;
use orlop_init::wire::{Blob, List, MAX_SLOTS, Slot, Str};

use super::{Plan, Source, Step};
use crate::error::{Error, Result};
use crate::spec;

/// A Plan in the making.
#[derive(Debug)]
pub(crate) struct PlanBuilder {
    pub plan: Plan,
    field: Option<String>,
    /// Slots of descriptors that operations make are given out from the top.
    made_slots: usize,
}

impl PlanBuilder {
    pub(crate) fn new() -> Self {
        Self {
            plan: Plan {
                steps: Vec::with_capacity(96),
                sources: Vec::with_capacity(32),
                // Offset 0 in a cell means "end of list", so no string may begin there.
                arena: vec![0],
                cells: vec![0],
                clone_flags: 0,
                new_namespaces: 0,
                joined_namespaces: 0,
                id_maps: None,
                net_devices: Vec::new(),
                lent: Vec::new(),
                scheduling: None,
                cgroup: None,
                resctrl: None,
                seccomp: None,
                hooks: spec::Hooks::default(),
                rootfs: None,
                annotations: std::collections::BTreeMap::new(),
                raise_limits: Vec::new(),
                oom_score_adj: None,
                warnings: Vec::new(),
                #[cfg(feature = "failpoints")]
                fault: None,
            },
            field: None,
            made_slots: 0,
        }
    }

    /// What follows is asked for by this field of the specification.
    pub(crate) fn at(&mut self, field: impl Into<String>) {
        self.field = Some(field.into());
    }

    /// The present field.
    pub(crate) fn field(&self) -> String {
        self.field.clone().unwrap_or_default()
    }

    /// What follows is asked for by no field in particular.
    pub(crate) fn at_none(&mut self) {
        self.field = None;
    }

    /// An error about the present field.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::invalid(self.field.clone().unwrap_or_default(), message)
    }

    pub(crate) fn push(&mut self, op: Op) {
        self.plan.steps.push(Step {
            op,
            field: self.field.clone(),
        });
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        self.plan.warnings.push(message.into());
    }

    /// A descriptor that the caller will open.
    pub(crate) fn source(&mut self, source: Source) -> Result<Slot> {
        if self.plan.sources.len() + self.made_slots >= MAX_SLOTS {
            return Err(self.error(format!("more than {MAX_SLOTS} files are needed")));
        }
        self.plan.sources.push(source);
        Ok(Slot(self.plan.sources.len() as u32 - 1))
    }

    /// A descriptor that an operation will make.
    pub(crate) fn made(&mut self) -> Result<Slot> {
        if self.plan.sources.len() + self.made_slots >= MAX_SLOTS {
            return Err(self.error(format!("more than {MAX_SLOTS} files are needed")));
        }
        self.made_slots += 1;
        Ok(Slot((MAX_SLOTS - self.made_slots) as u32))
    }

    /// As many descriptors that an operation will make, in slots that follow each other: the first of them.
    pub(crate) fn made_row(&mut self, count: usize) -> Result<Slot> {
        let mut first = Slot(0);
        // They are given out downwards.
        for _ in 0..count {
            first = self.made()?;
        }
        Ok(first)
    }

    /// A string; one with a NUL byte in it is refused, since the kernel would cut it there.
    pub(crate) fn str(&mut self, text: &str) -> Result<Str> {
        if text.bytes().any(|byte| byte == 0) {
            return Err(self.error(format!("{text:?} has a NUL byte in it")));
        }
        let offset = self.plan.arena.len() as u32;
        self.plan.arena.extend_from_slice(text.as_bytes());
        self.plan.arena.push(0);
        Ok(Str(offset))
    }

    pub(crate) fn list<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Result<List> {
        let offsets: Vec<Str> = texts
            .into_iter()
            .map(|text| self.str(text))
            .collect::<Result<_>>()?;
        let list = List {
            first: self.plan.cells.len() as u32,
            count: offsets.len() as u32,
        };
        self.plan
            .cells
            .extend(offsets.iter().map(|offset| u64::from(offset.0)));
        self.plan.cells.push(0);
        Ok(list)
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) -> Blob {
        append_blob(&mut self.plan.arena, bytes)
    }
}

/// Appends bytes at the next multiple of 8, which every kernel structure is content with.
pub(super) fn append_blob(arena: &mut Vec<u8>, bytes: &[u8]) -> Blob {
    arena.resize(arena.len().next_multiple_of(8), 0);
    let offset = arena.len() as u32;
    arena.extend_from_slice(bytes);
    Blob {
        offset,
        len: bytes.len() as u32,
    }
}
