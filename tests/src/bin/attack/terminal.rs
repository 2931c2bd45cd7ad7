//! Types into the terminals it was given, as a program that wants the caller's shell to run
//! something.

use crate::sys;
use std::fs::File;
use std::io;

/// For each of standard input, output and error a line `FD TIOCSTI ERRNO TIOCLINUX ERRNO
/// TIOCSCTTY ERRNO`; then the number of the controlling terminal, and whether `/dev/tty` opens.
pub(crate) fn type_into_all() {
    for fd in 0..3 {
        let typed = "touch typed\n"
            .bytes()
            .try_for_each(|byte| sys::type_byte(fd, byte));
        let (typed, pasted) = (errno(typed), errno(sys::paste(fd)));
        let taken = errno(sys::take_terminal(fd));
        println!("{fd} TIOCSTI {typed} TIOCLINUX {pasted} TIOCSCTTY {taken}");
    }
    println!("controlling {}", controlling().unwrap_or_default());
    println!("tty {}", errno(File::open("/dev/tty").map(drop)));
}

fn errno(result: io::Result<()>) -> i32 {
    result
        .err()
        .and_then(|error| error.raw_os_error())
        .unwrap_or(0)
}

/// `tty_nr` of `proc_pid_stat(5)`.
fn controlling() -> Option<String> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(4).map(str::to_owned)
}
