//! Operations and their failures in words.

use std::io;

use orlop_init::wire::{List, Slot};
use orlop_init::{Op, Part, Record};

use super::{Plan, Source};
use crate::error::{Error, StepError};
use crate::hint::Hint;
use crate::names;
use crate::signal;
use crate::user_namespace::Settings;

impl Plan {
    /// What an operation does, as a person would say it.
    #[expect(clippy::too_many_lines, reason = "a table: one line for each verb")]
    pub(crate) fn describe(&self, op: &Op) -> String {
        let text = |string| self.str(string);
        match *op {
            Op::MountFs { target, fstype, .. } => {
                format!("mount {} at {}", text(fstype), text(target))
            }
            Op::Attach { mount, target, .. } | Op::AttachLink { mount, target, .. } => {
                format!("mount {} at {}", self.describe_slot(mount), text(target))
            }
            Op::BindAt { path, .. } => format!("bind {} into the container", text(path)),
            Op::OpenNull { .. } => "clone the mount of /dev/null".to_owned(),
            Op::AttachRoot { root, at } => {
                format!("mount {} at {}", self.describe_slot(root), text(at))
            }
            Op::OpenTree { path, .. } => format!("clone the mount at {}", text(path)),
            Op::OpenDir { path, .. } => format!("open {}", text(path)),
            Op::CloneInside { path, .. } => {
                format!("clone the mount at {} in the container", text(path))
            }
            Op::LendMount { mount } => {
                format!("wait for the attributes of {}", self.describe_slot(mount))
            }
            Op::Conceal { path } => format!("take the host's {} away", text(path)),
            Op::EnterDir { dir } => format!("enter {}", self.describe_slot(dir)),
            Op::Propagation { path, propagation } => {
                format!(
                    "make mounts below {} {}",
                    text(path),
                    names::propagation(propagation)
                )
            }
            Op::SetAttr { mount, .. } => {
                format!("set mount attributes of {}", self.describe_slot(mount))
            }
            Op::Device { path, .. } => format!("make device {}", text(path)),
            Op::Symlink { path, target, .. } => format!("link {} to {}", text(path), text(target)),
            Op::Mask { path, .. } => format!("mask {}", text(path)),
            Op::ReadOnly { path, .. } => format!("make {} read-only", text(path)),
            Op::WriteProc { path, data, .. } => {
                format!("write {:?} to /proc/{}", text(data), text(path))
            }
            Op::Hostname { name } => format!("set hostname {:?}", text(name)),
            Op::Domainname { name } => format!("set domainname {:?}", text(name)),
            Op::Rlimit {
                resource,
                soft,
                hard,
            } => {
                format!("set {} to {soft}:{hard}", names::rlimit(resource))
            }
            Op::Cwd { path, .. } | Op::TryCwd { path, .. } | Op::RetryCwd { path } => {
                format!("chdir to cwd {:?}", text(path))
            }
            Op::FindProgram { candidates } => self.describe_search(candidates),
            Op::Exec { argv, .. } => {
                format!(
                    "exec {}",
                    self.strings(argv).first().copied().unwrap_or_default()
                )
            }
            Op::Hook { path, .. } => self.describe_hook(op, text(path)),
            Op::SetIds { uid, gid } => format!("become user {uid} and group {gid}"),
            Op::BecomeIds { uid, gid } => format!("become user {uid}:{gid} of the user namespace"),
            Op::Unshare { flags } => format!("make new {} namespaces", names::namespaces(flags)),
            Op::SetNs { fd, flags } => {
                format!(
                    "join {} namespace of {}",
                    names::namespaces(flags),
                    self.describe_slot(fd)
                )
            }
            Op::JoinResctrl { path } => format!("join the resctrl group by {}", text(path)),
            Op::JoinCgroup { path, .. } => format!("join the cgroup by {}", text(path)),
            Op::SessionKeyring { name } => format!("join session keyring {}", text(name)),
            Op::Scheduler { policy, .. } => {
                format!("set the scheduling policy {}", names::scheduler(policy))
            }
            Op::SecurityLabel { path, label, .. } => {
                format!("label {} as {}", text(path), text(label))
            }
            Op::OpenCovered { target, .. } => format!("open {}", text(target)),
            Op::CopyUp { target, .. } => format!("copy {} into the tmpfs over it", text(target)),
            Op::Umask { mask } => format!("set umask {mask:04o}"),
            _ => describe_plain(op).to_owned(),
        }
    }

