//! Who takes part.

use crate::driver::{Driver, Line};
use crate::options::Options;
use orlop_tests::locate;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What the straight-line program is called.
pub(crate) const FLOOR: &str = "straight-line C";

/// What the command line of a program is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// runc's.
    Runtime,
    /// bubblewrap's: only `run`, and does less.
    Bubblewrap,
    /// The straight-line program's: only `run`, and does nothing but the system calls.
    Floor,
}

/// A runtime in the race.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    /// Its name and version, as shown.
    pub(crate) label: String,
    /// The name alone.
    pub(crate) name: String,
    pub(crate) version: Vec<u32>,
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    /// Its state root.
    pub(crate) root: PathBuf,
}

impl Contestant {
    /// `<program> --root <root> <words>`.
    pub(crate) fn line(&self, words: &[&str]) -> io::Result<Line> {
        let root = self.root.to_string_lossy();
        let mut all = vec!["--root", root.as_ref()];
        all.extend(words);
        Line::new(&self.program, &all)
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.name == "orlop-runc"
    }
}

/// The straight-line program, built to start as fast as a program can.
pub(crate) fn floor(program: &Path) -> Contestant {
    Contestant {
        label: FLOOR.to_owned(),
        name: "floor".to_owned(),
        version: Vec::new(),
        kind: Kind::Floor,
        program: program.to_path_buf(),
        root: PathBuf::new(),
    }
}

/// Ours and every peer there is, ours first. Says which are missing.
pub(crate) fn all(
    options: &Options,
    driver: &mut Driver,
    roots: &Path,
) -> io::Result<Vec<Contestant>> {
    let mut found = Vec::new();
    match options
        .ours
        .clone()
        .map_or_else(locate::runtime_under_test, Ok)
    {
        Ok(path) => found.push(("orlop-runc".to_owned(), path)),
        Err(error) => println!("ours is missing: {error}"),
    }
    if let Some(folder) = locate::peers_dir("forky") {
        for name in ["crun", "runc"] {
            found.push((name.to_owned(), folder.join("bin").join(name)));
        }
    } else {
        println!("the newest crun and runc are missing: run tests/peers to fetch them");
    }
    for name in ["crun", "runc", "youki", "bwrap"] {
        match locate::in_path(name) {
            Some(path) => found.push((name.to_owned(), path)),
            None => println!("{name} is missing: not in PATH"),
        }
    }
    found.extend(options.peers.iter().cloned());
    let mut seen = BTreeSet::new();
    let mut contestants = Vec::new();
    for (number, (name, program)) in found.into_iter().enumerate() {
        let contestant = match meet(driver, name, program, roots.join(number.to_string())) {
            Ok(contestant) => contestant,
            Err(error) => {
                println!("out: {error}");
                continue;
            }
        };
        if seen.insert(contestant.label.clone()) {
            println!("{}: {}", contestant.label, contestant.program.display());
            contestants.push(contestant);
        }
    }
    Ok(contestants)
}

/// The newest crun, against which the budgets count.
pub(crate) fn baseline(contestants: &[Contestant]) -> Option<&Contestant> {
    contestants
        .iter()
        .filter(|one| one.name == "crun")
        .max_by(|one, other| one.version.cmp(&other.version))
}

fn meet(
    driver: &mut Driver,
    name: String,
    program: PathBuf,
    root: PathBuf,
) -> io::Result<Contestant> {
    let kind = match name.as_str() {
        "bwrap" => Kind::Bubblewrap,
        _ => Kind::Runtime,
    };
    let answer = driver.output(&Line::new(&program, &["--version"])?)?;
    let version = version(&answer);
    let shown: Vec<String> = version.iter().map(u32::to_string).collect();
    Ok(Contestant {
        label: format!("{name} {}", shown.join(".")),
        name,
        version,
        kind,
        program,
        root,
    })
}

/// The first word that is a version number: `runc version 1.1.5+ds1` is 1.1.5.
fn version(answer: &str) -> Vec<u32> {
    answer
        .split_whitespace()
        .map(|word| {
            word.split(|c: char| c != '.' && !c.is_ascii_digit())
                .next()
                .unwrap_or_default()
        })
        .find(|word| word.contains('.'))
        .unwrap_or_default()
        .split('.')
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_of_every_form() {
        assert_eq!(version("crun version 1.28\ncommit: x\n"), [1, 28]);
        assert_eq!(version("runc version 1.1.5+ds1\n"), [1, 1, 5]);
        assert_eq!(version("bubblewrap 0.8.0"), [0, 8, 0]);
        assert!(version("none").is_empty());
    }
}
