//! bpf(2), as far as device programs need it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::device::Instruction;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const PROG_QUERY: libc::c_long = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// By this name an update finds the program to replace.
const NAME: [u8; 16] = *b"orlop_devices\0\0\0";

/// The argument of `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// The argument of `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The argument of `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The argument of `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(Default)]
struct ById {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The argument of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
struct Info {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// Where `struct bpf_prog_info` has the name.
const INFO_NAME: std::ops::Range<usize> = 64..80;

/// # Safety
///
/// `argument` has to be the structure that belongs to the command, and every
/// address in it has to point to live memory of the length it states.
unsafe fn bpf<T>(command: libc::c_long, argument: &mut T) -> io::Result<RawFd> {
    let size = std::mem::size_of::<T>();
    // SAFETY: `argument` is exclusively borrowed and `size` bytes long; for what it
    // points to the caller vouches.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(argument), size) };
    // The result is a file descriptor, zero, or -1.
    RawFd::try_from(result)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(io::Error::last_os_error)
}

/// Loads a device program.
pub(crate) fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    // The program calls no function of the kernel, so that any license will do.
    let license = c"Apache-2.0";
    let mut argument = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len())
            .map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        prog_name: NAME,
        ..Load::default()
    };
    // SAFETY: the instructions and the license outlive the call, and the count is theirs.
    let fd = unsafe { bpf(PROG_LOAD, &mut argument) }?;
    // SAFETY: the call has just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program beside those of others, or in place of one.
pub(crate) fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut argument = Attach {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI | replaced.map_or(0, |_| REPLACE),
        replace_bpf_fd: replaced.map_or(0, raw),
    };
    // SAFETY: the structure holds no address.
    unsafe { bpf(PROG_ATTACH, &mut argument) }.map(|_| ())
}

/// Detaches one device program.
pub(crate) fn detach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut argument = Attach {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        ..Attach::default()
    };
    // SAFETY: the structure holds no address.
    unsafe { bpf(PROG_DETACH, &mut argument) }.map(|_| ())
}

/// The ids of the device programs attached to this cgroup itself.
pub(crate) fn attached_device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // The kernel attaches at most 64 programs to one cgroup.
    let mut ids = [0_u32; 64];
    let mut argument = Query {
        target_fd: raw(cgroup),
        attach_type: ATTACH_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: 64,
        ..Query::default()
    };
    // SAFETY: `ids` outlives the call and has the 64 places that are stated.
    unsafe { bpf(PROG_QUERY, &mut argument) }?;
    let count = usize::try_from(argument.prog_cnt).map_or(0, |n| n.min(ids.len()));
    Ok(ids[..count].to_vec())
}

/// A descriptor for a loaded program.
pub(crate) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut argument = ById {
        prog_id: id,
        ..ById::default()
    };
    // SAFETY: the structure holds no address.
    let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &mut argument) }?;
    // SAFETY: the call has just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether a program was loaded by this crate.
pub(crate) fn is_ours(program: BorrowedFd<'_>) -> io::Result<bool> {
    // Aligned as the kernel's structure is.
    let mut info = [0_u64; INFO_NAME.end / 8];
    let mut argument = Info {
        bpf_fd: raw(program),
        info_len: u32::try_from(INFO_NAME.end).unwrap_or(0),
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: `info` outlives the call and has the length that is stated.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut argument) }?;
    let bytes: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Ok(bytes[INFO_NAME] == NAME)
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    // An open descriptor is never negative.
    fd.as_raw_fd() as u32
}
