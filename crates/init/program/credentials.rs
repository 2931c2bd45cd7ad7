//! Ids, capabilities, keyring and filter: what the program may do.

use core::ffi::CStr;

use crate::Step;
use crate::execute::State;
use crate::ops::Op;
use crate::sys::{self, Errno};

const PR_SET_DUMPABLE: u32 = 4;
const PR_SET_KEEPCAPS: u32 = 8;
const PR_CAPBSET_DROP: u32 = 24;
const PR_SET_NO_NEW_PRIVS: u32 = 38;
const PR_CAP_AMBIENT: u32 = 47;
const PR_CAP_AMBIENT_RAISE: u64 = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;

pub fn step(state: &mut State, op: Op) -> Step {
    match op {
        Op::Dumpable { on } => prctl(PR_SET_DUMPABLE, u64::from(on), 0),
        Op::NoNewPrivs {} => prctl(PR_SET_NO_NEW_PRIVS, 1, 0),
        Op::SessionKeyring { name } => session_keyring(state.image.str(name)?),
        Op::Bounding { keep } => bound(keep),
        Op::Groups { groups } => Ok(sys::setgroups(state.image.blob(groups)?)?),
        Op::BecomeIds { uid, gid } => {
            sys::setresgid(gid)?;
            sys::setresuid(uid)?;
            Ok(sys::die_with_parent(true)?)
        }
        Op::SetIds { uid, gid } => {
            if uid != 0 {
                prctl(PR_SET_KEEPCAPS, 1, 0)?;
            }
            sys::setresgid(gid)?;
            Ok(sys::setresuid(uid)?)
        }
        Op::Capabilities { effective, permitted, inheritable, ambient } => {
            sys::capset(effective, permitted, inheritable)?;
            // Without inheritable ones the kernel has just cleared the ambient set.
            if inheritable == 0 { Ok(()) } else { raise_ambient(ambient) }
        }
        Op::Seccomp { filter, flags } => match sys::seccomp(state.image.blob(filter)?, flags)? {
            // Closed by the exec that is next; until then the caller takes its own.
            Some(listener) => Ok(state.control.hand_over(listener)?),
            None => Ok(()),
        },
        _ => unreachable!(),
    }
}

fn prctl(option: u32, a: u64, b: u64) -> Step {
    sys::prctl(option, a, b)?;
    Ok(())
}

/// A kernel without keyrings has none to share.
fn session_keyring(name: &CStr) -> Step {
    const ENOSYS: i32 = 38;
    match sys::join_session_keyring(name) {
        Ok(_) | Err(Errno(ENOSYS)) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The kernel says which capability is beyond its last one.
fn bound(keep: u64) -> Step {
    for capability in 0..u64::from(u64::BITS) {
        if keep & 1 << capability != 0 {
            continue;
        }
        match sys::prctl(PR_CAPBSET_DROP, capability, 0) {
            Ok(_) => {}
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn raise_ambient(ambient: u64) -> Step {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    for capability in 0..u64::from(u64::BITS) {
        if ambient & 1 << capability != 0 {
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)?;
        }
    }
    Ok(())
}
