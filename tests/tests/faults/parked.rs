//! Init that fails, or waits, at a chosen operation.

use orlop_tests::Output;
use orlop_tests::patience::patient;
use orlop_tests::runtime::{Call, Running};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// The variable by which a runtime built with `failpoints` is told where.
const FAILPOINT: &str = "ORLOP_FAILPOINT";

pub(crate) const EIO: i32 = 5;

/// How long what is to happen soon may take.
const SOON: Duration = Duration::from_secs(10);

/// A command whose init fails at this operation.
pub(crate) fn failing(call: Call, index: usize) -> Call {
    call.env(FAILPOINT, format!("{index}:fail:{EIO}"))
}

/// A command whose init waits at this operation for ever.
pub(crate) fn waiting(call: Call, index: usize) -> Call {
    call.env(FAILPOINT, format!("{index}:park"))
}

/// An init that waits at its operation. The number may be another's once it has ended; the descriptor
/// stays this one's. It carries no mark of the test by which a census would find it: so it is killed
/// when dropped.
pub(crate) struct Init {
    pid: u32,
    pidfd: OwnedFd,
}

impl Init {
    fn of(pid: u32) -> Option<Self> {
        let raw = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let pidfd = pidfd_open(raw, PidfdFlags::empty()).ok()?;
        // It was opened by number: whoever waits like this is the one.
        is_parked(pid).then(|| Self { pid, pidfd })
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Fails the test unless it ends, without being killed by the test.
    #[track_caller]
    pub(crate) fn assert_gone(&self, what: &str) {
        let limit = Timespec::try_from(patient(SOON)).expect("a limit");
        let mut end = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let ended = poll(&mut end, Some(&limit)).expect("wait for init");
        assert_eq!(ended, 1, "{what}: init {} is left behind", self.pid);
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command, and its init, which waits at its operation.
#[track_caller]
pub(crate) fn parked(call: Call) -> (Running, Init) {
    match parked_or_over(call) {
        Ok(parked) => parked,
        Err(output) => panic!("over before its init waits: {output}"),
    }
}

/// The same, or what the command did if it has no such operation.
#[track_caller]
pub(crate) fn parked_or_over(call: Call) -> Result<(Running, Init), Output> {
    let running = call.start();
    let end = Instant::now() + patient(SOON);
    loop {
        if let Some(init) = children(running.pid()).into_iter().find_map(Init::of) {
            return Ok((running, init));
        }
        if has_ended(running.pid()) {
            return Err(running.finish());
        }
        assert!(Instant::now() < end, "init never waits");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The init of this number, once it waits at its operation.
#[track_caller]
pub(crate) fn parked_at(pid: u32) -> Init {
    let end = Instant::now() + patient(SOON);
    loop {
        if let Some(init) = Init::of(pid) {
            return init;
        }
        assert!(Instant::now() < end, "process {pid} never waits");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// A command that has ended is a zombie until the test looks.
fn has_ended(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// Whether a process waits in `ppoll(2)` for nothing, as no other operation of init's does.
fn is_parked(pid: u32) -> bool {
    let call = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("syscall"));
    call.is_ok_and(|call| call.starts_with(&format!("{} 0x0 0x0 0x0 ", libc::SYS_ppoll)))
}
