//! Compiles verdicts on system calls to the kernel's filter language, as a search tree.
//!
//! Pure. seccompiler's own compiler compares a call with every rule in turn, some 350 of them: the
//! kernel, which runs the filter for every call number when it is installed and translates all of
//! it, then takes a good part of the time that a container's start takes. A tree over ranges is a
//! tenth of the size and answers in seven comparisons.

use std::collections::BTreeMap;

use seccompiler::sock_filter;

use crate::launch::Argument;

mod conditions;

/// What happens to one system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Allow,
    /// It fails with this error.
    Fail(u16),
    /// It is made if none of these bits is set in its first argument.
    AllowWithout(u32),
    /// It is made unless the low half of its first argument is one of these.
    AllowUnless(&'static [u32]),
    /// It is made only if the low half of its first argument is one of these.
    AllowOnly(&'static [u32]),
    /// What the kernel is told of the first of these whose conditions all hold; else the last word.
    Judge(Vec<(Vec<Argument>, u32)>, u32),
}

pub const EPERM: u16 = 1;
pub const ENOSYS: u16 = 38;

// Where things are in the kernel's `seccomp_data`; all our targets are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT_LOW: u32 = 16;

const OTHER_WAY: u32 = 0x4000_0000;

pub const RETURN_ALLOW: u32 = 0x7fff_0000;
pub const RETURN_LOG: u32 = 0x7ffc_0000;
pub const RETURN_ERRNO: u32 = 0x0005_0000;
pub const RETURN_TRAP: u32 = 0x0003_0000;
pub const RETURN_KILL_THREAD: u32 = 0;
/// Ends the whole process.
pub const RETURN_KILL: u32 = 0x8000_0000;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_MORE: u16 = 0x25;
const RETURN: u16 = 0x06;

/// The filter for one architecture; calls made as another architecture end the process.
pub fn compile(
    architecture: u32,
    verdicts: &BTreeMap<u32, Verdict>,
    all_others: &Verdict,
) -> Vec<sock_filter> {
    let mut program = vec![
        line(LOAD, ARCHITECTURE),
        branch(JUMP_IF_EQUAL, architecture, 1, 0),
        line(RETURN, RETURN_KILL),
        line(LOAD, NUMBER),
    ];
    program.extend(tree(&segments(verdicts, all_others)));
    program
}

/// Ranges of calls with one verdict: the first call of each, in order, from 0 upwards without gap.
fn segments(verdicts: &BTreeMap<u32, Verdict>, all_others: &Verdict) -> Vec<(u32, Verdict)> {
    let mut segments = vec![(0, all_others.clone())];
    let mut add = |start: u32, verdict: &Verdict| match segments.last_mut() {
        Some((_, last)) if last == verdict => {}
        Some((at, last)) if *at == start => *last = verdict.clone(),
        _ => segments.push((start, verdict.clone())),
    };
    for (&number, verdict) in verdicts {
        add(number, verdict);
        if !verdicts.contains_key(&(number + 1)) {
            add(number + 1, all_others);
        }
    }
    // Numbers by which the same calls are made in another way (x32): no rule is for them.
    if *all_others != Verdict::Fail(EPERM) {
        add(OTHER_WAY, &Verdict::Judge(Vec::new(), RETURN_KILL));
    }
    segments
}

fn tree(segments: &[(u32, Verdict)]) -> Vec<sock_filter> {
    let (low, high) = segments.split_at(segments.len() / 2);
    match (low, high) {
        ([], [(_, verdict), ..]) => leaf(verdict),
        (_, [(start, _), ..]) => {
            let (low, high) = (tree(low), tree(high));
            // A conditional jump reaches 255 instructions only; the plain one reaches all.
            let over = u32::try_from(low.len()).unwrap_or(u32::MAX);
            let mut code = vec![branch(JUMP_IF_AT_LEAST, *start, 0, 1), line(JUMP, over)];
            code.extend(low);
            code.extend(high);
            code
        }
        (_, []) => leaf(&Verdict::Fail(EPERM)),
    }
}

fn leaf(verdict: &Verdict) -> Vec<sock_filter> {
    let refuse = RETURN_ERRNO | u32::from(EPERM);
    let any_of = |values: &[u32], found: u32, otherwise: u32| {
        let mut code = vec![line(LOAD, ARGUMENT_LOW)];
        for value in values {
            code.extend([branch(JUMP_IF_EQUAL, *value, 0, 1), line(RETURN, found)]);
        }
        code.push(line(RETURN, otherwise));
        code
    };
    match verdict {
        Verdict::Allow => vec![line(RETURN, RETURN_ALLOW)],
        Verdict::Fail(errno) => vec![line(RETURN, RETURN_ERRNO | u32::from(*errno))],
        Verdict::AllowWithout(bits) => vec![
            line(LOAD, ARGUMENT_LOW),
            line(AND, *bits),
            branch(JUMP_IF_EQUAL, 0, 0, 1),
            line(RETURN, RETURN_ALLOW),
            line(RETURN, refuse),
        ],
        Verdict::AllowUnless(values) => any_of(values, refuse, RETURN_ALLOW),
        Verdict::AllowOnly(values) => any_of(values, RETURN_ALLOW, refuse),
        Verdict::Judge(rules, otherwise) => {
            let mut code = Vec::new();
            for (conditions, found) in rules {
                code.extend(conditions::code(conditions));
                code.push(line(RETURN, *found));
            }
            code.push(line(RETURN, *otherwise));
            code
        }
    }
}

/// Whether a program allows a call whose arguments are all 0; run as the kernel would.
pub fn allows(program: &[sock_filter], architecture: u32, number: u32) -> bool {
    let said = run(program, architecture, number, [0; 6]);
    [Some(RETURN_ALLOW), Some(RETURN_LOG)].contains(&said)
}

/// What a program says of a call; `None` if it is no program that this file makes.
fn run(
    program: &[sock_filter],
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
) -> Option<u32> {
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let instruction = program.get(at)?;
        let (k, jt, jf) = (instruction.k, usize::from(instruction.jt), usize::from(instruction.jf));
        at += 1;
        match instruction.code {
            LOAD => {
                accumulator = match k {
                    NUMBER => number,
                    ARCHITECTURE => architecture,
                    k => {
                        let part = k.checked_sub(ARGUMENT_LOW)?;
                        let argument = arguments.get(part as usize / 8)?;
                        let half = if part % 8 == 0 { *argument } else { *argument >> 32 };
                        (half & u64::from(u32::MAX)) as u32
                    }
                }
            }
            AND => accumulator &= k,
            JUMP => at += k as usize,
            JUMP_IF_EQUAL => at += if accumulator == k { jt } else { jf },
            JUMP_IF_AT_LEAST => at += if accumulator >= k { jt } else { jf },
            JUMP_IF_MORE => at += if accumulator > k { jt } else { jf },
            RETURN => return Some(k),
            _ => return None,
        }
    }
}

fn line(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests;
