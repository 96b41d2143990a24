use skerry_core::ids::Digest;

use super::*;

pub(crate) fn status(state: State) -> Status {
    Status {
        state,
        detail: None,
        source: Some(Source::Local),
        image: Digest::of(b"image"),
        instance: Digest::of(b"instance"),
        pid: None,
        health: None,
        restarts: 0,
        current: true,
        ready: None,
        execution: None,
        next_run_ms: None,
        exit: None,
    }
}

fn exit(code: i32) -> Option<Exit> {
    let code = Some(code);
    Some(Exit { code, signal: None, oom_killed: false, ran_ms: 1, finished_at_ms: 1 })
}

#[test]
fn an_agent_runs_will_run_or_cannot() {
    for (state, verdict) in [
        (State::Running, Verdict::Reached),
        (State::Starting, Verdict::NotYet),
        (State::Stopping, Verdict::NotYet),
        (State::Waiting, Verdict::NotYet),
        (State::BackOff, Verdict::Never),
        (State::Failed, Verdict::Never),
        (State::GaveUp, Verdict::Never),
        (State::Blocked, Verdict::Never),
        (State::Stopped, Verdict::Never),
    ] {
        assert_eq!(judge(Goal::Running, Some(&status(state))), verdict, "{state}");
    }
    assert_eq!(judge(Goal::Running, None), Verdict::Never);
}

#[test]
fn a_short_run_counts_if_it_ended_well() {
    let done = |code| Status { exit: exit(code), ..status(State::Completed) };
    assert_eq!(judge(Goal::Running, Some(&done(0))), Verdict::Reached);
    assert_eq!(judge(Goal::Running, Some(&done(3))), Verdict::Never);
}

#[test]
fn gone_is_gone_or_the_fleets() {
    let mut fleet = status(State::Running);
    fleet.source = Some(Source::Fleet);
    assert_eq!(judge(Goal::Gone, None), Verdict::Reached);
    assert_eq!(judge(Goal::Gone, Some(&fleet)), Verdict::Reached);
    assert_eq!(judge(Goal::Gone, Some(&status(State::Stopping))), Verdict::NotYet);
    assert_eq!(judge(Goal::Stopped, Some(&status(State::Stopping))), Verdict::NotYet);
    assert_eq!(judge(Goal::Stopped, Some(&status(State::Stopped))), Verdict::Reached);
}

#[test]
fn a_refusal_says_why_and_where_to_look() {
    let name = "cam".parse().unwrap();
    let detail = Some("exit code 3".to_owned());
    let told = never(&name, Some(&Status { detail, ..status(State::BackOff) })).to_string();
    assert_eq!(told, "agent 'cam' does not run: back-off (exit code 3); see: skerry logs cam");
}
