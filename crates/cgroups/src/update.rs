//! Changing the limits of a cgroup in use: all of them, or none.

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::apply::write_settings;
use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::device::{self, Attached, DeviceList};
use crate::error::{Error, Result};
use crate::fs;
use crate::layout::Version;
use crate::limits::Limits;
use crate::setting::{Absent, Setting, settings};
use crate::units::{Bytes, Limit, Micros};
use crate::v1;

impl Cgroup {
    /// Changes limits while processes run. Fields that are `None` stay as they are.
    ///
    /// If one of them is refused, those written before are put back.
    ///
    /// # Errors
    ///
    /// As [`Cgroup::create`]; [`Error::MemoryInUse`] for a memory limit below the
    /// usage, if [`check_before_update`](crate::MemoryLimits::check_before_update)
    /// asks for it or the kernel refuses it; [`Error::NotRestored`] if the old
    /// values could not be put back.
    pub fn update(&self, limits: &Limits) -> Result<()> {
        self.update_then(limits, || Ok(()))
    }

    /// As [`Cgroup::update`], with a last step that may still refuse it.
    pub(crate) fn update_then(
        &self,
        limits: &Limits,
        last: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut limits = limits.clone();
        let rules = limits.devices.take();
        self.complete(&mut limits)?;
        self.check_usage(&limits)?;
        let mut settings = settings(&limits, |controller| self.version_of(controller))?;
        let mut before = Vec::new();
        for setting in &settings {
            before.extend(self.current(setting)?);
        }
        // Devices last: what is let in meanwhile can't be sent away again.
        if let (Some(rules), Some(Version::V1)) = (&rules, self.version_of(Controller::Devices)) {
            let (there, back) = self.device_transition(rules)?;
            settings.extend(there);
            before.extend(back);
        }
        write_settings(self, &settings)
            .and_then(|()| self.replace_device_program(rules.as_deref()))
            .and_then(|attached| last().map_err(|error| self.detach(attached, error)))
            .map_err(|error| self.restore(before, error))
    }

    /// Fills in what v2 wants to have in one piece, or counts differently.
    pub(crate) fn complete(&self, limits: &mut Limits) -> Result<()> {
        let on_v2 = |controller| {
            self.member_of(controller)
                .filter(|member| member.version() == Version::V2)
        };
        let swap_alone =
            limits.memory.limit.is_none() && matches!(limits.memory.swap, Some(Limit::Value(_)));
        if let (true, Some(member)) = (swap_alone, on_v2(Controller::Memory)) {
            let text = member.read("memory.max")?;
            limits.memory.limit = text.trim().parse().ok().map(|n| Limit::Value(Bytes(n)));
        }
        let period_alone = limits.cpu.quota.is_none() && limits.cpu.period.is_some();
        if let (true, Some(member)) = (period_alone, on_v2(Controller::Cpu)) {
            let text = member.read("cpu.max")?;
            let quota = text.split(' ').next().and_then(|quota| quota.parse().ok());
            limits.cpu.quota = Some(quota.map_or(Limit::Max, |n| Limit::Value(Micros(n))));
        }
        Ok(())
    }

    fn check_usage(&self, limits: &Limits) -> Result<()> {
        let memory = &limits.memory;
        let Some(member) = self.member_of(Controller::Memory) else {
            return Ok(());
        };
        if !memory.check_before_update {
            return Ok(());
        }
        let (own, both): (_, &[&str]) = match member.version() {
            Version::V1 => ("memory.usage_in_bytes", &["memory.memsw.usage_in_bytes"]),
            Version::V2 => ("memory.current", &["memory.current", "memory.swap.current"]),
        };
        // The sum first, as runc does: who sets both is told of that.
        for (what, limit, files) in [
            ("memory+swap", memory.swap, both),
            ("memory", memory.limit, &[own]),
        ] {
            let Some(Limit::Value(Bytes(limit))) = limit else {
                continue;
            };
            let mut usage = 0;
            for file in files {
                let read = member.try_open(file, OFlags::RDONLY);
                match read.and_then(fs::read_record) {
                    Ok(text) => usage += text.trim().parse::<u64>().unwrap_or(0),
                    // A kernel that does not count swap.
                    Err(Errno::NOENT) if *file != own => {}
                    Err(errno) => return Err(fs::read_error(member.path(), file, errno)),
                }
            }
            if limit < usage {
                return Err(Error::MemoryInUse { what, limit, usage });
            }
        }
        Ok(())
    }

    /// The setting that would put back what this one changes. `None` where there
    /// is nothing to change.
    fn current(&self, setting: &Setting) -> Result<Option<Setting>> {
        let member = self.member_for(setting)?;
        let read = |file: &str| {
            member
                .try_open(file, OFlags::RDONLY)
                .and_then(fs::read_record)
        };
        let (file, value) = match (read(&setting.file), &setting.absent) {
            (Err(Errno::NOENT), Absent::Ignore) => return Ok(None),
            (Err(Errno::NOENT), Absent::Instead { file, value }) => ((*file).into(), value),
            _ => (setting.file.clone(), &setting.value),
        };
        match read(&file) {
            Ok(text) => {
                let before = previous(&file, value, &text);
                Ok(before
                    .map(|before| Setting::new(setting.controller, setting.field, file, before)))
            }
            Err(Errno::NOENT) => Err(crate::apply::no_file(member, setting)),
            Err(errno) => Err(fs::read_error(member.path(), &file, errno)),
        }
    }

