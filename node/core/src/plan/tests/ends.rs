//! What follows the end of an agent: for those that wait for it, and in what is told of it.

use super::*;

#[test]
fn what_has_ended_was_started() {
    let mut setup = spec("setup");
    setup.restart = Some(Restart::Never);
    let mut app = spec("app");
    app.depends_on.insert(name("setup"), Condition::Started);
    let mut world = World::new(&[app, setup]);
    // It ends before it is seen to run.
    let plan = world.plan();
    world.obey(&plan);
    world.end(&name("setup"), exit(0));
    world.settle();
    assert!(world.running("app"));
    // And long after, its dependent is run again.
    world.end(&name("app"), exit(1));
    world.settle();
    assert!(world.running("app"), "{:?}", world.plan().status);
}

#[test]
fn what_could_not_start_or_was_stopped_by_hand_was_not_started() {
    let mut app = spec("app");
    app.depends_on.insert(name("db"), Condition::Started);
    let mut db = spec("db");
    db.restart = Some(Restart::Never);
    let mut world = World::new(&[app, db]);
    let plan = world.plan();
    world.obey(&plan);
    let failed = Phase::Failed { message: "no memory".into() };
    world.observed.agents.get_mut(&name("db")).unwrap().phase = failed;
    assert!(world.plan().steps.is_empty());
    world.end(&name("db"), exit(0));
    world.desired.agents.get_mut(&name("db")).unwrap().halt = Some(Why::Stopped);
    assert!(world.plan().steps.is_empty());
    world.desired.agents.get_mut(&name("db")).unwrap().halt = None;
    assert_eq!(world.plan().steps, [Step::Start { agent: name("app") }]);
}

#[test]
fn what_gave_up_stays_so_when_the_node_s_process_is_another() {
    let mut bad = spec("bad");
    bad.restart = Some(Restart::OnFailure(Some(2)));
    let mut world = World::new(&[bad.clone()]);
    for _ in 0..3 {
        world.settle();
        world.end(&name("bad"), exit(1));
    }
    let before = {
        let seen = &world.observed.agents[&name("bad")];
        // Written when it was started for the last time.
        world.memory.failures(&name("bad"), seen.instance)
    };
    assert_eq!(before, 2);
    world.settle();
    assert_eq!(world.states(), [("bad".to_owned(), State::GaveUp)]);
    world.log.clear();
    let instance = world.observed.agents[&name("bad")].instance;
    world.memory = Memory::default();
    world.memory.recall(&name("bad"), instance, before, None, world.now);
    world.settle();
    assert_eq!(world.states(), [("bad".to_owned(), State::GaveUp)]);
    assert!(world.log.is_empty(), "{:?}", world.log);
    // A changed spec begins anew.
    bad.env.insert("X".into(), "1".into());
    world.want(&[bad]);
    world.settle();
    assert!(world.running("bad"));
    assert_eq!(world.memory.failures(&name("bad"), instance), 0);
}

#[test]
fn what_the_node_has_stopped_has_not_failed_for_the_next_process_either() {
    let mut once = spec("once");
    once.restart = Some(Restart::Never);
    let mut world = World::new(&[once]);
    world.settle();
    world.end(&name("once"), exit(143));
    let instance = world.observed.agents[&name("once")].instance;
    world.memory = Memory::default();
    world.memory.recall(&name("once"), instance, 0, Some((Why::Down, None)), world.now);
    world.settle();
    assert!(world.running("once"));
}

#[test]
fn what_ended_badly_has_failed_and_who_waits_for_it_says_so() {
    let mut setup = spec("setup");
    setup.restart = Some(Restart::Never);
    let mut app = spec("app");
    app.depends_on.insert(name("setup"), Condition::Completed);
    let mut world = World::new(&[app, setup]);
    let told = |world: &mut World| {
        let status = world.plan().status;
        (status[&name("setup")].state, status[&name("app")].detail.clone().unwrap_or_default())
    };
    let plan = world.plan();
    world.obey(&plan);
    world.run_starting();
    let waits = "for 'setup' to be completed".to_owned();
    assert_eq!(told(&mut world), (State::Running, waits.clone()));
    world.end(&name("setup"), exit(1));
    assert_eq!(told(&mut world), (State::Failed, format!("{waits}, which is failed: exit code 1")));
    let killed = Exit { code: None, signal: Some(9), ..exit(0) };
    world.end(&name("setup"), killed);
    let expected = format!("{waits}, which is failed: killed by signal 9");
    assert_eq!(told(&mut world), (State::Failed, expected));
    world.end(&name("setup"), exit(0));
    assert_eq!(told(&mut world).0, State::Completed);
}

