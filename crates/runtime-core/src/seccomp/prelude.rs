//! The program's first instructions: `ENOSYS` to system calls newer than the profile.
//!
//! A profile that allows what its author knew answers `EPERM` to a call that came into the kernel
//! later, and a C library takes that for a real refusal; on `ENOSYS` it falls back to an older call. What
//! the author knew ends, per architecture, at the highest number among the profile's names.

use super::profile::{Action, Architecture, Profile, X32, X86_64};

/// Bit 30 of a system call number marks x32 among x86-64's numbers.
const X32_BIT: u32 = 0x4000_0000;

const BPF_LD_W_ABS: u16 = 0x20;
const BPF_JA: u16 = 0x05;
const BPF_JEQ_K: u16 = 0x15;
const BPF_JGT_K: u16 = 0x25;
const BPF_JGE_K: u16 = 0x35;
const BPF_RET_K: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

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
            jump(BPF_JEQ_K, audit, 0, checks.len() as u8 + 1),
        ];
        block.extend(checks);
        block.push(Instruction {
            code: BPF_JA,
            jt: 0,
            jf: 0,
            k: program.len() as u32,
        });
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
            Some(number) => vec![load(NUMBER), jump(BPF_JGT_K, number, 0, 1), answer()],
            None => Vec::new(),
        };
    }
    let mut checks = vec![load(NUMBER)];
    match highest(&|architecture| *architecture == X32) {
        // x32 calls: past the check of x86-64's numbers, which are all lower.
        None => checks.push(jump(BPF_JGE_K, X32_BIT, 2, 0)),
        Some(number) => checks.extend([
            jump(BPF_JGE_K, X32_BIT, 0, 2),
            jump(BPF_JGT_K, number, 0, 3),
            answer(),
        ]),
    }
    match highest(&|architecture| *architecture == X86_64) {
        Some(number) => checks.extend([jump(BPF_JGT_K, number, 0, 1), answer()]),
        // Keeps the distances above.
        None => checks.extend([jump(BPF_JGT_K, u32::MAX, 0, 1), answer()]),
    }
    checks
}

/// A `struct sock_filter`.
#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

impl Instruction {
    fn bytes(self) -> [u8; 8] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }
}

fn load(offset: u32) -> Instruction {
    Instruction {
        code: BPF_LD_W_ABS,
        jt: 0,
        jf: 0,
        k: offset,
    }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn answer() -> Instruction {
    Instruction {
        code: BPF_RET_K,
        jt: 0,
        jf: 0,
        k: RETURN_ENOSYS,
    }
}
