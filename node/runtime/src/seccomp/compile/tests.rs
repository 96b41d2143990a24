//! The compiled filter does as the verdicts say, for every call, run by a small interpreter.

use super::*;
use crate::launch::Compare;

const ARCH: u32 = 0xC000_003E;
const FAIL: Verdict = Verdict::Fail(EPERM);

fn run(program: &[sock_filter], arch: u32, number: u32, argument: u64) -> u32 {
    super::run(program, arch, number, [argument, 0, 0, 0, 0, 0]).unwrap()
}

const REFUSED: u32 = RETURN_ERRNO | EPERM as u32;

#[test]
fn every_call_gets_its_verdict_and_all_others_fail() {
    let allowed =
        |number: u32| !number.is_multiple_of(3) && !(40..60).contains(&number) && number < 470;
    let verdicts = (0..600).filter(|n| allowed(*n)).map(|n| (n, Verdict::Allow)).collect();
    let program = compile(ARCH, &verdicts, &FAIL);
    for number in (0..1000).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
        let wanted = if number < 600 && allowed(number) { RETURN_ALLOW } else { REFUSED };
        assert_eq!(run(&program, ARCH, number, 0), wanted, "call {number}");
    }
}

#[test]
fn another_architecture_ends_the_process() {
    let program = compile(ARCH, &BTreeMap::from([(1, Verdict::Allow)]), &FAIL);
    assert_eq!(run(&program, 0x4000_0003, 1, 0), RETURN_KILL);
}

#[test]
fn nothing_is_allowed_by_an_empty_table() {
    let program = compile(ARCH, &BTreeMap::new(), &FAIL);
    assert_eq!(run(&program, ARCH, 0, 0), REFUSED);
}

#[test]
fn arguments_are_judged_by_the_half_that_the_kernel_uses() {
    let program = compile(
        ARCH,
        &BTreeMap::from([
            (5, Verdict::AllowWithout(0x7E02_0000)),
            (6, Verdict::AllowUnless(&[38, 40])),
            (7, Verdict::AllowOnly(&[0, 8])),
            (8, Verdict::Fail(ENOSYS)),
        ]),
        &FAIL,
    );
    for (number, argument, allowed) in [
        (5, 0x11, true),
        (5, 0x1002_0011, false),
        (6, 2, true),
        (6, 38, false),
        (6, 0x1_0000_0026, false),
        (7, 8, true),
        (7, 9, false),
    ] {
        let wanted = if allowed { RETURN_ALLOW } else { REFUSED };
        assert_eq!(run(&program, ARCH, number, argument), wanted, "call {number} {argument:#x}");
    }
    assert_eq!(run(&program, ARCH, 8, 0), RETURN_ERRNO | u32::from(ENOSYS));
}

#[test]
fn conditions_are_as_the_profile_says_for_all_64_bits() {
    let edges = [0, 1, 5, 6, 7, 1 << 31, u32::MAX.into(), 1 << 32, (1 << 32) + 6, (6 << 32) + 6];
    let edges = edges.into_iter().chain([u64::MAX - 1, u64::MAX]).collect::<Vec<u64>>();
    let operators = [
        Compare::NotEqual,
        Compare::Less,
        Compare::LessOrEqual,
        Compare::Equal,
        Compare::GreaterOrEqual,
        Compare::Greater,
        Compare::MaskedEqual,
    ];
    for (op, value) in operators.into_iter().flat_map(|op| edges.iter().map(move |v| (op, *v))) {
        let argument = Argument { index: 3, value, value_two: value & 0x4_0000_0006, op };
        let rules = vec![(vec![argument], RETURN_TRAP)];
        let verdicts = BTreeMap::from([(9, Verdict::Judge(rules, RETURN_LOG))]);
        let program = compile(ARCH, &verdicts, &FAIL);
        for seen in &edges {
            let holds = match op {
                Compare::NotEqual => *seen != value,
                Compare::Less => *seen < value,
                Compare::LessOrEqual => *seen <= value,
                Compare::Equal => *seen == value,
                Compare::GreaterOrEqual => *seen >= value,
                Compare::Greater => *seen > value,
                Compare::MaskedEqual => seen & value == argument.value_two,
            };
            let said = super::run(&program, ARCH, 9, [0, 0, 0, *seen, 0, 0]).unwrap();
            let wanted = if holds { RETURN_TRAP } else { RETURN_LOG };
            assert_eq!(said, wanted, "{seen:#x} {op:?} {value:#x}");
        }
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold_and_the_first_rule_that_fits_counts() {
    let is = |index, value| Argument { index, value, value_two: 0, op: Compare::Equal };
    let rules = vec![
        (vec![is(0, 1), is(1, 2)], RETURN_ERRNO | 7),
        (vec![is(0, 1)], RETURN_ERRNO | 8),
        (vec![is(5, 9)], RETURN_KILL),
    ];
    let verdicts = BTreeMap::from([(4, Verdict::Judge(rules, RETURN_ALLOW))]);
    let allow = Verdict::Judge(Vec::new(), RETURN_ALLOW);
    let program = compile(ARCH, &verdicts, &allow);
    let said = |arguments| super::run(&program, ARCH, 4, arguments).unwrap();
    assert_eq!(said([1, 2, 0, 0, 0, 9]), RETURN_ERRNO | 7);
    assert_eq!(said([1, 3, 0, 0, 0, 9]), RETURN_ERRNO | 8);
    assert_eq!(said([2, 2, 0, 0, 0, 9]), RETURN_KILL);
    assert_eq!(said([2, 2, 0, 0, 0, 0]), RETURN_ALLOW);
    assert_eq!(run(&program, ARCH, 5, 0), RETURN_ALLOW);
    // A list of what is forbidden is not got round by other numbers for the same calls.
    assert_eq!(run(&program, ARCH, 0x4000_0004, 0), RETURN_KILL);
    assert_eq!(run(&program, ARCH, u32::MAX, 0), RETURN_KILL);
}
