//! Turns a profile in the words of the OCI into verdicts on calls by their numbers.
//!
//! Refuses what has no exact meaning: two rules for one call that say different things whatever the
//! arguments are, and a profile under which no program could be started.

use std::collections::BTreeMap;

use seccompiler::BpfProgram;

use super::compile::{
    self, RETURN_ALLOW, RETURN_ERRNO, RETURN_KILL, RETURN_KILL_THREAD, RETURN_LOG, RETURN_TRAP,
    Verdict,
};
use super::{SeccompError, numbers, target};
use crate::launch::{Action, Argument, Profile};

/// The longest filter that the kernel takes.
const MOST: usize = 4096;

/// The rules for one call: conditions, and what the kernel is told if they hold.
type Rules = Vec<(Vec<Argument>, u32)>;

/// The filter that a profile means on this processor.
pub fn filter(profile: &Profile) -> Result<BpfProgram, SeccompError> {
    let (column, architecture) = target()?;
    let numbers: BTreeMap<&str, u32> = numbers(column)?.collect();
    let otherwise = word(profile.default_action, profile.default_errno_ret);
    let mut calls: BTreeMap<u32, (&str, Rules)> = BTreeMap::new();
    for rule in &profile.syscalls {
        let said = word(rule.action, rule.errno_ret);
        // Names that this kernel family has not are skipped, as the OCI says.
        let known = rule.names.iter().filter_map(|name| numbers.get_key_value(name.as_str()));
        for (name, number) in known {
            let (_, rules) = calls.entry(*number).or_insert_with(|| (name, Vec::new()));
            rules.push((rule.args.clone(), said));
        }
    }
    let verdict = |(number, (name, rules))| Ok((number, verdict(name, rules, otherwise)?));
    let mut verdicts: BTreeMap<u32, Verdict> =
        calls.into_iter().map(verdict).collect::<Result<_, SeccompError>>()?;
    say_unknown_is_absent(&mut verdicts, otherwise);
    let all_others = Verdict::Judge(Vec::new(), otherwise);
    let program = compile::compile(architecture, &verdicts, &all_others);
    if program.len() > MOST {
        return Err(SeccompError::TooLong { length: program.len() });
    }
    let start = numbers.get("execve").copied().unwrap_or(u32::MAX);
    match compile::allows(&program, architecture, start) {
        true => Ok(program),
        false => Err(SeccompError::Starts),
    }
}

/// Calls that are newer than any in the profile do not exist, as in runc: told that they may not be
/// made, C libraries would give up, where they could use older ones.
fn say_unknown_is_absent(verdicts: &mut BTreeMap<u32, Verdict>, otherwise: u32) {
    let refuses = ![RETURN_ALLOW, RETURN_LOG].contains(&otherwise);
    if let Some((&newest, _)) = verdicts.last_key_value().filter(|_| refuses) {
        for number in newest + 1..NUMBERS {
            verdicts.insert(number, Verdict::Fail(compile::ENOSYS));
        }
    }
}

/// Above any number of a call for years to come.
const NUMBERS: u32 = 1024;

fn verdict(name: &str, rules: Rules, otherwise: u32) -> Result<Verdict, SeccompError> {
    let whatever = rules.iter().find(|(conditions, _)| conditions.is_empty());
    let Some(&(_, always)) = whatever else { return Ok(Verdict::Judge(rules, otherwise)) };
    match rules.iter().all(|(_, said)| *said == always) {
        true => Ok(Verdict::Judge(Vec::new(), always)),
        false => Err(SeccompError::Contradiction { call: name.to_owned() }),
    }
}

/// What the kernel is told.
fn word(action: Action, errno: Option<u32>) -> u32 {
    match action {
        Action::Allow => RETURN_ALLOW,
        Action::Errno => RETURN_ERRNO | errno.unwrap_or_else(|| u32::from(compile::EPERM)),
        Action::KillThread => RETURN_KILL_THREAD,
        Action::KillProcess => RETURN_KILL,
        Action::Log => RETURN_LOG,
        Action::Trap => RETURN_TRAP,
    }
}

#[cfg(test)]
mod tests;
