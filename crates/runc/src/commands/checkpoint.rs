//! `checkpoint`: a running container, written to disk.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

use orlop::{CheckpointOptions, PageServer};

use super::{container, criu};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "checkpoint",
    summary: "write a running container to disk",
    arguments: "ID",
    first_argument: Argument::Container,
    description: "Writes the processes of a running container, with all that they have, to disk, by the program \
                  criu, and removes the container. `restore` brings it back, there or elsewhere.\n\n\
                  The network is not written: it is set up anew for what is restored. The annotation \
                  org.criu.config names a file with further options of criu, in place of \
                  /etc/criu/runc.conf.",
    flags: &[
        criu::IMAGE_PATH,
        criu::WORK_PATH,
        Flag::path(
            "parent-path",
            "DIR",
            "an earlier image, relative to this one: write only what changed since",
        ),
        Flag::switch("leave-running", "let the container go on"),
        criu::TCP_ESTABLISHED,
        Flag::switch(
            "tcp-skip-in-flight",
            "leave TCP connections out that are not established yet",
        ),
        Flag::switch("link-remap", "give files a name that have none any more"),
        criu::EXT_UNIX_SK,
        criu::SHELL_JOB,
        criu::LAZY_PAGES,
        Flag::text(
            "status-fd",
            "FD",
            "write a zero byte to this descriptor once lazy pages are ready",
        ),
        Flag::text(
            "page-server",
            "ADDRESS:PORT",
            "send memory to a page server of criu",
        ),
        criu::FILE_LOCKS,
        Flag::switch(
            "pre-dump",
            "write memory only, as a parent of the next image, and let the container go on",
        ),
        criu::MANAGE_CGROUPS_MODE,
        criu::EMPTY_NS,
        criu::AUTO_DEDUP,
        criu::NETWORK_LOCK,
    ],
    arity: Arity::Exactly(1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let mut container = container::load(context, matches)?;
    let mut options = CheckpointOptions::new(criu::options(context, matches)?);
    options.parent_path = matches.path("parent-path");
    options.leave_running = matches.is_set("leave-running");
    options.pre_dump = matches.is_set("pre-dump");
    options.tcp_skip_in_flight = matches.is_set("tcp-skip-in-flight");
    options.link_remap = matches.is_set("link-remap");
    options.page_server = matches
        .text("page-server")
        .map(|server| page_server(&server))
        .transpose()?;
    if let Some(number) = matches.text("status-fd") {
        options.status_fd = Some(status_fd(&number)?);
    }
    let goes_on = options.leave_running || options.pre_dump;
    container.checkpoint(options)?;
    if !goes_on {
        container::remove(context, container)?;
    }
    Ok(0)
}

/// The descriptor of this number that the caller gave.
fn status_fd(number: &str) -> Result<OwnedFd, Failure> {
    let invalid = |what: &dyn std::fmt::Display| {
        Failure::new(format!("invalid --status-fd argument {number}: {what}"))
    };
    let number: u32 = number.parse().map_err(|error| invalid(&error))?;
    let path = format!("/proc/self/fd/{number}");
    let opened = OpenOptions::new().append(true).open(path);
    opened.map(OwnedFd::from).map_err(|error| invalid(&error))
}

/// `ADDRESS:PORT`, `[ADDRESS]:PORT`.
fn page_server(text: &str) -> Result<PageServer, Failure> {
    let usage = || Failure::new("Use --page-server ADDRESS:PORT to specify page server");
    let (address, port) = text.rsplit_once(':').ok_or_else(usage)?;
    let address = address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'))
        .unwrap_or(address);
    if address.is_empty() || port.is_empty() {
        return Err(usage());
    }
    let port = port
        .parse()
        .map_err(|_| Failure::new("Invalid port number"))?;
    Ok(PageServer {
        address: address.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_servers_have_an_address_and_a_port() {
        for (text, address) in [("10.0.0.1:80", "10.0.0.1"), ("[::1]:80", "::1")] {
            let server = page_server(text).unwrap();
            assert_eq!((server.address.as_str(), server.port), (address, 80));
        }
        for wrong in ["", "a", "a:", ":80", "a:x", "a:70000"] {
            assert!(page_server(wrong).is_err(), "{wrong}");
        }
    }
}
