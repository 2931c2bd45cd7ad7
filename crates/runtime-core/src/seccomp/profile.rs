//! A profile's names resolved to values, each checked once.

use crate::spec::{ArgCondition, Seccomp, SyscallRule};

use super::SeccompError;

/// Where the profile is in a configuration.
const HERE: &str = "linux.seccomp";

/// `EPERM`, the default of [`Action::Errno`] and [`Action::Trace`].
const EPERM: u16 = 1;

/// The largest error number (`MAX_ERRNO`): the kernel would cut off a larger one.
const MAX_ERRNO: u32 = 4095;

/// The number of arguments of a system call.
const ARGUMENTS: u32 = 6;

/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: no speculation mitigation just because of the filter.
const FLAG_SPEC_ALLOW: u32 = 1 << 2;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: the call returns who is notified.
const FLAG_NEW_LISTENER: u32 = 1 << 3;

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: only a fatal signal ends the wait for an answer.
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// What an action's name says.
#[derive(Clone, Copy)]
pub(super) enum ActionKind {
    /// All.
    Plain(Action),
    /// What is to be made with an error number.
    Numbered(fn(u16) -> Action),
}

/// The actions by name.
pub(super) const ACTIONS: [(&str, ActionKind); 9] = [
    ("SCMP_ACT_ALLOW", ActionKind::Plain(Action::Allow)),
    ("SCMP_ACT_ERRNO", ActionKind::Numbered(Action::Errno)),
    ("SCMP_ACT_KILL", ActionKind::Plain(Action::KillThread)),
    (
        "SCMP_ACT_KILL_PROCESS",
        ActionKind::Plain(Action::KillProcess),
    ),
    (
        "SCMP_ACT_KILL_THREAD",
        ActionKind::Plain(Action::KillThread),
    ),
    ("SCMP_ACT_LOG", ActionKind::Plain(Action::Log)),
    ("SCMP_ACT_NOTIFY", ActionKind::Plain(Action::Notify)),
    ("SCMP_ACT_TRACE", ActionKind::Numbered(Action::Trace)),
    ("SCMP_ACT_TRAP", ActionKind::Plain(Action::Trap)),
];

/// Makes a comparison with a condition's value.
type MakeOperator = fn(u64) -> Operator;

/// The comparisons by name.
pub(super) const OPERATORS: [(&str, MakeOperator); 7] = [
    ("SCMP_CMP_EQ", |_| Operator::Equal),
    ("SCMP_CMP_GE", |_| Operator::GreaterOrEqual),
    ("SCMP_CMP_GT", |_| Operator::Greater),
    ("SCMP_CMP_LE", |_| Operator::LessOrEqual),
    ("SCMP_CMP_LT", |_| Operator::Less),
    ("SCMP_CMP_MASKED_EQ", Operator::MaskedEqual),
    ("SCMP_CMP_NE", |_| Operator::NotEqual),
];

/// The flags by name, with what they add to the call of `seccomp(2)`.
///
/// `TSYNC` adds nothing, since there is one thread. `WAIT_KILLABLE_RECV` is taken away again where there
/// is no listener: the kernel takes it only together with one.
pub(super) const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", FLAG_SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    (
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        FLAG_WAIT_KILLABLE_RECV,
    ),
];

/// One set of system call numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Architecture {
    /// Its name in a profile.
    pub(super) name: &'static str,
    /// What the kernel reports in `seccomp_data.arch` (`AUDIT_ARCH_*`); x32 shares x86-64's.
    pub(super) audit: u32,
}

const fn architecture(name: &'static str, audit: u32) -> Architecture {
    Architecture { name, audit }
}

/// x86-64, the one whose number space is shared.
pub(super) const X86_64: Architecture = architecture("SCMP_ARCH_X86_64", 0xc000_003e);

/// x32: x86-64's numbers with bit 30 set.
pub(super) const X32: Architecture = architecture("SCMP_ARCH_X32", 0xc000_003e);

