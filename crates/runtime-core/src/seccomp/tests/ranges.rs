//! A program written anew by ranges answers as the one that it was made of.

use std::collections::BTreeSet;

use super::super::bpf::{
    AND_K, Instruction, JA, JEQ_K, JGE_K, JGT_K, JSET_K, LD_W_ABS, answer, jump, load,
};
use super::super::ranges::by_ranges;
use super::*;

const ARCHITECTURES: [u32; 4] = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 7];

/// The same numbers every time (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn bytes(program: &[Instruction]) -> Vec<u8> {
    program.iter().flat_map(|one| one.bytes()).collect()
}

/// The constants of a program and their neighbours: all at which an answer can change.
fn interesting(program: &[u8]) -> Vec<u32> {
    let (all, _) = program.as_chunks::<8>();
    let constants = all.iter().map(|one| Instruction::from_bytes(*one).k);
    let mut all: Vec<u32> = constants
        .flat_map(|k| [k.wrapping_sub(1), k, k.wrapping_add(1)])
        .chain([0, 1, u32::MAX])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[track_caller]
fn assert_same(old: &[u8], new: &[u8], random: &mut Random) {
    let numbers = interesting(old);
    for architecture in ARCHITECTURES {
        for &number in &numbers {
            for _ in 0..4 {
                let word = |random: &mut Random| u64::from(random.one_of(&numbers));
                let args = [0; 6].map(|_: u64| word(random) | word(random) << 32);
                let call = Call::new(architecture, number, &args);
                assert_eq!(
                    run(new, &call),
                    run(old, &call),
                    "{architecture:x} {number:x} {args:x?}"
                );
            }
        }
    }
}

#[test]
fn a_large_profile_is_a_third_as_long_and_says_the_same() {
    let seccomp = large();
    let profile = profile::Profile::resolve(&seccomp).unwrap();
    let mut old = prelude::assemble(&library::newest_calls(&profile));
    old.extend(library::program(&profile).unwrap());
    let new = by_ranges(&old).unwrap();
    assert!(3 * new.len() <= old.len(), "{} of {}", new.len(), old.len());
    assert_same(&old, &new, &mut Random(1));
}

#[test]
fn profiles_of_any_kind_say_the_same() {
    let mut random = Random(2);
    let all = large();
    let all: BTreeSet<&String> = all.syscalls.iter().flat_map(|rule| &rule.names).collect();
    let actions = [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_LOG",
    ];
    let mut shortened = 0;
    for _ in 0..80 {
        // Each name once: libseccomp takes two actions for one call for a contradiction.
        let mut names: Vec<&String> = all.iter().copied().collect();
        let rules = 1 + random.below(8);
        let mut rule = |random: &mut Random| {
            let condition = |random: &mut Random| ArgCondition {
                index: random.below(6) as u32,
                value: random.next() >> random.below(64),
                value_two: random.next() >> random.below(64),
                op: random.one_of(&known_operators()).to_owned(),
            };
            let conditions = random.one_of(&[0, 0, 0, 1, 2]);
            let most = if conditions == 0 { 120 } else { 4 };
            let count = (1 + random.below(most)).min(names.len() - 10);
            SyscallRule {
                names: (0..count)
                    .map(|_| names.swap_remove(random.below(names.len())).clone())
                    .collect(),
                action: random.one_of(&actions).to_owned(),
                args: (0..conditions).map(|_| condition(random)).collect(),
                ..SyscallRule::default()
            }
        };
        let seccomp = Seccomp {
            default_action: random.one_of(&actions).to_owned(),
            architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
                .map(str::to_owned)[..random.below(4)]
                .to_vec(),
            syscalls: (0..rules).map(|_| rule(&mut random)).collect(),
            ..Seccomp::default()
        };
        let profile = profile::Profile::resolve(&seccomp).unwrap();
        let mut old = match prelude::answers_enosys(&profile) {
            true => prelude::assemble(&library::newest_calls(&profile)),
            false => Vec::new(),
        };
        old.extend(library::program(&profile).unwrap());
        if let Some(new) = by_ranges(&old) {
            shortened += 1;
            assert_same(&old, &new, &mut random);
        }
    }
    assert!(shortened > 10, "{shortened}");
}

/// Not only what libseccomp writes.
#[test]
fn programs_of_any_kind_say_the_same() {
    let mut random = Random(3);
    let constants = [0, 1, 2, 5, 8, 0x4000_0000, 0xc000_003e, 0x4000_0003];
    let mut shortened = 0;
    for _ in 0..20_000 {
        let length = 4 + random.below(24);
        let mut program: Vec<Instruction> = (1..length)
            .map(|at| {
                let ahead = (length - at).min(200);
                let k = random.one_of(&constants);
                let [jt, jf] = [(); 2].map(|()| random.below(ahead) as u8);
                match random.below(10) {
                    0..3 => load(random.one_of(&[0, 0, 0, 4, 16, 20])),
                    3 => answer(random.one_of(&[1, 2, 3])),
                    4 => jump(JA, random.below(ahead) as u32, 0, 0),
                    5 => jump(random.one_of(&[AND_K, JSET_K]), k, jt, jf),
                    _ => jump(random.one_of(&[JEQ_K, JGT_K, JGE_K]), k, jt, jf),
                }
            })
            .collect();
        program.push(answer(4));
        for one in &mut program {
            if matches!(one.code, AND_K | LD_W_ABS) {
                (one.jt, one.jf) = (0, 0);
            }
        }
        let old = bytes(&program);
        if let Some(new) = by_ranges(&old) {
            shortened += 1;
            assert_same(&old, &new, &mut random);
        }
    }
    assert!(shortened > 100, "{shortened}");
}

#[test]
fn what_can_not_be_followed_stays() {
    let many = |one: Instruction| [vec![one; 50], vec![answer(0)]].concat();
    // A comparison of nothing; a bit of the number; an instruction that filters may not have.
    for program in [
        many(jump(JEQ_K, 0, 0, 0)),
        [vec![load(0)], many(jump(JSET_K, 1, 0, 0))].concat(),
        [vec![load(0)], many(jump(AND_K, 1, 0, 0))].concat(),
        many(jump(0x07, 0, 0, 0)),
        vec![load(0); 50],
        vec![jump(JA, 1, 0, 0), answer(1)],
        Vec::new(),
    ] {
        assert_eq!(by_ranges(&bytes(&program)), None, "{program:?}");
    }
    assert_eq!(by_ranges(&[0; 7]), None);
}
