use super::*;

fn check() -> HealthCheck {
    serde_json::from_str(r#"{"tcp":{"port":80},"interval":"10s","retries":2,"startPeriod":"5s"}"#)
        .unwrap()
}

fn after(machine: &mut Machine, at: u64, ok: bool) -> Health {
    machine.sent();
    let result = if ok { Ok(()) } else { Err("refused".to_owned()) };
    machine.answered(&check(), Tick(0), Tick(at), result);
    machine.health()
}

#[test]
fn failures_in_the_start_period_do_not_count() {
    let mut machine = Machine::default();
    assert_eq!(after(&mut machine, 1000, false), Health::Starting);
    assert_eq!(after(&mut machine, 2000, false), Health::Starting);
    assert_eq!(after(&mut machine, 6000, false), Health::Starting);
    assert_eq!(after(&mut machine, 7000, false), Health::Unhealthy);
    assert_eq!(machine.message(), Some("refused"));
    assert_eq!(after(&mut machine, 8000, true), Health::Healthy);
}

#[test]
fn one_failure_between_successes_changes_nothing() {
    let mut machine = Machine::default();
    assert_eq!(after(&mut machine, 6000, true), Health::Healthy);
    assert_eq!(after(&mut machine, 16000, false), Health::Healthy);
    assert_eq!(after(&mut machine, 26000, true), Health::Healthy);
    assert_eq!(after(&mut machine, 36000, false), Health::Healthy);
    assert_eq!(after(&mut machine, 46000, false), Health::Unhealthy);
}

#[test]
fn probes_are_eager_until_the_first_success_and_never_overlap() {
    let mut machine = Machine::default();
    assert_eq!(machine.due(&check(), Tick(7)), Some(Tick(7)));
    machine.sent();
    assert_eq!(machine.due(&check(), Tick(7)), None);
    machine.answered(&check(), Tick(7), Tick(100), Err("no".into()));
    assert_eq!(machine.due(&check(), Tick(7)), Some(Tick(600)));
    assert_eq!(after(&mut machine, 600, true), Health::Healthy);
    assert_eq!(machine.due(&check(), Tick(7)), Some(Tick(10_600)));
}
