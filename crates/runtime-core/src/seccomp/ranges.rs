//! The same filter, shorter: a search for the range in which a system call's number lies.
//!
//! libseccomp's program compares the number with each one that the profile names. Most of them have
//! neighbours with the same answer, so that a profile of four hundred names is some sixty ranges.
//! What a program answers to a number depends on how that compares with the constants in it, and so
//! is the same between two of them: the program is followed once for each architecture that it knows
//! and each such stretch, and the answers are written as a binary search. Where an answer depends
//! on arguments, the instructions that are followed from there are kept as they are.
//!
//! Nothing is known here of rules or of libseccomp. A program with any instruction that is not
//! followed exactly stays what it is.

use std::collections::BTreeSet;

use super::bpf::{
    AND_K, ARCHITECTURE, Instruction, JA, JEQ_K, JGE_K, JGT_K, JSET_K, LD_W_ABS, NUMBER, RET_K, go,
    jump, load,
};
use super::{INSTRUCTION_SIZE, MAX_INSTRUCTIONS};

/// The most instructions for one answer that depends on arguments. The kernel's jumps reach 255.
const MAX_ANSWER: usize = 200;

/// The most ranges that are looked through one by one.
const MAX_LIST: usize = 16;

/// What is in the accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Number,
    Architecture,
    /// A part of an argument, changed or not.
    Argument,
    /// Nothing yet, or what depends on the way that led there.
    Unclear,
}

/// One architecture, or, without a number, any that the program does not know.
type Architecture = Option<u32>;

/// The program written anew, if that is possible and shorter.
pub(super) fn by_ranges(program: &[u8]) -> Option<Vec<u8>> {
    let (instructions, rest) = program.as_chunks::<INSTRUCTION_SIZE>();
    if !rest.is_empty() {
        return None;
    }
    let old: Vec<_> = instructions
        .iter()
        .map(|bytes| Instruction::from_bytes(*bytes))
        .collect();
    let new = Program::of(&old)?.by_ranges()?;
    let shorter = new.len() < old.len() && new.len() <= MAX_INSTRUCTIONS;
    shorter.then(|| new.into_iter().flat_map(Instruction::bytes).collect())
}

/// A program of which every instruction can be followed.
struct Program<'a> {
    instructions: &'a [Instruction],
    /// Where the answer to a number can change: the first number of each stretch.
    starts: BTreeSet<u32>,
    architectures: BTreeSet<u32>,
}

impl<'a> Program<'a> {
    fn of(instructions: &'a [Instruction]) -> Option<Self> {
        let mut program = Self {
            instructions,
            starts: BTreeSet::from([0]),
            architectures: BTreeSet::new(),
        };
        // Jumps lead forward only, so that one pass sees all ways to an instruction before it.
        let mut before: Vec<Option<Holds>> = vec![None; instructions.len()];
        *before.first_mut()? = Some(Holds::Unclear);
        for (at, instruction) in instructions.iter().enumerate() {
            // What no way leads to is never executed.
            let Some(holds) = before[at] else { continue };
            let after = match instruction.code {
                LD_W_ABS => loaded(instruction.k),
                AND_K if holds == Holds::Argument => Holds::Argument,
                AND_K => return None,
                _ => holds,
            };
            program.note_constant(holds, instruction)?;
            for next in successors(at, *instruction)?.into_iter().flatten() {
                let known = before.get_mut(next)?;
                *known = match known {
                    Some(known) if *known != after => Some(Holds::Unclear),
                    _ => Some(after),
                };
            }
        }
        Some(program)
    }

    fn note_constant(&mut self, holds: Holds, instruction: &Instruction) -> Option<()> {
        let k = instruction.k;
        match (holds, instruction.code) {
            (Holds::Number, JEQ_K) => {
                self.starts.insert(k);
                self.starts.extend(k.checked_add(1));
            }
            (Holds::Number, JGT_K) => self.starts.extend(k.checked_add(1)),
            (Holds::Number, JGE_K) => {
                self.starts.insert(k);
            }
            (Holds::Architecture, JEQ_K) => {
                self.architectures.insert(k);
            }
            (Holds::Number | Holds::Architecture, JSET_K)
            | (Holds::Architecture, JGT_K | JGE_K)
            | (Holds::Unclear, JEQ_K | JGT_K | JGE_K | JSET_K) => return None,
            _ => {}
        }
        Some(())
    }

    fn by_ranges(&self) -> Option<Vec<Instruction>> {
        let mut new = vec![load(ARCHITECTURE)];
        for architecture in &self.architectures {
            let block = self.block(Some(*architecture))?;
            new.push(jump(JEQ_K, *architecture, 1, 0));
            new.push(go(u32::try_from(block.len()).ok()?));
            new.extend(block);
        }
        new.extend(self.block(None)?);
        Some(new)
    }

    /// The answers to all numbers of one architecture.
    fn block(&self, architecture: Architecture) -> Option<Vec<Instruction>> {
        let mut ranges: Vec<Range> = Vec::new();
        for &start in &self.starts {
            let answer = self.follow(0, architecture, start, MAX_ANSWER)?;
            if ranges.last().is_none_or(|before| before.answer != answer) {
                ranges.push(Range { start, answer });
            }
        }
        match &ranges[..] {
            [only] => Some(only.answer.clone()),
            ranges => {
                let mut block = vec![load(NUMBER)];
                block.extend(search(ranges)?);
                Some(block)
            }
        }
    }

