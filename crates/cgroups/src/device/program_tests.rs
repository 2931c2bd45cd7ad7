//! The compiled program against the plain meaning of the rules.

use super::super::model::check_everywhere;
use super::*;

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
