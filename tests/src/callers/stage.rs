//! Runs acts, compares, and records what came of them.

use super::{Act, Section, World};
use crate::Output;
use crate::locate;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A caller that is ready to be told what to do.
#[derive(Debug)]
pub struct Stage<'a> {
    world: &'a World,
    /// Shell functions and variables that acts use. `$RUNTIME` is set before it.
    prelude: String,
    /// The caller's program and version.
    version: String,
    as_user: bool,
    /// What removes all that a failed act has left.
    clear: &'static str,
    ours: PathBuf,
}

impl<'a> Stage<'a> {
    /// With the output of a program's `--version` as version.
    ///
    /// # Panics
    /// When there is no runtime to test.
    #[must_use]
    #[track_caller]
    pub fn new(world: &'a World, version: &str, prelude: String, clear: &'static str) -> Self {
        Self {
            world,
            prelude,
            version: version.lines().next().unwrap_or_default().to_owned(),
            as_user: false,
            clear,
            ours: locate::runtime_under_test().expect("find the runtime under test"),
        }
    }

    /// Acts as [`super::USER`].
    #[must_use]
    pub fn rootless(mut self) -> Self {
        self.as_user = true;
        self
    }

    /// One line, with our runtime.
    #[track_caller]
    pub fn line(&self, line: &str) -> Output {
        match self.run(&self.ours, line) {
            Ok(output) => output,
            Err(why) => panic!("{line}: {why}"),
        }
    }

    fn run(&self, runtime: &Path, line: &str) -> io::Result<Output> {
        let script = format!("RUNTIME={}\n{}\n{line}", runtime.display(), self.prelude);
        let call = self.world.script(&script, self.as_user).limit(LIMIT);
        call.try_start()?.try_finish()
    }

    /// All acts of a section. What fails with our runtime and works with Debian's `runc` fails the
    /// test in the end; what fails with both is recorded as the caller's or the machine's limit.
    ///
    /// # Panics
    /// When anything fails that works with `runc`.
    #[track_caller]
    pub fn play(&self, section: &Section) {
        let peer = locate::in_path("runc");
        let mut wrong = Vec::new();
        for (index, act) in section.acts.iter().enumerate() {
            let ours = judge(act, self.run(&self.ours, act.line));
            let mut theirs = None;
            if let Err(why) = &ours {
                theirs = peer
                    .as_ref()
                    .map(|runc| self.again(runc, section.acts, index));
                // What follows is to find what it would find after a success.
                let _ = self.again(&self.ours, section.acts, index);
                let note = match &theirs {
                    Some(Err(_)) => "and with runc",
                    _ => "NOT with runc",
                };
                let text = format!("{}: {}: fails {note}: {why}", section.name, act.what);
                let _ = writeln!(std::io::stderr(), "{text}");
                if !matches!(theirs, Some(Err(_))) {
                    wrong.push(text);
                }
            }
            self.record(section, act, &ours, theirs.as_ref());
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    /// An act once more from the section's beginning: most need what those before them have made.
    fn again(&self, runtime: &Path, acts: &[Act], index: usize) -> Result<(), String> {
        let _ = self.run(runtime, self.clear);
        let before = acts[..index].iter().fold(None, |failed, act| {
            let outcome = judge(act, self.run(runtime, act.line));
            failed.or_else(|| outcome.err().map(|why| (act.what, why)))
        });
        let act = &acts[index];
        judge(act, self.run(runtime, act.line)).map_err(|why| match before {
            Some((what, first)) => format!("{why} (before it, \"{what}\": {first})"),
            None => why,
        })
    }

    fn record(
        &self,
        section: &Section,
        act: &Act,
        ours: &Result<(), String>,
        theirs: Option<&Result<(), String>>,
    ) {
        let Some(path) = std::env::var_os("ORLOP_CALLERS") else {
            return;
        };
        // A page is to be the same wherever the programs lie.
        let ours_path = self.ours.display().to_string();
        let word = |result: &Result<(), String>| match result {
            Ok(()) => "works".to_owned(),
            Err(why) => why.replace(&ours_path, "orlop-runc"),
        };
        let record = json!({
            "caller": section.caller, "version": self.version, "section": section.name,
            "what": act.what, "line": act.line, "ours": word(ours), "runc": theirs.map(&word),
        });
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("open the file of records");
        writeln!(file, "{record}").expect("record an outcome");
    }
}

/// Whether it gave what it has to; otherwise what it gave instead, in one line.
fn judge(act: &Act, output: io::Result<Output>) -> Result<(), String> {
    let output = output.map_err(|error| error.to_string())?;
    // Why it failed comes first: what it printed until then may be long.
    let all = format!("{}{}", output.stderr, output.stdout);
    let lacking: Vec<&str> = act
        .gives
        .iter()
        .filter(|text| !all.contains(**text))
        .copied()
        .collect();
    if output.code() == act.code && lacking.is_empty() {
        return Ok(());
    }
    let said: String = all.trim().replace('\n', " / ").chars().take(400).collect();
    let expected = match act.code {
        code if output.code() == code => String::new(),
        code => format!(" instead of {code}"),
    };
    let missing = match lacking.as_slice() {
        [] => String::new(),
        texts => format!(", without {texts:?}"),
    };
    let code = output.code();
    Err(format!("exit status {code}{expected}{missing}: {said}"))
}
