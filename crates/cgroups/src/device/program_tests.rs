//! The compiled program, run by a small interpreter, against the plain meaning
//! of the rules.

use super::*;

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

fn check_everywhere(rules: &[DeviceRule]) {
    let program = compile(rules);
    check_reachable(&program);
    for kind in [1, 2] {
        for access in 1..8 {
            for major in [0, 1, 2, u32::MAX] {
                for minor in [0, 1, 3, u32::MAX] {
                    assert_eq!(
                        run(&program, kind, access, major, minor),
                        allowed(rules, kind, access, major, minor),
                        "{rules:?} kind {kind} access {access} {major}:{minor}"
                    );
                }
            }
        }
    }
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

#[test]
fn hand_written_lists() {
    use DeviceKind::{All, Block, Char};
    let (none, rw) = (None, Access::READ.union(Access::WRITE));
    check_everywhere(&[]);
    check_everywhere(&[DeviceRule::allow(All, none, none, Access::ALL)]);
    check_everywhere(&[
        DeviceRule::deny(All, none, none, Access::ALL),
        DeviceRule::allow(Char, none, none, Access::MKNOD),
        DeviceRule::allow(Block, none, none, Access::MKNOD),
        DeviceRule::allow(Char, Some(1), Some(3), Access::ALL),
        DeviceRule::allow(Char, Some(1), Some(u32::MAX), rw),
    ]);
    check_everywhere(&[
        DeviceRule::allow(Char, Some(1), none, Access::ALL),
        DeviceRule::deny(Char, Some(1), Some(3), Access::WRITE),
    ]);
    check_everywhere(&[
        DeviceRule::allow(Char, none, none, Access::ALL),
        DeviceRule::allow(Block, none, none, Access::ALL),
        DeviceRule::deny(All, none, none, Access::READ),
    ]);
}

#[test]
fn random_lists() {
    // xorshift: the same lists on every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..2000 {
        let rules: Vec<_> = (0..next(9))
            .map(|_| DeviceRule {
                allow: next(2) == 0,
                kind: [DeviceKind::All, DeviceKind::Block, DeviceKind::Char]
                    [usize::try_from(next(3)).unwrap()],
                major: [None, Some(0), Some(1), Some(u32::MAX)][usize::try_from(next(4)).unwrap()],
                minor: [None, Some(1), Some(3), Some(u32::MAX)][usize::try_from(next(4)).unwrap()],
                access: Access::parse(
                    ["r", "w", "m", "rw", "rwm", "rwm"][usize::try_from(next(6)).unwrap()],
                )
                .unwrap(),
            })
            .collect();
        check_everywhere(&rules);
    }
}
