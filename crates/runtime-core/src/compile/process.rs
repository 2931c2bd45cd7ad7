//! What is run, and the last steps before it.

use std::collections::BTreeSet;

use orlop_init::Op;
use orlop_init::wire::{List, Slot};

use super::Compiler;
use super::identity::Groups;
use super::scheduling::{self, push_personality};
use super::security_labels;
use crate::annotations;
use crate::error::Result;
use crate::names::{self, CAP_SYS_ADMIN, CAP_SYS_PTRACE};
use crate::plan::{PlanBuilder, RaisedLimit};
use crate::seccomp;
use crate::spec::{Hook, Process};

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A limit on open files that leaves init no room to work is set last.
const SMALL_NOFILE: u64 = 64;

const DEFAULT_UMASK: u32 = 0o022;

impl Compiler<'_> {
    pub(super) fn private_proc(&mut self) -> Result<Option<Slot>> {
        let needed = !self.linux.sysctl.is_empty() || needs_proc(self.process);
        if !needed {
            return Ok(None);
        }
        let to = self.build.made()?;
        self.build.push(Op::PrivateProc { to });
        Ok(Some(to))
    }

    pub(super) fn console(&mut self) -> Result<()> {
        if self.process.terminal {
            let bind = self.has_root_mount();
            push_console(&mut self.build, self.process, self.root, bind);
            push_controlling_terminal(&mut self.build);
        }
        Ok(())
    }

    pub(super) fn has_create_hooks(&self) -> bool {
        let hooks = &self.build.plan.hooks;
        !(hooks.prestart.is_empty()
            && hooks.create_runtime.is_empty()
            && hooks.create_container.is_empty())
    }

    pub(super) fn create_hooks(&mut self) -> Result<()> {
        if !self.has_create_hooks() {
            return Ok(());
        }
        self.build.at("hooks");
        self.build.push(Op::HookPoint {});
        let hooks = self.build.plan.hooks.create_container.clone();
        if !hooks.is_empty() {
            // Where runc has them stand: what they add to the root they name from there.
            self.build.push(Op::EnterDir { dir: self.root });
        }
        self.hooks("hooks.createContainer", &hooks, None)
    }

    /// `inherited`: the environment of those that name none.
    fn hooks(&mut self, field: &str, hooks: &[Hook], inherited: Option<List>) -> Result<()> {
        for (index, hook) in hooks.iter().enumerate() {
            self.build.at(format!("{field}[{index}]"));
            if !hook.path.starts_with('/') {
                return Err(self
                    .build
                    .error(format!("path: {:?} is not absolute", hook.path)));
            }
            let timeout = match hook.timeout {
                None => 0,
                Some(seconds) if seconds > 0 => u32::try_from(seconds.saturating_mul(1000))
                    .map_err(|_| self.build.error("timeout: is longer than 49 days"))?,
                Some(_) => return Err(self.build.error("timeout: must be positive")),
            };
            let path = self.build.str(&hook.path)?;
            let argv = if hook.args.is_empty() {
                self.build.list([hook.path.as_str()])?
            } else {
                self.build.list(hook.args.iter().map(String::as_str))?
            };
            let env = match inherited.filter(|_| hook.env.is_empty()) {
                Some(inherited) => inherited,
                None => self.build.list(hook.env.iter().map(String::as_str))?,
            };
            self.build.push(Op::Hook {
                path,
                argv,
                env,
                timeout,
            });
        }
        self.build.at_none();
        Ok(())
    }

    pub(super) fn working_directory(&mut self) -> Result<()> {
        push_cwd(&mut self.build, self.process, true)
    }

    pub(super) fn write_proc(&mut self, proc: Option<Slot>) -> Result<()> {
        let Some(proc) = proc else { return Ok(()) };
        self.sysctls(proc)?;
        push_proc_writes(
            &mut self.build,
            self.process,
            self.host,
            proc,
            self.namespaces.has_user(),
        )
    }

    /// From the limits to exec.
    pub(super) fn program(&mut self) -> Result<()> {
        let program = Program::push(&mut self.build, self.process)?;
        self.build.at_none();
        if self.options.ready {
            self.build.push(Op::Ready {});
        }
        if self.options.gate {
            self.build.push(Op::Gate {});
        }
        let hooks = self.build.plan.hooks.start_container.clone();
        if hooks.is_empty() {
            push_small_limits(&mut self.build, self.process)?;
        }
        self.build.push(Op::Starting {});
        self.build.push(Op::CloseFds {});
        let seccomp = self.linux.seccomp.as_ref();
        let shows_itself = self.shows_itself();
        if shows_itself {
            self.build.at("linux.seccomp");
            self.build.push(Op::Dumpable { on: true });
        }
        push_filter(&mut self.build, seccomp, self.give_up.take());
        if !hooks.is_empty() {
            if shows_itself {
                self.build.at("linux.seccomp");
                self.build.push(Op::Dumpable { on: false });
            }
            // They run what the image has, and so under its filter; as the program does, in its
            // environment where they have none of their own.
            self.hooks("hooks.startContainer", &hooks, Some(program.env))?;
            push_small_limits(&mut self.build, self.process)?;
        }
        program.exec(&mut self.build);
        Ok(())
    }
}

