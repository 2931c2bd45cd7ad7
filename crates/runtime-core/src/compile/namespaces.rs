//! Which namespaces are new, which are joined, who makes them, and in what order.

use std::path::{Path, PathBuf};

use orlop_init::Op;

use super::Compiler;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::idmap;
use crate::names::{CLONE_NEWTIME, NAMESPACES};
use crate::options::Options;
use crate::plan::{IdMaps, Source};
use crate::spec::{Linux, NamespaceKind};

pub(super) const USER: u32 = libc::CLONE_NEWUSER as u32;
pub(super) const MOUNT: u32 = libc::CLONE_NEWNS as u32;
const PID: u32 = libc::CLONE_NEWPID as u32;
pub(super) const CGROUP: u32 = libc::CLONE_NEWCGROUP as u32;
const NETWORK: u32 = libc::CLONE_NEWNET as u32;
/// Those with kernel parameters of their own.
const HAS_PARAMETERS: u32 = NETWORK | libc::CLONE_NEWIPC as u32 | libc::CLONE_NEWUTS as u32;

/// Where a joined namespace comes from.
#[derive(Debug, Clone)]
enum Joined {
    Path(PathBuf),
    Given(usize),
}

/// The container's namespaces.
#[derive(Debug, Clone, Default)]
pub(super) struct Namespaces {
    /// `CLONE_NEW*` of those that are made.
    pub new: u32,
    joins: Vec<(u32, Joined, String)>,
    pub id_maps: Option<IdMaps>,
    /// Whether the clone makes the user namespace. Not where init has to join others before: those that
    /// are not the user namespace's own. And not for a caller who is not root: what is born there hides
    /// itself from the first, and such a caller can't write the maps of what hides itself.
    born_in_user: bool,
}

impl Namespaces {
    pub(super) fn resolve(linux: &Linux, options: &Options, host: &Host) -> Result<Self> {
        let mut all = Self::default();
        let mut seen = 0;
        for (index, namespace) in linux.namespaces.iter().enumerate() {
            let field = format!("linux.namespaces[{index}]");
            let flag = flag(&namespace.kind, &field)?;
            if seen & flag != 0 {
                return Err(Error::invalid(
                    field,
                    format!("{} is there twice", namespace.kind.as_str()),
                ));
            }
            seen |= flag;
            match &namespace.path {
                None => all.new |= flag,
                Some(path) if path.starts_with('/') => {
                    all.joins
                        .push((flag, Joined::Path(path.into()), format!("{field}.path")));
                }
                Some(path) => {
                    let message = format!("{path:?} is not an absolute path");
                    return Err(Error::invalid(format!("{field}.path"), message));
                }
            }
        }
        for (flag, given) in &options.given_namespaces {
            all.joins
                .push((*flag, Joined::Given(*given), "namespace".to_owned()));
        }
        // The user namespace first: it gives the right to join those that it owns.
        all.joins
            .sort_by_key(|(flag, ..)| NAMESPACES.iter().position(|(known, ..)| known == flag));
        all.resolve_maps(linux)?;
        let caller_is_root = host.uid == 0 && host.is_privileged();
        all.born_in_user = all.is_new(USER) && all.joins.is_empty() && caller_is_root;
        Ok(all)
    }

    fn resolve_maps(&mut self, linux: &Linux) -> Result<()> {
        let mapped = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
        if self.new & USER == 0 {
            // With a joined user namespace the mappings describe it, for those who read the Spec.
            if mapped && self.joined() & USER == 0 {
                let message = "id mappings need a user namespace in linux.namespaces (add {\"type\": \"user\"} there, or remove them)";
                return Err(Error::invalid("linux.uidMappings", message));
            }
            return Ok(());
        }
        let maps = [
            ("uidMappings", &linux.uid_mappings),
            ("gidMappings", &linux.gid_mappings),
        ];
        for (field, map) in maps {
            let field = format!("linux.{field}");
            idmap::validate(&field, map)?;
            if !map.iter().any(|line| line.container_id == 0) {
                let message = "id 0 of the container must be mapped: its init sets it up as that";
                return Err(Error::invalid(field, message));
            }
        }
        self.id_maps = Some(IdMaps {
            uids: linux.uid_mappings.clone(),
            gids: linux.gid_mappings.clone(),
        });
        Ok(())
    }

    pub(super) fn joined(&self) -> u32 {
        self.joins.iter().fold(0, |all, (flag, ..)| all | flag)
    }

    /// Whether the container has a namespace of this kind that is not the caller's.
    pub(super) fn is_private(&self, flag: u32) -> bool {
        (self.new | self.joined()) & flag != 0
    }

