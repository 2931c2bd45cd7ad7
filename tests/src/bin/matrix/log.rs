//! Reads a log of `scripts/test`.

use std::collections::BTreeMap;

/// How a test ended on one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// The reason that the test gave.
    Skipped(String),
}

/// What ran on one machine.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Cgroup version, systemd, kernel.
    pub(crate) machine: String,
    /// By the program's name, `package/target`, and the test's.
    pub(crate) outcomes: BTreeMap<(String, String), Outcome>,
}

impl Log {
    /// # Errors
    /// When the log has another form, or lacks a test that its program counted.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut log = Self::default();
        let mut program = String::new();
        let mut skipped = BTreeMap::new();
        let mut counted = 0;
        let mut found = 0;
        // A test whose end is on a line of its own: another one's word came in between.
        let mut torn = String::new();
        for line in text.lines() {
            let whole = match line {
                "ok" | "FAILED" if !torn.is_empty() => {
                    format!("{}{line}", std::mem::take(&mut torn))
                }
                _ => line.to_owned(),
            };
            let line = whole.as_str();
            if let Some(machine) = line.strip_prefix("machine: ") {
                machine.clone_into(&mut log.machine);
            } else if let Some(name) = line.strip_prefix("== ") {
                name.clone_into(&mut program);
            } else if let Some((test, reason)) = skip(line) {
                if let Some((begin, _)) = line.split_once("SKIPPED ") {
                    begin.clone_into(&mut torn);
                }
                skipped.insert((program.clone(), test.to_owned()), reason.to_owned());
            } else if let Some(total) = total(line) {
                counted += total;
            } else if let Some((test, ended)) = ended(line) {
                // An example has no total.
                found +=
                    usize::from(!program.starts_with("orlop-examples/") || test.contains("::"));
                if let Some(outcome) = ended {
                    let _ = log
                        .outcomes
                        .insert((program.clone(), test.to_owned()), outcome);
                }
            }
        }
        if log.machine.is_empty() {
            return Err("no line `machine: ...`: is it a log of scripts/test?".to_owned());
        }
        if counted != found {
            return Err(format!(
                "{counted} tests were counted, but {found} have a line"
            ));
        }
        for (test, reason) in skipped {
            if let Some(outcome @ Outcome::Passed) = log.outcomes.get_mut(&test) {
                *outcome = Outcome::Skipped(reason);
            }
        }
        Ok(log)
    }

    /// How many passed, failed, and were skipped.
    pub(crate) fn totals(&self) -> [usize; 3] {
        let count =
            |wanted: fn(&Outcome) -> bool| self.outcomes.values().filter(|o| wanted(o)).count();
        [
            count(|o| *o == Outcome::Passed),
            count(|o| *o == Outcome::Failed),
            count(|o| matches!(o, Outcome::Skipped(_))),
        ]
    }
}

/// `SKIPPED crate::module::test: reason`, as `skip!` writes it; other output may be before it.
fn skip(line: &str) -> Option<(&str, &str)> {
    let (path, reason) = line.split_once("SKIPPED ")?.1.split_once(": ")?;
    Some((path.split_once("::")?.1, reason))
}

/// `test NAME ... ok`, or `FAILED`, or `ignored, REASON`. The outcome is `None` for what a test
/// runs by itself, in a process of its own.
fn ended(line: &str) -> Option<(&str, Option<Outcome>)> {
    let (before, how) = line.rsplit_once(" ... ")?;
    // What the test itself printed may be in the same line.
    let start = before.rfind("test ").map(|at| at + "test ".len())?;
    let name = before[start..].trim_end_matches(" - should panic");
    let outcome = match how.split_once(", ").unwrap_or((how, "")) {
        ("ok", "") => Some(Outcome::Passed),
        ("FAILED", "") => Some(Outcome::Failed),
        ("ignored", reason) if reason.starts_with("run by another test") => None,
        ("ignored", reason) => Some(Outcome::Skipped(reason.to_owned())),
        _ => return None,
    };
    Some((name, outcome))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn total(line: &str) -> Option<usize> {
    let (_, figures) = line.split_once("test result: ")?.1.split_once(". ")?;
    let figure = |name: &str| {
        let part = figures.split("; ").find(|part| part.ends_with(name))?;
        part.split(' ').next()?.parse::<usize>().ok()
    };
    Some(figure(" passed")? + figure(" failed")? + figure(" ignored")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
machine: cgroup v2, no systemd, Linux 6.12
== orlop-cgroups/limits

running 5 tests
SKIPPED limits::on_v1: no v1 here
test on_v1 ... ok
test deep::bites ... ok
a child's wordtest breaks ... FAILED
test half ... ignored, run by another test
test later ... ignored, slow

test result: FAILED. 2 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s

== orlop-examples/hello
test hello ... ok
";

    #[test]
    fn a_line_that_another_test_tore_is_put_together() {
        let torn = "machine: x\n== orlop-cgroups/limits\n\
                    test one ... SKIPPED limits::two: no v1 here\nok\ntest two ... ok\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n";
        let log = Log::parse(torn).unwrap();
        assert_eq!(log.totals(), [1, 0, 1]);
    }

    fn outcome<'a>(log: &'a Log, test: &str) -> Option<&'a Outcome> {
        log.outcomes
            .get(&("orlop-cgroups/limits".to_owned(), test.to_owned()))
    }

    #[test]
    fn every_kind_of_line_is_understood() {
        let log = Log::parse(LOG).unwrap();
        assert_eq!(log.machine, "cgroup v2, no systemd, Linux 6.12");
        let skipped = |why: &str| Outcome::Skipped(why.to_owned());
        assert_eq!(outcome(&log, "on_v1"), Some(&skipped("no v1 here")));
        assert_eq!(outcome(&log, "deep::bites"), Some(&Outcome::Passed));
        assert_eq!(outcome(&log, "breaks"), Some(&Outcome::Failed));
        assert_eq!(outcome(&log, "half"), None);
        assert_eq!(outcome(&log, "later"), Some(&skipped("slow")));
        assert_eq!(log.totals(), [2, 1, 2]);
    }

    #[test]
    fn a_test_without_its_line_is_noticed() {
        let torn = LOG.replace("test deep::bites ... ok\n", "");
        assert_eq!(
            Log::parse(&torn).unwrap_err(),
            "5 tests were counted, but 4 have a line"
        );
        assert!(Log::parse("hello").is_err());
    }
}
