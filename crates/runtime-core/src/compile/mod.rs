//! Spec → Plan: pure and total. No file is opened and nothing is asked of the kernel here; what
//! depends on the host is in [`Host`], what depends on the caller in [`Options`].

mod bind;
mod exec;
mod identity;
mod intel_rdt;
mod limits;
mod mount_kinds;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod resources;
mod rootfs;
mod scheduling;
mod security_labels;
mod sysctl;
mod time_namespace;
mod unit;
#[cfg(feature = "systemd")]
pub(crate) use unit::usual_unit;
mod version;

use std::path::{Path, PathBuf};

use orlop_init::Op;
use orlop_init::wire::{MAX_TASKS, Slot};

use crate::annotations;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::options::Options;
use crate::plan::{Plan, PlanBuilder, Source};
use crate::spec::{Linux, Process, Spec};
use namespaces::Namespaces;

pub(crate) use exec::JoinOptions;
pub(crate) use intel_rdt::schemata;
pub(crate) use limits::{Converted, convert as convert_limits};
pub(crate) use mount_options::all as mount_option_names;
#[cfg(feature = "checkpoint")]
pub(crate) use mounts::clean;

/// What every part of the compiler looks at.
struct Compiler<'a> {
    spec: &'a Spec,
    process: &'a Process,
    linux: &'a Linux,
    options: &'a Options,
    host: &'a Host,
    namespaces: Namespaces,
    build: PlanBuilder,
    /// The root file system, once it is known.
    root: Slot,
    /// Whether an unprivileged caller leaves the opening of host mounts to init.
    init_opens_mounts: bool,
    /// What gives up the capability that loading the filter takes.
    give_up: Option<Op>,
    /// Where something was mounted so far.
    mounted: Vec<PathBuf>,
    /// Whether the root spreads what is mounted below it, once it is the root.
    root_is_shared: bool,
    /// Mounts that become read-only once all is made.
    read_only_later: Vec<String>,
    joined_cgroup: bool,
}

impl Plan {
    /// Compiles a Spec.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a field that makes no sense, [`Error::Unsupported`] for one that is not
    /// honoured yet; both name the field.
    pub fn compile(spec: &Spec, options: &Options, host: &Host) -> Result<Self> {
        version::refuse_newer(spec)?;
        let process = spec
            .process
            .as_ref()
            .ok_or_else(|| Error::invalid("process", "missing; a container needs a program"))?;
        let default_linux = Linux::default();
        let linux = spec.linux.as_ref().unwrap_or(&default_linux);
        let namespaces = Namespaces::resolve(linux, options, host)?;
        let mut compiler = Compiler {
            spec,
            process,
            linux,
            options,
            host,
            init_opens_mounts: !host.may_clone_mounts(),
            namespaces,
            build: PlanBuilder::new(),
            root: Slot(0),
            give_up: None,
            mounted: Vec::new(),
            root_is_shared: false,
            read_only_later: Vec::new(),
            joined_cgroup: false,
        };
        compiler.run()?;
        Ok(compiler.build.plan)
    }
}

fn push_join(build: &mut PlanBuilder, tasks: Slot, path: &Path) -> Result<()> {
    let path = build.str(&path.to_string_lossy())?;
    build.push(Op::JoinCgroup { tasks, path });
    Ok(())
}

