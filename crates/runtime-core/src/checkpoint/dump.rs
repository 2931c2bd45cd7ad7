//! A container's checkpoint.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::criu::{self, Belongings, Criu};
use super::host_options::HostOptions;
use super::protobuf::Message;
use super::rpc::{self, Feature, Kind, Response, option};
use super::streams::Streams;
use super::{CONFIG_ANNOTATION, CriuOptions, Directories, make_private, mounts};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::freeze;
use crate::process_id::ProcessId;
use crate::spec::Spec;
use crate::state::{State, Status};

/// The file in which criu says what it does.
const LOG: &str = "dump.log";

/// Where a criu that keeps memory for others listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageServer {
    /// Its address.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
}

/// How a checkpoint is made.
#[derive(Debug)]
#[non_exhaustive]
pub struct CheckpointOptions {
    /// What restoring has as well.
    pub criu: CriuOptions,
    /// An earlier image, relative to this one: only what changed since is written.
    pub parent_path: Option<PathBuf>,
    /// Whether the container goes on afterwards.
    pub leave_running: bool,
    /// Whether only memory is written, and the container goes on: a parent for the next.
    pub pre_dump: bool,
    /// Whether TCP connections that are not established yet are left out.
    pub tcp_skip_in_flight: bool,
    /// Whether files that have no name any more get one.
    pub link_remap: bool,
    /// Who takes the memory, in place of the images.
    pub page_server: Option<PageServer>,
    /// Gets a zero byte once lazy pages can be asked for, and is closed then.
    pub status_fd: Option<OwnedFd>,
}

impl CheckpointOptions {
    /// The usual: the container ends.
    #[must_use]
    pub fn new(criu: CriuOptions) -> Self {
        Self {
            criu,
            parent_path: None,
            leave_running: false,
            pre_dump: false,
            tcp_skip_in_flight: false,
            link_remap: false,
            page_server: None,
            status_fd: None,
        }
    }
}

impl Container {
    /// Writes the container's processes, with all that they have, to disk. They are gone then,
    /// unless the options say otherwise; the container remains, stopped, to be deleted.
    ///
    /// Feature `checkpoint`. Takes root, and the program criu.
    ///
    /// # Errors
    /// [`Error::WrongState`] when the container neither runs nor is paused; [`Error::Criu`] says
    /// what can't be written, and the container goes on.
    pub fn checkpoint(&mut self, options: CheckpointOptions) -> Result<()> {
        self.locked(|container, status| match status {
            Status::Running | Status::Paused => {
                let written = write(container, options);
                // A criu that was killed leaves behind what it had frozen.
                if written.is_err() && status == Status::Running {
                    let _ = freeze::thaw(container.record());
                }
                written
            }
            other => {
                let message = format!("Container cannot be checkpointed in {other} state");
                Err(Error::WrongState { message })
            }
        })
    }
}

fn write(container: &Container, mut options: CheckpointOptions) -> Result<()> {
    let state = container.record();
    let not_running = || Error::NotRunning(state.id.clone());
    let process = state.process.ok_or_else(not_running)?;
    if state.root_mount.is_some() {
        return Err(mounts::among_the_hosts());
    }
    criu::version()?;
    if options.pre_dump {
        criu::require(Feature::MemoryTracking)?;
    }
    if options.criu.lazy_pages {
        criu::require(Feature::LazyPages)?;
    }
    make_private(&options.criu.image_path)?;
    let directories = Directories::open(&options.criu, LOG)?;
    let annotation = state.annotations.get(CONFIG_ANNOTATION);
    let mut message = options.criu.message(&directories, annotation);
    describe(&mut message, &options, state, process)?;
    if !options.pre_dump {
        describe_surroundings(&mut message, container.spec()?, state, process)?;
        let streams = Streams::of(process)?;
        streams.describe(&mut message);
        streams.write(&options.criu.image_path)?;
    }
    let kind = match options.pre_dump {
        true => Kind::PreDump,
        false => Kind::Dump,
    };
    let mut ready = options.status_fd.take();
    let _kept = HostOptions::keep();
    let criu = Criu::start(Belongings::default())?;
    let notified = |response: &Response, _| match response.script.as_str() {
        "status-ready" => ready.take().map_or(Ok(()), |fd| tell_ready(&fd)),
        _ => Ok(()),
    };
    let (response, status) = criu.ask(&rpc::request(kind, Some(&message)), notified)?;
    // After a pre-dump criu waits for the next request, and takes the end for an error.
    if !response.success || (kind == Kind::Dump && !status.success()) {
        return Err(criu::refusal("checkpoint", &response, &directories.log));
    }
    Ok(())
}

fn describe(
    message: &mut Message,
    options: &CheckpointOptions,
    state: &State,
    process: ProcessId,
) -> Result<()> {
    message.number(option::PID, process.pid().unsigned_abs());
    message.text(option::ROOT, &state.rootfs.to_string_lossy());
    message.flag(option::LEAVE_RUNNING, options.leave_running);
    message.flag(option::TCP_SKIP_IN_FLIGHT, options.tcp_skip_in_flight);
    message.flag(option::LINK_REMAP, options.link_remap);
    let freezer = |wanted: &str| state.cgroup.iter().find(|place| place.hierarchy == wanted);
    let freezer = freezer("freezer").or_else(|| match state.cgroup.as_slice() {
        // On v2 it is the only one; a unified hierarchy beside those of v1 freezes as well.
        [only] => Some(only),
        _ => freezer(orlop_cgroups::UNIFIED),
    });
    if let Some(place) = freezer {
        message.text(option::FREEZE_CGROUP, &place.path.to_string_lossy());
    }
    if let Some(server) = &options.page_server {
        let server = rpc::numbered(&server.address, server.port.into());
        message.message(option::PAGE_SERVER, &server);
    }
    if let Some(parent) = &options.parent_path {
        let whole = options.criu.image_path.join(parent);
        if parent.is_absolute() || !whole.is_dir() {
            let message = match parent.is_absolute() {
                true => "has to be relative to the image path".to_owned(),
                false => format!("{} is no directory", whole.display()),
            };
            return Err(Error::invalid("parent_path", message));
        }
        message.text(option::PARENT_IMG, &parent.to_string_lossy());
        message.flag(option::TRACK_MEM, true);
    }
    if options.pre_dump {
        message.flag(option::TRACK_MEM, true);
    }
    Ok(())
}

/// What the container has of others: criu leaves it to whoever restores.
fn describe_surroundings(
    message: &mut Message,
    spec: &Spec,
    state: &State,
    process: ProcessId,
) -> Result<()> {
    for (kind, name) in [(libc::CLONE_NEWNET, "net"), (libc::CLONE_NEWPID, "pid")] {
        if state.joined_namespaces & kind as u32 == 0 {
            continue;
        }
        let path = format!("/proc/{}/ns/{name}", process.pid());
        let inode = rustix::fs::stat(&path)
            .context(|| format!("look at {path}"))?
            .st_ino;
        let key = super::namespace_key(name);
        message.text(option::EXTERNAL, &format!("{name}[{inode}]:{key}"));
    }
    for mount in mounts::of_running(spec, state, process)? {
        let mount = rpc::pair(&mount.key, &mount.source);
        message.message(option::EXT_MNT, &mount);
    }
    Ok(())
}

fn tell_ready(fd: &OwnedFd) -> Result<()> {
    rustix::io::write(fd, &[0]).context(|| "write to the status descriptor".to_owned())?;
    Ok(())
}
