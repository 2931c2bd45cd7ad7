//! Who takes terminals, and does nothing with them.

use orlop_tests::Fixture;
use orlop_tests::console::ConsoleSocket;
use std::cell::RefCell;
use std::path::PathBuf;

pub(crate) struct Terminal {
    path: PathBuf,
    socket: RefCell<Option<ConsoleSocket>>,
}

impl Terminal {
    pub(crate) fn new(fixture: &Fixture, name: &str) -> Self {
        Self {
            path: fixture.file(name),
            socket: RefCell::default(),
        }
    }

    /// Waits for the next terminal, and gives the one before up. Returns where.
    #[track_caller]
    pub(crate) fn listen(&self) -> &str {
        // The one before goes first, and takes its file along.
        self.socket.replace(None);
        let socket = ConsoleSocket::listen(&self.path).expect("listen for a terminal");
        self.socket.replace(Some(socket));
        self.path.to_str().expect("an ASCII path")
    }
}
