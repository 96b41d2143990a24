use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_command_is_run_to_its_end() {
    let output = run_with_input(&mut shell("cat; echo oops >&2; exit 3"), b"[1]");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stderr, "oops\n");
    assert_eq!(output.refused().json(), serde_json::json!([1]));
}

#[test]
#[should_panic(expected = "should have been refused")]
fn a_crash_is_no_refusal() {
    let _ = run(&mut shell("kill -9 $$")).refused();
}

#[test]
fn a_program_in_the_background_ends_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut program = Background::start("a script", &mut shell(script), &log);
    let ready = || program.log().contains("ready").then_some(());
    crate::until::until("the script is ready", Duration::from_secs(5), ready);
    assert!(program.stop(Duration::from_secs(5)).success());
    assert!(program.log().contains("asked"), "{}", program.log());
}