    /// The file of a namespace that is joined by path.
    pub(super) fn path_of(&self, flag: u32) -> Option<&Path> {
        self.joins.iter().find_map(|(known, from, _)| match from {
            Joined::Path(path) if *known == flag => Some(path.as_path()),
            _ => None,
        })
    }

    pub(super) fn is_new(&self, flag: u32) -> bool {
        self.new & flag != 0
    }

    pub(super) fn has_user(&self) -> bool {
        self.is_private(USER)
    }

    /// No more than the user namespace and the PID namespace, which a process can only be born in: a
    /// clone that makes more keeps its caller waiting. Where the user namespace is not made by the
    /// clone, it must be entered before what it shall own is made: then init makes that, too.
    pub(super) fn clone_flags(&self) -> u32 {
        if !self.has_user() {
            self.new & PID
        } else if self.born_in_user {
            self.new & (USER | PID)
        } else {
            0
        }
    }

    fn init_makes(&self) -> u32 {
        // A time namespace has an operation of its own.
        self.new & !self.clone_flags() & !CLONE_NEWTIME
    }

    pub(super) fn is_born_in_user(&self) -> bool {
        self.born_in_user
    }

    /// A process can't enter a PID namespace; only its children are born there.
    fn forks(&self) -> bool {
        self.joined() & PID != 0 || self.init_makes() & PID != 0
    }
}

fn flag(kind: &NamespaceKind, field: &str) -> Result<u32> {
    Ok(match kind {
        NamespaceKind::User => USER,
        NamespaceKind::Mount => MOUNT,
        NamespaceKind::Pid => PID,
        NamespaceKind::Network => NETWORK,
        NamespaceKind::Ipc => libc::CLONE_NEWIPC as u32,
        NamespaceKind::Uts => libc::CLONE_NEWUTS as u32,
        NamespaceKind::Cgroup => CGROUP,
        NamespaceKind::Time => CLONE_NEWTIME,
        NamespaceKind::Unknown(name) => {
            let message = format!("{name:?} is no kind of namespace");
            return Err(Error::invalid(format!("{field}.type"), message));
        }
    })
}

impl Compiler<'_> {
    /// What init is born in without any ids of it.
    pub(super) fn settle_in_user_namespace(&mut self) {
        if self.namespaces.is_born_in_user() {
            self.build.at("linux.namespaces");
            // The ambient ones have carried them over init's exec.
            self.build.push(Op::Capabilities {
                effective: u64::MAX,
                permitted: u64::MAX,
                inheritable: 0,
                ambient: 0,
            });
            self.build.push(Op::AwaitMaps {});
            self.build.at_none();
        }
    }

    pub(super) fn enter_namespaces(&mut self) -> Result<()> {
        if !self.namespaces.is_new(USER) {
            self.build.push(Op::Dumpable { on: false });
            self.time_namespace()?;
        }
        let mut joins = self.namespaces.joins.clone();
        if self.host.is_privileged() {
            // Those that are not the user namespace's own can be joined only before it; the caller
            // may join any. Mounts and processes come after: nobody with more rights is among them.
            joins.sort_by_key(|(flag, ..)| match *flag {
                USER => 1,
                MOUNT | PID => 2,
                _ => 0,
            });
        }
        for (flags, from, field) in joins {
            self.build.at(field);
            let source = match from {
                Joined::Path(path) => {
                    let not_own = flags & HAS_PARAMETERS != 0 && !self.linux.sysctl.is_empty();
                    Source::Namespace {
                        path,
                        kind: flags,
                        not_own,
                    }
                }
                Joined::Given(given) => Source::Given(given),
            };
            let fd = self.build.source(source)?;
            self.build.push(Op::SetNs { fd, flags });
            if flags == USER {
                self.build.push(Op::BecomeIds { uid: 0, gid: 0 });
            }
        }
        self.build.at("linux.namespaces");
        let makes = self.namespaces.init_makes();
        if self.namespaces.is_new(USER) {
            if makes & USER != 0 {
                self.build.push(Op::Unshare { flags: USER });
                self.build.push(Op::NeedMaps {});
            }
            self.time_namespace()?;
            self.build.at("linux.namespaces");
            // Only now: the maps of a process that hides itself can't be written by its owner.
            self.build.push(Op::Dumpable { on: false });
            self.build.push(Op::BecomeIds { uid: 0, gid: 0 });
        }
        if makes & !USER != 0 {
            self.build.push(Op::Unshare {
                flags: makes & !USER,
            });
        }
        if self.namespaces.forks() {
            self.build.push(Op::Fork {});
        }
        if self.namespaces.is_new(NETWORK) {
            self.build.push(Op::LoopbackUp {});
        }
        self.build.at_none();
        Ok(())
    }
}
