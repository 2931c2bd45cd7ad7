//! The command line.

use std::fmt;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
bench [OPTIONS]: our runtime beside its peers, interleaved, in one run

    --ours PATH        our runtime (default: $ORLOP_RUNC, else the release build)
    --peer NAME=PATH   a further peer; NAME is crun, runc, youki or bwrap (repeatable)
    --only ROW         only this row of the table (repeatable)
    --quick            a tenth of the rounds
    --out FOLDER       write <NAME>.md and <NAME>.svg there
    --name NAME        (default: speed)
    --enforce          exit with 1 when a budget is not met

Peers are looked for in PATH (crun, runc, youki, bwrap) and in the cache of tests/peers.
Must run as root. Everything happens in a private mount namespace with cgroup v1 alone.
";

/// The options, checked for form.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) ours: Option<PathBuf>,
    pub(crate) peers: Vec<(String, PathBuf)>,
    pub(crate) only: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) out: Option<PathBuf>,
    pub(crate) name: String,
    pub(crate) enforce: bool,
}

/// A command line that makes no sense.
#[derive(Debug)]
pub(crate) struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Options {
    /// `None` asks for help.
    pub(crate) fn parse(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Option<Self>, Unusable> {
        let mut options = Self {
            ours: None,
            peers: Vec::new(),
            only: Vec::new(),
            quick: false,
            out: None,
            name: "speed".to_owned(),
            enforce: false,
        };
        while let Some(option) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| Unusable(format!("{option} needs a value")))
            };
            match option.as_str() {
                "--ours" => options.ours = Some(value()?.into()),
                "--peer" => options.peers.push(peer(&value()?)?),
                "--only" => options.only.push(value()?),
                "--quick" => options.quick = true,
                "--out" => options.out = Some(value()?.into()),
                "--name" => options.name = value()?,
                "--enforce" => options.enforce = true,
                "--help" | "-h" => return Ok(None),
                other => return Err(Unusable(format!("unknown option {other}"))),
            }
        }
        Ok(Some(options))
    }
}

fn peer(text: &str) -> Result<(String, PathBuf), Unusable> {
    match text.split_once('=') {
        Some((name, path)) if ["crun", "runc", "youki", "bwrap"].contains(&name) => {
            Ok((name.to_owned(), path.into()))
        }
        _ => Err(Unusable(format!(
            "--peer {text}: not NAME=PATH with crun, runc, youki or bwrap as NAME"
        ))),
    }
}
