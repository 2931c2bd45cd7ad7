//! Where events come from: eventfds on v1, file notifications and pressure
//! triggers on v2.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fs::{OFlags, inotify};
use rustix::io::{Errno, read, retry_on_intr};

use super::{Event, Resource};
use crate::cgroup::Member;
use crate::error::{Error, Result};
use crate::fs;
use crate::layout::Version;

/// One descriptor that becomes ready, and what that means.
#[derive(Debug)]
pub(super) struct Source {
    fd: OwnedFd,
    dir: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// An eventfd, signalled for this event and when the cgroup goes.
    V1(Event),
    /// Notifications of `memory.events` and `cgroup.events`.
    V2(Notified),
    /// A pressure trigger.
    Pressure(Resource),
}

/// What is known from notifications so far.
#[derive(Debug)]
struct Notified {
    /// The watch of `cgroup.events`.
    events: i32,
    kills: Option<u64>,
    told_empty: bool,
}

impl Source {
    pub(super) fn v1(member: &Member, file: &str, argument: &str, event: Event) -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let fd = eventfd(0, flags).map_err(|errno| Error::io("watch", member.path(), errno))?;
        // The registration lives as long as the eventfd; the file may be closed.
        let target = member.open_file(file, OFlags::RDONLY)?;
        let line = format!("{} {} {argument}", fd.as_raw_fd(), target.as_raw_fd());
        member.write("cgroup.event_control", line.trim_end())?;
        Ok(Self {
            fd,
            dir: member.path().to_owned(),
            kind: Kind::V1(event),
        })
    }

    pub(super) fn v2(member: &Member) -> Result<Self> {
        let dir = member.path();
        let failed = |errno| Error::io("watch", dir, errno);
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let fd = inotify::init(flags).map_err(failed)?;
        let mask = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::DELETE_SELF
            | inotify::WatchFlags::DONT_FOLLOW;
        let events = inotify::add_watch(&fd, dir.join("cgroup.events"), mask).map_err(failed)?;
        // Without the memory controller there is none.
        match inotify::add_watch(&fd, dir.join("memory.events"), mask) {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        // Before Linux 7 the files of a cgroup that is removed do not tell.
        if let Some(parent) = dir.parent() {
            inotify::add_watch(&fd, parent, inotify::WatchFlags::DELETE).map_err(failed)?;
        }
        // Read after the watch is set, so that nothing falls in between.
        let kills = value_in(dir, "memory.events", "oom_kill");
        let kind = Kind::V2(Notified {
            events,
            kills,
            told_empty: false,
        });
        Ok(Self {
            fd,
            dir: dir.to_owned(),
            kind,
        })
    }

    pub(super) fn pressure(member: &Member, resource: Resource, trigger: &str) -> Result<Self> {
        let name = match resource {
            Resource::Cpu => "cpu.pressure",
            Resource::Memory => "memory.pressure",
            Resource::Io => "io.pressure",
        };
        let fd = match member.try_open(name, OFlags::RDWR | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::OPNOTSUPP) => {
                let reason = format!("the kernel has no {name} (boot with psi=1)");
                return Err(Error::Unsupported {
                    field: "pressure",
                    reason,
                });
            }
            Err(errno) => return Err(Error::io("open", member.path().join(name), errno)),
        };
        fs::write_value(&fd, trigger)
            .map_err(|errno| fs::write_error(member.path(), name, trigger, errno))?;
        Ok(Self {
            fd,
            dir: member.path().to_owned(),
            kind: Kind::Pressure(resource),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    pub(super) fn interest(&self) -> epoll::EventFlags {
        match self.kind {
            Kind::Pressure(_) => epoll::EventFlags::PRI,
            _ => epoll::EventFlags::IN,
        }
    }

    pub(super) fn tells_oom(&self) -> Option<Version> {
        match self.kind {
            Kind::V1(Event::Oom) => Some(Version::V1),
            Kind::V2(Notified { kills: Some(_), .. }) => Some(Version::V2),
            _ => None,
        }
    }

    /// What has happened since the last time.
    pub(super) fn take(&mut self) -> Result<Vec<Event>> {
        let exists = self.dir.symlink_metadata().is_ok();
        let mut events = Vec::new();
        match &mut self.kind {
            Kind::V1(event) => {
                drain(&self.fd, &self.dir)?;
                // Its removal is signalled like an event.
                events.extend(exists.then_some(*event));
            }
            Kind::Pressure(resource) => events.extend(exists.then_some(Event::Pressure(*resource))),
            Kind::V2(notified) => {
                let changed = drain_notifications(&self.fd, &self.dir, notified.events)?;
                let now = value_in(&self.dir, "memory.events", "oom_kill");
                if now > notified.kills && now.is_some() {
                    events.push(Event::Oom);
                    notified.kills = now;
                }
                // Notifications come late, and several as one: processes that came and
                // went in between were there all the same.
                let empty = value_in(&self.dir, "cgroup.events", "populated") == Some(0);
                if changed {
                    events.extend((empty && !notified.told_empty).then_some(Event::Empty));
                    notified.told_empty = empty;
                }
            }
        }
        if !exists {
            events.push(Event::Removed);
        }
        Ok(events)
    }
}

fn value_in(dir: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_file(dir, file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

/// Empties an eventfd.
fn drain(fd: &OwnedFd, dir: &Path) -> Result<()> {
    match retry_on_intr(|| read(fd, &mut [0; 8])) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(Error::io("read events of", dir, errno)),
    }
}

/// Takes all notifications; whether one was of this watch.
fn drain_notifications(fd: &OwnedFd, dir: &Path, watch: i32) -> Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut reader = inotify::Reader::new(fd, &mut buffer);
    let mut seen = false;
    loop {
        match reader.next() {
            Ok(event) => seen = seen || event.wd() == watch,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(seen),
            Err(errno) => return Err(Error::io("read events of", dir, errno)),
        }
    }
}
