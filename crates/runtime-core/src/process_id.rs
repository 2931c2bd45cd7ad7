//! Which process is meant, in a form that outlives the caller: its pid, and what tells it apart from
//! others that have the pid after it.
//!
//! The kernel gives a pid to another process as soon as its last owner is reaped. Since Linux 6.9 a
//! pidfd is a file of pidfs, and no two processes ever have the same one. Before, the moment of
//! its start tells two owners apart, but for those of one clock tick (10 ms).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::poll::poll_until;
use crate::signal::Signal;
use crate::sys;

/// A process, by what only it has until the machine restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Record", try_from = "Record")]
pub(crate) struct ProcessId {
    pid: i32,
    mark: Mark,
}

/// What no other process with the same pid has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    /// The inode of its pidfd.
    Inode(u64),
    /// Clock ticks since the machine started: field 22 of `/proc/<pid>/stat`.
    StartTime(u64),
}

/// The form in a state file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    pid: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
}

impl From<ProcessId> for Record {
    fn from(id: ProcessId) -> Self {
        let (start_time, inode) = match id.mark {
            Mark::Inode(inode) => (None, Some(inode)),
            Mark::StartTime(ticks) => (Some(ticks), None),
        };
        Self {
            pid: id.pid,
            start_time,
            inode,
        }
    }
}

impl TryFrom<Record> for ProcessId {
    type Error = &'static str;

    fn try_from(record: Record) -> Result<Self, &'static str> {
        if record.pid <= 0 {
            return Err("a pid is greater than 0");
        }
        let inode = record.inode.map(Mark::Inode);
        let mark = inode.or(record.start_time.map(Mark::StartTime));
        Ok(Self {
            pid: record.pid,
            mark: mark.ok_or("neither `inode` nor `startTime` is there")?,
        })
    }
}

impl ProcessId {
    /// The process that has this pid and pidfd: a child that was not reaped.
    ///
    /// # Errors
    /// When there is none, or `/proc` can't be read.
    pub(crate) fn of(pid: i32, pidfd: BorrowedFd<'_>) -> Result<Self> {
        if let Some(inode) = inode_of(pidfd)? {
            let mark = Mark::Inode(inode);
            return Ok(Self { pid, mark });
        }
        match Stat::read(pid)? {
            Some(stat) => Ok(Self {
                pid,
                mark: Mark::StartTime(stat.start_time),
            }),
            None => Err(Error::system(format!("look at process {pid}"), Errno::SRCH)),
        }
    }

    /// The process's pid.
    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    /// Whether the process still runs: neither gone, nor a zombie, nor its pid another's.
    pub(crate) fn alive(self) -> Result<bool> {
        match self.mark {
            Mark::Inode(_) => Ok(self.open()?.is_some()),
            Mark::StartTime(ticks) => self.runs_since(ticks),
        }
    }

    fn runs_since(self, ticks: u64) -> Result<bool> {
        let stat = Stat::read(self.pid)?;
        Ok(stat.is_some_and(|stat| stat.start_time == ticks && !stat.is_dead()))
    }

    /// A descriptor that stands for the process (`pidfd_open(2)`); `None` when it does not run.
    pub(crate) fn open(self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // EINVAL and ENOENT: the number belongs to a thread of another process by now.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
            Err(errno) => {
                return Err(Error::system(format!("open process {}", self.pid), errno));
            }
        };
        // The descriptor was opened by number: only now is it sure whose number that is.
        let is_it = match self.mark {
            Mark::Inode(inode) => {
                inode_of(pidfd.as_fd())? == Some(inode)
                    && !wait_exit(pidfd.as_fd(), Duration::ZERO)?
            }
            Mark::StartTime(ticks) => self.runs_since(ticks)?,
        };
        Ok(is_it.then_some(pidfd))
    }
}

/// The inode of a pidfd that is a file of pidfs; what pidfds were before have no type of file.
fn inode_of(pidfd: BorrowedFd<'_>) -> Result<Option<u64>> {
    let stat = rustix::fs::fstat(pidfd).context(|| "look at a pidfd".to_owned())?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_file.then_some(stat.st_ino))
}

/// Sends a signal to the process that the descriptor stands for. `false` when it is gone.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<bool> {
    match sys::pidfd_send_signal(pidfd, signal.number()) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(false),
        Err(error) => Err(Error::system(format!("send {signal}"), error)),
    }
}

/// Waits until the process has ended, at most for so long. `false` when it still runs.
pub(crate) fn wait_exit(pidfd: BorrowedFd<'_>, limit: Duration) -> Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let ready = poll_until(&mut fds, Instant::now().checked_add(limit))
        .context(|| "wait for a process to end".to_owned())?;
    Ok(ready > 0)
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    state: u8,
    threads: u64,
    start_time: u64,
}

