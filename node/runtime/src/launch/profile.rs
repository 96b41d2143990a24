//! The system call filter that is asked for, in the words of the OCI runtime specification.
//!
//! Refuses what `seccomp/` cannot enforce exactly, such as asking a supervisor about a call.

use serde::{Deserialize, Serialize};

use super::{Wrong, wrong};

/// The system call filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// An allow-list of ordinary calls; all others fail with EPERM.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// An own list.
    Profile(Profile),
}

/// `linux.seccomp` of the OCI runtime specification. Calls made as another architecture end the
/// process, whatever `architectures` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// What happens to calls without a rule.
    pub default_action: Action,
    /// With which error, if they fail; EPERM if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Read, and not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// What happens to others. Of the rules for one call, the first that fits counts.
    #[serde(default)]
    pub syscalls: Vec<Rule>,
}

/// What happens to some calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The calls' names; unknown ones are skipped.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// With which error, if they fail; EPERM if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// What must hold for their arguments, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
}

/// What must hold for one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Argument {
    /// Which, from 0.
    pub index: u32,
    /// What it is compared with; for [`Compare::MaskedEqual`], the bits that count.
    pub value: u64,
    /// For [`Compare::MaskedEqual`], what those bits must be.
    #[serde(default)]
    pub value_two: u64,
    /// How it is compared.
    pub op: Compare,
}

/// How an argument is compared, without a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// Is another.
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    /// Is less.
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    /// Is no more.
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    /// Is the same.
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// Is no less.
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    /// Is more.
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// Has these bits.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It is made.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// It fails.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    /// It ends the thread.
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    /// It ends the process.
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    /// It is made, and the kernel's log tells.
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    /// The process gets SIGSYS.
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
}

/// The largest error number.
const LAST_ERRNO: u32 = 4095;

impl Seccomp {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        const FIELD: &str = "seccomp";
        let Self::Profile(profile) = self else { return Ok(()) };
        if profile.syscalls.len() > 4096 {
            return wrong(FIELD, "has more than 4096 rules");
        }
        let named = profile.syscalls.iter().map(|rule| rule.errno_ret);
        if named.chain([profile.default_errno_ret]).flatten().any(|errno| errno > LAST_ERRNO) {
            return wrong(FIELD, format!("names an error above {LAST_ERRNO}"));
        }
        for rule in &profile.syscalls {
            let called = rule.names.first().map_or("", String::as_str);
            if rule.args.iter().any(|argument| argument.index > 5) {
                return wrong(FIELD, format!("judges an argument of {called} that there is not"));
            }
            // Others take these for alternatives.
            let mut indices: Vec<u32> = rule.args.iter().map(|argument| argument.index).collect();
            indices.sort_unstable();
            if indices.windows(2).any(|pair| pair.first() == pair.get(1)) {
                return wrong(
                    FIELD,
                    format!("judges an argument of {called} twice in a rule; make it two rules"),
                );
            }
            let never = |a: &Argument| a.op == Compare::MaskedEqual && a.value_two & !a.value != 0;
            if rule.args.iter().any(never) {
                return wrong(FIELD, format!("wants bits of {called} that its mask leaves out"));
            }
        }
        Ok(())
    }
}
