//! Hooks that run in the container's namespaces.

use core::ffi::CStr;

use crate::execute::State;
use crate::report::Part;
use crate::sys::{self, Errno, Fd};
use crate::wire::{List, Str};
use crate::{During, EXIT_FAILED, Failure, Step};

const SIGKILL: u32 = 9;
const CLONE_PIDFD: u64 = 0x1000;
const SIGCHLD: u64 = 17;

/// How much of a failed hook's last words is repeated.
const MAX_WORDS: usize = 4096;

pub fn run(state: &mut State, path: Str, argv: List, env: List, timeout: u32) -> Step {
    let path = state.image.str(path)?;
    let (argv, env) = (state.image.list(argv)?, state.image.list(env)?);
    let (read_end, write_end) = sys::pipe()?;
    let (error_read, error_write) = sys::pipe()?;
    let said = sys::memory_file()?;
    let mut pidfd = -1;
    if sys::fork(CLONE_PIDFD | SIGCHLD, &mut pidfd)?.is_none() {
        let errno = become_hook(path, argv, env, read_end, said);
        let _ = sys::write(error_write, &errno.0.to_ne_bytes());
        sys::exit(EXIT_FAILED);
    }
    let hook = Fd(pidfd);
    sys::close(read_end)?;
    sys::close(error_write)?;
    let mut errno = [0; 4];
    if sys::read(error_read, &mut errno)? == errno.len() {
        let _ = sys::wait(hook)?;
        return Err(Errno(i32::from_ne_bytes(errno)).into());
    }
    // A hook that does not read its input must not stop the container: what fits the pipe is sent, and
    // that nobody reads it is no reason to end.
    sys::ignore(sys::SIGPIPE)?;
    let _ = sys::write_some(write_end, state.control.state());
    sys::close(write_end)?;
    let end = finish(hook, timeout);
    if end.is_err() {
        repeat(said);
    }
    sys::default_action(sys::SIGPIPE)?;
    sys::close(said)?;
    end
}

/// What a hook says is not the program's output, and a pipe that nobody empties would stop it.
fn become_hook(path: &CStr, argv: &[u64], env: &[u64], input: Fd, output: Fd) -> Errno {
    let stdio = sys::dup_to(input, Fd(0), false)
        .and_then(|()| sys::dup_to(output, Fd(1), false))
        .and_then(|()| sys::dup_to(output, Fd(2), false));
    match stdio {
        Ok(()) => sys::execve(path, argv, env),
        Err(errno) => errno,
    }
}

/// The last words of a hook that failed tell why: they go where the program's errors would.
fn repeat(said: Fd) {
    let mut words = [0; MAX_WORDS];
    if let Ok(count) = sys::read_end(said, &mut words) {
        let _ = sys::write(Fd(2), &words[..count]);
    }
}

fn finish(hook: Fd, timeout: u32) -> Step {
    let limit = (timeout != 0).then_some(timeout);
    if !sys::readable_within(hook, limit)? {
        sys::kill(hook, SIGKILL)?;
        let _ = sys::wait(hook)?;
        return Err(Errno::TIMEDOUT).during(Part::Timeout);
    }
    match sys::wait(hook)? {
        Ok(0) => Ok(()),
        Ok(status) => Err(Failure { errno: status, part: Part::Status }),
        Err(signal) => Err(Failure { errno: signal, part: Part::Signal }),
    }
}
