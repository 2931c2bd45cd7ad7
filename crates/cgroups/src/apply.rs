//! Writing limits into a cgroup.

use std::io;
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cgroup::{Cgroup, Member};
use crate::controller::{Controller, ControllerSet};
use crate::device;
use crate::error::{Error, Result};
use crate::fs;
use crate::layout::Version;
use crate::limits::Limits;
use crate::setting::{Absent, Setting, settings};

impl Cgroup {
    /// In which version of hierarchy a controller is; on v2 it may still be off.
    pub(crate) fn version_of(&self, controller: Controller) -> Option<Version> {
        self.member_of(controller).map(Member::version)
    }

    /// Where a setting is written.
    pub(crate) fn member_for(&self, setting: &Setting) -> Result<&Member> {
        let Setting {
            controller,
            field,
            file,
            ..
        } = setting;
        match *controller {
            Some(controller) => self
                .member_of(controller)
                .ok_or(Error::NoController { field, controller }),
            None => self.v2_member().ok_or_else(|| {
                let reason = format!("{file} is a file of cgroup v2, which is not mounted here");
                Error::Unsupported { field, reason }
            }),
        }
    }

    /// Writes the limits of a new cgroup.
    pub(crate) fn apply(&self, limits: &Limits) -> Result<()> {
        write_settings(
            self,
            &settings(limits, |controller| self.version_of(controller))?,
        )?;
        if let (Some(rules), Some(member)) = (&limits.devices, self.device_program_member()) {
            device::attach(
                member.dir()?,
                member.path(),
                &device::compile(rules),
                !member.made(),
            )?;
        }
        Ok(())
    }

    /// The member that takes device rules as a program: the unified one, where
    /// there is no v1 hierarchy for devices.
    pub(crate) fn device_program_member(&self) -> Option<&Member> {
        self.member_of(Controller::Devices)
            .filter(|member| member.version() == Version::V2)
    }
}

/// Writes settings in order. One that the kernel refuses because of another
/// that is still to come (memory above memory+swap, a period against the old
/// quota) has a second chance after all of them.
pub(crate) fn write_settings(cgroup: &Cgroup, settings: &[Setting]) -> Result<()> {
    let mut refused = Vec::new();
    let mut open = OpenFile::default();
    for setting in settings {
        let member = cgroup.member_for(setting)?;
        match open.write(member, setting) {
            Ok(()) => {}
            Err(Error::Io { source, .. }) if may_come_too_early(setting, &source) => {
                refused.push(setting);
            }
            Err(error) => return Err(error),
        }
    }
    for setting in refused {
        open.write(cgroup.member_for(setting)?, setting)?;
    }
    Ok(())
}

fn may_come_too_early(setting: &Setting, error: &io::Error) -> bool {
    // The order of device rules is their meaning.
    setting.controller != Some(Controller::Devices)
        && matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBUSY))
}

/// The file last written, kept open for a run of values for the same one, as
/// device rules have.
#[derive(Default)]
struct OpenFile {
    current: Option<(PathBuf, std::os::fd::OwnedFd)>,
}

impl OpenFile {
    fn write(&mut self, member: &Member, setting: &Setting) -> Result<()> {
        let path = member.path().join(setting.file.as_ref());
        if self.current.as_ref().is_none_or(|(open, _)| *open != path) {
            let file = match member.try_open(&setting.file, OFlags::WRONLY) {
                Ok(file) => file,
                Err(Errno::NOENT) => return write_absent(member, setting),
                Err(errno) => {
                    return Err(fs::write_error(
                        member.path(),
                        &setting.file,
                        &setting.value,
                        errno,
                    ));
                }
            };
            self.current = Some((path, file));
        }
        let Some((_, file)) = &self.current else {
            return Ok(());
        };
        fs::write_value(file, &setting.value).map_err(|errno| refused(member, setting, errno))
    }
}

fn write_absent(member: &Member, setting: &Setting) -> Result<()> {
    match &setting.absent {
        Absent::Ignore => Ok(()),
        Absent::Instead { file, value } => match member.try_open(file, OFlags::WRONLY) {
            Ok(open) => fs::write_value(open, value)
                .map_err(|errno| fs::write_error(member.path(), file, value, errno)),
            Err(Errno::NOENT) => Err(no_file(member, setting)),
            Err(errno) => Err(fs::write_error(member.path(), file, value, errno)),
        },
        Absent::Refuse => Err(no_file(member, setting)),
    }
}

/// A file that is not there: on v2 because its controller is not enabled, or
/// because the kernel is built or booted without that part of it.
pub(crate) fn no_file(member: &Member, setting: &Setting) -> Error {
    let Setting {
        controller,
        field,
        file,
        ..
    } = setting;
    let enabled = || {
        member
            .read("cgroup.controllers")
            .map(|text| ControllerSet::parse(&text))
    };
    if let (Version::V2, &Some(controller)) = (member.version(), controller)
        && enabled().is_ok_and(|enabled| !enabled.contains(controller))
    {
        return Error::NoController { field, controller };
    }
    let reason = format!(
        "{} does not exist (this kernel is built or booted without it)",
        member.path().join(file.as_ref()).display()
    );
    Error::Unsupported { field, reason }
}

/// A refused value, with what the kernel's error number does not tell.
fn refused(member: &Member, setting: &Setting, errno: Errno) -> Error {
    let (what, usage_file) = match &*setting.file {
        "memory.limit_in_bytes" => ("memory", "memory.usage_in_bytes"),
        "memory.memsw.limit_in_bytes" => ("memory+swap", "memory.memsw.usage_in_bytes"),
        _ => ("", ""),
    };
    if errno == Errno::BUSY && !usage_file.is_empty() {
        let usage = member
            .read(usage_file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let (Some(usage), Ok(limit)) = (usage, setting.value.parse()) {
            return Error::MemoryInUse { what, limit, usage };
        }
    }
    fs::write_error(member.path(), &setting.file, &setting.value, errno)
}
