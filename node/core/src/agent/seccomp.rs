//! Which system calls an agent may make: the ordinary ones, all, or those of a profile.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::fault::{Fault, fault};

/// Which system calls an agent may make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// A list of ordinary ones; all others fail with EPERM.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// A profile in the form of OCI's runtime specification, `linux.seccomp`.
    Profile(Box<SeccompProfile>),
}

impl Seccomp {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

impl Serialize for Seccomp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => s.serialize_str("default"),
            Self::Unconfined => s.serialize_str("unconfined"),
            Self::Profile(profile) => profile.serialize(s),
        }
    }
}

struct SeccompVisitor;

impl<'de> de::Visitor<'de> for SeccompVisitor {
    type Value = Seccomp;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("default, unconfined, or a profile with defaultAction and syscalls")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Seccomp, E> {
        match text {
            "default" => Ok(Seccomp::Default),
            "unconfined" => Ok(Seccomp::Unconfined),
            other => Err(E::custom(format!(
                "'{other}' is neither default nor unconfined; a profile is written out here"
            ))),
        }
    }
    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Seccomp, A::Error> {
        let profile = SeccompProfile::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Seccomp::Profile(Box::new(profile)))
    }
}

impl<'de> Deserialize<'de> for Seccomp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(SeccompVisitor)
    }
}

/// `linux.seccomp` of OCI's runtime specification, as far as it can be enforced here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeccompProfile {
    /// What happens with a call that no rule names, such as `SCMP_ACT_ERRNO`.
    pub default_action: String,
    /// The error number of such a call; 1 (EPERM) by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Read, and not needed: the filter is for the machine's own architecture, and a call by another
    /// one ends the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<SyscallRule>,
}

/// What happens with some system calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyscallRule {
    /// Their names; unknown ones are passed over, as every runtime does.
    pub names: Vec<String>,
    /// Such as `SCMP_ACT_ALLOW`.
    pub action: String,
    /// The error number of `SCMP_ACT_ERRNO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on arguments, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SyscallArg>,
}

/// A condition on one argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyscallArg {
    /// Which, from 0.
    pub index: u8,
    /// What it is compared with; the mask, for `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What the masked argument is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_two: Option<u64>,
    /// Such as `SCMP_CMP_EQ`.
    pub op: String,
}

/// Actions that can be enforced without a listener outside the kernel.
pub const SECCOMP_ACTIONS: [&str; 7] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRAP",
];

const ERRNO: &str = "SCMP_ACT_ERRNO";

/// Comparisons of arguments.
pub const SECCOMP_OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_GT",
    "SCMP_CMP_GE",
    "SCMP_CMP_MASKED_EQ",
];

impl SeccompProfile {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let action = |field: String, action: &str| {
            if SECCOMP_ACTIONS.contains(&action) {
                return Ok(());
            }
            let known = SECCOMP_ACTIONS.join(", ");
            fault(field, format!("'{action}' cannot be enforced here; known are {known}"))
        };
        action("defaultAction".to_owned(), &self.default_action)?;
        let moot = |number: Option<u32>, action: &str| number.is_some() && action != ERRNO;
        if moot(self.default_errno_ret, &self.default_action) {
            return fault("defaultErrnoRet", "has no meaning without defaultAction SCMP_ACT_ERRNO");
        }
        if self.syscalls.len() > 1024 {
            return fault("syscalls", "has more than 1024 rules");
        }
        for (index, rule) in self.syscalls.iter().enumerate() {
            let field = |name: &str| format!("syscalls[{index}].{name}");
            action(field("action"), &rule.action)?;
            if moot(rule.errno_ret, &rule.action) {
                return fault(field("errnoRet"), "has no meaning without action SCMP_ACT_ERRNO");
            }
            if rule.names.is_empty() || rule.names.len() > 1024 {
                return fault(field("names"), "must be 1 to 1024 names");
            }
            if rule.args.len() > 6 {
                return fault(field("args"), "has more than 6 conditions");
            }
            for (place, arg) in rule.args.iter().enumerate() {
                if arg.index > 5 {
                    return fault(field(&format!("args[{place}].index")), "must be 0 to 5");
                }
                if !SECCOMP_OPERATORS.contains(&arg.op.as_str()) {
                    let known = SECCOMP_OPERATORS.join(", ");
                    return fault(
                        field(&format!("args[{place}].op")),
                        format!("is none of {known}"),
                    );
                }
            }
        }
        Ok(())
    }
}
