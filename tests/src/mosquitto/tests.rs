use super::*;
use crate::until::until;

#[test]
fn what_it_saved_survives_its_crash() {
    let mut broker = Mosquitto::start();
    assert_eq!(broker.retained("a/topic"), None);
    broker.retain("a/topic", b"kept");
    broker.save();
    broker.restart();
    assert_eq!(broker.retained("a/topic").as_deref(), Some("kept"));
    broker.retain("a/topic", b"newer");
    let _ = broker.stop();
    broker.restart();
    assert_eq!(broker.retained("a/topic").as_deref(), Some("newer"));
}

#[test]
fn it_can_fall_silent_and_come_back() {
    let mut broker = Mosquitto::start();
    broker.pause();
    let mut ping = broker.client("mosquitto_pub");
    let mut ping = ping.args(["-t", "a/topic", "-m", "late"]).spawn().expect("mosquitto_pub");
    assert_eq!(ping.try_wait().expect("mosquitto_pub"), None);
    broker.resume();
    assert!(ping.wait().expect("mosquitto_pub").success());
}

#[test]
fn a_password_is_asked_for() {
    let access = Access::Password { user: "node".into(), password: "right".into() };
    let mut broker = Mosquitto::start_with(access);
    broker.retain("a/topic", b"allowed");
    broker.access = Access::Password { user: "node".into(), password: "wrong".into() };
    let refused = run(broker.client("mosquitto_pub").args(["-t", "a/topic", "-m", "no"])).refused();
    assert!(refused.stderr.contains("ot authori"), "{refused}");
}

#[test]
fn a_certificate_is_asked_for() {
    let mut broker = Mosquitto::start_with(Access::ClientCertificate);
    assert!(broker.url().starts_with("mqtts://"));
    broker.retain("a/topic", b"allowed");
    assert_eq!(broker.retained("a/topic").as_deref(), Some("allowed"));

    let stranger = Scratch::new();
    broker.client = Some(Authority::new(stranger.path()).client("stranger"));
    let refused = run(broker.client("mosquitto_pub").args(["-t", "a/topic", "-m", "no"]));
    let _ = refused.refused();
}

#[test]
fn a_listener_hears_what_is_published() {
    let broker = Mosquitto::start();
    let scratch = Scratch::new();
    let log = scratch.path().join("heard");
    let listener = broker.listen("some/#", &log);
    until("the subscription stands", Duration::from_secs(5), || {
        broker.log().contains("SUBACK").then_some(())
    });
    broker.publish("some/topic", b"hello");
    until("the message is heard", Duration::from_secs(5), || {
        listener.log().contains("some/topic hello").then_some(())
    });
}