impl Stat {
    /// `None` when there is no process with this pid.
    fn read(pid: i32) -> Result<Option<Self>> {
        let path = format!("/proc/{pid}/stat");
        // The fields that count end long before this, and the rest may be cut off.
        let mut buffer = [0; 1024];
        let length = match read_start(&path, &mut buffer) {
            Ok(length) => length,
            Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(Error::system(format!("read {path}"), errno)),
        };
        let malformed =
            || io::Error::new(io::ErrorKind::InvalidData, "it is not a process's status");
        let stat = Self::parse(&buffer[..length]);
        stat.ok_or_else(|| Error::system(format!("read {path}"), malformed()))
            .map(Some)
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        // The program's name, in parentheses, may hold anything, parentheses too; nothing after
        // it does.
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let mut fields = std::str::from_utf8(&text[end + 1..])
            .ok()?
            .split_ascii_whitespace();
        let [state] = fields.next()?.as_bytes() else {
            return None;
        };
        // Counted as proc(5) does, the state being field 3.
        let threads = fields.nth(20 - 4)?.parse().ok()?;
        let start_time = fields.nth(22 - 21)?.parse().ok()?;
        Some(Self {
            state: *state,
            threads,
            start_time,
        })
    }

    /// A first thread that ended before the others is a zombie, too, but the process goes on.
    fn is_dead(self) -> bool {
        matches!(self.state, b'X' | b'x') || (self.state == b'Z' && self.threads <= 1)
    }
}

fn read_start(path: &str, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    retry_on_intr(|| rustix::io::read(file.as_fd(), &mut *buffer))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::{Mark, ProcessId, Stat, send_signal, wait_exit};
    use crate::state::testing::Sleeper;

    fn line(name: &str, state: &str, threads: u32, start: u64) -> String {
        format!(
            "7 ({name}) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 {start} 9 1"
        )
    }

    #[test]
    fn the_name_may_hold_anything() {
        for name in ["sleep", "a) R 1 (b", ") (", "(((", ")))", "x\n) Z 1", ""] {
            let stat = Stat::parse(line(name, "S", 1, 4711).as_bytes()).unwrap();
            assert_eq!(
                (stat.state, stat.threads, stat.start_time),
                (b'S', 1, 4711),
                "{name:?}"
            );
        }
        assert!(Stat::parse(b"7 (\xff\xfe) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 9").is_some());
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_refused() {
        let whole = line("x", "S", 1, 4711);
        let enough = whole.len() - " 9 1".len() - "4711".len();
        for end in 0..enough {
            assert_eq!(Stat::parse(&whole.as_bytes()[..end]), None, "{end}");
        }
        assert_eq!(Stat::parse(line("x", "SS", 1, 1).as_bytes()), None);
        assert_eq!(
            Stat::parse(
                line("x", "S", 1, 1)
                    .replace(" 20 0 1", " 20 0 -1")
                    .as_bytes()
            ),
            None
        );
    }

    #[test]
    fn a_zombie_is_dead_unless_other_threads_go_on() {
        let dead = |state, threads| {
            Stat::parse(line("x", state, threads, 1).as_bytes())
                .unwrap()
                .is_dead()
        };
        assert!(dead("Z", 1) && dead("X", 1));
        assert!(!dead("Z", 2) && !dead("D", 1) && !dead("T", 1));
    }

    #[test]
    fn a_process_is_alive_until_it_is_a_zombie() {
        let mut sleeper = Sleeper::new();
        let id = sleeper.id;
        assert!(id.alive().unwrap());
        let pidfd = id.open().unwrap().unwrap();
        assert!(!wait_exit(pidfd.as_fd(), Duration::from_millis(1)).unwrap());
        assert!(send_signal(pidfd.as_fd(), "KILL".parse().unwrap()).unwrap());
        assert!(wait_exit(pidfd.as_fd(), Duration::from_secs(10)).unwrap());
        assert!(!id.alive().unwrap());
        assert!(id.open().unwrap().is_none());
        sleeper.child.wait().unwrap();
        assert!(!id.alive().unwrap());
        assert!(!send_signal(pidfd.as_fd(), "KILL".parse().unwrap()).unwrap());
    }

    #[test]
    fn another_process_with_the_pid_is_not_the_same() {
        let sleeper = Sleeper::new();
        let id = sleeper.id;
        let started = Stat::read(id.pid()).unwrap().unwrap().start_time;
        let marked = |mark| ProcessId { mark, ..id };
        assert!(marked(Mark::StartTime(started)).alive().unwrap());
        for mark in [Mark::StartTime(started - 1), Mark::Inode(u64::MAX)] {
            let other = marked(mark);
            assert!(!other.alive().unwrap());
            assert!(other.open().unwrap().is_none());
        }
    }

    #[test]
    fn real_time_signals_arrive() {
        use std::os::unix::process::ExitStatusExt;
        let mut sleeper = Sleeper::new();
        let id = sleeper.id;
        let pidfd = id.open().unwrap().unwrap();
        assert!(send_signal(pidfd.as_fd(), "RTMIN+3".parse().unwrap()).unwrap());
        assert_eq!(sleeper.child.wait().unwrap().signal(), Some(37));
    }

    #[test]
    fn only_a_real_pid_is_read() {
        let read = serde_json::from_str::<ProcessId>;
        let same = |text| serde_json::to_string(&read(text).unwrap()).unwrap() == text;
        assert!(same(r#"{"pid":1,"startTime":2}"#));
        assert!(same(r#"{"pid":1,"inode":2}"#));
        for bad in [
            r#"{"pid":0,"startTime":2}"#,
            r#"{"pid":-1,"startTime":2}"#,
            r#"{"pid":1}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
