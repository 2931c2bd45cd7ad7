//! The three doors of x86_64: its own calls, those of i386, those of x32.

use super::*;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const X32_BIT: u32 = 0x4000_0000;

fn evaluate(filter: &Filter, arch: u32, number: u32, args: &[u64]) -> u32 {
    run(&filter.instructions, &Call::new(arch, number, args))
}

#[test]
fn a_large_profile_means_what_its_rules_say() {
    let seccomp = large();
    let filter = compile(&seccomp).unwrap();
    let interesting = [
        0,
        1,
        8,
        39,
        40,
        41,
        0x20000,
        0x20008,
        0x1000_0000,
        0x7e02_0000,
        0xffff_ffff,
        1 << 40,
        u64::MAX,
    ];
    for (arch, scmp) in [
        (X86_64, libseccomp::ScmpArch::X8664),
        (I386, libseccomp::ScmpArch::X86),
    ] {
        let newest = seccomp.syscalls.iter().flat_map(|rule| &rule.names);
        let newest = newest
            .filter_map(|name| libseccomp::ScmpSyscall::from_name_by_arch(name, scmp).ok())
            .filter_map(|call| u32::try_from(call.as_raw_syscall()).ok())
            .max()
            .unwrap();
        for number in 0..=newest {
            let Ok(name) = libseccomp::ScmpSyscall::from(number as i32).get_name_by_arch(scmp)
            else {
                assert_eq!(
                    evaluate(&filter, arch, number, &[]),
                    errno(1),
                    "{arch:x} {number}"
                );
                continue;
            };
            for value in interesting {
                // A 32-bit kernel entry has 32-bit arguments.
                let value = if arch == I386 {
                    value & 0xffff_ffff
                } else {
                    value
                };
                let args = [value, 0, 0, 0, 0, 0];
                let got = evaluate(&filter, arch, number, &args);
                assert_eq!(
                    got,
                    expected(&seccomp, &name, &args),
                    "{arch:x} {name} {value:x}"
                );
            }
        }
        for newer in [newest + 1, newest + 2, 600, 1000, 0x3fff_ffff] {
            assert_eq!(
                evaluate(&filter, arch, newer, &[]),
                errno(38),
                "{arch:x} {newer}"
            );
        }
    }
}

#[test]
fn x32_calls_are_apart_from_those_of_x86_64() {
    let with = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32"],
                   "syscalls":[{"names":["read","openat2"],"action":"SCMP_ACT_ALLOW"}]}"#;
    let filter = compile(&profile(with)).unwrap();
    assert_eq!(evaluate(&filter, X86_64, 0, &[]), ALLOW);
    assert_eq!(evaluate(&filter, X86_64, X32_BIT, &[]), ALLOW);
    assert_eq!(evaluate(&filter, X86_64, X32_BIT | 1, &[]), errno(1));
    assert_eq!(evaluate(&filter, X86_64, X32_BIT | 437, &[]), ALLOW);
    assert_eq!(evaluate(&filter, X86_64, X32_BIT | 4000, &[]), errno(38));

    let without = with.replace(r#","SCMP_ARCH_X32""#, "");
    let filter = compile(&profile(&without)).unwrap();
    assert_eq!(evaluate(&filter, X86_64, 437, &[]), ALLOW);
    assert_eq!(evaluate(&filter, X86_64, 438, &[]), errno(38));
    // libseccomp kills what comes through a door that the profile does not name.
    assert_eq!(evaluate(&filter, X86_64, X32_BIT, &[]), KILL_THREAD);
    assert_eq!(evaluate(&filter, X86_64, X32_BIT | 4000, &[]), KILL_THREAD);
    assert_eq!(evaluate(&filter, I386, 3, &[]), KILL_THREAD);
}
