//! The system call filter (`linux.seccomp`).

use serde::{Deserialize, Serialize};

use super::lenient;

/// A filter: what to do with which system call. Names are kept as written; they get their
/// meaning where the filter is compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to a call that no rule names, such as `SCMP_ACT_ERRNO`.
    pub default_action: String,
    /// The error number of the default action. Absent means `EPERM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Architectures whose calls are let through to the rules, such as `SCMP_ARCH_X86`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub architectures: Vec<String>,
    /// Names of `SECCOMP_FILTER_FLAG_*` flags. Absent is not the same as empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// The socket of the agent that answers notifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<String>,
    /// What the agent is told besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub syscalls: Vec<SyscallRule>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallRule {
    /// The system calls that it is about.
    #[serde(default, deserialize_with = "lenient")]
    pub names: Vec<String>,
    /// What happens to them, such as `SCMP_ACT_ALLOW`.
    pub action: String,
    /// The error number of this action. Absent means `EPERM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on the arguments, all of which must hold; those on one argument are alternatives.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient"
    )]
    pub args: Vec<ArgCondition>,
}

/// A condition on one argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArgCondition {
    /// The argument's number, from 0.
    pub index: u32,
    /// What to compare with; for `SCMP_CMP_MASKED_EQ` the mask.
    pub value: u64,
    /// For `SCMP_CMP_MASKED_EQ` what must be left under the mask.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub value_two: u64,
    /// The comparison, such as `SCMP_CMP_EQ`.
    pub op: String,
}
