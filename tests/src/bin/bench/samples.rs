//! Figures of a row, and how they compare.

use orlop_tests::stats::{Summary, median, summary};
use std::fmt;
use std::io;

/// A row of the table: what each contestant needed.
#[derive(Debug)]
pub(crate) struct Row {
    /// For `--only`.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) budget: Budget,
    pub(crate) entries: Vec<Entry>,
    /// What a reader has to know of it.
    pub(crate) notes: Vec<Note>,
}

/// Something to know of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Remark(String),
    /// Who did not finish, and the error, which may hold paths of this machine.
    Out(String, String),
}

impl Note {
    pub(crate) fn out(who: &str, error: &io::Error) -> Self {
        Self::Out(who.to_owned(), error.to_string())
    }

    /// For a page that others read.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::Remark(text) => text.clone(),
            Self::Out(who, _) => format!("{who} did not finish."),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remark(text) => f.write_str(text),
            Self::Out(who, error) => write!(f, "{who} is out: {error}"),
        }
    }
}

/// What the figures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Microseconds,
    KibiBytes,
}

impl Unit {
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::KibiBytes => "KiB",
        }
    }
}

/// What ours may need.
#[derive(Clone, Debug)]
pub(crate) enum Budget {
    /// This part of what the contestant with this label needs.
    Part(f64, String),
    /// This much.
    Absolute(f64),
    /// There is nobody to compare with.
    Unknown,
}

/// One contestant's figures.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) label: String,
    pub(crate) ours: bool,
    /// One list a round; contestants take turns, so the rounds of all are comparable.
    pub(crate) rounds: Vec<Vec<f64>>,
}

/// Whether ours keeps to the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Over,
    /// Ours or who it is compared with did not run.
    Unknown,
}

/// Ours in terms of another: of the medians, and the middle eight tenths of the rounds' medians.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) of_medians: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Entry {
    pub(crate) fn summary(&self) -> Option<Summary> {
        summary(&self.rounds.concat())
    }

    fn ratio_to(&self, other: &Self) -> Option<Ratio> {
        let each: Vec<f64> = self
            .rounds
            .iter()
            .zip(&other.rounds)
            .filter_map(|(mine, theirs)| Some(median(mine)? / median(theirs)?))
            .collect();
        let spread = summary(&each)?;
        Some(Ratio {
            of_medians: self.summary()?.median / other.summary()?.median,
            low: spread.p10,
            high: spread.p90,
        })
    }
}

impl Row {
    pub(crate) fn ours(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.ours)
    }

    fn reference(&self) -> Option<&Entry> {
        match &self.budget {
            Budget::Part(_, label) => self.entries.iter().find(|entry| entry.label == *label),
            Budget::Absolute(_) | Budget::Unknown => None,
        }
    }

    pub(crate) fn ratio(&self) -> Option<Ratio> {
        self.ours()?.ratio_to(self.reference()?)
    }

    /// The most that ours may need, in the row's unit.
    pub(crate) fn limit(&self) -> Option<f64> {
        match self.budget {
            Budget::Part(part, _) => Some(part * self.reference()?.summary()?.median),
            Budget::Absolute(limit) => Some(limit),
            Budget::Unknown => None,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let Some(ours) = self.ours().and_then(Entry::summary) else {
            return Verdict::Unknown;
        };
        match self.limit() {
            None => Verdict::Unknown,
            Some(limit) if ours.median <= limit => Verdict::Pass,
            Some(_) => Verdict::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, crun: f64) -> Row {
        let entry = |label: &str, ours, value: f64| Entry {
            label: label.to_owned(),
            ours,
            rounds: vec![vec![value; 3]; 2],
        };
        Row {
            key: "x",
            title: "x",
            unit: Unit::Milliseconds,
            budget: Budget::Part(0.2, "crun".to_owned()),
            entries: vec![entry("ours", true, ours), entry("crun", false, crun)],
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_fifth_is_within_a_fifth() {
        assert_eq!(row(2.0, 10.0).verdict(), Verdict::Pass);
        assert_eq!(row(2.1, 10.0).verdict(), Verdict::Over);
    }

    #[test]
    fn without_the_peer_nothing_is_passed() {
        let mut row = row(2.0, 10.0);
        row.entries.pop();
        assert_eq!(row.verdict(), Verdict::Unknown);
    }
}
