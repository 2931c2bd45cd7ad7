use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::spec::{ArgCondition, SyscallRule};

mod evaluator;
mod ranges;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use evaluator::{Call, run};

const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const TRAP: u32 = 0x0003_0000;
const KILL_THREAD: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;

fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

fn profile(json: &str) -> Seccomp {
    serde_json::from_str(json).unwrap()
}

fn large() -> Seccomp {
    profile(include_str!("testdata/large.json"))
}

fn number(name: &str) -> u32 {
    libseccomp::ScmpSyscall::from_name(name)
        .unwrap()
        .as_raw_syscall()
        .try_into()
        .unwrap()
}

fn refusal(json: &str) -> String {
    compile(&profile(json))
        .expect_err("must be refused")
        .to_string()
}

/// What the rules say, read off them one by one.
fn expected(seccomp: &Seccomp, name: &str, args: &[u64]) -> u32 {
    let holds = |condition: &ArgCondition| {
        let (have, value) = (args[condition.index as usize], condition.value);
        match condition.op.as_str() {
            "SCMP_CMP_NE" => have != value,
            "SCMP_CMP_LT" => have < value,
            "SCMP_CMP_LE" => have <= value,
            "SCMP_CMP_EQ" => have == value,
            "SCMP_CMP_GE" => have >= value,
            "SCMP_CMP_GT" => have > value,
            "SCMP_CMP_MASKED_EQ" => have & value == condition.value_two,
            other => panic!("{other}"),
        }
    };
    let matches = |rule: &&SyscallRule| {
        rule.names.iter().any(|known| known == name) && rule.args.iter().all(holds)
    };
    match seccomp.syscalls.iter().find(matches) {
        Some(rule) if rule.action == "SCMP_ACT_ALLOW" => ALLOW,
        Some(rule) => errno(rule.errno_ret.unwrap_or(1)),
        None => errno(seccomp.default_errno_ret.unwrap_or(1)),
    }
}

#[test]
fn every_operator_compares_all_64_bits() {
    let values = [
        0,
        1,
        2,
        0xffff_fffe,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0001,
        u64::MAX - 1,
        u64::MAX,
    ];
    for op in known_operators() {
        for value in values {
            let rule = ArgCondition {
                index: 2,
                value,
                value_two: value & 0x1_0000_0001,
                op: op.to_owned(),
            };
            let seccomp = Seccomp {
                default_action: "SCMP_ACT_ERRNO".to_owned(),
                syscalls: vec![SyscallRule {
                    names: vec!["read".to_owned()],
                    action: "SCMP_ACT_ALLOW".to_owned(),
                    args: vec![rule],
                    ..SyscallRule::default()
                }],
                ..Seccomp::default()
            };
            let filter = compile(&seccomp).unwrap();
            for have in values {
                let args = [7, 7, have, 7, 7, 7];
                let got = run(&filter.instructions, &Call::native(number("read"), &args));
                assert_eq!(
                    got,
                    expected(&seccomp, "read", &args),
                    "{have:x} {op} {value:x}"
                );
            }
        }
    }
}

#[test]
fn conditions_on_one_argument_are_alternatives_and_on_several_add_up() {
    let seccomp = profile(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
            {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[
                {"index":0,"value":3,"op":"SCMP_CMP_EQ"},{"index":0,"value":5,"op":"SCMP_CMP_EQ"}]},
            {"names":["write"],"action":"SCMP_ACT_ALLOW","args":[
                {"index":0,"value":3,"op":"SCMP_CMP_EQ"},{"index":1,"value":5,"op":"SCMP_CMP_EQ"}]}]}"#,
    );
    let filter = compile(&seccomp).unwrap();
    let native = |name, args: &[u64]| run(&filter.instructions, &Call::native(number(name), args));
    assert_eq!(
        [
            native("read", &[3]),
            native("read", &[5]),
            native("read", &[4])
        ],
        [ALLOW, ALLOW, errno(1)]
    );
    assert_eq!(
        [native("write", &[3, 5]), native("write", &[3, 4])],
        [ALLOW, errno(1)]
    );
}

#[test]
fn every_action_has_its_return_value() {
    for (action, wanted) in [
        ("SCMP_ACT_ERRNO\",\"errnoRet\":\"7", errno(7)),
        ("SCMP_ACT_ERRNO", errno(1)),
        ("SCMP_ACT_TRACE\",\"errnoRet\":\"9", 0x7ff0_0009),
        ("SCMP_ACT_TRAP", TRAP),
        ("SCMP_ACT_KILL", KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", KILL_PROCESS),
        ("SCMP_ACT_LOG", LOG),
    ] {
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["read"],"action":"{action}"}}]}}"#)
            .replace("\":\"7\"", "\":7")
            .replace("\":\"9\"", "\":9");
        let filter = compile(&profile(&json)).unwrap();
        assert_eq!(
            run(&filter.instructions, &Call::native(number("read"), &[])),
            wanted,
            "{action}"
        );
        assert_eq!(
            run(&filter.instructions, &Call::native(number("write"), &[])),
            ALLOW,
            "{action}"
        );
        // A profile that lets everything else through has nothing to say about newer calls.
        assert_eq!(
            run(&filter.instructions, &Call::native(9999, &[])),
            ALLOW,
            "{action}"
        );
    }
}