/// The architectures by name.
pub(super) const ARCHITECTURES: [Architecture; 23] = [
    architecture("SCMP_ARCH_AARCH64", 0xc000_00b7),
    architecture("SCMP_ARCH_ARM", 0x4000_0028),
    architecture("SCMP_ARCH_LOONGARCH64", 0xc000_0102),
    architecture("SCMP_ARCH_M68K", 0x0000_0004),
    architecture("SCMP_ARCH_MIPS", 0x0000_0008),
    architecture("SCMP_ARCH_MIPS64", 0x8000_0008),
    architecture("SCMP_ARCH_MIPS64N32", 0xa000_0008),
    architecture("SCMP_ARCH_MIPSEL", 0x4000_0008),
    architecture("SCMP_ARCH_MIPSEL64", 0xc000_0008),
    architecture("SCMP_ARCH_MIPSEL64N32", 0xe000_0008),
    architecture("SCMP_ARCH_PARISC", 0x0000_000f),
    architecture("SCMP_ARCH_PARISC64", 0x8000_000f),
    architecture("SCMP_ARCH_PPC", 0x0000_0014),
    architecture("SCMP_ARCH_PPC64", 0x8000_0015),
    architecture("SCMP_ARCH_PPC64LE", 0xc000_0015),
    architecture("SCMP_ARCH_RISCV64", 0xc000_00f3),
    architecture("SCMP_ARCH_S390", 0x0000_0016),
    architecture("SCMP_ARCH_S390X", 0x8000_0016),
    architecture("SCMP_ARCH_SH", 0x4000_002a),
    architecture("SCMP_ARCH_SHEB", 0x0000_002a),
    architecture("SCMP_ARCH_X86", 0x4000_0003),
    X86_64,
    X32,
];

/// The architecture of this program.
pub(super) const NATIVE: &str = if cfg!(target_arch = "x86_64") {
    "SCMP_ARCH_X86_64"
} else if cfg!(target_arch = "aarch64") {
    "SCMP_ARCH_AARCH64"
} else {
    panic!("this architecture is not supported")
};

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    Log,
    Errno(u16),
    Trace(u16),
    Trap,
    KillThread,
    KillProcess,
    Notify,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Equal under this mask.
    MaskedEqual(u64),
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u32,
    pub(super) operator: Operator,
    pub(super) value: u64,
}

/// What happens to system calls of these names, if all conditions hold.
#[cfg_attr(
    not(feature = "seccomp"),
    expect(dead_code, reason = "without libseccomp a profile is only checked")
)]
#[derive(Debug)]
pub(super) struct Rule<'a> {
    /// The place in the configuration.
    pub(super) path: String,
    pub(super) names: &'a [String],
    pub(super) action: Action,
    pub(super) conditions: Vec<Condition>,
}

/// A profile in which every name has a meaning.
#[cfg_attr(
    not(feature = "seccomp"),
    expect(dead_code, reason = "without libseccomp a profile is only checked")
)]
#[derive(Debug)]
pub(super) struct Profile<'a> {
    pub(super) default: Action,
    /// Those that the profile names, and this program's own.
    pub(super) architectures: Vec<Architecture>,
    pub(super) flags: u32,
    pub(super) rules: Vec<Rule<'a>>,
}

impl<'a> Profile<'a> {
    pub(super) fn resolve(seccomp: &'a Seccomp) -> Result<Self, SeccompError> {
        let default = action(
            (&format!("{HERE}.defaultAction"), &seccomp.default_action),
            (
                &format!("{HERE}.defaultErrnoRet"),
                seccomp.default_errno_ret,
            ),
        )?;
        let rules: Vec<Rule<'a>> = seccomp
            .syscalls
            .iter()
            .enumerate()
            .map(rule)
            .collect::<Result<_, _>>()?;
        let notifies = notifies(seccomp, default, &rules)?;
        Ok(Self {
            default,
            architectures: architectures(&seccomp.architectures)?,
            flags: match (flags(seccomp.flags.as_deref())?, notifies) {
                (flags, true) => flags | FLAG_NEW_LISTENER,
                (flags, false) => flags & !FLAG_WAIT_KILLABLE_RECV,
            },
            rules,
        })
    }
}

