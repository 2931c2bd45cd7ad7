//! Closing many descriptors.

use std::os::fd::{IntoRawFd, OwnedFd, RawFd};

/// Closes descriptors; those of neighbouring numbers in one call.
pub(crate) fn close_all(fds: Vec<OwnedFd>) {
    let mut numbers: Vec<RawFd> = fds.into_iter().map(OwnedFd::into_raw_fd).collect();
    numbers.sort_unstable();
    for run in numbers.chunk_by(|before, after| *after == before + 1) {
        // SAFETY: every number of the run was owned, and its owner is gone. The call (Linux 5.9)
        // takes two numbers and flags, and touches no memory.
        unsafe { libc::syscall(libc::SYS_close_range, run[0], run[run.len() - 1], 0) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsRawFd, OwnedFd};

    use super::close_all;

    #[test]
    fn all_are_closed_and_nothing_else() {
        // A file that no other test has open.
        const FILE: &str = "/proc/self/limits";
        let mut files: Vec<File> = (0..9).map(|_| File::open(FILE).unwrap()).collect();
        // Whatever other tests have between them.
        let kept = [files.remove(6), files.remove(2)];
        let closed: Vec<_> = files.iter().map(|file| file.as_raw_fd()).collect();
        let link = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}"));
        let before: Vec<_> = closed.iter().map(|fd| link(*fd).unwrap()).collect();
        assert!(before.iter().all(|path| path.ends_with("limits")));
        close_all(files.into_iter().map(OwnedFd::from).collect());
        for file in &kept {
            assert!(link(file.as_raw_fd()).unwrap().ends_with("limits"));
        }
        for fd in closed {
            // Another test may have taken the number since.
            assert!(!link(fd).is_ok_and(|path| path.ends_with("limits")), "{fd}");
        }
        close_all(Vec::new());
    }
}
