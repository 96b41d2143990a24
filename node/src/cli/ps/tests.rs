use skerry_core::desired::Source;
use skerry_core::health::Health;

use super::*;

fn list() -> AgentList {
    let running = Status {
        state: State::Running,
        detail: None,
        source: Some(Source::Fleet),
        image: Digest::of(b"image"),
        instance: Digest::of(b"instance"),
        pid: Some(4711),
        health: Some(Health::Healthy),
        restarts: 2,
        current: true,
        ready: None,
        execution: None,
        next_run_ms: None,
        exit: None,
    };
    let detail = "image sha256:00 is not in the store; import it: skerry image import FILE";
    let blocked = Status {
        state: State::Blocked,
        detail: Some(detail.to_owned()),
        source: Some(Source::Local),
        image: Digest::of(b"other"),
        pid: None,
        health: None,
        restarts: 0,
        ..running.clone()
    };
    let agents = [("camera", running), ("sensor", blocked)];
    AgentList {
        revision: 7,
        agents: agents.map(|(name, status)| (name.parse().unwrap(), status)).into(),
        started_at_ms: [("camera".parse().unwrap(), 1_000_000)].into(),
        replicas: BTreeMap::new(),
    }
}

#[test]
fn the_table_fits_a_hundred_columns() {
    let images = BTreeMap::from([(Digest::of(b"image"), "camera:latest".to_owned())]);
    let rows = rows(&list(), &images, 1_000_000 + 3_723_000);
    let text = table::fitted(&HEADERS, rows, Some(100));
    let short = Digest::of(b"other").short();
    let expected = format!(
        "NAME    STATE    HEALTH   IMAGE          PID   RESTARTS  UP    SOURCE  DETAIL\n\
         camera  running  healthy  camera:latest  4711  2         1h2m  fleet   -\n\
         sensor  blocked  -        {short}   -     0         -     local   image sha256:00 is not in th…"
    );
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn json_is_flat_and_camel_case() {
    let list = list();
    let images = BTreeMap::from([(Digest::of(b"image"), "camera:latest".to_owned())]);
    let json = serde_json::to_value(entries(&list, &images)).unwrap();
    let camera = serde_json::json!({
        "name": "camera", "imageName": "camera:latest", "state": "running", "source": "fleet",
        "image": Digest::of(b"image").to_string(), "instance": Digest::of(b"instance").to_string(),
        "pid": 4711, "health": "healthy", "restarts": 2, "startedAtMs": 1_000_000,
        "current": true,
    });
    assert_eq!(json[0], camera);
    assert_eq!(json[1]["state"], "blocked");
    assert!(json[1].get("pid").is_none());
}

#[test]
fn only_what_rests_on_purpose_is_left_out() {
    assert!(!is_shown(State::Stopped) && !is_shown(State::Completed));
    for state in [State::Running, State::BackOff, State::Failed, State::GaveUp, State::Blocked] {
        assert!(is_shown(state), "{state}");
    }
}

#[test]
fn health_and_readiness_are_one_word() {
    let mut status = list().agents.into_values().next().unwrap();
    let mut told = |health, ready| {
        (status.health, status.ready) = (health, ready);
        super::health(&status)
    };
    assert_eq!(told(Some(Health::Healthy), Some(false)), "not-ready");
    assert_eq!(told(Some(Health::Unhealthy), Some(false)), "unhealthy");
    assert_eq!(told(Some(Health::Healthy), Some(true)), "healthy");
    assert_eq!(told(None, Some(true)), "ready");
    assert_eq!(told(None, None), "-");
}

#[test]
fn a_job_says_when_it_runs_next() {
    let mut status = list().agents.into_values().next().unwrap();
    status.state = State::Scheduled;
    status.next_run_ms = Some(70_000);
    assert_eq!(detail(&status, 10_000).unwrap(), "next in 1m0s");
    status.detail = Some("last run succeeded".into());
    assert_eq!(detail(&status, 10_000).unwrap(), "next in 1m0s; last run succeeded");
}
