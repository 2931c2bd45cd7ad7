//! What `checkpoint` and `restore` have in common.

use std::path::PathBuf;

use orlop::{CgroupsMode, CriuOptions, NetworkLock};

use crate::cli::{Flag, Matches};
use crate::context::{Context, is_rootless};
use crate::failure::Failure;

/// Where images are without `--image-path`.
const DEFAULT_IMAGES: &str = "checkpoint";

pub(super) const IMAGE_PATH: Flag = Flag::path(
    "image-path",
    "DIR",
    "the directory of criu's images (default: checkpoint)",
);
pub(super) const WORK_PATH: Flag = Flag::path(
    "work-path",
    "DIR",
    "where criu works and logs (default: with the images)",
);
pub(super) const TCP_ESTABLISHED: Flag =
    Flag::switch("tcp-established", "allow open TCP connections");
pub(super) const EXT_UNIX_SK: Flag = Flag::switch(
    "ext-unix-sk",
    "allow unix sockets that are connected outside",
);
pub(super) const SHELL_JOB: Flag =
    Flag::switch("shell-job", "allow a session or a terminal of outside");
pub(super) const FILE_LOCKS: Flag = Flag::switch("file-locks", "take file locks along");
pub(super) const LAZY_PAGES: Flag = Flag::switch(
    "lazy-pages",
    "hand memory over when it is used first (userfaultfd)",
);
pub(super) const AUTO_DEDUP: Flag = Flag::switch(
    "auto-dedup",
    "drop memory from an image once another one has it",
);
pub(super) const MANAGE_CGROUPS_MODE: Flag = Flag::text(
    "manage-cgroups-mode",
    "MODE",
    "what becomes of cgroups: soft, full, strict or ignore (default: soft)",
);
pub(super) const EMPTY_NS: Flag = Flag::text(
    "empty-ns",
    "TYPE",
    "make a namespace without what is in it; network is always so",
);
pub(super) const NETWORK_LOCK: Flag = Flag::choice(
    "network-lock",
    &["iptables", "nftables", "skip"],
    "how the network is kept still where there are open TCP connections",
);

pub(super) fn options(context: &Context, matches: &Matches) -> Result<CriuOptions, Failure> {
    if is_rootless() {
        context
            .log
            .warn("checkpoint and restore are untested with rootless containers");
    }
    let images = matches.path("image-path");
    let images = images.unwrap_or_else(|| PathBuf::from(DEFAULT_IMAGES));
    let mut options = CriuOptions::new(images);
    options.work_path = matches.path("work-path");
    options.tcp_established = matches.is_set("tcp-established");
    options.ext_unix_sk = matches.is_set("ext-unix-sk");
    options.shell_job = matches.is_set("shell-job");
    options.file_locks = matches.is_set("file-locks");
    options.lazy_pages = matches.is_set("lazy-pages");
    options.auto_dedup = matches.is_set("auto-dedup");
    options.cgroups_mode = match matches.text("manage-cgroups-mode").as_deref() {
        None => CgroupsMode::Usual,
        Some("soft") => CgroupsMode::Soft,
        Some("full") => CgroupsMode::Full,
        Some("strict") => CgroupsMode::Strict,
        Some("ignore") => CgroupsMode::Ignore,
        Some(_) => return Err(Failure::new("Invalid manage-cgroups-mode value")),
    };
    options.network_lock = match matches.text("network-lock").as_deref() {
        None => None,
        Some("iptables") => Some(NetworkLock::Iptables),
        Some("nftables") => Some(NetworkLock::Nftables),
        Some("skip") => Some(NetworkLock::Skip),
        Some(other) => {
            let message = format!("invalid value {other:?} for --network-lock");
            return Err(Failure::new(message));
        }
    };
    match matches
        .all("empty-ns")
        .iter()
        .find(|kind| *kind != "network")
    {
        Some(other) => Err(Failure::new(format!(
            "namespace {other:?} is not supported"
        ))),
        None => Ok(options),
    }
}
