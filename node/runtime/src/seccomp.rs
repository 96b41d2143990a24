//! The default system call filter: an allow-list, all else fails with EPERM.
//!
//! Decides which calls an agent may make, from the table in `seccomp/syscalls.txt`, and compiles
//! that for the kernel. It never weakens silently: an architecture without a filter is an error.
//! The filter is put in force by `monitor/build.rs` and `exec.rs`, just before the program starts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::launch::Seccomp;

const TABLE: &str = include_str!("seccomp/syscalls.txt");

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// No filter exists for this processor.
    #[error(
        "no system call filter exists for {arch}; set seccomp to unconfined to run without one"
    )]
    Architecture {
        /// The processor's architecture.
        arch: &'static str,
    },
    /// The table of calls is damaged.
    #[error("the table of system calls is unreadable at '{line}'")]
    Table {
        /// The line.
        line: &'static str,
    },
    /// The compiler refused the rules.
    #[error("cannot compile the system call filter")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel refused the filter.
    #[error("cannot put the system call filter in force")]
    Apply(#[from] seccompiler::Error),
}

/// Filters in the order in which they are put in force.
#[derive(Debug, Clone, Default)]
pub struct Filters(Vec<BpfProgram>);

impl Filters {
    /// The filters for an agent with these capabilities.
    ///
    /// # Errors
    /// There is none for this architecture.
    pub fn new(kind: Seccomp, capabilities: &[String]) -> Result<Self, SeccompError> {
        match kind {
            Seccomp::Unconfined => Ok(Self::default()),
            Seccomp::Default => compile(capabilities).map(Self),
        }
    }

    /// Puts the filters in force for the calling process, for ever, under no_new_privs.
    ///
    /// # Errors
    /// The kernel refuses them.
    pub fn apply(&self) -> Result<(), SeccompError> {
        self.0.iter().try_for_each(|program| Ok(seccompiler::apply_filter(program)?))
    }
}

/// The table's column and the compiler's name for this processor.
fn target() -> Result<(usize, TargetArch), SeccompError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok((1, TargetArch::x86_64)),
        "aarch64" => Ok((2, TargetArch::aarch64)),
        "riscv64" => Ok((3, TargetArch::riscv64)),
        arch => Err(SeccompError::Architecture { arch }),
    }
}

fn compile(capabilities: &[String]) -> Result<Vec<BpfProgram>, SeccompError> {
    let (column, arch) = target()?;
    let has = |name: &str| capabilities.iter().any(|capability| capability == name);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut clone3 = None;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (Some(&name), Some(&number), Some(&need)) =
            (fields.first(), fields.get(column), fields.get(4))
        else {
            return Err(SeccompError::Table { line });
        };
        let Ok(number) = number.parse() else { continue };
        match need {
            "special" if has("CAP_SYS_ADMIN") && name.starts_with("clone") => {
                rules.insert(number, Vec::new());
            }
            "special" => {
                if name == "clone3" {
                    clone3 = Some(number);
                }
                rules.insert(number, restricted(name)?);
            }
            need if need == "-" || has(need) => {
                rules.insert(number, Vec::new());
            }
            _ => {}
        }
    }
    let denied = SeccompAction::Errno(EPERM);
    let mut programs =
        vec![SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)?.try_into()?];
    // The flags of clone3 are in memory, where no filter sees them. Told that it does not exist,
    // C libraries use clone.
    if let Some(number) = clone3 {
        let rules = BTreeMap::from([(number, Vec::new())]);
        let absent = SeccompAction::Errno(ENOSYS);
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, arch)?;
        programs.push(filter.try_into()?);
    }
    Ok(programs)
}

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// Every flag of clone that makes a namespace.
const NAMESPACE_FLAGS: u64 = 0x7E02_0000;
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// The arguments with which a restricted call is allowed; no rule means with any.
fn restricted(name: &str) -> Result<Vec<SeccompRule>, SeccompError> {
    let rule = |conditions: &[(Op, u64)]| {
        let conditions = conditions.iter().cloned();
        let conditions =
            conditions.map(|(op, value)| SeccompCondition::new(0, Len::Qword, op, value));
        SeccompRule::new(conditions.collect::<Result<_, _>>()?)
    };
    let rules = match name {
        "clone" => vec![rule(&[(Op::MaskedEq(NAMESPACE_FLAGS), 0)])?],
        "socket" => vec![rule(&[(Op::Ne, AF_ALG), (Op::Ne, AF_VSOCK)])?],
        "personality" => [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff]
            .into_iter()
            .map(|persona| rule(&[(Op::Eq, persona)]))
            .collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    Ok(rules)
}

#[cfg(test)]
mod tests;
