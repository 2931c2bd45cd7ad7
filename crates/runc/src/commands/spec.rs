//! `spec`: a configuration to start from.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use orlop::spec::{Namespace, NamespaceKind, Spec, default_spec, rootless_spec};
use serde::Serialize as _;
use serde_json::ser::PrettyFormatter;

use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

/// The configuration's name in a bundle.
const CONFIG: &str = "config.json";

pub(super) const COMMAND: Command = Command {
    name: "spec",
    summary: "write a configuration to start from",
    arguments: "",
    first_argument: Argument::Free,
    description: "Writes config.json for a bundle: a shell in a container of its own, with few \
                  privileges. Change process.args to run something else, and put a root file system into \
                  the directory rootfs beside it.\n\n\
                  With --rootless it suits a user who is not root: a user namespace in which that user \
                  is root, the host's network, and no limits.",
    flags: &[
        Flag::path(
            "bundle",
            "DIR",
            "the bundle's directory (default: the current one)",
        )
        .short('b'),
        Flag::switch("rootless", "for a user who is not root"),
    ],
    arity: Arity::Exactly(0),
    passes_on: false,
    run,
};

fn run(_: &Context, matches: &Matches) -> Result<u8, Failure> {
    let path = matches
        .path("bundle")
        .unwrap_or_else(|| PathBuf::from("."))
        .join(CONFIG);
    let spec = if matches.is_set("rootless") {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        rootless_spec(uid.as_raw(), gid.as_raw())
    } else {
        default_spec()
    };
    let json = render(with_cgroup_namespace(spec, Path::new("/sys/fs/cgroup")))
        .map_err(|error| Failure::io(format_args!("write {}", path.display()), error))?;
    write_new(&path, &json)?;
    Ok(0)
}

/// Hides the host's cgroups where there is one tree of them, as runc does there.
fn with_cgroup_namespace(mut spec: Spec, mountpoint: &Path) -> Spec {
    let unified = mountpoint.join("cgroup.controllers").exists();
    if let Some(linux) = spec.linux.as_mut().filter(|_| unified) {
        linux.namespaces.push(Namespace::new(NamespaceKind::Cgroup));
    }
    spec
}

fn render(spec: Spec) -> io::Result<Vec<u8>> {
    let mut json = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"\t");
    spec.serialize(&mut serde_json::Serializer::with_formatter(
        &mut json, formatter,
    ))?;
    Ok(json)
}

fn write_new(path: &Path, json: &[u8]) -> Result<(), Failure> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file
            .write_all(json)
            .map_err(|error| Failure::io(format_args!("write {}", path.display()), error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::new(format!(
            "File {CONFIG} exists. Remove it first"
        ))),
        Err(error) => Err(Failure::io(
            format_args!("create {}", path.display()),
            error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn the_written_configuration_is_as_expected() {
        for (name, spec) in [
            ("spec", default_spec()),
            ("spec-rootless", rootless_spec(1000, 1001)),
        ] {
            let json = String::from_utf8(render(spec).unwrap()).unwrap();
            golden::compare(&format!("commands/testdata/{name}.json"), &json);
        }
    }

    #[test]
    fn one_cgroup_tree_is_hidden() {
        let kinds = |spec: Spec| -> Vec<_> {
            spec.linux
                .unwrap()
                .namespaces
                .into_iter()
                .map(|namespace| namespace.kind)
                .collect()
        };
        let nowhere = Path::new("/nonexistent");
        assert!(
            !kinds(with_cgroup_namespace(default_spec(), nowhere)).contains(&NamespaceKind::Cgroup)
        );
        let directory =
            std::env::temp_dir().join(format!("orlop-runc-spec-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("cgroup.controllers"), "").unwrap();
        let found = kinds(with_cgroup_namespace(default_spec(), &directory));
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found.last(), Some(&NamespaceKind::Cgroup));
    }
}
