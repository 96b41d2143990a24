//! The default system call filter: an allow-list, all else fails with EPERM.
//!
//! Decides which calls an agent may make, from the table in `seccomp/syscalls.txt`;
//! `seccomp/compile.rs` makes the kernel's filter of it. It never weakens silently: an architecture
//! without a filter is an error. The filter is put in force by `program.rs`, just before the
//! program starts.

use std::collections::BTreeMap;

use seccompiler::BpfProgram;

use crate::launch::{Argument, Compare, Seccomp};
use crate::sys;

mod compile;
mod profile;

use compile::{ENOSYS, Verdict};

/// What is not listed.
const REFUSED: Verdict = Verdict::Fail(compile::EPERM);

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
    /// The filter forbids what is done after it is in force.
    #[error(
        "with no_new_privileges off, the system call filter must allow {call}, by which the last \
         rights are given up; allow it, or leave no_new_privileges on"
    )]
    Blocks {
        /// The call.
        call: &'static str,
    },
    /// A profile contradicts itself.
    #[error("seccomp: two rules for '{call}' say different things; keep one of them")]
    Contradiction {
        /// The call.
        call: String,
    },
    /// A profile is too much for the kernel.
    #[error("seccomp: the profile comes to {length} instructions; the kernel takes 4096")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// No program can be started under a profile.
    #[error(
        "seccomp: the profile forbids execve, by which the program itself is started; allow it"
    )]
    Starts,
    /// The kernel refused the filter.
    #[error("cannot put the system call filter in force")]
    Apply(#[source] std::io::Error),
}

/// A filter, or none where none is wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter(Option<BpfProgram>);

impl Filter {
    /// The filter for an agent with these capabilities.
    ///
    /// # Errors
    /// There is none for this architecture.
    pub fn new(kind: &Seccomp, capabilities: &[String]) -> Result<Self, SeccompError> {
        match kind {
            Seccomp::Unconfined => Ok(Self(None)),
            Seccomp::Profile(profile) => Ok(Self(Some(profile::filter(profile)?))),
            Seccomp::Default => {
                let (column, architecture) = target()?;
                let verdicts = verdicts(column, capabilities)?;
                Ok(Self(Some(compile::compile(architecture, &verdicts, &REFUSED))))
            }
        }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it can be put in force by a process that has not renounced new privileges: it gives
    /// its last ones up afterwards, which the filter must allow.
    ///
    /// # Errors
    /// It does not.
    pub fn check_without_promise(&self) -> Result<(), SeccompError> {
        let Some(program) = &self.0 else { return Ok(()) };
        let (_, architecture) = target()?;
        let number = u32::try_from(nix::libc::SYS_capset).unwrap_or(u32::MAX);
        match compile::allows(program, architecture, number) {
            true => Ok(()),
            false => Err(SeccompError::Blocks { call: "capset" }),
        }
    }

    /// Puts the filter in force for the calling process, for ever. The process has renounced new
    /// privileges, or is an administrator.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn apply(&self) -> Result<(), SeccompError> {
        let apply = |program| sys::install_filter(program).map_err(SeccompError::Apply);
        self.0.as_deref().map_or(Ok(()), apply)
    }
}

/// The table's column, and the kernel's name for this processor.
fn target() -> Result<(usize, u32), SeccompError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok((1, 0xC000_003E)),
        "aarch64" => Ok((2, 0xC000_00B7)),
        "riscv64" => Ok((3, 0xC000_00F3)),
        "arm" => Ok((4, 0x4000_0028)),
        arch => Err(SeccompError::Architecture { arch }),
    }
}

/// Every call of the table that this processor has, and its number.
fn numbers(column: usize) -> Result<impl Iterator<Item = (&'static str, u32)>, SeccompError> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let cells = move |line: &'static str| {
        let mut fields = line.split(' ');
        let cells = fields.next().zip(fields.nth(column - 1));
        cells.ok_or(SeccompError::Table { line })
    };
    let cells = rows.map(cells).collect::<Result<Vec<_>, _>>()?;
    Ok(cells.into_iter().filter_map(|(name, number)| Some((name, number.parse().ok()?))))
}

/// What happens to each call of the table that this processor has.
fn verdicts(
    column: usize,
    capabilities: &[String],
) -> Result<BTreeMap<u32, Verdict>, SeccompError> {
    let has = |name: &str| capabilities.iter().any(|capability| capability == name);
    let mut verdicts = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(' ');
        let (Some(name), Some(number), Some(need)) =
            (fields.next(), fields.nth(column - 1), fields.next_back())
        else {
            return Err(SeccompError::Table { line });
        };
        let Ok(number) = number.parse() else { continue };
        match need {
            "special" => {
                verdicts.insert(number, special(name, has("CAP_SYS_ADMIN")));
            }
            need if need == "-" || has(need) => {
                verdicts.insert(number, Verdict::Allow);
            }
            _ => {}
        }
    }
    Ok(verdicts)
}

/// Every flag of clone that makes a namespace.
const NAMESPACE_FLAGS: u32 = 0x7E02_0000;
/// Kernel cryptography and the hypervisor's network: much code, seldom needed.
const FAMILIES: &[u32] = &[38, 40];
/// As in Docker's defaults: Linux, 32-bit addresses, and asking.
const PERSONALITIES: &[u32] = &[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// By which an owner takes files out of the project whose quota they count towards: FSSETXATTR, and
/// SETFLAGS on 64 and 32 bits.
const LEAVE_PROJECT: [u32; 3] = [0x401c_5820, 0x4008_6602, 0x4004_6602];

/// Refuses one request; the kernel looks at 32 bits of it only.
fn requested(request: u32) -> (Vec<Argument>, u32) {
    let (value, value_two) = (u64::from(u32::MAX), u64::from(request));
    let is = Argument { index: 1, value, value_two, op: Compare::MaskedEqual };
    (vec![is], compile::RETURN_ERRNO | u32::from(compile::EPERM))
}

/// Calls judged by their arguments.
fn special(name: &str, may_make_namespaces: bool) -> Verdict {
    match name {
        "clone" | "clone3" if may_make_namespaces => Verdict::Allow,
        "clone" => Verdict::AllowWithout(NAMESPACE_FLAGS),
        // Its flags are in memory, where no filter sees them. Told that it does not exist, C
        // libraries use clone.
        "clone3" => Verdict::Fail(ENOSYS),
        "socket" => Verdict::AllowUnless(FAMILIES),
        "personality" => Verdict::AllowOnly(PERSONALITIES),
        "ioctl" => Verdict::Judge(LEAVE_PROJECT.map(requested).to_vec(), compile::RETURN_ALLOW),
        _ => Verdict::Fail(compile::EPERM),
    }
}

#[cfg(test)]
mod tests;
