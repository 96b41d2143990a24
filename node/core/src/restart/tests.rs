use super::*;

#[test]
fn the_wait_doubles_up_to_its_cap_and_never_ends() {
    let wait = |n| match decide(Restart::Always, Backoff::default(), false, n, 0) {
        Verdict::Again(span) => span.millis,
        other => panic!("an agent that must always run was given up: {other:?}"),
    };
    assert_eq!([1, 2, 3, 4].map(wait), [500, 1000, 2000, 4000]);
    assert_eq!(wait(1000), Backoff::default().max.millis);
    assert_eq!(wait(u32::MAX), Backoff::default().max.millis);
}

#[test]
fn jitter_adds_a_tenth_at_most() {
    for jitter in [0, 1, u16::MAX / 2, u16::MAX] {
        let Verdict::Again(span) = decide(Restart::Always, Backoff::default(), false, 4, jitter)
        else {
            panic!()
        };
        assert!((4000..=4400).contains(&span.millis), "{span}");
    }
}

#[test]
fn each_policy_means_what_docker_users_expect() {
    let again = |p, success, failures| {
        matches!(decide(p, Backoff::default(), success, failures, 0), Verdict::Again(_))
    };
    assert!(again(Restart::Always, true, 1));
    assert!(again(Restart::UnlessStopped, true, 1));
    assert!(again(Restart::OnFailure(None), false, 99));
    assert!(!again(Restart::OnFailure(None), true, 1));
    assert!(!again(Restart::Never, false, 1));
    assert!(again(Restart::OnFailure(Some(2)), false, 2));
    assert_eq!(
        decide(Restart::OnFailure(Some(2)), Backoff::default(), false, 3, 0),
        Verdict::GiveUp
    );
}

#[test]
fn an_agent_may_choose_its_own_waits() {
    let backoff =
        Backoff { initial: Span::seconds(2), max: Span::seconds(5), ..Backoff::default() };
    let wait = |failures| decide(Restart::Always, backoff, false, failures, 0);
    assert_eq!(wait(1), Verdict::Again(Span::seconds(2)));
    assert_eq!(wait(9), Verdict::Again(Span::seconds(5)));
}
