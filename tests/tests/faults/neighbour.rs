//! Somebody else, whose namespaces a container joins.

use orlop_tests::patience::until;
use std::fs;
use std::process::{Child, Command};

/// A process in namespaces of its own. It carries no tag of the test: a census looks past it.
pub(crate) struct Neighbour(Child);

impl Neighbour {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let child = Command::new("unshare")
            .args(["--ipc", "--pid", "--fork", "--kill-child", "sleep", "600"])
            .spawn()
            .expect("run unshare");
        let neighbour = Self(child);
        let theirs = neighbour.namespace("pid");
        let own = fs::read_link("/proc/self/ns/pid").expect("look at the own namespace");
        let is_made = || fs::read_link(&theirs).is_ok_and(|theirs| theirs != own);
        assert!(until(is_made), "unshare never makes its namespaces");
        neighbour
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The file of its namespace of this kind.
    pub(crate) fn namespace(&self, kind: &str) -> String {
        // Its own is its maker's; its child is in the new one.
        let file = match kind {
            "pid" => "pid_for_children",
            other => other,
        };
        format!("/proc/{}/ns/{file}", self.0.id())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