    /// Whose hook it is, its field says.
    fn describe_hook(&self, op: &Op, path: &str) -> String {
        let step = self.steps.iter().find(|step| step.op == *op);
        let field = step
            .and_then(|step| step.field.as_deref())
            .unwrap_or_default();
        let field = field.trim_start_matches("hooks.").trim_end_matches(']');
        let (kind, index) = field.split_once('[').unwrap_or((field, "0"));
        format!("error running {kind} hook #{index}: {path}")
    }

    fn describe_search(&self, candidates: List) -> String {
        match self.strings(candidates).as_slice() {
            [only] => format!("exec: {only:?}"),
            several => {
                let name = several.first().and_then(|path| path.rsplit('/').next());
                format!("exec: {:?}", name.unwrap_or_default())
            }
        }
    }

    pub(crate) fn describe_slot(&self, slot: Slot) -> String {
        match self.source(slot) {
            Some(
                Source::Root { path, .. } | Source::RootDir { path } | Source::HostRoot { path },
            ) => {
                format!("rootfs {}", path.display())
            }
            Some(Source::TargetRoot) => "the container's root".to_owned(),
            Some(Source::Tree(tree)) => tree.path.display().to_string(),
            Some(Source::Namespace { path, .. }) => path.display().to_string(),
            Some(Source::Tasks { path }) => path.display().to_string(),
            Some(Source::Target) => "the container".to_owned(),
            Some(Source::Given(n)) => format!("given file {n}"),
            None => self.describe_made(slot),
        }
    }

    /// A slot that an operation makes is known by what is put there.
    fn describe_made(&self, slot: Slot) -> String {
        let path = self.steps.iter().find_map(|step| match step.op {
            Op::OpenTree { to, path, .. }
            | Op::CloneInside { to, path, .. }
            | Op::OpenDir { to, path, .. }
                if to == slot =>
            {
                Some(path)
            }
            _ => None,
        });
        path.map_or_else(
            || "a private file".to_owned(),
            |path| self.str(path).to_owned(),
        )
    }

    /// The error for a process that could not be born.
    pub(crate) fn birth_error(&self, errno: i32) -> StepError {
        let birth = StepError::of_birth("clone3".to_owned(), errno);
        let of_namespaces = matches!(
            errno,
            libc::EPERM | libc::ENOSPC | libc::EUSERS | libc::EINVAL
        );
        if self.clone_flags & libc::CLONE_NEWUSER as u32 == 0 || !of_namespaces {
            return birth;
        }
        let of_setting = Settings::now().refusal(errno).map(Hint::Words);
        StepError {
            operation: format!(
                "make new {} namespaces",
                names::namespaces(self.clone_flags)
            ),
            hint: of_setting.or(birth.hint.filter(|_| errno != libc::EPERM)),
            ..birth
        }
    }

    /// The error for a failure that init reported.
    pub(crate) fn init_error(&self, record: &Record) -> Error {
        let index = record.op as usize;
        let Some(step) = self.steps.get(index) else {
            return StepError::of_birth("start init".to_owned(), record.value).into();
        };
        let errno = match record.part {
            Part::Status | Part::Signal => 0,
            _ => record.value,
        };
        let reason = self.reason(&step.op, record);
        let hint = super::hints::hint(&step.op, record, self.new_namespaces, step.field.as_deref())
            .or_else(|| self.setting(&step.op, record).map(Hint::Words));
        if let Some(field) = &step.field {
            let operation = match step.op {
                Op::Attach { .. } | Op::AttachLink { .. } => None,
                Op::MountFs { fstype, data, .. } => {
                    let label = mount_label(self.str(data));
                    Some(format!("mount {}{label}", self.str(fstype)))
                }
                ref other => Some(self.describe(other)),
            };
            let words = hint.and_then(Hint::words);
            if let Some(failed) =
                self.mount_error(field, operation.as_deref(), &reason, errno, words)
            {
                return failed.into();
            }
        }
        let error = StepError {
            index,
            field: step.field.clone(),
            operation: self.describe(&step.op),
            reason,
            errno,
            hint,
        };
        error.into()
    }

