//! From start to end: exit codes, records, stopping, failing, surviving.

mod rig;

use rig::Rig;

#[test]
fn an_exit_code_of_zero_is_recorded() {
    let mut rig = Rig::script("echo out; echo err >&2");
    let exit = rig.run();
    assert_eq!((exit.code, exit.signal), (Some(0), None), "{}", rig.said());
    let lines = rig.log();
    assert!(lines.contains(&("stdout".to_owned(), "out".to_owned())), "{lines:?}");
    assert!(lines.contains(&("stderr".to_owned(), "err".to_owned())), "{lines:?}");
}
