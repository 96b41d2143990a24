//! Conditions on a call's arguments, in the kernel's filter language.
//!
//! Pure. Arguments have 64 bits and the language 32: each half is judged in turn, the high one first.

use seccompiler::sock_filter;

use super::{AND, ARGUMENT_LOW, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, JUMP_IF_MORE, LOAD, branch, line};
use crate::launch::{Argument, Compare};

/// Where a jump leads.
#[derive(Clone, Copy)]
enum To {
    /// The next instruction.
    On,
    /// Behind this condition, which holds.
    Holds,
    /// Behind the rule, which does not fit.
    Fails,
}

enum Step {
    Load(u32),
    And(u32),
    If(u16, u32, To, To),
}

/// Code that is left at its end if all conditions hold, and else skips one more instruction, which
/// says what happens if they do.
pub fn code(conditions: &[Argument]) -> Vec<sock_filter> {
    let blocks: Vec<Vec<Step>> = conditions.iter().map(steps).collect();
    let whole: usize = blocks.iter().map(Vec::len).sum();
    let (mut code, mut end_of_block) = (Vec::new(), 0);
    for block in &blocks {
        end_of_block += block.len();
        for step in block {
            let next = code.len() + 1;
            // At most six conditions of six instructions: no jump is longer than 255.
            let over = |to: To| match to {
                To::On => 0,
                To::Holds => (end_of_block - next) as u8,
                To::Fails => (whole + 1 - next) as u8,
            };
            code.push(match *step {
                Step::Load(from) => line(LOAD, from),
                Step::And(mask) => line(AND, mask),
                Step::If(test, value, yes, no) => branch(test, value, over(yes), over(no)),
            });
        }
    }
    code
}

fn steps(argument: &Argument) -> Vec<Step> {
    use Step::{And, If, Load};
    use To::{Fails, Holds, On};
    let halves = |value: u64| ((value >> 32) as u32, (value & u64::from(u32::MAX)) as u32);
    let low = ARGUMENT_LOW + 8 * argument.index;
    let (load_low, load_high) = (|| Load(low), || Load(low + 4));
    let (high_value, low_value) = halves(argument.value);
    // Above, equal or below by the high half; equal is decided by the low one.
    let order = |above, below, test, yes, no| {
        vec![
            load_high(),
            If(JUMP_IF_MORE, high_value, above, On),
            If(JUMP_IF_EQUAL, high_value, On, below),
            load_low(),
            If(test, low_value, yes, no),
        ]
    };
    match argument.op {
        Compare::Equal => vec![
            load_high(),
            If(JUMP_IF_EQUAL, high_value, On, Fails),
            load_low(),
            If(JUMP_IF_EQUAL, low_value, Holds, Fails),
        ],
        Compare::NotEqual => vec![
            load_high(),
            If(JUMP_IF_EQUAL, high_value, On, Holds),
            load_low(),
            If(JUMP_IF_EQUAL, low_value, Fails, Holds),
        ],
        Compare::GreaterOrEqual => order(Holds, Fails, JUMP_IF_AT_LEAST, Holds, Fails),
        Compare::Greater => order(Holds, Fails, JUMP_IF_MORE, Holds, Fails),
        Compare::Less => order(Fails, Holds, JUMP_IF_AT_LEAST, Fails, Holds),
        Compare::LessOrEqual => order(Fails, Holds, JUMP_IF_MORE, Fails, Holds),
        Compare::MaskedEqual => {
            let (high_wanted, low_wanted) = halves(argument.value_two);
            vec![
                load_high(),
                And(high_value),
                If(JUMP_IF_EQUAL, high_wanted, On, Fails),
                load_low(),
                And(low_value),
                If(JUMP_IF_EQUAL, low_wanted, Holds, Fails),
            ]
        }
    }
}
