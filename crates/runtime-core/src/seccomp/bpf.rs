//! Instructions of classic BPF, as far as filters of system calls need them (`seccomp(2)`).

use super::INSTRUCTION_SIZE;

pub(super) const LD_W_ABS: u16 = 0x20;
pub(super) const JA: u16 = 0x05;
pub(super) const JEQ_K: u16 = 0x15;
pub(super) const JGT_K: u16 = 0x25;
pub(super) const JGE_K: u16 = 0x35;
pub(super) const JSET_K: u16 = 0x45;
pub(super) const AND_K: u16 = 0x54;
pub(super) const RET_K: u16 = 0x06;

/// Offset of the number in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
/// Offset of the architecture in `struct seccomp_data`.
pub(super) const ARCHITECTURE: u32 = 4;

/// A `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

impl Instruction {
    pub(super) fn bytes(self) -> [u8; INSTRUCTION_SIZE] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }

    pub(super) fn from_bytes([c0, c1, jt, jf, k0, k1, k2, k3]: [u8; INSTRUCTION_SIZE]) -> Self {
        Self {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        }
    }
}

pub(super) fn load(offset: u32) -> Instruction {
    jump(LD_W_ABS, offset, 0, 0)
}

pub(super) fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

pub(super) fn go(distance: u32) -> Instruction {
    jump(JA, distance, 0, 0)
}

pub(super) fn answer(value: u32) -> Instruction {
    jump(RET_K, value, 0, 0)
}
