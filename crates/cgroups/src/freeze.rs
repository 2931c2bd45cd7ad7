//! Freezing and thawing.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;

use crate::cgroup::{Cgroup, Member};
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::fs;
use crate::layout::Version;

/// For how long freezing may take before it is undone and reported.
const DEADLINE: Duration = Duration::from_secs(2);

/// Whether a cgroup's processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FreezerState {
    /// They run.
    Thawed,
    /// They stand still, or are about to.
    Frozen,
}

impl Cgroup {
    /// Stops all processes of the cgroup and below it, and returns when they
    /// stand still. Processes that start in it later stand still at once.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if some did not stop within two seconds (all run
    /// again then), [`Error::Unsupported`] if there is no freezer, [`Error::Io`].
    pub fn freeze(&self) -> Result<()> {
        let member = self.freezer()?;
        let result = match member.version() {
            Version::V1 => freeze_v1(member),
            Version::V2 => freeze_v2(member),
        };
        if result.is_err() {
            // The first error says more than one of undoing it.
            let _ = self.thaw();
        }
        result
    }

    /// Lets all processes run again.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if there is no freezer, [`Error::Io`].
    pub fn thaw(&self) -> Result<()> {
        let member = self.freezer()?;
        match member.version() {
            Version::V1 => member.write("freezer.state", "THAWED"),
            Version::V2 => member.write("cgroup.freeze", "0"),
        }
    }

    /// Whether the cgroup is frozen, by itself or by one above it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if there is no freezer, [`Error::Io`].
    pub fn freezer_state(&self) -> Result<FreezerState> {
        let frozen = is_frozen(self.freezer()?)?;
        Ok(if frozen {
            FreezerState::Frozen
        } else {
            FreezerState::Thawed
        })
    }

    pub(crate) fn freezer(&self) -> Result<&Member> {
        self.member_of(Controller::Freezer)
            .ok_or_else(|| Error::Unsupported {
                field: "freezer",
                reason: "no freezer hierarchy is mounted (mount the v1 freezer, or cgroup2)".into(),
            })
    }
}

/// Whether this member is frozen; one without a freezer never is.
pub(crate) fn is_frozen(member: &Member) -> Result<bool> {
    let told_to = || match member.version() {
        // An empty cgroup told to freeze counts as well: what starts in it stands still.
        Version::V2 => Ok(member.read("cgroup.freeze")?.trim() == "1"),
        Version::V1 => Ok(false),
    };
    match is_frozen_from_above(member)? {
        None => Ok(false),
        Some(frozen) => Ok(frozen || told_to()?),
    }
}

/// The state of a member's processes, if it has a freezer: for one that is new, what
/// it takes over from those above it.
pub(crate) fn is_frozen_from_above(member: &Member) -> Result<Option<bool>> {
    match member.version() {
        Version::V1 if member.v1_controllers().contains(Controller::Freezer) => {
            Ok(Some(member.read("freezer.state")?.trim() != "THAWED"))
        }
        Version::V1 => Ok(None),
        Version::V2 => {
            // The root of the hierarchy has no such file.
            match member
                .try_open("cgroup.events", OFlags::RDONLY)
                .and_then(fs::read_record)
            {
                Ok(events) => Ok(Some(has_line(&events, "frozen 1"))),
                Err(errno) if fs::is_gone(errno) => Ok(None),
                Err(errno) => Err(fs::read_error(member.path(), "cgroup.events", errno)),
            }
        }
    }
}

/// Whether this very directory is the one that was told to freeze.
pub(crate) fn is_frozen_itself(version: Version, path: &Path) -> bool {
    let file = match version {
        Version::V1 => "freezer.self_freezing",
        Version::V2 => "cgroup.freeze",
    };
    fs::read_file(path, file).is_ok_and(|text| text.trim() == "1")
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|candidate| candidate == line)
}

fn freeze_v1(member: &Member) -> Result<()> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(10);
    for attempt in 1_u32.. {
        // A process that forks or joins at the wrong moment can be left running in a
        // cgroup that says FREEZING for good. Writing the state again catches it, now
        // and then after a short thaw.
        if attempt % 50 == 0 {
            member.write("freezer.state", "THAWED")?;
        }
        member.write("freezer.state", "FROZEN")?;
        if member.read("freezer.state")?.trim() == "FROZEN" {
            return Ok(());
        }
        if start.elapsed() > DEADLINE {
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
    Err(timeout(member, start, "freezing"))
}

fn freeze_v2(member: &Member) -> Result<()> {
    const EVENTS: &str = "cgroup.events";
    let start = Instant::now();
    let failed = |errno| fs::read_error(member.path(), EVENTS, errno);
    member.write("cgroup.freeze", "1")?;
    let events = member.open_file(EVENTS, OFlags::RDONLY)?;
    loop {
        rustix::fs::seek(&events, rustix::fs::SeekFrom::Start(0)).map_err(failed)?;
        let text = fs::read_record(&events).map_err(failed)?;
        // An empty cgroup has nothing to wait for.
        if has_line(&text, "frozen 1") || has_line(&text, "populated 0") {
            return Ok(());
        }
        let Some(left) = DEADLINE.checked_sub(start.elapsed()) else {
            break;
        };
        let left = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&events, PollFlags::PRI)];
        retry_on_intr(|| poll(&mut fds, Some(&left))).map_err(failed)?;
    }
    Err(timeout(member, start, "not frozen"))
}

fn timeout(member: &Member, start: Instant, state: &'static str) -> Error {
    Error::Timeout {
        operation: "freeze",
        path: member.path().to_owned(),
        state,
        waited_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
