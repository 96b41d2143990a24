//! What comes down is delivered until it is acknowledged, and no longer.

use std::time::Duration;

use skerry_sync::topics::BlobPath;
use skerry_sync::{Down, LinkState, MemoryStore, Topic};
use tokio::time::timeout;

use crate::broker::Mosquitto;
use crate::parts::{Operator, PATIENCE, config, down, name, run};

#[tokio::test]
async fn a_retained_document_is_delivered_and_so_is_all_else() {
    let broker = Mosquitto::open();
    let mut config = config(&broker.url());
    config.groups = vec!["line-3".into()];
    let operator = Operator::connect(&config).await;
    operator.publish(&down(Down::Desired), "document", true).await;
    let mut session = run(&config, MemoryStore::default());
    let first = session.next().await;
    assert_eq!((&first.topic, &first.payload[..]), (&Down::Desired, &b"document"[..]));
    assert!(first.retained);
    first.ack.give();
    let blob = Down::Blob(BlobPath::new(vec![name("sha256"), name("ab12"), name("0")]).unwrap());
    for kind in [Down::Desired, Down::Command(name("7")), blob] {
        operator.publish(&down(kind.clone()), "x", false).await;
        let message = session.next().await;
        assert_eq!((message.topic, message.retained), (kind, false));
        message.ack.give();
    }
    let group = Topic::Group { tenant: name("acme"), group: name("line-3") };
    operator.publish(&group, "for the line", true).await;
    assert_eq!(session.next().await.topic, Down::GroupDesired(name("line-3")));
    let large = "x".repeat(8 << 20);
    operator.publish(&down(Down::Desired), &large, true).await;
    assert_eq!(session.next().await.payload.len(), 8 << 20);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_and_what_is_does_not() {
    let broker = Mosquitto::open();
    let config = config(&broker.url());
    let operator = Operator::connect(&config).await;
    let mut session = run(&config, MemoryStore::default());
    session.connected().await;
    for id in ["1", "2", "3"] {
        operator.publish(&down(Down::Command(name(id))), id, false).await;
    }
    session.next().await.ack.give();
    drop(session.next().await);
    let third = session.next().await;
    third.ack.give();
    session.link.close(None).await;
    let mut session = run(&config, MemoryStore::default());
    let again = session.next().await;
    assert_eq!(&again.payload[..], b"2");
    again.ack.give();
    assert!(session.connected().await, "the broker forgot the session");
    session.link.close(None).await;
    operator.publish(&down(Down::Command(name("4"))), "4", false).await;
    let mut session = run(&config, MemoryStore::default());
    assert_eq!(&session.next().await.payload[..], b"4");
}

#[tokio::test]
async fn what_is_kept_comes_again_for_who_asks_and_for_nobody_else() {
    let broker = Mosquitto::open();
    let config = config(&broker.url());
    let operator = Operator::connect(&config).await;
    operator.publish(&down(Down::Desired), "document", true).await;
    let mut session = run(&config, MemoryStore::default());
    session.next().await.ack.give();
    session.link.close(None).await;

    // The same node with its state: the session is still there, and nothing comes twice.
    let mut session = run(&config, MemoryStore::default());
    assert!(session.connected().await, "the broker forgot the session");
    operator.publish(&down(Down::Command(name("1"))), "1", false).await;
    let next = session.next().await;
    assert_eq!(next.topic, Down::Command(name("1")));
    next.ack.give();
    // In the middle of a connection ...
    session.link.ask_again().unwrap();
    let again = session.next().await;
    assert_eq!((&again.payload[..], again.retained), (&b"document"[..], true));
    again.ack.give();
    session.link.close(None).await;

    // ... and before there is one, as a device does that was flashed anew. Asked once, answered once.
    let mut session = run(&config, MemoryStore::default());
    session.link.ask_again().unwrap();
    assert!(session.connected().await, "the broker forgot the session");
    session.next().await.ack.give();
    operator.publish(&down(Down::Command(name("2"))), "2", false).await;
    assert_eq!(session.next().await.topic, Down::Command(name("2")));
}

#[tokio::test]
async fn an_acknowledgement_of_an_earlier_connection_is_harmless() {
    let broker = Mosquitto::open();
    let config = config(&broker.url());
    let operator = Operator::connect(&config).await;
    let mut session = run(&config, MemoryStore::default());
    session.connected().await;
    operator.publish(&down(Down::Command(name("1"))), "1", false).await;
    let old = session.next().await;
    // Another client of this name throws the session out, which then comes back.
    let other = run(&config, MemoryStore::default());
    other.connected().await;
    session.until("thrown out", |s| !matches!(s, LinkState::Connected { .. })).await;
    other.abort().await;
    let again = session.next().await;
    old.ack.give();
    assert_eq!(&again.payload[..], b"1");
    operator.publish(&down(Down::Command(name("2"))), "2", false).await;
    while session.next().await.payload != "2" {}
}

#[tokio::test]
async fn a_slow_owner_stops_the_reading_and_loses_nothing() {
    let broker = Mosquitto::start("allow_anonymous true\nmax_queued_messages 0\n");
    let mut config = config(&broker.url());
    config.inbound_queue = 4;
    let operator = Operator::connect(&config).await;
    let mut session = run(&config, MemoryStore::default());
    session.connected().await;
    for id in 0..200 {
        operator.publish(&down(Down::Command(name("c"))), &id.to_string(), false).await;
    }
    assert!(session.link.stats().borrow().received <= 5, "it read on");
    for id in 0..200 {
        let message = session.next().await;
        assert_eq!(message.payload, id.to_string());
        message.ack.give();
    }
}

#[tokio::test]
async fn a_group_that_was_left_is_left_at_the_broker_too() {
    let broker = Mosquitto::open();
    let mut config = config(&broker.url());
    config.groups = vec!["old".into()];
    let operator = Operator::connect(&config).await;
    let session = run(&config, MemoryStore::default());
    session.connected().await;
    session.link.close(None).await;
    config.groups = vec!["new".into()];
    let mut session = run(&config, MemoryStore::default());
    assert!(session.connected().await);
    let group = |group| Topic::Group { tenant: name("acme"), group: name(group) };
    operator.publish(&group("old"), "no", false).await;
    operator.publish(&group("new"), "yes", false).await;
    assert_eq!(&session.next().await.payload[..], b"yes");
    let mut stats = session.link.stats();
    timeout(PATIENCE, stats.wait_for(|stats| stats.strange == 1)).await.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_is_sent_when_there_is_nothing_to_say() {
    let broker = Mosquitto::open();
    let session = run(&config(&broker.url()), MemoryStore::default());
    session.connected().await;
    session.drained().await;
    let mut stats = session.link.stats();
    stats.mark_unchanged();
    let changed = timeout(Duration::from_millis(500), stats.changed()).await;
    assert!(changed.is_err(), "something happened: {:?}", stats.borrow());
}