impl Compiler<'_> {
    fn run(&mut self) -> Result<()> {
        self.describe_container()?;
        self.build.push(Op::ResetSignals {});
        self.stdio()?;
        self.intel_rdt()?;
        self.settle_in_user_namespace();
        if self.joins_cgroup_first() {
            self.join_cgroup()?;
        }
        self.enter_namespaces()?;
        self.net_devices()?;
        self.build.at_none();
        self.build.push(Op::NewSession {});
        let proc = self.private_proc()?;
        if let Some(proc) = proc.filter(|_| !self.options.no_new_keyring) {
            security_labels::push_keyring(&mut self.build, self.process, self.host, proc)?;
        }
        self.session_keyring()?;
        self.build.push(Op::Umask { mask: 0 });
        self.check_mount_label()?;
        self.root_filesystem()?;
        self.build.at_none();
        self.mounts()?;
        self.join_cgroup()?;
        if !self.options.keep_affinity {
            self.build.push(Op::ResetAffinity {});
        }
        self.devices()?;
        self.console()?;
        self.finish_mounts()?;
        self.create_hooks()?;
        self.enter_root()?;
        self.names()?;
        self.write_proc(proc)?;
        self.hidden_paths()?;
        // After the mounts, which use it, and while what is missing can still be made.
        self.working_directory()?;
        self.root_attributes();
        self.identity()?;
        self.program()
    }

    /// What is not an operation of init.
    fn describe_container(&mut self) -> Result<()> {
        self.build.plan.clone_flags = self.namespaces.clone_flags();
        self.build.plan.new_namespaces = self.namespaces.new;
        self.build.plan.joined_namespaces = self.namespaces.joined();
        self.build.plan.id_maps = self.namespaces.id_maps.clone();
        self.build.plan.hooks = self.spec.hooks.clone().unwrap_or_default();
        self.build.plan.annotations = self.spec.annotations.clone();
        for warning in annotations::warnings(&self.spec.annotations) {
            self.build.warn(warning);
        }
        self.build.plan.cgroup = resources::cgroup(self)?;
        Ok(())
    }

    fn stdio(&mut self) -> Result<()> {
        for (number, given) in self.options.stdio.into_iter().enumerate() {
            if let Some(given) = given {
                let from = self.build.source(Source::Given(given))?;
                self.build.push(Op::Dup {
                    from,
                    to: number as u32,
                });
            }
        }
        Ok(())
    }

    /// A cgroup namespace shows the cgroup in which it was made as its root. And the kernel lets an
    /// opener other than the host's root move only processes of its own ids.
    fn joins_cgroup_first(&self) -> bool {
        let is_root = self.host.is_privileged() && !self.host.in_user_namespace;
        self.namespaces.is_private(namespaces::CGROUP) || self.namespaces.has_user() && !is_root
    }

    /// v1 hierarchies are joined by init itself, which spares an RCU wait; v2 it is born in.
    ///
    /// As late as can be: the caller makes them meanwhile.
    fn join_cgroup(&mut self) -> Result<()> {
        let Some(cgroup) = &self.build.plan.cgroup else {
            return Ok(());
        };
        if std::mem::replace(&mut self.joined_cgroup, true) {
            return Ok(());
        }
        let directories = resources::v1_directories(self.host, &cgroup.path);
        let count = directories.len() as u32;
        if count == 0 {
            return Ok(());
        }
        self.build.at("linux.cgroupsPath");
        if directories.len() > MAX_TASKS {
            let message = format!(
                "this host has {count} hierarchies of cgroup v1; {MAX_TASKS} can be joined"
            );
            return Err(self.build.error(message));
        }
        let to = self.build.made_row(directories.len())?;
        self.build.push(Op::AwaitCgroup { to, count });
        for (tasks, directory) in (to.0..).map(Slot).zip(&directories) {
            push_join(&mut self.build, tasks, &directory.join("tasks"))?;
        }
        self.build.at_none();
        Ok(())
    }

    fn session_keyring(&mut self) -> Result<()> {
        if self.options.no_new_keyring {
            return Ok(());
        }
        let name = self.options.id.as_ref().map(|id| format!("_ses.{id}"));
        if name.is_some() || self.options.unnamed_keyring {
            let name = self.build.str(&name.unwrap_or_default())?;
            self.build.push(Op::SessionKeyring { name });
        }
        Ok(())
    }

    fn names(&mut self) -> Result<()> {
        for (field, name) in [
            ("hostname", &self.spec.hostname),
            ("domainname", &self.spec.domainname),
        ] {
            let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else {
                continue;
            };
            self.build.at(field);
            if !self.namespaces.is_private(libc::CLONE_NEWUTS as u32) {
                return Err(self
                    .build
                    .error("needs a UTS namespace of its own in linux.namespaces"));
            }
            if name.len() > 64 {
                return Err(self
                    .build
                    .error("is longer than 64 bytes, the kernel's limit"));
            }
            let name = self.build.str(name)?;
            self.build.push(match field {
                "hostname" => Op::Hostname { name },
                _ => Op::Domainname { name },
            });
        }
        self.build.at_none();
        Ok(())
    }
}
