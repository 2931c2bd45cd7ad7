//! A network device that a container gets.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Two ends of a cable, one of them to be moved. A network namespace that ends takes both along.
pub(crate) struct Pair {
    kept: String,
    moved: String,
}

impl Pair {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ot{}f{number}", std::process::id());
        Self {
            kept: format!("{name}k"),
            moved: format!("{name}m"),
        }
    }

    /// The name of the end that moves.
    pub(crate) fn moved(&self) -> &str {
        &self.moved
    }

    /// Makes sure that both ends are here.
    #[track_caller]
    pub(crate) fn plug(&self) {
        if self.is_here() {
            return;
        }
        self.remove();
        let kind = ["type", "veth", "peer", "name", &self.moved];
        let made = Command::new("ip")
            .args(["link", "add", &self.kept])
            .args(kind)
            .output()
            .expect("run ip (apt-get install iproute2)");
        assert!(made.status.success(), "{made:?}");
    }

    pub(crate) fn is_here(&self) -> bool {
        Path::new("/sys/class/net").join(&self.moved).exists()
    }

    fn remove(&self) {
        // Gone already with the namespace that the other end was in.
        let _ = Command::new("ip")
            .args(["link", "del", &self.kept])
            .output();
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.remove();
    }
}