    /// The instructions that a call leads to from there on, where the accumulator has an argument or
    /// nothing, without those that its architecture and number decide.
    fn follow(
        &self,
        mut at: usize,
        architecture: Architecture,
        number: u32,
        room: usize,
    ) -> Option<Vec<Instruction>> {
        let mut answer = Vec::new();
        let mut holds = Holds::Argument;
        while answer.len() < room {
            let instruction = *self.instructions.get(at)?;
            at += 1;
            match (instruction.code, holds) {
                (RET_K, _) => {
                    answer.push(instruction);
                    return Some(answer);
                }
                (JA, _) => at = at.checked_add(usize::try_from(instruction.k).ok()?)?,
                (LD_W_ABS, _) => {
                    holds = loaded(instruction.k);
                    if holds == Holds::Argument {
                        answer.push(instruction);
                    }
                }
                (AND_K, _) => answer.push(instruction),
                (_, Holds::Architecture) => {
                    at += distance(instruction, architecture == Some(instruction.k));
                }
                (_, Holds::Number) => at += distance(instruction, is_true(instruction, number)?),
                (_, Holds::Argument | Holds::Unclear) => {
                    let room = room - answer.len() - 1;
                    let [yes, no] = [true, false].map(|taken| at + distance(instruction, taken));
                    let yes = self.follow(yes, architecture, number, room)?;
                    let no = self.follow(no, architecture, number, room - yes.len())?;
                    let over = u8::try_from(yes.len()).ok()?;
                    answer.push(jump(instruction.code, instruction.k, 0, over));
                    answer.extend(yes);
                    answer.extend(no);
                    return Some(answer);
                }
            }
        }
        None
    }
}

/// Numbers from a first one on, up to the next range's.
struct Range {
    start: u32,
    /// Ends in an answer on every way.
    answer: Vec<Instruction>,
}

/// The accumulator has the number.
fn search(ranges: &[Range]) -> Option<Vec<Instruction>> {
    if let Some(list) = list(ranges) {
        return Some(list);
    }
    let (lower, upper) = match ranges {
        [] => return None,
        [only] => return Some(only.answer.clone()),
        ranges => ranges.split_at(ranges.len() / 2),
    };
    let from = upper.first()?.start;
    let (lower, upper) = (search(lower)?, search(upper)?);
    let mut new = Vec::with_capacity(2 + lower.len() + upper.len());
    match u8::try_from(lower.len()) {
        Ok(over) => new.push(jump(JGE_K, from, over, 0)),
        Err(_) => {
            new.push(jump(JGE_K, from, 0, 1));
            new.push(go(u32::try_from(lower.len()).ok()?));
        }
    }
    new.extend(lower);
    new.extend(upper);
    Some(new)
}

/// A few ranges, one after the other: a comparison for each and each answer once. None may depend on
/// arguments.
fn list(ranges: &[Range]) -> Option<Vec<Instruction>> {
    if ranges.len() > MAX_LIST || ranges.iter().any(|range| range.answer.len() > 1) {
        return None;
    }
    let mut rest: Vec<&Range> = ranges.iter().collect();
    let mut tests: Vec<(u16, &Range)> = Vec::new();
    // A number alone between two ranges with one answer makes them one.
    let mut at = 1;
    while at + 1 < rest.len() {
        let [before, alone, after] = [rest[at - 1], rest[at], rest[at + 1]];
        if alone.start.checked_add(1) == Some(after.start) && before.answer == after.answer {
            tests.push((JEQ_K, alone));
            rest.drain(at..at + 2);
        } else {
            at += 1;
        }
    }
    tests.extend(rest.iter().skip(1).rev().map(|range| (JGE_K, *range)));
    let lowest = *rest.first()?;
    let mut answers = lowest.answer.clone();
    let mut new = Vec::with_capacity(tests.len() + answers.len());
    for (index, (code, range)) in tests.iter().enumerate() {
        let answer = range.answer.first()?;
        let place = answers.iter().position(|known| known == answer);
        let place = place.unwrap_or_else(|| {
            answers.push(*answer);
            answers.len() - 1
        });
        let over = u8::try_from(tests.len() - index - 1 + place).ok()?;
        new.push(jump(*code, range.start, over, 0));
    }
    new.extend(answers);
    Some(new)
}

fn loaded(offset: u32) -> Holds {
    match offset {
        NUMBER => Holds::Number,
        ARCHITECTURE => Holds::Architecture,
        _ => Holds::Argument,
    }
}

/// Where execution may go on; `None` for an instruction that is not followed.
fn successors(at: usize, instruction: Instruction) -> Option<[Option<usize>; 2]> {
    let next = at + 1;
    Some(match instruction.code {
        RET_K => [None, None],
        LD_W_ABS | AND_K => [Some(next), None],
        JA => [next.checked_add(usize::try_from(instruction.k).ok()?), None],
        JEQ_K | JGT_K | JGE_K | JSET_K => [
            Some(next + distance(instruction, true)),
            Some(next + distance(instruction, false)),
        ],
        _ => return None,
    })
}

fn distance(instruction: Instruction, taken: bool) -> usize {
    usize::from(if taken {
        instruction.jt
    } else {
        instruction.jf
    })
}

fn is_true(instruction: Instruction, value: u32) -> Option<bool> {
    match instruction.code {
        JEQ_K => Some(value == instruction.k),
        JGT_K => Some(value > instruction.k),
        JGE_K => Some(value >= instruction.k),
        _ => None,
    }
}
