//! Device access rules, and their two forms in the kernel: lists on v1, a
//! program on v2.

mod attach;
mod list;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;
mod program;
mod rule;

pub(crate) use attach::{Attached, attach};
pub(crate) use list::{DeviceList, ListWrite};
pub(crate) use program::{Instruction, compile};
pub use rule::{Access, DeviceKind, DeviceRule};
