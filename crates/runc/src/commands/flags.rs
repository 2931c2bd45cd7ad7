//! Options that several commands have.

use crate::cli::Flag;

pub(super) const BUNDLE: Flag = Flag::path(
    "bundle",
    "DIR",
    "the bundle's directory (default: the current one)",
)
.short('b');
pub(super) const CONFIG: Flag = Flag::path(
    "config",
    "FILE",
    "the file in the bundle with the configuration (default: config.json)",
)
.short('f');
pub(super) const CONSOLE_SOCKET: Flag = Flag::path(
    "console-socket",
    "SOCKET",
    "send the terminal's master side to this unix socket",
);
pub(super) const PIDFD_SOCKET: Flag = Flag::path(
    "pidfd-socket",
    "SOCKET",
    "send a pidfd of the process to this unix socket",
);
pub(super) const PID_FILE: Flag = Flag::path(
    "pid-file",
    "FILE",
    "write the process's pid, as the caller sees it, to this file",
);
pub(super) const NO_PIVOT: Flag = Flag::switch(
    "no-pivot",
    "change the root with chroot instead of pivot_root, for a host whose root is a ramdisk",
);
pub(super) const NO_NEW_KEYRING: Flag =
    Flag::switch("no-new-keyring", "keep the caller's session keyring");
pub(super) const PRESERVE_FDS: Flag = Flag::number(
    "preserve-fds",
    "N",
    "pass N descriptors on, from 3 or what follows $LISTEN_FDS (default: 0)",
);
pub(super) const DETACH: Flag = Flag::switch("detach", "do not wait for the process").short('d');
pub(super) const NO_SUBREAPER: Flag = Flag::switch(
    "no-subreaper",
    "do not adopt processes that the container orphans",
);