#[test]
fn newer_calls_do_not_exist_for_a_profile_that_refuses() {
    for (default, wanted) in [
        ("ERRNO", errno(38)),
        ("KILL_PROCESS", errno(38)),
        ("TRAP", errno(38)),
        ("LOG", LOG),
    ] {
        let filter = compile(&profile(&format!(
            r#"{{"defaultAction":"SCMP_ACT_{default}","syscalls":[{{"names":["openat2"],"action":"SCMP_ACT_ALLOW"}}]}}"#
        )))
        .unwrap();
        let native = |number| run(&filter.instructions, &Call::native(number, &[]));
        assert_eq!(native(number("openat2")), ALLOW);
        assert_eq!(native(number("openat2") + 1), wanted, "{default}");
    }
}

#[test]
fn flags_are_those_of_the_system_call() {
    let flags = |flags: &str| {
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW"{flags}}}"#);
        compile(&profile(&json)).unwrap().flags
    };
    assert_eq!(flags(""), 4);
    assert_eq!(flags(r#","flags":[]"#), 0);
    assert_eq!(
        flags(r#","flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG"]"#),
        2
    );
}

#[test]
fn names_without_meaning_are_refused_with_their_place() {
    let allow = r#"{"defaultAction":"SCMP_ACT_ALLOW""#;
    for (json, wanted) in [
        (
            r#"{"defaultAction":"ALLOW"}"#.to_owned(),
            r#"linux.seccomp.defaultAction: unknown action "ALLOW""#,
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#.to_owned(),
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default: what starts the program needs calls itself",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}"#.to_owned(),
            "linux.seccomp.defaultErrnoRet: 4096 is not an error number (0 to 4095)",
        ),
        (
            format!(r#"{allow},"defaultErrnoRet":1}}"#),
            "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no error number",
        ),
        (
            format!(r#"{allow},"architectures":["SCMP_ARCH_X86_64","X"]}}"#),
            r#"linux.seccomp.architectures[1]: unknown architecture "X""#,
        ),
        (
            format!(r#"{allow},"flags":["F"]}}"#),
            r#"linux.seccomp.flags[0]: unknown flag "F""#,
        ),
        (
            format!(r#"{allow},"syscalls":[{{"names":["read"],"action":"SCMP_ACT_NOTIFY"}}]}}"#),
            "linux.seccomp.listenerPath: missing; SCMP_ACT_NOTIFY needs somebody to notify",
        ),
        (
            format!(
                r#"{allow},"listenerPath":"/a","syscalls":[{{"names":["read","write"],"action":"SCMP_ACT_NOTIFY"}}]}}"#
            ),
            "linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            format!(r#"{allow},"syscalls":[{{"names":["read",""],"action":"SCMP_ACT_KILL"}}]}}"#),
            "linux.seccomp.syscalls[0].names[1]: an empty name",
        ),
        (
            format!(r#"{allow},"syscalls":[{{"names":[],"action":"KILL"}}]}}"#),
            r#"linux.seccomp.syscalls[0].action: unknown action "KILL""#,
        ),
        (
            format!(
                r#"{allow},"syscalls":[{{"names":["read"],"action":"SCMP_ACT_KILL","args":[{{"index":6,"value":0,"op":"SCMP_CMP_EQ"}}]}}]}}"#
            ),
            "linux.seccomp.syscalls[0].args[0].index: a system call has no argument 6 (0 to 5)",
        ),
        (
            format!(
                r#"{allow},"syscalls":[{{"names":["read"],"action":"SCMP_ACT_KILL","args":[{{"index":5,"value":0,"op":"EQ"}}]}}]}}"#
            ),
            r#"linux.seccomp.syscalls[0].args[0].op: unknown operator "EQ""#,
        ),
    ] {
        assert_eq!(refusal(&json), wanted);
    }
}

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("orlop-seccomp-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .unwrap();
        Self(path)
    }

    fn only_file(&self) -> PathBuf {
        let mut entries: Vec<_> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_second_program_finds_what_the_first_compiled() {
    let scratch = Scratch::new("second");
    let cache = Cache::open(&scratch.0).unwrap();
    let first = cache.filter(&large()).unwrap();
    assert!(Arc::ptr_eq(&first, &cache.filter(&large()).unwrap()));
    let file = scratch.only_file();
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    assert_eq!(*first, compile(&large()).unwrap());

    // A file that is in order is used as it is, whatever compiling would give.
    let key = cache::key(&large());
    let marked = Filter {
        instructions: vec![0x06, 0, 0, 0, 1, 2, 3, 4],
        flags: 2,
    };
    assert_eq!(file, scratch.0.join(cache::file_name(&key)));
    std::fs::write(&file, cache::encode(&key, &marked)).unwrap();
    assert_eq!(
        *Cache::open(&scratch.0).unwrap().filter(&large()).unwrap(),
        marked
    );
    assert_eq!(cache.filter(&large()).unwrap(), first);
}

#[test]
fn damaged_files_are_compiled_anew() {
    let scratch = Scratch::new("damaged");
    let wanted = Cache::open(&scratch.0).unwrap().filter(&large()).unwrap();
    let file = scratch.only_file();
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut flags = whole.clone();
    flags[16] ^= 4;
    let longer = [whole.as_slice(), &[0; 8]].concat();
    for damaged in [
        &[][..],
        &whole[..20],
        &whole[..whole.len() - 8],
        &whole[..whole.len() - 1],
        &flipped,
        &flags,
        &longer,
    ] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(
            Cache::open(&scratch.0).unwrap().filter(&large()).unwrap(),
            wanted
        );
        assert_eq!(std::fs::read(&file).unwrap(), whole, "the file is mended");
    }
    // As it is where two profiles have one hash: a whole file under another's name is not taken for that one's.
    let other = profile(r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#);
    Cache::open(&scratch.0).unwrap().filter(&other).unwrap();
    let other_file = std::fs::read_dir(&scratch.0)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let other_file = other_file.into_iter().find(|path| *path != file).unwrap();
    std::fs::copy(&file, &other_file).unwrap();
    assert_eq!(
        *Cache::open(&scratch.0).unwrap().filter(&other).unwrap(),
        compile(&other).unwrap()
    );
}

#[test]
fn every_field_of_a_profile_counts() {
    let cache = Cache::in_memory();
    let base = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#;
    let first = cache.filter(&profile(base)).unwrap();
    for (from, to) in [
        ("_ERRNO\"", "_ERRNO\",\"defaultErrnoRet\":5"),
        ("_ERRNO\"", "_TRAP\""),
        ("_ERRNO\"", "_ERRNO\",\"flags\":[]"),
        ("\"read\"", "\"read\",\"write\""),
        ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG"),
        ("\"value\":1", "\"value\":2"),
        ("\"index\":0", "\"index\":1"),
        ("CMP_EQ", "CMP_NE"),
    ] {
        let changed = base.replace(from, to);
        assert_ne!(changed, base);
        assert_ne!(cache.filter(&profile(&changed)).unwrap(), first, "{to}");
    }
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let scratch = Scratch::new("open");
    std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o722)).unwrap();
    let error = Cache::open(&scratch.0).unwrap_err().to_string();
    assert!(
        error.ends_with("others than this user can write to it: remove it"),
        "{error}"
    );
    let link = scratch.0.join("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    assert!(Cache::open(&link).is_err());
    assert!(Cache::open(&scratch.0.join("a/b")).is_err());
}

#[test]
fn a_full_directory_is_emptied() {
    let scratch = Scratch::new("full");
    for index in 0..300 {
        std::fs::write(scratch.0.join(index.to_string()), "x").unwrap();
    }
    Cache::open(&scratch.0).unwrap().filter(&large()).unwrap();
    scratch.only_file();
}

#[test]
fn the_kernel_takes_the_filter() {
    let filter = compile(&large()).unwrap();
    assert!(filter.instructions.len() > 300 * INSTRUCTION_SIZE);
    // On a thread of its own: the filter stays with it until it ends.
    let result = std::thread::spawn(move || evaluator::install(&filter))
        .join()
        .unwrap();
    assert_eq!(result, Ok(()));
}

/// Whether libseccomp takes an architecture, or refuses it only beside this machine's byte order.
fn takes(architecture: &str) -> bool {
    let json = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["{architecture}"],"syscalls":[]}}"#
    );
    match compile(&profile(&json)) {
        Ok(_) => true,
        Err(SeccompError::Library { reason, .. }) => {
            reason.contains("Architecture/ABI specific failure")
        }
        Err(error) => panic!("{architecture}: {error}"),
    }
}

#[test]
fn the_architectures_named_are_those_that_libseccomp_takes() {
    let named = known_architectures();
    for architecture in profile::ARCHITECTURES {
        let name = architecture.name;
        assert_eq!(named.contains(&name), takes(name), "{name}");
    }
}

#[test]
fn every_name_that_is_told_of_is_taken() {
    let rule = |action: &str, operator: &str| {
        let args = format!(r#"[{{"index":0,"value":1,"valueTwo":1,"op":"{operator}"}}]"#);
        let rule = format!(r#"{{"names":["close"],"action":"{action}","args":{args}}}"#);
        let start = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x","syscalls":["#;
        compile(&profile(&format!("{start}{rule}]}}"))).unwrap();
    };
    for action in known_actions() {
        rule(action, "SCMP_CMP_EQ");
    }
    for operator in known_operators() {
        rule("SCMP_ACT_ERRNO", operator);
    }
    for flag in known_flags() {
        let start = r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["#;
        compile(&profile(&format!(r#"{start}"{flag}"]}}"#))).unwrap();
    }
}
