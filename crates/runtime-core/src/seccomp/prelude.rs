//! The program's first instructions: `ENOSYS` to system calls newer than the profile.
//!
//! A profile that allows what its author knew answers `EPERM` to a call that came into the kernel
//! later, and a C library takes that for a real refusal; on `ENOSYS` it falls back to an older call. What
//! the author knew ends, per architecture, at the highest number among the profile's names.

use super::bpf::{ARCHITECTURE, Instruction, JEQ_K, JGE_K, JGT_K, NUMBER, answer, go, jump, load};
use super::profile::{Action, Architecture, Profile, X32, X86_64};

/// Bit 30 of a system call number marks x32 among x86-64's numbers.
const X32_BIT: u32 = 0x4000_0000;

/// `SECCOMP_RET_ERRNO | ENOSYS`.
const RETURN_ENOSYS: u32 = 0x0005_0000 | 38;

/// The highest system call number that a profile names, on one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) architecture: Architecture,
    /// As the kernel reports it: x32's with [`X32_BIT`].
    pub(super) number: u32,
}

/// Whether calls that the profile does not name are refused, so that the answer matters. A tracer is
/// left to judge by itself.
pub(super) fn answers_enosys(profile: &Profile<'_>) -> bool {
    match profile.default {
        Action::Allow | Action::Log | Action::Trace(_) | Action::Notify => false,
        Action::Errno(_) | Action::Trap | Action::KillThread | Action::KillProcess => true,
    }
}

/// Assembles the prelude. Every way through it that does not answer ends just behind it, where
/// libseccomp's program starts afresh.
pub(super) fn assemble(newest: &[Newest]) -> Vec<u8> {
    let mut blocks: Vec<(u32, Vec<Instruction>)> = Vec::new();
    for entry in newest {
        let audit = entry.architecture.audit;
        if blocks.iter().all(|(seen, _)| *seen != audit) {
            blocks.push((audit, checks(audit, newest)));
        }
    }
    // Laid out from the end, so that each block knows how far the end is.
    let mut program: Vec<Instruction> = Vec::new();
    for (audit, checks) in blocks.into_iter().rev() {
        let mut block = vec![
            load(ARCHITECTURE),
            jump(JEQ_K, audit, 0, checks.len() as u8 + 1),
        ];
        block.extend(checks);
        block.push(go(program.len() as u32));
        block.append(&mut program);
        program = block;
    }
    program.into_iter().flat_map(Instruction::bytes).collect()
}

/// What is done to a call of this architecture: falls out at the end, or answers.
fn checks(audit: u32, newest: &[Newest]) -> Vec<Instruction> {
    let highest = |wanted: &dyn Fn(&Architecture) -> bool| {
        newest
            .iter()
            .filter(|entry| wanted(&entry.architecture))
            .map(|entry| entry.number)
            .max()
    };
    if audit != X86_64.audit {
        return match highest(&|architecture| architecture.audit == audit) {
            Some(number) => vec![
                load(NUMBER),
                jump(JGT_K, number, 0, 1),
                answer(RETURN_ENOSYS),
            ],
            None => Vec::new(),
        };
    }
    let mut checks = vec![load(NUMBER)];
    match highest(&|architecture| *architecture == X32) {
        // x32 calls: past the check of x86-64's numbers, which are all lower.
        None => checks.push(jump(JGE_K, X32_BIT, 2, 0)),
        Some(number) => checks.extend([
            jump(JGE_K, X32_BIT, 0, 2),
            jump(JGT_K, number, 0, 3),
            answer(RETURN_ENOSYS),
        ]),
    }
    match highest(&|architecture| *architecture == X86_64) {
        Some(number) => checks.extend([jump(JGT_K, number, 0, 1), answer(RETURN_ENOSYS)]),
        // Keeps the distances above.
        None => checks.extend([jump(JGT_K, u32::MAX, 0, 1), answer(RETURN_ENOSYS)]),
    }
    checks
}
