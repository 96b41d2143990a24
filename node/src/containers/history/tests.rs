use skerry_core::observed::Exit;

use super::super::tests::{spec, wanted};
use super::*;

fn containers(folder: &Path) -> Containers {
    let mut config = crate::config::Config::assumed();
    config.run_dir = folder.join("run");
    config.state_dir = folder.join("state");
    Containers::new(&config).unwrap()
}

fn ended(finished_at_ms: i64, oom_killed: bool) -> Found {
    let mut found = Found::failed(&wanted(spec(None, None)), 0, String::new());
    let exit = Exit { code: Some(3), signal: None, oom_killed, ran_ms: 7, finished_at_ms };
    found.seen.phase = Phase::Exited(exit);
    found
}

#[test]
fn ends_are_kept_once_each_newest_first_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let containers = containers(folder.path());
    let name = "a".parse().unwrap();
    let note = |found: &Found, why| {
        containers
            .note_end(&name, found, Circumstances { why, ..Circumstances::default() })
            .unwrap();
    };
    note(&ended(1, false), None);
    note(&ended(1, false), Some(Why::Stopped));
    assert_eq!(containers.exits(&name).len(), 1, "one that was seen twice is one");
    note(&ended(2, true), None);
    note(&ended(3, false), Some(Why::Unhealthy));
    let reasons = |all: &[PastExit]| all.iter().map(|e| e.reason).collect::<Vec<_>>();
    let all = containers.exits(&name);
    assert_eq!(reasons(&all), [Reason::Unhealthy, Reason::OutOfMemory, Reason::Exit]);
    assert_eq!((all[2].code, all[2].ran_ms), (Some(3), Some(7)));
    (4..30).for_each(|moment| note(&ended(moment, false), None));
    assert_eq!(containers.exits(&name).len(), KEPT);
    containers.forget(&name).unwrap();
    assert!(containers.exits(&name).is_empty());
}

#[test]
fn one_that_cannot_start_does_not_drive_out_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let containers = containers(folder.path());
    let name = "a".parse().unwrap();
    let failed = |why: &str| Found::failed(&wanted(spec(None, None)), 0, why.to_owned());
    for restarts in 0..20 {
        let known = Circumstances { restarts, ..Circumstances::default() };
        containers.note_end(&name, &failed("no secret"), known).unwrap();
    }
    containers.note_end(&name, &failed("no file"), Circumstances::default()).unwrap();
    let all = containers.exits(&name);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].message.as_deref(), Some("no file"));
}

#[test]
fn what_it_was_stopped_for_is_known_of_the_end_that_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let containers = containers(folder.path());
    let name = "a".parse().unwrap();
    let said = Some("health check: status 404".to_owned());
    let why = Some(Why::Unhealthy);
    let known = Circumstances { why, said: said.clone(), ..Circumstances::default() };
    let noted = containers.note_end(&name, &ended(1, false), known).unwrap().unwrap();
    assert_eq!(noted.in_words(), "exit code 3, unhealthy: health check: status 404");
    assert_eq!(containers.stopped_for(&name, &ended(1, false)), Some((Why::Unhealthy, said)));
    assert_eq!(containers.stopped_for(&name, &ended(2, false)), None, "another end");
    let live = Phase::Running { pid: 1, since: skerry_core::time::Tick(1) };
    let mut found = ended(1, false);
    found.seen.phase = live;
    assert_eq!(containers.stopped_for(&name, &found), None);
}

#[test]
fn a_start_that_failed_is_found_again_with_its_reason_and_count() {
    let folder = tempfile::tempdir().unwrap();
    let containers = containers(folder.path());
    let wanted = wanted(spec(None, None));
    containers.leave_failure(&wanted, 2, "no such disk");
    let found = containers.look(&wanted.spec.name).unwrap();
    assert_eq!(found.seen.phase, Phase::Failed { message: "no such disk".into() });
    assert_eq!((found.failures, found.seen.instance), (2, wanted.instance));
}
