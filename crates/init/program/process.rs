//! The process itself: namespaces, limits, working directory, and the last step, exec.

use core::ffi::CStr;

use crate::execute::State;
use crate::ops::Op;
use crate::report::{Kind, Part};
use crate::resolve;
use crate::sys::{
    self, CWD, Errno, Fd, O_WRONLY, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, S_IFDIR, S_IFMT,
};
use crate::wire::List;
use crate::{During, Step};

pub fn step(state: &mut State, op: Op) -> Step {
    let State { image, slots, control, .. } = state;
    match op {
        Op::Fail { errno } => Err(Errno(errno as i32).into()),
        Op::Park {} => sys::park(),
        Op::ResetSignals {} => {
            sys::default_action(sys::SIGPIPE)?;
            Ok(sys::unblock_signals()?)
        }
        Op::EnterDir { dir } => Ok(sys::fchdir(slots.get(dir)?)?),
        Op::Dup { from, to } => Ok(sys::dup_to(slots.get(from)?, Fd(to as i32), false)?),
        Op::NewSession {} => Ok(sys::setsid()?),
        Op::JoinCgroup { tasks, .. } => join(slots.get(tasks)?),
        Op::JoinResctrl { path } => {
            let resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
            join(sys::openat2(CWD, image.str(path)?, O_WRONLY, resolve).during(Part::Lookup)?)
        }
        Op::LoopbackUp {} => Ok(sys::loopback_up()?),
        Op::Unshare { flags } => Ok(sys::unshare(flags)?),
        Op::SetNs { fd, flags } => Ok(sys::setns(slots.get(fd)?, flags)?),
        Op::Fork {} => fork(state),
        Op::Hostname { name } => Ok(sys::sethostname(image.str(name)?)?),
        Op::Domainname { name } => Ok(sys::setdomainname(image.str(name)?)?),
        Op::Rlimit { resource, soft, hard } => Ok(sys::setrlimit(resource, soft, hard)?),
        Op::Umask { mask } => {
            sys::umask(mask);
            Ok(())
        }
        Op::Cwd { path, create } => enter(image.str(path)?, create),
        Op::TryCwd { path, create } => match enter(image.str(path)?, create) {
            Err(failure) if failure.errno == Errno::ACCES.0 && failure.part != Part::Create => {
                state.cwd_denied = true;
                Ok(())
            }
            entered => entered,
        },
        Op::RetryCwd { path } if state.cwd_denied => enter(image.str(path)?, false),
        Op::RetryCwd { .. } => Ok(()),
        Op::Personality { domain } => Ok(sys::personality(domain)?),
        Op::FindProgram { candidates } => find(state, candidates),
        Op::CloseFds {} => Ok(sys::close_from(control.first_free())?),
        Op::Exec { argv, env } => {
            let program = state.program.ok_or(Errno::INVAL)?;
            Err(sys::execve(program, image.list(argv)?, image.list(env)?).into())
        }
        _ => unreachable!(),
    }
}

/// A process that moves only itself spares the wait that moving another costs.
fn join(tasks: Fd) -> Step {
    sys::write(tasks, b"0")?;
    Ok(())
}

/// The new process has the same parent; this one tells its pid and ends.
fn fork(state: &mut State) -> Step {
    const CLONE_PARENT: u64 = 0x8000;
    const CLONE_PIDFD: u64 = 0x1000;
    const SIGCHLD: u64 = 17;
    let mut pidfd = -1;
    match sys::fork(CLONE_PARENT | CLONE_PIDFD | SIGCHLD, &mut pidfd)? {
        None => Ok(sys::die_with_parent(true)?),
        Some(child) => {
            let sent = state.control.send(Kind::Child, child, Some(Fd(pidfd)));
            sys::exit(i32::from(sent.is_err()))
        }
    }
}

fn enter(path: &CStr, create: bool) -> Step {
    let directory = resolve::directory_from_here(path, create)?;
    sys::fchdir(directory)?;
    match sys::cwd_is_reachable() {
        Ok(true) => Ok(()),
        _ => Err(Errno::NOENT).during(Part::Kind),
    }
}

/// As `execvp(3)` would choose: what can't be executed is told apart from what is not there.
fn find(state: &mut State, candidates: List) -> Step {
    let mut worst = Errno::NOENT;
    let mut found = None;
    for candidate in state.image.strings(candidates)? {
        match executable(candidate) {
            Ok(()) => {
                found = Some(candidate);
                break;
            }
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => worst = errno,
        }
    }
    state.program = found;
    if found.is_some() { Ok(()) } else { Err(worst.into()) }
}

fn executable(path: &CStr) -> sys::Result<()> {
    sys::may_execute(path)?;
    let mode = sys::stat_followed(path)?;
    if mode & S_IFMT == S_IFDIR { Err(Errno::ACCES) } else { Ok(()) }
}
