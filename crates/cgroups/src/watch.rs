//! Events of a cgroup, as they happen: nothing here polls.

mod source;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::layout::Version;
use crate::units::Micros;
use source::Source;

/// Something that happened to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Memory was out. On v2 a process has been killed for it; on v1 the kernel
    /// is about to kill one, or, with the killer off, makes them wait.
    Oom,
    /// Memory is short, by v1's levels.
    MemoryLevel(MemoryLevel),
    /// Tasks waited longer than the threshold of [`Watch::pressure`].
    Pressure(Resource),
    /// No process is left, after there were some (v2 and hybrid hosts).
    Empty,
    /// The cgroup was removed. No event comes after it.
    Removed,
}

/// How short memory is (v1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLevel {
    /// The kernel reclaims memory.
    Low,
    /// It swaps, or gives up file caches in use.
    Medium,
    /// It is about to kill.
    Critical,
}

/// What tasks can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Block io.
    Io,
}

/// Whose waiting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// That of any task.
    Some,
    /// Only that of all tasks at once.
    Full,
}

/// A watch on a cgroup. It has a descriptor that becomes readable when
/// [`Watch::next`] has something to give, for event loops of any kind.
#[derive(Debug)]
pub struct Watch {
    epoll: OwnedFd,
    sources: Vec<Source>,
    pending: VecDeque<Event>,
    removed: bool,
}

impl Cgroup {
    /// Starts to watch for [`Event::Oom`], [`Event::Empty`] and
    /// [`Event::Removed`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the cgroup is gone, or the system is out of descriptors.
    pub fn watch(&self) -> Result<Watch> {
        let mut watch = Watch::new(self)?;
        if let Some(member) = self.v1_member(Controller::Memory) {
            watch.add(Source::v1(member, "memory.oom_control", "", Event::Oom)?)?;
        }
        if let Some(member) = self.v2_member() {
            watch.add(Source::v2(member)?)?;
        }
        Ok(watch)
    }
}

impl Watch {
    fn new(cgroup: &Cgroup) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| {
            let path = cgroup
                .members()
                .first()
                .map(|member| member.path().to_owned());
            Error::io(
                "watch",
                path.unwrap_or_default(),
                std::io::Error::from(errno),
            )
        })?;
        Ok(Self {
            epoll,
            sources: Vec::new(),
            pending: VecDeque::new(),
            removed: false,
        })
    }

    fn add(&mut self, source: Source) -> Result<()> {
        let data = epoll::EventData::new_u64(self.sources.len() as u64);
        epoll::add(&self.epoll, source.fd(), data, source.interest())
            .map_err(|errno| Error::io("watch", source.path(), std::io::Error::from(errno)))?;
        self.sources.push(source);
        Ok(())
    }

    /// Watches for [`Event::MemoryLevel`] as well (v1).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without a v1 memory hierarchy, [`Error::Io`].
    pub fn memory_level(mut self, cgroup: &Cgroup, level: MemoryLevel) -> Result<Self> {
        let word = match level {
            MemoryLevel::Low => "low",
            MemoryLevel::Medium => "medium",
            MemoryLevel::Critical => "critical",
        };
        let member = cgroup
            .v1_member(Controller::Memory)
            .ok_or_else(|| Error::Unsupported {
                field: "memory.pressure_level",
                reason: "memory is not on cgroup v1 here (watch for pressure instead)".into(),
            })?;
        let event = Event::MemoryLevel(level);
        self.add(Source::v1(member, "memory.pressure_level", word, event)?)?;
        Ok(self)
    }

    /// Watches for [`Event::Pressure`] as well: for tasks that wait longer than
    /// `threshold` within any `window` (500 ms to 10 s; without `CAP_SYS_RESOURCE`
    /// a multiple of 2 s). At most one event comes for each window.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without the unified hierarchy or without pressure
    /// information in the kernel, [`Error::Io`] if it refuses the values.
    pub fn pressure(
        mut self,
        cgroup: &Cgroup,
        resource: Resource,
        waiting: Waiting,
        threshold: Micros,
        window: Micros,
    ) -> Result<Self> {
        let member = cgroup.v2_member().ok_or_else(|| Error::Unsupported {
            field: "pressure",
            reason: "the unified hierarchy, which tells of pressure, is not mounted".into(),
        })?;
        let waiting = match waiting {
            Waiting::Some => "some",
            Waiting::Full => "full",
        };
        let trigger = format!("{waiting} {threshold} {window}");
        self.add(Source::pressure(member, resource, &trigger)?)?;
        Ok(self)
    }

    /// Waits for the next event, at most for this long (`None`: for as long as it
    /// takes). `None` when the time is over, and after [`Event::Removed`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the kernel refuses to be waited on.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Event>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.removed = event == Event::Removed;
                return Ok(Some(event));
            }
            if self.removed || self.sources.is_empty() {
                return Ok(None);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !self.collect(left)? {
                return Ok(None);
            }
        }
    }

    /// Waits for sources to have something, and takes it; `false` if the time was over.
    fn collect(&mut self, timeout: Option<Duration>) -> Result<bool> {
        let timeout = timeout.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut ready = Vec::with_capacity(8);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut ready),
            timeout.as_ref(),
        ) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(true),
            Err(errno) => {
                return Err(Error::io(
                    "wait for events of",
                    self.sources[0].path(),
                    errno,
                ));
            }
        }
        for event in ready {
            let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let Some(source) = self.sources.get_mut(index) else {
                continue;
            };
            self.pending.extend(source.take()?);
        }
        // Whichever source told first, the end comes last; and only once, though two
        // hierarchies tell of it.
        let pending = self.pending.make_contiguous();
        pending.sort_by_key(|event| match event {
            Event::Removed => 2,
            Event::Empty => 1,
            _ => 0,
        });
        if let Some(first) = self
            .pending
            .iter()
            .position(|event| *event == Event::Removed)
        {
            self.pending.truncate(first + 1);
        }
        Ok(true)
    }

    /// The version that tells of memory running out, if either does.
    #[must_use]
    pub fn tells_oom(&self) -> Option<Version> {
        self.sources.iter().find_map(Source::tells_oom)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
