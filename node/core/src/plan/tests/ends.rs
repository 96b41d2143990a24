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
fn a_job_whose_last_run_has_begun_was_started() {
    let mut setup = spec("setup");
    setup.job = Some(crate::agent::Job::once());
    let mut app = spec("app");
    app.depends_on.insert(name("setup"), Condition::Started);
    let mut world = World::new(&[app, setup]);
    assert!(world.plan().steps.is_empty(), "it has not run yet");
    world.book = book(r#""attempts":1,"startedMs":1,"outcome":"failed""#);
    assert_eq!(world.plan().steps, [Step::Start { agent: name("app") }]);
}

/// The book of the job `setup` after its only run.
fn book(run: &str) -> Book {
    let ended = format!(r#"{{"execution":"setup-1","scheduledMs":1,"finishedMs":2,{run}}}"#);
    serde_json::from_str(&format!(r#"{{"setup":{{"markMs":1,"history":[{ended}]}}}}"#)).unwrap()
}
