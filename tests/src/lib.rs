//! The harness of the whole-system tests, the benchmark and the crash experiment.
//!
//! Everything here drives a runtime through its `runc`-compatible command line, given as the path
//! of a program; so the same test runs against ours and against another runtime.
//!
//! - [`Fixture`] gives a test its private folder, state root, ids and a [`census`] before and after;
//! - [`Bundle`] is a busybox root file system with a `config.json` to edit;
//! - [`Runtime`] and [`Container`] run the commands, with captured output and a time limit;
//! - [`host_mounts`] is a mount namespace in the place of the host's;
//! - [`view`] hides one cgroup version in a private mount namespace;
//! - [`canary`] tells whether a tree of files has been touched, [`attacker`] exchanges paths while
//!   a runtime walks them;
//! - [`skip!`] is how a test says that it can't run here.

pub mod attacker;
pub mod bundle;
pub mod call;
pub mod callers;
pub mod canary;
pub mod census;
pub mod cgroup;
pub mod console;
pub mod criu;
pub mod fixture;
pub mod host_mounts;
pub mod locate;
pub mod machine;
pub mod patience;
pub mod runtime;
pub mod seccomp_agent;
pub mod security;
pub mod skip;
pub mod stats;
pub mod sys;
pub mod temp;
pub mod view;

pub use bundle::Bundle;
pub use census::Census;
pub use fixture::Fixture;
pub use runtime::{Container, Output, Runtime};
pub use temp::TempDir;