impl Compiler<'_> {
    /// Whether the filter's listener can be taken out of init only if that does not hide itself any
    /// more, as from a caller without privilege. Nobody else may look then, either: init is alone
    /// in a user namespace of its own, to which no process leads while it hides, and others of the
    /// same user id take `CAP_SYS_PTRACE` over that.
    fn shows_itself(&self) -> bool {
        let seccomp = self.linux.seccomp.as_ref();
        seccomp.is_some_and(seccomp::notifies)
            && self.namespaces.is_new(libc::CLONE_NEWUSER as u32)
            && !self.host.has_capability(CAP_SYS_PTRACE)
    }
}

/// Whether something has to be written below `/proc/self`.
pub(super) fn needs_proc(process: &Process) -> bool {
    process.oom_score_adj.is_some() || security_labels::needs_proc(process)
}

pub(super) fn push_proc_writes(
    build: &mut PlanBuilder,
    process: &Process,
    host: &crate::host::Host,
    proc: Slot,
    in_user_namespace: bool,
) -> Result<()> {
    if let Some(score) = process.oom_score_adj {
        build.at("process.oomScoreAdj");
        if !(-1000..=1000).contains(&score) {
            return Err(build.error(format!("{score} is not between -1000 and 1000")));
        }
        if in_user_namespace {
            build.plan.oom_score_adj = Some(score);
        } else {
            let path = build.str("self/oom_score_adj")?;
            let data = build.str(&score.to_string())?;
            build.push(Op::WriteProc { proc, path, data });
        }
    }
    build.at_none();
    security_labels::push(build, process, host, proc)
}

pub(super) fn push_console(build: &mut PlanBuilder, process: &Process, root: Slot, bind: bool) {
    build.at("process.terminal");
    let size = process.console_size.unwrap_or_default();
    let fit = |cells: u64| u32::from(u16::try_from(cells).unwrap_or(u16::MAX));
    let (rows, columns) = (fit(size.height), fit(size.width));
    build.push(Op::Console {
        root,
        uid: process.user.uid,
        rows,
        columns,
        bind,
    });
    build.at_none();
}

pub(super) fn push_controlling_terminal(build: &mut PlanBuilder) {
    build.at("process.terminal");
    build.push(Op::ControllingTerminal {});
    build.at_none();
}

pub(super) fn push_cwd(build: &mut PlanBuilder, process: &Process, create: bool) -> Result<()> {
    build.at("process.cwd");
    if !process.cwd.starts_with('/') {
        return Err(build.error(format!("{:?} is not an absolute path", process.cwd)));
    }
    let path = build.str(&process.cwd)?;
    build.push(match becomes_another(process) {
        true => Op::TryCwd { path, create },
        false => Op::Cwd { path, create },
    });
    build.at_none();
    Ok(())
}

