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
const SIGXFSZ: u32 = 25;

/// How much of a failed hook's last words is repeated.
const MAX_WORDS: usize = 4096;

/// What a pipe holds that nobody has changed.
const PIPE: usize = 64 << 10;

pub fn run(state: &mut State, path: Str, argv: List, env: List, timeout: u32) -> Step {
    let path = state.image.str(path)?;
    let (argv, env) = (state.image.list(argv)?, state.image.list(env)?);
    let (read_end, write_end) = sys::pipe()?;
    let (error_read, error_write) = sys::pipe()?;
    let (said, output) = sys::pipe()?;
    let mut pidfd = -1;
    if sys::fork(CLONE_PIDFD | SIGCHLD, &mut pidfd)?.is_none() {
        let errno = become_hook(path, argv, env, read_end, output);
        let _ = sys::write(error_write, &errno.0.to_ne_bytes());
        sys::exit(EXIT_FAILED);
    }
    let hook = Fd(pidfd);
    sys::close(read_end)?;
    sys::close(error_write)?;
    sys::close(output)?;
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
    let mut words = Words { bytes: [0; MAX_WORDS], len: 0 };
    let end = finish(hook, said, timeout, &mut words);
    if end.is_err() {
        // They tell why, and go where the program's errors would; a file may be at its limit there.
        sys::ignore(SIGXFSZ)?;
        let _ = sys::write(Fd(2), &words.bytes[..words.len]);
    }
    sys::default_action(sys::SIGPIPE)?;
    sys::close(said)?;
    end
}

/// What a hook says is not the program's output.
fn become_hook(path: &CStr, argv: &[u64], env: &[u64], input: Fd, output: Fd) -> Errno {
    let stdio = sys::dup_to(input, Fd(0), false)
        .and_then(|()| sys::dup_to(output, Fd(1), false))
        .and_then(|()| sys::dup_to(output, Fd(2), false));
    match stdio {
        Ok(()) => sys::execve(path, argv, env),
        Err(errno) => errno,
    }
}

/// The last that a hook has said.
struct Words {
    bytes: [u8; MAX_WORDS],
    len: usize,
}

impl Words {
    /// Takes in what can be read now; whether there may be more.
    fn hear(&mut self, said: Fd) -> Result<bool, Errno> {
        let mut heard = [0; MAX_WORDS];
        let count = sys::read(said, &mut heard)?;
        let stays = self.len.min(MAX_WORDS - count);
        self.bytes.copy_within(self.len - stays..self.len, 0);
        self.bytes[stays..stays + count].copy_from_slice(&heard[..count]);
        self.len = stays + count;
        Ok(count != 0)
    }
}

fn finish(hook: Fd, said: Fd, timeout: u32, words: &mut Words) -> Step {
    if !listen(hook, said, timeout, words)? {
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

/// Empties the pipe until the hook has ended; whether it has within its time.
fn listen(hook: Fd, said: Fd, timeout: u32, words: &mut Words) -> Result<bool, Errno> {
    let mut time = (timeout != 0).then(|| sys::time(timeout));
    let mut may_speak = true;
    loop {
        let [ended, speaks] = sys::readable([hook, if may_speak { said } else { hook }], time.as_mut())?;
        if ended {
            break;
        }
        if !speaks {
            return Ok(false);
        }
        may_speak = words.hear(said)?;
    }
    // What it has left behind may speak for ever: no more than a pipe holds.
    for _ in 0..PIPE / MAX_WORDS {
        if !(may_speak && sys::readable_within(said, Some(0))?) {
            break;
        }
        may_speak = words.hear(said)?;
    }
    Ok(true)
}
