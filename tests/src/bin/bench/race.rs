//! Takes turns.

use crate::contestant::Contestant;
use crate::driver::Driver;
use crate::samples::{Entry, Note};
use std::io;
use std::thread;
use std::time::Duration;

/// Lets the kernel finish what it put off for the contestant before: it tears down cgroups and
/// network namespaces in the background.
const SETTLE: Duration = Duration::from_millis(40);

/// How much each contestant has to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    pub(crate) rounds: usize,
    /// Samples of one contestant in a row.
    pub(crate) samples: usize,
}

/// Every contestant in turn, round after round, and in each round another one first. One sample
/// before each block is not counted. Who fails is out, and a line says why.
pub(crate) fn race(
    driver: &mut Driver,
    contestants: &[&Contestant],
    length: Length,
    mut sample: impl FnMut(&mut Driver, &Contestant) -> io::Result<f64>,
) -> (Vec<Entry>, Vec<Note>) {
    let mut entries: Vec<Entry> = contestants.iter().map(|one| entry(one)).collect();
    let mut out: Vec<Option<io::Error>> = contestants.iter().map(|_| None).collect();
    for round in 0..length.rounds {
        for turn in 0..contestants.len() {
            let who = (round + turn) % contestants.len();
            if out[who].is_some() {
                continue;
            }
            thread::sleep(SETTLE);
            let mut block = || -> io::Result<Vec<f64>> {
                sample(driver, contestants[who])?;
                (0..length.samples)
                    .map(|_| sample(driver, contestants[who]))
                    .collect()
            };
            match block() {
                Ok(figures) => entries[who].rounds.push(figures),
                Err(error) => out[who] = Some(error),
            }
        }
    }
    let notes = contestants
        .iter()
        .zip(&out)
        .filter_map(|(one, error)| Some(Note::out(&one.label, error.as_ref()?)))
        .collect();
    let mut reasons = out.iter();
    entries.retain(|_| reasons.next().is_some_and(Option::is_none));
    (entries, notes)
}

fn entry(contestant: &Contestant) -> Entry {
    Entry {
        label: contestant.label.clone(),
        ours: contestant.is_ours(),
        rounds: Vec::new(),
    }
}