/// Once it is the container's user: there are directories that no other may enter, root neither.
pub(super) fn push_cwd_again(build: &mut PlanBuilder, process: &Process) -> Result<()> {
    if becomes_another(process) {
        build.at("process.cwd");
        let path = build.str(&process.cwd)?;
        build.push(Op::RetryCwd { path });
        build.at_none();
    }
    Ok(())
}

fn becomes_another(process: &Process) -> bool {
    let user = &process.user;
    user.uid != 0 || user.gid != 0 || !user.additional_gids.is_empty()
}

/// The limits with the fields that ask for them.
fn limits(build: &mut PlanBuilder, process: &Process) -> Result<Vec<(String, RaisedLimit)>> {
    let mut limits: Vec<(String, RaisedLimit)> = Vec::new();
    for (index, limit) in process.rlimits.iter().enumerate() {
        let field = format!("process.rlimits[{index}]");
        build.at(field.as_str());
        let Some(resource) = names::rlimit_number(&limit.kind) else {
            return Err(build.error(format!("type: {:?} is no resource limit", limit.kind)));
        };
        let (soft, hard) = (limit.soft, limit.hard);
        if soft > hard {
            return Err(build.error(format!("soft limit {soft} is above the hard limit {hard}")));
        }
        if limits.iter().any(|(_, known)| known.resource == resource) {
            return Err(build.error(format!("{} is there twice", limit.kind)));
        }
        limits.push((
            field,
            RaisedLimit {
                resource,
                soft,
                hard,
            },
        ));
    }
    Ok(limits)
}

fn is_small(limit: RaisedLimit) -> bool {
    limit.resource == libc::RLIMIT_NOFILE && limit.soft < SMALL_NOFILE
}

fn push_chosen(
    build: &mut PlanBuilder,
    limits: &[(String, RaisedLimit)],
    chosen: impl Fn(RaisedLimit) -> bool,
) {
    for (field, limit) in limits.iter().filter(|(_, limit)| chosen(*limit)) {
        let RaisedLimit {
            resource,
            soft,
            hard,
        } = *limit;
        build.at(field.as_str());
        build.push(Op::Rlimit {
            resource,
            soft,
            hard,
        });
    }
    build.at_none();
}

pub(super) fn push_limits(build: &mut PlanBuilder, process: &Process, raise: bool) -> Result<()> {
    let limits = limits(build, process)?;
    push_chosen(build, &limits, |limit| !is_small(limit));
    if raise {
        build.plan.raise_limits = limits.into_iter().map(|(_, limit)| limit).collect();
    }
    Ok(())
}

pub(super) fn push_small_limits(build: &mut PlanBuilder, process: &Process) -> Result<()> {
    let limits = limits(build, process)?;
    push_chosen(build, &limits, is_small);
    Ok(())
}

/// With no_new_privs the filter comes last; without, loading it takes a capability that the
/// program may not have, and which goes right after.
pub(super) fn push_filter(
    build: &mut PlanBuilder,
    seccomp: Option<&crate::spec::Seccomp>,
    give_up: Option<Op>,
) {
    let Some(seccomp) = seccomp else { return };
    build.at("linux.seccomp");
    build.plan.seccomp = Some(seccomp.clone());
    let filter = orlop_init::wire::Blob { offset: 0, len: 0 };
    // The flags are known once the filter is compiled.
    build.push(Op::Seccomp { filter, flags: 0 });
    if let Some(op) = give_up {
        build.push(op);
    }
    build.at_none();
}

/// Whether loading the filter takes CAP_SYS_ADMIN, to be given up only after.
pub(super) fn filter_needs_privilege(process: &Process, has_filter: bool) -> u64 {
    if has_filter && !process.no_new_privileges {
        1 << CAP_SYS_ADMIN
    } else {
        0
    }
}

/// The arguments and environment of the program.
pub(super) struct Program {
    argv: orlop_init::wire::List,
    env: orlop_init::wire::List,
}

