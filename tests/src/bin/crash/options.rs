//! The command line.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
crash [OPTIONS]: kill `create` at a random moment, and see what is left

    --ours PATH        our runtime (default: $ORLOP_RUNC, else the release build)
    --peer NAME=PATH   a further peer with runc's command line (repeatable)
    --no-peers         ours alone
    --trials N         for each runtime (default: 200)
    --out DIR          write crash.md there
    --seed N           of the random moments (default: from the clock; printed)

Peers are looked for in PATH (crun, runc, youki) and in the cache of tests/peers. Must run as root.
Exits with 1 if ours leaves an unreadable state, or anything after one `delete -f`, or if it was never
killed in time.
";

/// The options, checked for form.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) ours: Option<PathBuf>,
    pub(crate) peers: Vec<(String, PathBuf)>,
    pub(crate) find_peers: bool,
    pub(crate) trials: u32,
    pub(crate) out: Option<PathBuf>,
    pub(crate) seed: Option<u64>,
}

impl Options {
    /// `None` asks for help.
    pub(crate) fn parse(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Option<Self>, String> {
        let mut options = Self {
            ours: None,
            peers: Vec::new(),
            find_peers: true,
            trials: 200,
            out: None,
            seed: None,
        };
        while let Some(option) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{option} needs a value"))
            };
            match option.as_str() {
                "--ours" => options.ours = Some(value()?.into()),
                "--peer" => options.peers.push(peer(&value()?)?),
                "--no-peers" => options.find_peers = false,
                "--trials" => options.trials = number(&option, &value()?)?,
                "--out" => options.out = Some(value()?.into()),
                "--seed" => options.seed = Some(number(&option, &value()?)?),
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(Some(options))
    }
}

fn peer(text: &str) -> Result<(String, PathBuf), String> {
    text.split_once('=')
        .map(|(name, path)| (name.to_owned(), path.into()))
        .ok_or_else(|| format!("--peer {text}: not NAME=PATH"))
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{option} {text}: not a number"))
}
