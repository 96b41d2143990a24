//! The compiled filter does as the verdicts say, for every call, run by a small interpreter.

use super::*;

const ARCH: u32 = 0xC000_003E;

fn run(program: &[sock_filter], arch: u32, number: u32, argument: u64) -> u32 {
    super::run(program, arch, number, [argument, 0, 0, 0, 0, 0]).unwrap()
}

const REFUSED: u32 = RETURN_ERRNO | EPERM as u32;

#[test]
fn every_call_gets_its_verdict_and_all_others_fail() {
    let allowed =
        |number: u32| !number.is_multiple_of(3) && !(40..60).contains(&number) && number < 470;
    let verdicts = (0..600).filter(|n| allowed(*n)).map(|n| (n, Verdict::Allow)).collect();
    let program = compile(ARCH, &verdicts);
    for number in (0..1000).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
        let wanted = if number < 600 && allowed(number) { RETURN_ALLOW } else { REFUSED };
        assert_eq!(run(&program, ARCH, number, 0), wanted, "call {number}");
    }
}

#[test]
fn another_architecture_ends_the_process() {
    let program = compile(ARCH, &BTreeMap::from([(1, Verdict::Allow)]));
    assert_eq!(run(&program, 0x4000_0003, 1, 0), RETURN_KILL);
}

#[test]
fn nothing_is_allowed_by_an_empty_table() {
    let program = compile(ARCH, &BTreeMap::new());
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