#[test]
fn who_waits_for_a_job_that_failed_says_so() {
    let mut setup = spec("setup");
    setup.job = Some(crate::agent::Job::once());
    let mut app = spec("app");
    app.depends_on.insert(name("setup"), Condition::Completed);
    let mut world = World::new(&[app, setup]);
    world.book = book(r#""attempts":1,"startedMs":1,"outcome":"failed","message":"no disk""#);
    let detail = world.plan().status[&name("app")].detail.clone();
    let expected = "for 'setup' to be completed, which is gave-up: last run failed: no disk";
    assert_eq!(detail.as_deref(), Some(expected));
}

#[test]
fn what_was_ended_for_its_health_says_what_the_check_said() {
    let mut ill = spec("ill");
    ill.restart = Some(Restart::Never);
    ill.health_check =
        serde_json::from_str(r#"{"tcp":{"port":1},"interval":"1s","retries":1}"#).unwrap();
    let mut app = spec("app");
    app.depends_on.insert(name("ill"), Condition::Completed);
    let mut world = World::new(&[app, ill]);
    world.healthy = false;
    for _ in 0..10 {
        let plan = world.plan();
        world.obey(&plan);
        world.run_starting();
        world.now = Tick(world.now.0 + 500);
    }
    assert!(world.log.iter().any(|line| line.contains("Unhealthy")), "{:?}", world.log);
    let expected = "unhealthy: health check: ill; exit code 0";
    // However well it took it.
    world.end(&name("ill"), exit(0));
    let told = |world: &mut World| {
        let status = world.plan().status[&name("ill")].clone();
        (status.state, status.detail.unwrap())
    };
    assert_eq!(told(&mut world), (State::Failed, expected.to_owned()));
    assert_eq!(world.plan().status[&name("app")].state, State::Waiting);
    let instance = world.observed.agents[&name("ill")].instance;
    let said = Some("health check: ill".to_owned());
    world.memory = Memory::default();
    world.memory.recall(&name("ill"), instance, 0, Some((Why::Unhealthy, said)), world.now);
    assert_eq!(told(&mut world), (State::Failed, expected.to_owned()));
}

#[test]
fn a_state_of_a_later_version_is_read_as_unknown() {
    let read = |text: &str| serde_json::from_str::<State>(text).unwrap();
    assert_eq!(read(r#""frozen""#), State::Unknown);
    for state in [State::Failed, State::GaveUp, State::BackOff] {
        assert_eq!(read(&format!("\"{state}\"")), state);
    }
}

#[test]
fn a_job_whose_last_run_has_begun_was_started() {
    let mut setup = spec("setup");
    setup.job = Some(crate::agent::Job::once());
    let mut app = spec("app");
    app.depends_on.insert(name("setup"), Condition::Started);
    let mut world = World::new(&[app, setup]);
    assert!(world.plan().steps.is_empty(), "it has not run yet");
    world.book = book(r#""attempts":1,"startedMs":1,"outcome":"failed""#);
    assert_eq!(world.plan().steps, [Step::Start { agent: name("app") }]);
    world.book = book(r#""attempts":1,"startedMs":1,"outcome":"failed","message":"no disk""#);
    assert!(world.plan().steps.is_empty(), "it could not start");
}

#[test]
fn a_job_says_how_its_last_run_failed() {
    let mut setup = spec("setup");
    setup.job = Some(crate::agent::Job::once());
    let mut world = World::new(&[setup]);
    let mut detail = |run: &str| {
        world.book = book(run);
        world.plan().status[&name("setup")].detail.clone().unwrap()
    };
    let failed = |how: &str| format!(r#""attempts":1,"startedMs":1,"outcome":"failed",{how}"#);
    let unstarted = failed(r#""message":"security.devices[0].path: '/dev/nope' is not there""#);
    let expected = "last run failed: security.devices[0].path: '/dev/nope' is not there";
    assert_eq!(detail(&unstarted), expected);
    let ended = failed(r#""exit":{"code":7,"oomKilled":false,"ranMs":1,"finishedAtMs":1}"#);
    assert_eq!(detail(&ended), "last run failed: exit code 7");
}

/// The book of the job `setup` after its only run.
fn book(run: &str) -> Book {
    let ended = format!(r#"{{"execution":"setup-1","scheduledMs":1,"finishedMs":2,{run}}}"#);
    serde_json::from_str(&format!(r#"{{"setup":{{"markMs":1,"history":[{ended}]}}}}"#)).unwrap()
}