/// Whether somebody is notified. Of `write(2)` nobody can be: init has to tell its caller of the
/// listener before there is anyone to answer.
fn notifies(seccomp: &Seccomp, default: Action, rules: &[Rule<'_>]) -> Result<bool, SeccompError> {
    if default == Action::Notify {
        let message =
            "SCMP_ACT_NOTIFY cannot be the default: what starts the program needs calls itself";
        return Err(invalid(format!("{HERE}.defaultAction"), message));
    }
    let mut notifying = rules
        .iter()
        .filter(|rule| rule.action == Action::Notify)
        .peekable();
    if notifying.peek().is_none() {
        return Ok(false);
    }
    if seccomp.listener_path.as_ref().is_none_or(String::is_empty) {
        let message = "missing; SCMP_ACT_NOTIFY needs somebody to notify";
        return Err(invalid(format!("{HERE}.listenerPath"), message));
    }
    for rule in notifying {
        if let Some(index) = rule.names.iter().position(|name| name == "write") {
            let message = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
            return Err(invalid(format!("{}.names[{index}]", rule.path), message));
        }
    }
    Ok(true)
}

fn rule((index, rule): (usize, &SyscallRule)) -> Result<Rule<'_>, SeccompError> {
    let path = format!("{HERE}.syscalls[{index}]");
    if let Some(empty) = rule.names.iter().position(String::is_empty) {
        return Err(invalid(format!("{path}.names[{empty}]"), "an empty name"));
    }
    let action = action(
        (&format!("{path}.action"), &rule.action),
        (&format!("{path}.errnoRet"), rule.errno_ret),
    )?;
    let conditions = rule
        .args
        .iter()
        .enumerate()
        .map(|(index, condition)| self::condition(&format!("{path}.args[{index}]"), condition))
        .collect::<Result<_, _>>()?;
    Ok(Rule {
        path,
        names: &rule.names,
        action,
        conditions,
    })
}

fn action(
    (path, name): (&str, &str),
    (errno_path, errno): (&str, Option<u32>),
) -> Result<Action, SeccompError> {
    let kind = ACTIONS.iter().find(|(known, _)| *known == name);
    match (kind, errno) {
        (None, _) => Err(SeccompError::UnknownAction {
            path: path.to_owned(),
            name: name.to_owned(),
        }),
        (Some((_, ActionKind::Numbered(make))), errno) => {
            errno_or_eperm(errno_path, errno).map(make)
        }
        (Some((_, ActionKind::Plain(action))), None) => Ok(*action),
        (Some(_), Some(_)) => Err(invalid(
            errno_path.to_owned(),
            format!("{name} takes no error number"),
        )),
    }
}

fn errno_or_eperm(path: &str, errno: Option<u32>) -> Result<u16, SeccompError> {
    match errno {
        None => Ok(EPERM),
        Some(errno) if errno <= MAX_ERRNO => Ok(errno as u16),
        Some(errno) => Err(invalid(
            path.to_owned(),
            format!("{errno} is not an error number (0 to {MAX_ERRNO})"),
        )),
    }
}

fn condition(path: &str, condition: &ArgCondition) -> Result<Condition, SeccompError> {
    if condition.index >= ARGUMENTS {
        let message = format!("a system call has no argument {} (0 to 5)", condition.index);
        return Err(invalid(format!("{path}.index"), message));
    }
    let name = condition.op.as_str();
    let Some((_, operator)) = OPERATORS.iter().find(|(known, _)| *known == name) else {
        return Err(invalid(
            format!("{path}.op"),
            format!("unknown operator {name:?}"),
        ));
    };
    let operator = operator(condition.value);
    let value = match operator {
        Operator::MaskedEqual(_) => condition.value_two,
        _ => condition.value,
    };
    Ok(Condition {
        argument: condition.index,
        operator,
        value,
    })
}

fn architectures(names: &[String]) -> Result<Vec<Architecture>, SeccompError> {
    let mut found: Vec<Architecture> = Vec::with_capacity(names.len() + 1);
    let named = names
        .iter()
        .enumerate()
        .map(|(index, name)| (Some(index), name.as_str()));
    for (index, name) in named.chain([(None, NATIVE)]) {
        let Some(architecture) = ARCHITECTURES.iter().find(|known| known.name == name) else {
            let index = index.unwrap_or_default();
            return Err(invalid(
                format!("{HERE}.architectures[{index}]"),
                format!("unknown architecture {name:?}"),
            ));
        };
        if !found.contains(architecture) {
            found.push(*architecture);
        }
    }
    Ok(found)
}

fn flags(names: Option<&[String]>) -> Result<u32, SeccompError> {
    let Some(names) = names else {
        return Ok(FLAG_SPEC_ALLOW);
    };
    names
        .iter()
        .enumerate()
        .try_fold(0, |flags, (index, name)| {
            let known = FLAGS.iter().find(|(known, _)| known == name);
            known.map(|(_, flag)| flags | flag).ok_or_else(|| {
                invalid(
                    format!("{HERE}.flags[{index}]"),
                    format!("unknown flag {name:?}"),
                )
            })
        })
}

fn invalid(path: String, message: impl Into<String>) -> SeccompError {
    SeccompError::Invalid {
        path,
        message: message.into(),
    }
}
