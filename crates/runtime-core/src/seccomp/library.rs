//! What libseccomp does for us: numbers for names, and the BPF program.

use std::fs::File;
use std::io::{Read as _, Seek as _};

use libseccomp::error::SeccompError as LibraryError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
    ScmpVersion,
};
use rustix::fs::{MemfdFlags, memfd_create};

use super::SeccompError;
use super::prelude::Newest;
use super::profile::{Action, Architecture, Condition, Operator, Profile, Rule};

/// From this many rules on, a binary search is faster than a list of comparisons.
const SEARCH_TREE_FROM: usize = 8;

/// `SCMP_FLTATR_CTL_OPTIMIZE`: a binary tree sorted by number.
const SEARCH_TREE: u32 = 2;

/// libseccomp's own version.
pub(super) fn version() -> Option<String> {
    let version = ScmpVersion::current().ok()?;
    Some(format!(
        "{}.{}.{}",
        version.major, version.minor, version.micro
    ))
}

/// Whether this libseccomp has an architecture: older ones lack some.
pub(super) fn knows(architecture: &str) -> bool {
    let scmp = architecture.parse::<ScmpArch>();
    // A call that all have.
    scmp.is_ok_and(|scmp| ScmpSyscall::from_name_by_arch("read", scmp).is_ok())
}

/// The highest system call number of each architecture that the profile names.
pub(super) fn newest_calls(profile: &Profile<'_>) -> Vec<Newest> {
    let known = profile.architectures.iter().filter_map(|architecture| {
        let scmp = architecture.name.parse().ok()?;
        let numbers = profile
            .rules
            .iter()
            .flat_map(|rule| rule.names)
            .filter_map(|name| {
                let call = ScmpSyscall::from_name_by_arch(name, scmp).ok()?;
                // Negative numbers stand for calls that the architecture does not have.
                u32::try_from(call.as_raw_syscall()).ok()
            });
        Some(Newest {
            architecture: *architecture,
            number: numbers.max()?,
        })
    });
    known.collect()
}

/// Compiles the rules to an array of `struct sock_filter`.
pub(super) fn program(profile: &Profile<'_>) -> Result<Vec<u8>, SeccompError> {
    let mut context = ScmpFilterContext::new(scmp_action(profile.default))
        .map_err(|error| refused("linux.seccomp.defaultAction", "start a filter", &error))?;
    for architecture in &profile.architectures {
        add_architecture(&mut context, architecture)?;
    }
    let names = profile
        .rules
        .iter()
        .map(|rule| rule.names.len())
        .sum::<usize>();
    if names > SEARCH_TREE_FROM {
        context
            .set_ctl_optimize(SEARCH_TREE)
            .map_err(|error| refused("linux.seccomp.syscalls", "sort the rules", &error))?;
    }
    for rule in profile
        .rules
        .iter()
        .filter(|rule| rule.action != profile.default)
    {
        add_rule(&mut context, rule)?;
    }
    export(&context)
}

fn add_architecture(
    context: &mut ScmpFilterContext,
    architecture: &Architecture,
) -> Result<(), SeccompError> {
    let path = "linux.seccomp.architectures";
    let operation = format!("add {}", architecture.name);
    let scmp: ScmpArch = architecture
        .name
        .parse()
        .map_err(|error| refused(path, &operation, &error))?;
    context
        .add_arch(scmp)
        .map_err(|error| refused(path, &operation, &error))?;
    Ok(())
}

fn add_rule(context: &mut ScmpFilterContext, rule: &Rule<'_>) -> Result<(), SeccompError> {
    let action = scmp_action(rule.action);
    let conditions: Vec<ScmpArgCompare> = rule.conditions.iter().map(scmp_compare).collect();
    // libseccomp takes one condition per argument. Several on one argument are alternatives, each
    // a rule of its own: what runc made of them, and so what profiles are written for.
    let alternatives = rule
        .conditions
        .iter()
        .enumerate()
        .any(|(index, condition)| {
            rule.conditions[..index]
                .iter()
                .any(|earlier| earlier.argument == condition.argument)
        });
    for (index, name) in rule.names.iter().enumerate() {
        let Ok(call) = ScmpSyscall::from_name(name) else {
            continue;
        };
        let added = if conditions.is_empty() {
            context.add_rule(action, call).map(drop)
        } else if alternatives {
            let mut each = conditions.iter();
            each.try_for_each(|one| {
                context
                    .add_rule_conditional(action, call, &[*one])
                    .map(drop)
            })
        } else {
            context
                .add_rule_conditional(action, call, &conditions)
                .map(drop)
        };
        added.map_err(|error| {
            refused(
                &format!("{}.names[{index}]", rule.path),
                &format!("add {name}"),
                &error,
            )
        })?;
    }
    Ok(())
}

fn export(context: &ScmpFilterContext) -> Result<Vec<u8>, SeccompError> {
    // seccomp_export_bpf_mem(3) would spare the file, but came with 2.6, after Debian 12.
    let mut file: File = memfd_create("orlop-seccomp", MemfdFlags::CLOEXEC)
        .map_err(|errno| SeccompError::Export(errno.into()))?
        .into();
    context
        .export_bpf(&file)
        .map_err(|error| refused("linux.seccomp", "compile the rules", &error))?;
    let mut program = Vec::new();
    file.rewind().map_err(SeccompError::Export)?;
    file.read_to_end(&mut program)
        .map_err(SeccompError::Export)?;
    Ok(program)
}

fn scmp_action(action: Action) -> ScmpAction {
    match action {
        Action::Allow => ScmpAction::Allow,
        Action::Log => ScmpAction::Log,
        Action::Errno(errno) => ScmpAction::Errno(errno.into()),
        Action::Trace(message) => ScmpAction::Trace(message),
        Action::Trap => ScmpAction::Trap,
        Action::KillThread => ScmpAction::KillThread,
        Action::KillProcess => ScmpAction::KillProcess,
        Action::Notify => ScmpAction::Notify,
    }
}

fn scmp_compare(condition: &Condition) -> ScmpArgCompare {
    let operator = match condition.operator {
        Operator::NotEqual => ScmpCompareOp::NotEqual,
        Operator::Less => ScmpCompareOp::Less,
        Operator::LessOrEqual => ScmpCompareOp::LessOrEqual,
        Operator::Equal => ScmpCompareOp::Equal,
        Operator::GreaterOrEqual => ScmpCompareOp::GreaterEqual,
        Operator::Greater => ScmpCompareOp::Greater,
        Operator::MaskedEqual(mask) => ScmpCompareOp::MaskedEqual(mask),
    };
    ScmpArgCompare::new(condition.argument, operator, condition.value)
}

fn refused(path: &str, operation: &str, error: &LibraryError) -> SeccompError {
    SeccompError::Library {
        path: path.to_owned(),
        operation: operation.to_owned(),
        reason: error.to_string(),
    }
}
