//! An agent that decides about system calls with the action `SCMP_ACT_NOTIFY`.

use crate::console::ConsoleSocket;
use crate::sys;
use serde_json::Value;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

/// The error that the agent answers with.
const EXDEV: i32 = 18;

/// Listens as an agent at that path, and fails every call that it is asked about with EXDEV, up to
/// the end. Returns the path, and in the end what it was told and asked.
///
/// # Panics
/// When the socket can't be made.
#[must_use]
#[track_caller]
pub fn listen(path: &Path) -> (String, thread::JoinHandle<(Value, Vec<sys::Notification>)>) {
    let socket = ConsoleSocket::listen(path).expect("listen");
    let path = socket.path().to_str().expect("an ASCII path").to_owned();
    let serve = move || {
        let told = socket.receive().expect("receive the listener");
        let state = serde_json::from_str(&told.name).expect("a JSON document");
        let answer = || sys::answer_notification(told.master.as_fd(), EXDEV);
        (state, std::iter::from_fn(|| answer().ok()).collect())
    };
    (path, thread::spawn(serve))
}
