//! What both forms of device rules mean, by a small interpreter each, against the
//! plain meaning of the rules: for tests and the fuzz target.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::program::{Instruction, compile, op};
use super::{DeviceKind, DeviceList, DeviceRule};

/// Runs a program as the kernel would, and fails on anything it would refuse.
fn run(program: &[Instruction], kind: u32, access: u8, major: u32, minor: u32) -> bool {
    let context = [u32::from(access) << 16 | kind, major, minor];
    let mut registers = [None::<u32>; 10];
    let mut at = 0_usize;
    loop {
        let i = program[at];
        let (dst, src) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
        let value = i.immediate as u32;
        let read = |r: usize| registers[r].expect("read of a register never written");
        let jump = match i.code {
            op::LOAD32 => {
                assert_eq!(src, 1, "loads come from the context");
                registers[dst] = Some(context[usize::try_from(i.offset).unwrap() / 4]);
                false
            }
            op::MOVE => {
                registers[dst] = Some(read(src));
                false
            }
            op::SET => {
                registers[dst] = Some(value);
                false
            }
            op::AND => {
                registers[dst] = Some(read(dst) & value);
                false
            }
            op::SHIFT_RIGHT => {
                registers[dst] = Some(read(dst) >> value);
                false
            }
            op::JUMP_EQUAL => read(dst) == value,
            op::JUMP_UNEQUAL => read(dst) != value,
            op::EXIT => return read(0) != 0,
            other => panic!("unknown operation {other:#x}"),
        };
        at += 1 + if jump {
            usize::try_from(i.offset).unwrap()
        } else {
            0
        };
    }
}

/// What the rules mean, access by access: the last rule that speaks of it decides.
fn allowed(rules: &[DeviceRule], kind: u32, access: u8, major: u32, minor: u32) -> bool {
    (0..3)
        .map(|bit| 1 << bit)
        .filter(|bit| access & bit != 0)
        .all(|bit| {
            rules
                .iter()
                .rev()
                .find(|rule| {
                    let kind_matches = match rule.kind {
                        DeviceKind::All => true,
                        DeviceKind::Block => kind == 1,
                        DeviceKind::Char => kind == 2,
                    };
                    kind_matches
                        && rule.major.is_none_or(|m| m == major)
                        && rule.minor.is_none_or(|m| m == minor)
                        && rule.access.bits() & bit != 0
                })
                .is_some_and(|rule| rule.allow)
        })
}

pub(crate) fn check_everywhere(rules: &[DeviceRule]) {
    let program = compile(rules);
    check_reachable(&program);
    let list = DeviceList::from_rules(rules).ok();
    for kind in [1, 2] {
        for access in 1..8 {
            for major in [0, 1, 2, u32::MAX] {
                for minor in [0, 1, 3, u32::MAX] {
                    assert_eq!(
                        run(&program, kind, access, major, minor),
                        allowed(rules, kind, access, major, minor),
                        "{rules:?} kind {kind} access {access} {major}:{minor}"
                    );
                    let Some(list) = &list else { continue };
                    // v1 asks one exception about all accesses at once: it may refuse
                    // what two of them allow together, and never allow more.
                    if access.is_power_of_two() {
                        assert_eq!(
                            listed(list, kind, access, major, minor),
                            allowed(rules, kind, access, major, minor),
                            "{rules:?} as a list, kind {kind} access {access} {major}:{minor}"
                        );
                    }
                }
            }
        }
    }
}

/// What a v1 list means (`devcgroup_check_permission`): the exceptions of the list
/// turn the default around.
fn listed(list: &DeviceList, kind: u32, access: u8, major: u32, minor: u32) -> bool {
    let rules = list.to_rules();
    let (default, exceptions) = rules.split_first().expect("the default comes first");
    let is_hit = |rule: &DeviceRule| {
        let of_kind = rule.kind == [DeviceKind::Block, DeviceKind::Char][kind as usize - 1];
        of_kind
            && rule.major.is_none_or(|m| m == major)
            && rule.minor.is_none_or(|m| m == minor)
            && rule.access.bits() & access == access
    };
    default.allow != exceptions.iter().any(is_hit)
}

/// The verifier refuses instructions that no path leads to.
fn check_reachable(program: &[Instruction]) {
    let mut reached = vec![false; program.len()];
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        if std::mem::replace(&mut reached[at], true) || program[at].code == op::EXIT {
            continue;
        }
        if matches!(program[at].code, op::JUMP_EQUAL | op::JUMP_UNEQUAL) {
            pending.push(at + 1 + usize::try_from(program[at].offset).unwrap());
        }
        pending.push(at + 1);
    }
    assert!(reached.iter().all(|reached| *reached), "{program:?}");
}