impl Program {
    /// Finds the program, and prepares its arguments and environment.
    pub(super) fn push(build: &mut PlanBuilder, process: &Process) -> Result<Self> {
        build.at("process.args");
        let Some(name) = process.args.first() else {
            return Err(build.error("missing"));
        };
        if name.is_empty() {
            return Err(build.error("the program's name is empty"));
        }
        let candidates = candidates(name, &process.env);
        let candidates = build.list(candidates.iter().map(String::as_str))?;
        let argv = build.list(process.args.iter().map(String::as_str))?;
        build.at("process.env");
        for (index, variable) in process.env.iter().enumerate() {
            if !variable.contains('=') || variable.starts_with('=') {
                build.at(format!("process.env[{index}]"));
                return Err(build.error(format!("{variable:?} is not of the form NAME=VALUE")));
            }
        }
        let variables = last_of_each(&process.env);
        let home_is_set = variables
            .iter()
            .any(|variable| variable.starts_with("HOME=") && *variable != "HOME=");
        let variables = variables.into_iter().filter(|one| *one != "HOME=");
        let env = if home_is_set {
            build.list(variables)?
        } else {
            build.list(variables.chain(["HOME=/"]))?
        };
        if !home_is_set {
            let cell = env.first + env.count - 1;
            build.push(Op::Home {
                cell,
                uid: process.user.uid,
            });
        }
        build.at("process.args");
        build.push(Op::FindProgram { candidates });
        Ok(Self { argv, env })
    }

    pub(super) fn exec(self, build: &mut PlanBuilder) {
        build.at("process.args");
        build.push(Op::Exec {
            argv: self.argv,
            env: self.env,
        });
        build.at_none();
    }
}

/// Of a variable that is there several times the last counts, as it would in a shell.
fn last_of_each(env: &[String]) -> Vec<&str> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().len();
    let mut seen = BTreeSet::new();
    let mut kept: Vec<&str> = env
        .iter()
        .rev()
        .map(String::as_str)
        .filter(|variable| seen.insert(&variable[..name(variable)]))
        .collect();
    kept.reverse();
    kept
}

/// Where a program may be: itself if it is a path, else below each directory of PATH.
fn candidates(name: &str, env: &[String]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = env
        .iter()
        .rev()
        .find_map(|variable| variable.strip_prefix("PATH="));
    let directories = path.unwrap_or(DEFAULT_PATH).split(':');
    let below = |directory: &str| match directory {
        "" => format!("./{name}"),
        _ => format!("{}/{name}", directory.trim_end_matches('/')),
    };
    let mut found: Vec<String> = directories.map(below).collect();
    if found.len() == 1 {
        // Two entries tell a search from a path in messages.
        found.push(found[0].clone());
    }
    found
}

impl Compiler<'_> {
    pub(super) fn identity(&mut self) -> Result<()> {
        let raise = self.namespaces.has_user();
        push_limits(&mut self.build, self.process, raise)?;
        let policy = self.linux.memory_policy.as_ref();
        scheduling::push(&mut self.build, self.process, policy)?;
        let has_filter = self.linux.seccomp.is_some();
        let groups = self.groups();
        let host = if self.namespaces.has_user() {
            None
        } else {
            Some(self.host)
        };
        self.give_up =
            super::identity::push(&mut self.build, self.process, host, has_filter, groups)?;
        push_cwd_again(&mut self.build, self.process)?;
        push_personality(&mut self.build, self.linux.personality.as_ref())?;
        let mask = self.process.user.umask.unwrap_or(DEFAULT_UMASK);
        self.build.at("process.user.umask");
        if mask > 0o777 {
            return Err(self
                .build
                .error(format!("{mask:o} has more than nine bits")));
        }
        self.build.push(Op::Umask { mask });
        self.build.at_none();
        Ok(())
    }

    /// A caller without privilege may map groups only after it has given up changing them.
    fn groups(&self) -> Groups {
        let denied = self.host.groups_are_fixed
            || self.namespaces.is_new(libc::CLONE_NEWUSER as u32)
                && !self.host.may_set_groups()
                && self.linux.gid_mappings.len() == 1
                && self.linux.gid_mappings[0].size == 1;
        match denied {
            _ if annotations::keep_groups(&self.spec.annotations) => Groups::Kept,
            true => Groups::Denied,
            false => Groups::Set,
        }
    }
}
