//! Calls that a container should be refused.

use crate::sys;
use rustix::mount::{MountFlags, UnmountFlags};
use std::io;

/// Each would be refused for another reason (`EINVAL`, `EFAULT`, `EBADF`) if it were allowed.
const CALLS: &[(&str, libc::c_long, [libc::c_ulong; 5])] = &[
    ("pivot_root", libc::SYS_pivot_root, [0; 5]),
    ("open_tree", libc::SYS_open_tree, [0, 0, 1, 0, 0]),
    ("fsopen", libc::SYS_fsopen, [0; 5]),
    ("move_mount", libc::SYS_move_mount, [0; 5]),
    ("setns", libc::SYS_setns, [u64::MAX, 0, 0, 0, 0]),
    ("userfaultfd", libc::SYS_userfaultfd, [u64::MAX, 0, 0, 0, 0]),
    ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
    ("keyctl", libc::SYS_keyctl, [0, u64::MAX, 0, 0, 0]),
    ("init_module", libc::SYS_init_module, [0; 5]),
    (
        "finit_module",
        libc::SYS_finit_module,
        [u64::MAX, 0, 0, 0, 0],
    ),
    ("kexec_load", libc::SYS_kexec_load, [0; 5]),
    ("reboot", libc::SYS_reboot, [0; 5]),
    ("swapon", libc::SYS_swapon, [0; 5]),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, [0; 5]),
    ("settimeofday", libc::SYS_settimeofday, [0; 5]),
    (
        "unshare_mount",
        libc::SYS_unshare,
        [libc::CLONE_NEWNS as libc::c_ulong, 0, 0, 0, 0],
    ),
    (
        "unshare_user",
        libc::SYS_unshare,
        [libc::CLONE_NEWUSER as libc::c_ulong, 0, 0, 0, 0],
    ),
];

/// A line `NAME ERRNO` for each, with 0 for a call that succeeds.
pub(crate) fn print_refusals() {
    // These look at their strings before they look at the caller.
    let mounted = rustix::mount::mount("attack", "/tmp", "tmpfs", MountFlags::empty(), None);
    print("mount", mounted.map_err(io::Error::from));
    let unmounted = rustix::mount::unmount("/proc", UnmountFlags::DETACH);
    print("umount2", unmounted.map_err(io::Error::from));
    for (name, number, arguments) in CALLS {
        print(name, sys::with_numbers(*number, *arguments));
    }
}

/// `getppid` natively, then through each other ABI, one line each.
pub(crate) fn print_abis() {
    print("native", sys::with_numbers(libc::SYS_getppid, [0; 5]));
    #[cfg(target_arch = "x86_64")]
    {
        const X32_BIT: libc::c_long = 0x4000_0000;
        const I386_GETPPID: i32 = 64;
        let x32 = X32_BIT + libc::SYS_getppid;
        print("x32", sys::with_numbers(x32, [0; 5]));
        print("i386", sys::i386(I386_GETPPID));
    }
}

fn print(name: &str, result: io::Result<()>) {
    let errno = result.err().and_then(|error| error.raw_os_error());
    println!("{name} {}", errno.unwrap_or(0));
}
