//! `plan`: what would happen, without anything happening.

use std::path::{Path, PathBuf};

use orlop::{Bundle, Host, Options, Plan};

use super::{container, flags};
use crate::cli::{Argument, Arity, Command, Flag, Matches};
use crate::context::Context;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "plan",
    summary: "show what creating a container would do",
    arguments: "[ID]",
    first_argument: Argument::Free,
    description: "Prints every operation that `create` would carry out for a bundle, in order. Nothing is done, \
                  and no privilege is needed. ID (default: the bundle's name) is what the container would \
                  be called.",
    flags: &[
        flags::BUNDLE,
        Flag::choice(
            "format",
            &["text", "json"],
            "how to print it (default: text)",
        )
        .short('f'),
        flags::NO_PIVOT,
        flags::NO_NEW_KEYRING,
        flags::PRESERVE_FDS,
    ],
    arity: Arity::Between(0, 1),
    passes_on: false,
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<u8, Failure> {
    let bundle = matches.path("bundle").unwrap_or_else(|| PathBuf::from("."));
    let options = Options::new(&bundle)
        .id(id(matches, &bundle).parse()?)
        .no_pivot(matches.is_set("no-pivot"))
        .no_new_keyring(matches.is_set("no-new-keyring"))
        .preserve_fds(matches.number("preserve-fds"))
        .systemd_cgroup(context.systemd_cgroup);
    let plan = Plan::compile(&Bundle::open(&bundle)?.spec, &options, &Host::probe()?)?;
    container::warn(context, plan.warnings());
    match matches.text("format").as_deref() {
        None | Some("text") => super::print(plan.text().to_string()),
        Some("json") => super::print(format!("{:#}\n", plan.json())),
        Some(_) => Err(Failure::new("invalid format option")),
    }
}

fn id(matches: &Matches, bundle: &Path) -> String {
    let named = || {
        #[expect(clippy::disallowed_methods, reason = "for the last name in it alone")]
        let bundle = bundle.canonicalize().ok()?;
        Some(bundle.file_name()?.to_string_lossy().into_owned())
    };
    matches
        .argument(0)
        .or_else(named)
        .unwrap_or_else(|| "container".to_owned())
}
