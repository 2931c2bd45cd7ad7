//! Failing, or waiting, at a chosen operation of a Plan: for tests only.

use orlop_init::Op;

use crate::plan::Plan;

/// What happens in place of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The operation's index in the Plan.
    pub index: usize,
    /// What happens there.
    pub kind: FaultKind,
}

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The operation fails with this error number.
    Fail(u32),
    /// Init waits there until somebody kills it.
    Park,
}

impl Fault {
    pub(crate) fn at(self, index: usize) -> Option<Op> {
        (self.index == index).then_some(match self.kind {
            FaultKind::Fail(errno) => Op::Fail { errno },
            FaultKind::Park => Op::Park {},
        })
    }

    /// Reads `INDEX:fail`, `INDEX:fail:ERRNO` or `INDEX:park`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const EIO: u32 = 5;
        let mut parts = text.split(':');
        let index = parts.next()?.parse().ok()?;
        let kind = match (parts.next()?, parts.next()) {
            ("fail", None) => FaultKind::Fail(EIO),
            ("fail", Some(errno)) => FaultKind::Fail(errno.parse().ok()?),
            ("park", None) => FaultKind::Park,
            _ => return None,
        };
        Some(Self { index, kind })
    }

    /// The fault that the variable `ORLOP_FAILPOINT` asks for.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        Self::parse(&std::env::var("ORLOP_FAILPOINT").ok()?)
    }
}

impl Plan {
    /// The same Plan with a fault in it.
    #[must_use]
    pub fn with_fault(mut self, fault: Option<Fault>) -> Self {
        self.fault = fault;
        self
    }
}
