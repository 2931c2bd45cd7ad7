//! The state directory, on a real file system and with real processes.

mod claims;
mod locks;
mod oci;
mod records;
mod removal;
mod roots;
mod statuses;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::record::MAX_SIZE;
use super::testing::{Scratch, Sleeper};
use super::{CgroupPlace, FileId, LockedDir, OciState, Phase, State, StateRoot, Status};
use crate::error::Error;
use crate::id::ContainerId;

const SOON: Duration = Duration::from_millis(50);

fn id(text: &str) -> ContainerId {
    text.parse().unwrap()
}

fn state(name: &str) -> State {
    State::new(
        id(name),
        Path::new("/bundle"),
        Path::new("/bundle/rootfs"),
        0,
    )
    .unwrap()
}

fn root(scratch: &Scratch) -> StateRoot {
    StateRoot::open(scratch.path()).unwrap()
}

fn make(root: &StateRoot, name: &str) -> LockedDir {
    root.claim(&id(name)).unwrap().record(&state(name)).unwrap()
}

fn state_file(root: &StateRoot, name: &str) -> PathBuf {
    root.path().join(name).join("state.json")
}
