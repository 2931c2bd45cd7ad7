//! v2: the rules as a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
//!
//! The program goes through the rules from the last to the first and keeps the
//! set of accesses not yet decided. A matching deny rule that shares one with it
//! ends with "no"; a matching allow rule takes its accesses out, and when none
//! is left the answer is "yes". So each access is decided by the last rule that
//! speaks of it.

use super::rule::{Access, DeviceKind, DeviceRule, effective};

/// One instruction in the kernel's form (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// The destination in the low four bits, the source in the high ones.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// The operations used, as the kernel encodes them (linux/bpf_common.h, linux/bpf.h).
pub(crate) mod op {
    /// `dst = *(u32 *)(src + offset)`
    pub(crate) const LOAD32: u8 = 0x61;
    /// `dst = src`, 32 bits
    pub(crate) const MOVE: u8 = 0xbc;
    /// `dst = immediate`, 32 bits
    pub(crate) const SET: u8 = 0xb4;
    /// `dst &= immediate`, 32 bits
    pub(crate) const AND: u8 = 0x54;
    /// `dst >>= immediate`, 32 bits
    pub(crate) const SHIFT_RIGHT: u8 = 0x74;
    /// Jump if `dst == immediate`, 32 bits
    pub(crate) const JUMP_EQUAL: u8 = 0x16;
    /// Jump if `dst != immediate`, 32 bits
    pub(crate) const JUMP_UNEQUAL: u8 = 0x56;
    /// Return r0
    pub(crate) const EXIT: u8 = 0x95;
}

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const UNDECIDED: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const KIND_BLOCK: i32 = 1;
const KIND_CHAR: i32 = 2;

/// The program for these rules.
pub(crate) fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    let (default_allow, rules) = effective(rules);
    // struct bpf_cgroup_dev_ctx: access << 16 | kind, major, minor; all u32.
    let mut program = vec![
        load(UNDECIDED, 0),
        copy(KIND, UNDECIDED),
        immediate(op::AND, KIND, 0xffff),
        immediate(op::SHIFT_RIGHT, UNDECIDED, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.iter().rev() {
        program.extend(compile_rule(rule));
    }
    program.extend(answer(default_allow));
    program
}

fn compile_rule(rule: &DeviceRule) -> Vec<Instruction> {
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(KIND_BLOCK),
        DeviceKind::Char => Some(KIND_CHAR),
    };
    // The same 32 bits: comparing for equality knows no sign.
    let mut block: Vec<_> = [
        (KIND, kind),
        (MAJOR, rule.major.map(|n| n as i32)),
        (MINOR, rule.minor.map(|n| n as i32)),
    ]
    .into_iter()
    .filter_map(|(register, value)| Some(immediate(op::JUMP_UNEQUAL, register, value?)))
    .collect();
    if rule.access != Access::ALL {
        let bits = i32::from(rule.access.bits());
        if rule.allow {
            block.push(immediate(op::AND, UNDECIDED, !bits));
            block.push(immediate(op::JUMP_UNEQUAL, UNDECIDED, 0));
        } else {
            block.push(copy(RESULT, UNDECIDED));
            block.push(immediate(op::AND, RESULT, bits));
            block.push(immediate(op::JUMP_EQUAL, RESULT, 0));
        }
    }
    block.extend(answer(rule.allow));
    // Every jump of the block leads to the rule after it.
    let length = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        if matches!(instruction.code, op::JUMP_EQUAL | op::JUMP_UNEQUAL) {
            // A block has fewer than ten instructions.
            instruction.offset = i16::try_from(length - at - 1).unwrap_or(i16::MAX);
        }
    }
    block
}

fn answer(allow: bool) -> [Instruction; 2] {
    [
        immediate(op::SET, RESULT, i32::from(allow)),
        immediate(op::EXIT, RESULT, 0),
    ]
}

fn load(destination: u8, offset: i16) -> Instruction {
    Instruction {
        code: op::LOAD32,
        registers: CONTEXT << 4 | destination,
        offset,
        immediate: 0,
    }
}

fn copy(destination: u8, source: u8) -> Instruction {
    Instruction {
        code: op::MOVE,
        registers: source << 4 | destination,
        offset: 0,
        immediate: 0,
    }
}

fn immediate(code: u8, destination: u8, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: destination,
        offset: 0,
        immediate,
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