    /// The host's setting that made a step fail, if it is one.
    fn setting(&self, op: &Op, record: &Record) -> Option<&'static str> {
        let user = libc::CLONE_NEWUSER as u32;
        match op {
            Op::Unshare { flags } if flags & user != 0 => Settings::now().refusal(record.value),
            _ if self.new_namespaces & user != 0 => Settings::now().without_privilege(record.value),
            _ => None,
        }
    }

    fn reason(&self, op: &Op, record: &Record) -> String {
        let why = os_error(record.value);
        match (record.part, op) {
            (Part::Call, Op::FindProgram { candidates }) if record.value == libc::ENOENT => {
                if candidates.count == 1 {
                    "no such file or directory".to_owned()
                } else {
                    "executable file not found in $PATH".to_owned()
                }
            }
            (Part::Call, Op::FindProgram { .. } | Op::Exec { .. }) => why.to_lowercase(),
            (Part::Lookup, _) => format!("look up the path: {why}"),
            (Part::Create, _) => format!("make it: {why}"),
            (Part::Owner, _) => format!("set the owner: {why}"),
            (Part::Attach, _) => format!("attach: {why}"),
            (Part::Kind, Op::Cwd { .. } | Op::TryCwd { .. } | Op::RetryCwd { .. }) => {
                "it lies outside the container's root".to_owned()
            }
            (Part::Kind, Op::AttachLink { copy: true, .. }) => {
                format!("another link, or something else, is there already: {why}")
            }
            (Part::Kind, Op::MountFs { .. } | Op::Attach { .. } | Op::AttachLink { .. }) => {
                format!("the mount point is not allowed there: {why}")
            }
            (Part::Kind, Op::OpenTree { .. } | Op::CloneInside { .. }) => {
                "it is no procfs, and nothing else may cover /proc".to_owned()
            }
            (Part::Kind, Op::Console { .. }) => {
                "/dev/pts/ptmx is not a devpts multiplexer".to_owned()
            }
            (Part::Kind, _) => format!("something else is there already: {why}"),
            (Part::Status, _) => format!("exited with status {}", record.value),
            (Part::Signal, _) => signal::describe_end(record.value),
            (Part::Timeout, _) => "timed out and was killed".to_owned(),
            (Part::Program | Part::Call, _) => why,
        }
    }
}

/// A label among a mount's options, for a message: a policy that does not know it fails the mount.
fn mount_label(data: &str) -> String {
    let label = data
        .split_once("context=\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    label.map_or_else(String::new, |(label, _)| {
        format!(" with linux.mountLabel {label}")
    })
}

fn describe_plain(op: &Op) -> &'static str {
    match op {
        Op::Fail { .. } => "fail, as a test asked",
        Op::Park {} => "wait, as a test asked",
        Op::Dumpable { on: false } => "forbid others to look into init",
        Op::Dumpable { on: true } => "allow others to look into init",
        Op::ResetSignals {} => "reset signals",
        Op::Dup { .. } => "set up standard input, output or error",
        Op::NewSession {} => "start a session",
        Op::LoopbackUp {} => "bring the loopback interface up",
        Op::Fork {} => "fork into the PID namespace",
        Op::NeedScheduler {} => "wait for the scheduling policy",
        Op::NeedDevices {} => "wait for the network devices",
        Op::NeedMaps {} | Op::AwaitMaps {} => "wait for the id maps",
        Op::AwaitCgroup { .. } => "wait for the cgroup",
        Op::PrivateProc { .. } => "make a private procfs",
        Op::OpenRoot { .. } => "open the container's root",
        Op::Pivot { .. } => "pivot_root into the root file system",
        Op::Chroot { .. } => "chroot into the root file system",
        Op::Console { .. } => "open the console",
        Op::ControllingTerminal {} => "take the controlling terminal",
        Op::HookPoint {} => "wait for the caller's hooks",
        Op::Bounding { .. } => "drop capabilities from the bounding set",
        Op::Groups { .. } => "set supplementary groups",
        Op::Capabilities { .. } => "set capabilities",
        Op::NoNewPrivs {} => "set no_new_privs",
        Op::Seccomp { .. } => "load the seccomp filter",
        Op::Home { .. } => "look up HOME in /etc/passwd",
        Op::Personality { .. } => "set the personality",
        Op::ResetAffinity {} => "let the process run on all CPUs of its cpuset",
        Op::Affinity { .. } => "bind the process to CPUs",
        Op::IoPriority { .. } => "set the I/O priority",
        Op::MemoryPolicy { .. } => "set the memory policy",
        Op::TimeNamespace { .. } => "make a time namespace",
        Op::Ready {} => "report ready",
        Op::Starting {} => "report that the program is next",
        Op::Gate { .. } => "wait at the start gate",
        Op::CloseFds {} => "close files",
        _ => op.name(),
    }
}

/// The operating system's words for an error number, without the number.
pub(crate) fn os_error(errno: i32) -> String {
    // C libraries differ in these, and callers look for the usual words.
    match errno {
        libc::ELOOP => return "Too many levels of symbolic links".to_owned(),
        libc::EBUSY => return "Device or resource busy".to_owned(),
        libc::EMFILE => return "Too many open files".to_owned(),
        libc::ENAMETOOLONG => return "File name too long".to_owned(),
        _ => {}
    }
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