    fn device_transition(
        &self,
        rules: &[crate::device::DeviceRule],
    ) -> Result<(Vec<Setting>, Vec<Setting>)> {
        let member = self
            .v1_member(Controller::Devices)
            .ok_or(Error::NoController {
                field: "devices",
                controller: Controller::Devices,
            })?;
        let now = DeviceList::parse(&member.read("devices.list")?);
        let target = DeviceList::from_rules(rules)?;
        let there = v1::devices(now.transition(&target)).collect();
        // Put back last to first, as everything is.
        let mut back: Vec<_> = v1::devices(target.transition(&now)).collect();
        back.reverse();
        Ok((there, back))
    }

    fn replace_device_program(
        &self,
        rules: Option<&[crate::device::DeviceRule]>,
    ) -> Result<Option<Attached>> {
        let (Some(rules), Some(member)) = (rules, self.device_program_member()) else {
            return Ok(None);
        };
        let program = device::compile(rules);
        device::attach(member.dir()?, member.path(), &program, true).map(Some)
    }

    /// Puts the former device program back, because of this error.
    fn detach(&self, attached: Option<Attached>, error: Error) -> Error {
        let (Some(attached), Some(member)) = (attached, self.device_program_member()) else {
            return error;
        };
        let undone = member.dir().is_ok_and(|dir| attached.undo(dir).is_ok());
        if undone {
            return error;
        }
        Error::NotRestored {
            error: Box::new(error),
            path: member.path().to_owned(),
            value: "its former device program".into(),
        }
    }

    fn restore(&self, mut before: Vec<Setting>, error: Error) -> Error {
        before.reverse();
        if write_settings(self, &before).is_ok() {
            return error;
        }
        // One bad value must not keep the others from being put back.
        let mut failed = None;
        for setting in &before {
            if write_settings(self, std::slice::from_ref(setting)).is_err() {
                failed = Some(setting);
            }
        }
        match failed.map(|setting| (setting, self.member_for(setting))) {
            Some((setting, Ok(member))) => Error::NotRestored {
                error: Box::new(error),
                path: member.path().join(&*setting.file),
                value: setting.value.clone(),
            },
            _ => error,
        }
    }
}

/// What to write to a file, of which `text` is the content, to undo the write of
/// `value`. `None` for files that do not tell.
fn previous(file: &str, value: &str, text: &str) -> Option<String> {
    let key = value.split(' ').next().unwrap_or_default();
    let keyed = || {
        text.lines()
            .find(|line| line.split(' ').next() == Some(key))
    };
    let or_default =
        |default: &str| Some(keyed().map_or_else(|| format!("{key} {default}"), str::to_owned));
    match file {
        "memory.oom_control" => text
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill_disable "))
            .map(str::to_owned),
        "io.max" => or_default("rbps=max wbps=max riops=max wiops=max"),
        "rdma.max" => or_default("hca_handle=max hca_object=max"),
        "io.weight" | "io.bfq.weight" | "blkio.bfq.weight_device" if value.contains(' ') => {
            or_default("default")
        }
        "io.bfq.weight" => text
            .lines()
            .find(|line| line.starts_with("default "))
            .map(str::to_owned),
        _ if file.starts_with("blkio.throttle.") || file.ends_with("weight_device") => {
            or_default("0")
        }
        "net_prio.ifpriomap" => keyed().map(str::to_owned),
        // A list that is empty is written as an empty line.
        _ if text.trim().is_empty() => Some("\n".into()),
        _ if text.trim().lines().count() == 1 => Some(text.trim().to_owned()),
        _ => keyed().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::previous;

    /// File, value about to be written, content, and what undoes the write.
    const CASES: [(&str, &str, &str, Option<&str>); 14] = [
        ("pids.max", "5", "max\n", Some("max")),
        ("cpu.max", "max", "1000 2000\n", Some("1000 2000")),
        ("cpuset.cpus", "1", "\n", Some("\n")),
        (
            "memory.oom_control",
            "1",
            "oom_kill_disable 0\nunder_oom 0\n",
            Some("0"),
        ),
        (
            "io.max",
            "8:0 rbps=1",
            "",
            Some("8:0 rbps=max wbps=max riops=max wiops=max"),
        ),
        (
            "io.max",
            "8:0 rbps=1",
            "8:16 rbps=7\n8:0 rbps=9 wbps=max\n",
            Some("8:0 rbps=9 wbps=max"),
        ),
        (
            "io.bfq.weight",
            "500",
            "default 100\n8:0 7\n",
            Some("default 100"),
        ),
        (
            "io.bfq.weight",
            "8:0 500",
            "default 100\n8:0 7\n",
            Some("8:0 7"),
        ),
        (
            "io.weight",
            "8:16 500",
            "default 100\n8:0 7\n",
            Some("8:16 default"),
        ),
        (
            "io.weight",
            "default 5",
            "default 100\n8:0 7\n",
            Some("default 100"),
        ),
        (
            "blkio.throttle.read_bps_device",
            "8:0 5",
            "8:16 1\n",
            Some("8:0 0"),
        ),
        ("net_prio.ifpriomap", "lo 5", "eth0 1\nlo 0\n", Some("lo 0")),
        (
            "rdma.max",
            "m hca_handle=1",
            "",
            Some("m hca_handle=max hca_object=max"),
        ),
        ("memory.reclaim", "1", "a 1\nb 2\n", None),
    ];

    #[test]
    fn undoing() {
        for (file, value, text, undo) in CASES {
            assert_eq!(
                previous(file, value, text).as_deref(),
                undo,
                "{file} {value}"
            );
        }
    }
}
